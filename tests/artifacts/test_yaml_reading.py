"""Scalars as yaml.v3 reads them, and bombs."""

import contextlib
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gatewright.artifacts.limits import Limits
from gatewright.artifacts.yaml_reading import YamlError, first_yaml_document


def read(text: str | bytes, **limits: Any) -> Any:
    return first_yaml_document(text, Limits(**limits))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("true", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("~", None),
        ("", None),
        ("1", 1),
        ("-1", -1),
        ("+1", 1),
        ("1_000", 1000),
        ("017", 15),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", 3),
        ("-0x1F", -31),
        ("089", 89),
        ("1:30", "1:30"),
        ("1e3", 1000),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1),
        ("1.0", 1),
        ("1e400", "1e400"),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2.0**64),
        ("9" * 500, "9" * 500),
        ("9" * 399, "9" * 399),
        ("v1.0", "v1.0"),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("-", [None]),
        ("+", "+"),
        ("2026-05-02", "2026-05-02T00:00:00Z"),
        ("2026-5-2", "2026-05-02T00:00:00Z"),
        ("2026-05-02 10:11:12.50", "2026-05-02T10:11:12.5Z"),
        ("2026-05-02T10:11:12+02:00", "2026-05-02T10:11:12+02:00"),
        ("2026-05-02T10:11:12Z", "2026-05-02T10:11:12Z"),
        ("2026-05-02T10:11:12", "2026-05-02T10:11:12"),
        ("2026-13-02", "2026-13-02"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("! 1", "1"),
        ("!!str 1", "1"),
        ("!!int 1", 1),
        ("!!int '1'", 1),
        ("!!float 1", 1.0),
        ("!!bool true", True),
        ("!!null ''", None),
        ("!!timestamp 2026-05-02", "2026-05-02T00:00:00Z"),
        ("!!binary aGVsbG8=", "hello"),
        ("!local 1", "1"),
        ("!local {a: 1}", {"a": 1}),
        ("!!map {a: 1}", {"a": 1}),
        ("!!python/object/apply:os.getcwd []", []),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("{1: a, true: b, null: c, 1.0: d}", {"1": "a", "true": "b", "null": "c", "1.0": "d"}),
        ("{on: 1, no: 2}", {"on": 1, "no": 2}),
        ("[&a x, *a]", ["x", "x"]),
        ("{&a k: v, b: *a}", {"k": "v", "b": "k"}),
        ("{a: &x {b: 1, c: 2}, d: {<<: *x, c: 3}}", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
        ("{a: {c: 3, <<: {c: 4, d: 5}}}", {"a": {"c": 3, "d": 5}}),
        ("{a: {<<: [{c: 1}, {c: 2, d: 3}]}}", {"a": {"c": 1, "d": 3}}),
        ("{'<<': 1}", {"<<": 1}),
        ("{&m <<: {a: 1}, b: *m}", {"a": 1, "b": "<<"}),
    ],
)
def test_scalars_and_structure(text: str, value: Any) -> None:
    result = read(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a: 1, a: 2}", 'line 1: mapping key "a" already defined'),
        ("a: 1\nb: 2\na: 3", 'line 3: mapping key "a" already defined'),
        ("{[a]: 1}", "a mapping key must be a scalar"),
        ("{? {a: b} : 1}", "a mapping key must be a scalar"),
        ("[&a [1], {*a : 1}]", "a mapping key must be a text"),
        ("&a [*a]", "anchor 'a' value contains itself"),
        ("&a {b: {c: *a}}", "anchor 'a' value contains itself"),
        ("[*missing]", "unknown anchor 'missing' referenced"),
        ("{<<: 1}", "map merge requires map or sequence of maps as the value"),
        ("{<<: [1]}", "map merge requires map or sequence of maps as the value"),
        (".nan", "unsupported value: .nan"),
        ("[-.inf]", "unsupported value: -.inf"),
        ("!!int x", "cannot decode `x` as a !!int"),
        ("!!binary '!'", "invalid base64"),
        ("a: \x01", "yaml: "),
        ("@a", "yaml: line 1: "),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(YamlError) as refused:
        read(text)
    assert message in str(refused.value)


def bomb(levels: int, leaf: str = "lol") -> str:
    lines = [f"a0: &a0 [{', '.join([leaf] * 9)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb(12),
        bomb(12, "{}"),
        "a: &a [" + ",".join(["x"] * 1000) + "]\nb: [" + ",".join(["*a"] * 1000) + "]",
        "a: &a {" + ",".join(f"k{n}: 1" for n in range(1000)) + "}\nb: [" + ",".join(["{<<: *a}"] * 1000) + "]",
        "a: &a {x: " + "y" * 5_000_000 + "}\nb: [*a, *a]",
        "[" * 100_000,
        "{a: " * 100_000,
        "- " * 100_000,
        "? " * 100_000,
    ],
    ids=["texts", "maps", "wide", "merges", "long", "lists", "flow maps", "block lists", "block keys"],
)
def test_bombs_are_refused_quickly(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(YamlError):
        read(text)
    assert time.perf_counter() - started < 10  # seconds; in truth far below one on a free machine


def test_honest_aliases_are_fine() -> None:
    assert len(read("a: &a {x: 1}\nb: [" + ",".join(["*a"] * 1000) + "]")["b"]) == 1000


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff\ufffe\uffff\u2028\u2029")),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text("abkz.-:# 0", max_size=6), children, max_size=4)
    ),
    max_leaves=12,
)


@given(plain)
def test_what_pyyaml_writes_is_read_back(value: Any) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    assert read(text) == value


@given(st.text(max_size=60) | st.binary(max_size=60) | st.text("{}[]&*<<:,!-?|>'\"#% \n\tab01.", max_size=40))
def test_any_text_gives_a_value_or_a_yaml_error(text: str | bytes) -> None:
    with contextlib.suppress(YamlError):
        read(text, max_depth=10, max_nodes=100)
