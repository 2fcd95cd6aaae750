"""Bytes and content types."""

import json

import pytest

from gatewright.artifacts.limits import Limits, excess
from gatewright.artifacts.parsing import parse_document, parse_documents, parse_json, parse_yaml
from gatewright.artifacts.problems import MalformedDocument

YAML = b"kind: RestApi\nspec: {version: v1.0}\n"
JSON = b'{"kind":"RestApi","spec":{"version":"v1.0"}}'
PARSED = {"kind": "RestApi", "spec": {"version": "v1.0"}}


@pytest.mark.parametrize("content_type", ["application/yaml", "application/x-yaml", "text/yaml", "", "text/plain"])
def test_yaml_types_and_unknown_types_take_yaml(content_type: str) -> None:
    assert parse_document(YAML, content_type) == PARSED
    assert parse_document(JSON, content_type) == PARSED


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "", "Application/JSON"]
)
def test_json_types_and_unknown_types_take_json(content_type: str) -> None:
    assert parse_document(JSON, content_type) == PARSED


def test_json_with_tabs_is_taken_by_an_unknown_type() -> None:
    text = b'{\n\t"kind": "RestApi",\n\t"a": "x\\/y"\n}'
    with pytest.raises(MalformedDocument):
        parse_document(b"\t- a: [", "")
    assert parse_document(text, "") == {"kind": "RestApi", "a": "x/y"}


@pytest.mark.parametrize(
    "body", [b"", b"  \n", b"{", b"[1", b'{"a":NaN}', b'{"a":1e999}', b"\xff", b"{} x", b"kind: x"]
)
def test_broken_json(body: bytes) -> None:
    with pytest.raises(MalformedDocument) as refused:
        parse_document(body, "application/json")
    assert refused.value.message.startswith("failed to parse JSON: ")
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("body", [b"a: [", b"a: b: c", b"\t- a", b"a: 1\na: 2", b"a: *x", b"%x", b"a: \xff", b'"'])
def test_broken_yaml(body: bytes) -> None:
    with pytest.raises(MalformedDocument) as refused:
        parse_document(body, "application/yaml")
    assert refused.value.message.startswith("failed to unmarshal YAML: yaml: ")
    assert "\n" not in refused.value.message


def test_neither_syntax_gives_the_reason_too() -> None:
    with pytest.raises(MalformedDocument) as refused:
        parse_document(b"a: [", "text/plain")
    assert refused.value.message.startswith("failed to parse as YAML or JSON: failed to unmarshal YAML: yaml: line ")


@pytest.mark.parametrize("body", [b"", b"# nothing\n", b"---\n", b"null", b"~"])
def test_an_empty_yaml_document_is_an_empty_resource(body: bytes) -> None:
    assert parse_document(body, "application/yaml") == {}


@pytest.mark.parametrize("body", [b"- a", b"text", b"5", b"true"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedDocument, match="must be an object"):
        parse_yaml(body)


def test_of_equal_json_keys_the_last_wins() -> None:
    assert parse_json(b'{"a":1,"a":2}') == {"a": 2}


def test_only_the_first_document_counts_in_a_body_and_all_in_a_file() -> None:
    stream = b"---\na: 1\n---\n---\nb: 2\n...\n"
    assert parse_yaml(stream) == {"a": 1}
    assert list(parse_documents(stream)) == [{"a": 1}, {"b": 2}]
    assert parse_yaml(b"a: 1\n---\n[broken") == {"a": 1}
    assert list(parse_documents(JSON)) == [PARSED]


def test_documents_before_a_broken_one_are_delivered() -> None:
    documents = parse_documents(b"a: 1\n---\n[broken")
    assert next(documents) == {"a": 1}
    with pytest.raises(MalformedDocument):
        next(documents)


def test_a_stream_of_documents_is_bounded() -> None:
    with pytest.raises(MalformedDocument, match="more than 3 documents"):
        list(parse_documents(b"---\na: 1\n" * 4, limits=Limits(max_documents=3)))


@pytest.mark.parametrize("content_type", ["application/yaml", "application/json", ""])
def test_size_and_depth_are_bounded(content_type: str) -> None:
    with pytest.raises(MalformedDocument, match="larger than 100 bytes"):
        parse_document(b'{"a": "' + b"x" * 100 + b'"}', content_type, limits=Limits(max_bytes=100))
    for depth in (101, 1_000, 50_000):
        with pytest.raises(MalformedDocument, match=r"nested deeper than 100 levels|maximum nesting depth"):
            parse_document(b'{"a":' + b"[" * depth + b"]" * depth + b"}", content_type)
    assert parse_document(b'{"a":' + b"[" * 99 + b"]" * 99 + b"}", content_type)


def test_nodes_are_bounded() -> None:
    body = json.dumps({"a": list(range(1000))}).encode()
    for parse in (parse_yaml, parse_json):
        assert parse(body, limits=Limits(max_nodes=1_010))
        with pytest.raises(MalformedDocument, match="more than 500 nodes"):
            parse(body, limits=Limits(max_nodes=500))


def test_a_value_that_holds_itself_is_too_deep() -> None:
    value: list[object] = []
    value.append(value)
    assert excess(value) == "document is nested deeper than 100 levels"
