"""YAML text → plain values, with the meaning that the original's decoder (yaml.v3) gives to scalars.

PyYAML's C parser delivers events; they are turned into values here, because PyYAML's own constructor follows YAML 1.1
(`on` would be true, `1:30` would be 90, `1e3` a text), keeps the last of two equal keys, and expands without bounds.
Pure.
"""

import base64
import binascii
import math
import re
from collections.abc import Generator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import yaml

from gatewright.artifacts.limits import Limits
from gatewright.artifacts.literals import LiteralScalar
from gatewright.artifacts.plain import Plain


class YamlError(ValueError):
    """The text is not acceptable YAML; the message names the line."""


_TAG = "tag:yaml.org,2002:"
_CONSTANTS: Mapping[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NOT_FINITE = frozenset(
    sign + text for text in (".inf", ".Inf", ".INF") for sign in ("", "+", "-")
) | {".nan", ".NaN", ".NAN"}  # fmt: skip
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt]|[ ])([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:\.([0-9]{1,9}))?(Z|[-+][0-9]{2}:[0-9]{2})?)?"
)
_LONGEST_NUMBER = 400  # characters; a longer digit string is no number of any practical use
_EXACT_FLOATS = 2**53  # below, a whole float is written without fraction, as the original's JSON encoder does
_NO_KEY = object()


class _Frame:
    """A collection that is being read."""

    __slots__ = ("anchor", "first_character", "first_node", "is_map", "key", "merges", "value")

    def __init__(self, *, is_map: bool, anchor: str | None, first_node: int, first_character: int) -> None:
        self.value: Any = {} if is_map else []
        self.is_map = is_map
        self.anchor = anchor
        self.first_node = first_node
        self.first_character = first_character
        self.key: Any = _NO_KEY
        self.merges: list[Any] | None = None


class _Merge:
    """Stands for the key `<<`."""


_MERGE = _Merge()


class _DocumentBuilder:
    """Builds the value of one document out of its events, without recursion."""

    def __init__(self, limits: Limits, *, literal: bool) -> None:
        self._limits = limits
        self._literal = literal
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int, int]] = {}
        self._open_anchors: set[str] = set()
        self._nodes = 0
        self._characters = 0
        self.result: Any = None

    def feed(self, event: yaml.Event) -> None:
        kind = type(event)
        if isinstance(event, yaml.ScalarEvent):
            self._count(1, len(event.value), event)
            self._scalar(event)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self._open(event, is_map=kind is yaml.MappingStartEvent)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._close(event)
        elif kind is yaml.AliasEvent:
            self._alias(event)

    def _count(self, nodes: int, characters: int, event: yaml.Event) -> None:
        self._nodes += nodes
        self._characters += characters
        if self._nodes > self._limits.max_nodes:
            _fail(event, self._limits.too_many_nodes)
        if self._characters > self._limits.max_bytes:
            _fail(event, self._limits.too_large)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        frame = self._stack[-1] if self._stack else None
        value: Plain
        if frame is not None and frame.is_map and frame.key is _NO_KEY:
            value = _MERGE if event.implicit[0] and event.value == "<<" else event.value
        else:
            value = _resolve(event)
            if self._literal and event.tag is None and value is not None and value != event.value:
                value = LiteralScalar(event.value, value)
        if event.anchor:
            self._anchors[event.anchor] = (event.value if value is _MERGE else value, 1, len(event.value))
        self._place(value, event)

    def _open(self, event: Plain, *, is_map: bool) -> None:
        if len(self._stack) >= self._limits.max_depth:
            _fail(event, self._limits.too_deep)
        if self._stack and self._stack[-1].is_map and self._stack[-1].key is _NO_KEY:
            _fail(event, "a mapping key must be a scalar")
        self._stack.append(
            _Frame(is_map=is_map, anchor=event.anchor, first_node=self._nodes, first_character=self._characters)
        )
        self._count(1, 0, event)
        if event.anchor:
            self._open_anchors.add(event.anchor)

    def _close(self, event: yaml.Event) -> None:
        frame = self._stack.pop()
        if frame.merges is not None:
            frame.value = self._merged(frame.value, frame.merges, event)
        if frame.anchor:
            self._open_anchors.discard(frame.anchor)
            self._anchors[frame.anchor] = (
                frame.value,
                self._nodes - frame.first_node,
                self._characters - frame.first_character,
            )
        self._place(frame.value, event)

    def _alias(self, event: Plain) -> None:
        name = event.anchor
        if name in self._open_anchors:
            _fail(event, f"anchor '{name}' value contains itself")
        if name not in self._anchors:
            _fail(event, f"unknown anchor '{name}' referenced")
        value, nodes, characters = self._anchors[name]
        self._count(nodes, characters, event)
        self._place(value, event)

    def _merged(self, own: dict[str, Any], merges: list[Any], event: yaml.Event) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for source in reversed([part for value in merges for part in _merge_sources(value, event)]):
            self._count(len(source), 0, event)
            merged.update(source)
        merged.update(own)
        return merged

    def _place(self, value: Plain, event: yaml.Event) -> None:
        if not self._stack:
            self.result = value
            return
        frame = self._stack[-1]
        if not frame.is_map:
            frame.value.append(value)
        elif frame.key is _NO_KEY:
            if value is not _MERGE and not isinstance(value, str):
                _fail(event, "a mapping key must be a text")
            if value is not _MERGE and value in frame.value:
                _fail(event, f'mapping key "{_shortened(value)}" already defined')
            frame.key = value
        else:
            if frame.key is _MERGE:
                frame.merges = [*(frame.merges or ()), value]
            else:
                frame.value[frame.key] = value
            frame.key = _NO_KEY


