"""Where credentials are, what an update inherits, what may be shown."""

import pytest

from gatewright.artifacts.credentials import inherited, is_reference, with_values, without_credentials
from gatewright.artifacts.llm_proxy import PROXY

UPSTREAM = (("spec", "upstream"),)


def upstream(auth=None, **more):
    return {"spec": {"upstream": {"url": "u", **({"auth": auth} if auth is not None else {}), **more}}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('{{ secret "a" }}', True),
        ('Bearer {{ secret "a" }}', True),
        ('{{- env "A" -}}', True),
        ('{{secret "a"}}', True),
        ('{{ secret "a" | default "sk-1" }}', False),
        ('{{ "sk-1" }}', False),
        ('sk-1 {{ secret "a" }}', False),
        ('{{ secret "a" }}{{ "sk-1" }}', False),
        ("sk-1", False),
        ("", False),
    ],
)
def test_what_only_names_a_secret(value, expected):
    assert is_reference(value) is expected


def test_nothing_is_changed_in_place():
    stored, sent = upstream({"type": "t", "value": "v"}), upstream()
    assert inherited(sent, stored, UPSTREAM) == stored
    assert sent == upstream()
    assert without_credentials(stored, UPSTREAM) == upstream({"type": "t"})
    assert with_values(stored, UPSTREAM, str.upper) == upstream({"type": "t", "value": "V"})
    assert stored == upstream({"type": "t", "value": "v"})


def test_a_stored_block_without_a_value_is_not_inherited():
    assert inherited(upstream(), upstream({"type": "other"}), UPSTREAM) == upstream()


def test_an_id_in_the_upstream_does_not_matter():
    stored = upstream({"type": "t", "value": "v"}, id="a")
    assert inherited(upstream(id="b"), stored, UPSTREAM) == stored | {
        "spec": {"upstream": stored["spec"]["upstream"] | {"id": "b"}}
    }


def test_one_provider_under_two_names():
    def entry(name, **auth):
        return {"id": "a", "as": name, **({"auth": {"type": "t", **auth}} if auth is not None else {})}

    stored = {"spec": {"provider": {"id": "p"}, "additionalProviders": [entry("x", value="1"), entry("y", value="2")]}}
    sent = {"spec": {"provider": {"id": "p"}, "additionalProviders": [entry("y"), entry("x"), entry("z")]}}
    merged = inherited(sent, stored, PROXY.credentials)["spec"]["additionalProviders"]
    assert [item["auth"]["value"] for item in merged] == ["2", "1", "1"]


@pytest.mark.parametrize("document", [{}, {"spec": None}, {"spec": {"upstream": []}}, {"spec": {"upstream": None}}])
def test_documents_without_upstream(document):
    assert inherited(document, document, UPSTREAM) == document
    assert without_credentials(document, UPSTREAM) == document
