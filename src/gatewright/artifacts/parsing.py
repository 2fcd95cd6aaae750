"""Bytes and a content type → a plain mapping. YAML or JSON, bounded in size, depth and number of nodes.

Pure. Source: management API reference, section 4.1; the error texts are the original's up to the decoder's own words.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from gatewright.artifacts.limits import DEFAULT_LIMITS, Limits, excess
from gatewright.artifacts.plain import Plain
from gatewright.artifacts.problems import MalformedDocument
from gatewright.artifacts.yaml_reading import YamlError, first_yaml_document, yaml_documents

YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml"})
JSON_TYPE = "application/json"

_decoder = msgspec.json.Decoder()


def parse_document(
    body: bytes, content_type: str, *, limits: Limits = DEFAULT_LIMITS, literal: bool = False
) -> dict[str, Any]:
    """Read one document. The content type is compared as it stands; parameters make it "anything else".

    "Anything else" takes YAML and JSON. An empty YAML body is an empty document. `literal` keeps the spelling of YAML
    scalars for the shape that reads the document next. Raises MalformedDocument.
    """
    if content_type in YAML_TYPES:
        return parse_yaml(body, limits=limits, literal=literal)
    if content_type == JSON_TYPE:
        return parse_json(body, limits=limits)
    try:
        return parse_yaml(body, limits=limits, literal=literal)
    except MalformedDocument as as_yaml:
        try:
            return parse_json(body, limits=limits)
        except MalformedDocument:
            # The original stops after the first sentence; the reason is added because it is what the author needs.
            raise MalformedDocument(f"failed to parse as YAML or JSON: {as_yaml.message}") from None


def parse_yaml(body: bytes | str, *, limits: Limits = DEFAULT_LIMITS, literal: bool = False) -> dict[str, Any]:
    """Read the first document of a YAML stream. Raises MalformedDocument (`failed to unmarshal YAML: …`)."""
    try:
        _check_size(body, limits)
        return _mapping(first_yaml_document(body, limits, literal=literal), "YAML")
    except (YamlError, _Refused) as problem:
        raise MalformedDocument(f"failed to unmarshal YAML: {problem}") from None


def parse_json(body: bytes | str, *, limits: Limits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Read a JSON object; of equal keys the last wins. Raises MalformedDocument (`failed to parse JSON: …`)."""
    try:
        _check_size(body, limits)
        return _mapping(_json_value(body, limits), "JSON")
    except _Refused as problem:
        raise MalformedDocument(f"failed to parse JSON: {problem}") from None


def parse_documents(body: bytes | str, *, limits: Limits = DEFAULT_LIMITS) -> Iterator[dict[str, Any]]:
    """All documents of a file: a YAML stream (JSON is read as YAML), empty documents left out.

    Documents before a broken one are delivered first. Raises MalformedDocument.
    """
    try:
        _check_size(body, limits)
        for value in yaml_documents(body, limits):
            if value is not None:
                yield _mapping(value, "YAML")
    except (YamlError, _Refused) as problem:
        raise MalformedDocument(f"failed to unmarshal YAML: {problem}") from None


class _Refused(ValueError):
    """Well-formed or not: not taken. The message has no prefix."""


def _check_size(body: bytes | str, limits: Limits) -> None:
    if len(body) > limits.max_bytes:
        raise _Refused(limits.too_large)


def _json_value(body: bytes | str, limits: Limits) -> Plain:
    if not body.strip():
        raise _Refused("unexpected end of JSON input")
    try:
        value = _decoder.decode(body)
    except RecursionError:
        raise _Refused(limits.too_deep) from None
    except (msgspec.MsgspecError, UnicodeError) as problem:
        raise _Refused(str(problem)) from None
    problem_text = excess(value, limits)
    if problem_text:
        raise _Refused(problem_text)
    return value


def _mapping(value: Plain, syntax: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        kind = {str: "a text", list: "a list", bool: "a boolean"}.get(type(value), "a number")
        raise _Refused(f"the {syntax} document must be an object with apiVersion, kind, metadata and spec, not {kind}")
    return value