def _merge_sources(value: Plain, event: yaml.Event) -> list[dict[str, Any]]:
    sources = value if isinstance(value, list) else [value]
    if not all(isinstance(source, dict) for source in sources):
        _fail(event, "map merge requires map or sequence of maps as the value")
    return sources


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:80] + "…"


def _fail(event: yaml.Event, problem: str) -> Plain:
    where = f"line {event.start_mark.line + 1}: " if event.start_mark else ""
    raise YamlError(f"yaml: {where}{problem}")


def _resolve(event: yaml.ScalarEvent) -> Plain:
    """The value of a scalar: by its tag, else by its look when it is plain, else its text."""
    tag, text = event.tag, event.value
    if tag is None:
        return _resolve_plain(event, text) if event.implicit[0] else text
    if not tag.startswith(_TAG):
        return text  # local tags carry no meaning here
    return _resolve_tagged(event, tag.removeprefix(_TAG), text)


def _resolve_plain(event: yaml.ScalarEvent, text: str) -> Plain:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in "+-.0123456789":
        return text
    if text in _NOT_FINITE:
        _fail(event, f"unsupported value: {text}")
    value = timestamp_text(text)
    if value is not None:
        return value
    number = yaml_number(text)
    return text if number is None else number


def _resolve_tagged(event: yaml.ScalarEvent, tag: str, text: str) -> Plain:
    if tag == "binary":
        try:
            return base64.b64decode("".join(text.split()), validate=True).decode()
        except (binascii.Error, ValueError):
            _fail(event, "!!binary value contains invalid base64 data")
    if tag not in {"int", "float", "bool", "null", "timestamp"}:
        return text
    value = _resolve_plain(event, text)
    fits = {
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
        "bool": isinstance(value, bool),
        "null": value is None,
        "timestamp": timestamp_text(text) is not None,
    }[tag]
    if not fits:
        _fail(event, f"cannot decode `{_shortened(text)}` as a !!{tag}")
    return float(value) if tag == "float" else value


def yaml_number(text: str) -> int | float | None:
    """The number a plain scalar means, or None. Integers beyond 64 bits become floats, as in the original."""
    plain = text.replace("_", "")
    if len(plain) > _LONGEST_NUMBER:
        return None
    found = _INTEGER.fullmatch(plain)
    if found is not None:
        number = _integer(found[2])
        number = -number if found[1] == "-" else number
        if -(2**63) <= number < 2**64:
            return number
    if _FLOAT.fullmatch(plain) is None:
        return None
    value = float(plain)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < _EXACT_FLOATS else value


def _integer(digits: str) -> int:
    if digits[0] != "0" or digits == "0":
        return int(digits)
    if digits[1] in "xXbBoO":
        return int(digits, 0)
    return int(digits, 8)


def timestamp_text(text: str) -> str | None:
    """RFC 3339 form of a plain scalar that looks like a time, or None: `2026-05-02` → `2026-05-02T00:00:00Z`."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    if hour is not None and (zone is None) != (" " in text):
        return None  # only the form with a blank comes without a zone
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=_zone(zone)
        )
    except ValueError:
        return None
    fraction = (fraction or "").rstrip("0")
    stamp = moment.replace(tzinfo=None).isoformat() + (f".{fraction}" if fraction else "")
    return stamp + ("Z" if zone in (None, "Z", "+00:00", "-00:00") else str(zone))


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return timezone.utc  # noqa: UP017 - reads as the pair of the line below
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[4:6])))


def yaml_documents(text: bytes | str, limits: Limits, *, literal: bool = False) -> Generator[Any, None, None]:
    """The values of all documents in the stream, one by one. Raises YamlError where the text stops making sense.

    `literal` keeps the spelling of numbers, booleans and times (see literals.py).
    """
    parser = None
    try:
        parser = yaml.CSafeLoader(text)
        builder = None
        count = 0
        while True:
            event = parser.get_event()
            if event is None:
                return
            if builder is not None and not isinstance(event, yaml.DocumentEndEvent):
                builder.feed(event)
            elif isinstance(event, yaml.DocumentStartEvent):
                count += 1
                if count > limits.max_documents:
                    raise YamlError(f"yaml: more than {limits.max_documents} documents")
                builder = _DocumentBuilder(limits, literal=literal)
            elif builder is not None:
                yield builder.result
                builder = None
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise YamlError(f"yaml: {where}{problem.problem or problem.context}") from None
    except (yaml.YAMLError, UnicodeError) as problem:
        first_line = str(problem).partition("\n")[0]
        raise YamlError(f"yaml: {first_line}") from None
    finally:
        if parser is not None:
            parser.dispose()


def first_yaml_document(text: bytes | str, limits: Limits, *, literal: bool = False) -> Plain:
    """The first document's value, None for an empty stream; what follows is not even looked at."""
    documents = yaml_documents(text, limits, literal=literal)
    try:
        return next(documents, None)
    finally:
        documents.close()
