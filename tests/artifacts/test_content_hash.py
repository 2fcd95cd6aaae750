"""Equal content, equal hash."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gatewright.artifacts.content_hash import canonical_json, content_hash
from gatewright.artifacts.parsing import parse_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=10,
)
documents = st.dictionaries(st.text(max_size=4), json_values, max_size=4)


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(item) for key, item in reversed(value.items())}
    return [reordered(item) for item in value] if isinstance(value, list) else value


def test_form() -> None:
    assert (
        canonical_json({"b": [1, "é"], "a": {"d": None, "c": True}}) == '{"a":{"c":true,"d":null},"b":[1,"é"]}'.encode()
    )
    assert content_hash({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@given(documents)
def test_order_does_not_matter_and_the_form_reads_back(document: dict[str, Any]) -> None:
    assert content_hash(reordered(document)) == content_hash(document)
    assert parse_json(canonical_json(document)) == document


@given(documents, documents)
def test_different_content_differs(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert (content_hash(first) == content_hash(second)) == (canonical_json(first) == canonical_json(second))
