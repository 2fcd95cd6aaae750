"""How every struct of this room is read and written.

Reading is tolerant as the original's JSON library is: unknown members are ignored, `null` means absent, member names
match exactly or else regardless of case; and strict where that library is strict: a known member of a wrong type
fails the whole value. Nothing that was received is ever quoted in a failure.
"""

import functools
from typing import Any, TypeVar

import msgspec

from gatewright.wire.failures import Undecodable, WireFault
from gatewright.wire.times import decode_time, encode_time


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of everything with camelCase members; every member is written."""


class Sparse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of everything that leaves members with default values out."""


T = TypeVar("T")

_encoder = msgspec.json.Encoder(enc_hook=encode_time)


def encode(value: object) -> bytes:
    """`value` as compact JSON."""
    return _encoder.encode(value)


def decode(data: bytes | str | msgspec.Raw, kind: type[T], subject: str) -> T | Undecodable:
    """Read JSON `data` as `kind`. `subject` names it in a failure."""
    try:
        tree = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Undecodable(WireFault.NOT_JSON, "not valid JSON", subject=subject)
    return convert(tree, kind, subject)


def decode_array(data: bytes | str, item: type[T], subject: str) -> tuple[T, ...] | Undecodable:
    """Read a bare JSON array of `item`; a bare `null` is an empty one."""
    try:
        tree = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Undecodable(WireFault.NOT_JSON, "not valid JSON", subject=subject)
    if tree is None:
        return ()
    if not isinstance(tree, list):
        return Undecodable(WireFault.WRONG_SHAPE, "Expected `array`", "$", subject)
    rows: list[T] = []
    for index, entry in enumerate(tree):
        row = convert(entry, item, subject)
        if isinstance(row, Undecodable):
            return msgspec.structs.replace(row, where=f"$[{index}]{row.where.removeprefix('$')}")
        rows.append(row)
    return tuple(rows)


def convert(tree: object, kind: type[T], subject: str) -> T | Undecodable:
    """Turn decoded JSON into `kind`."""
    try:
        return msgspec.convert(_folded(tree, kind), kind, dec_hook=decode_time)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at ")
        return Undecodable(WireFault.WRONG_SHAPE, _without_content(reason), where.strip("`"), subject)
    except RecursionError:
        return Undecodable(WireFault.WRONG_SHAPE, "nested too deeply", subject=subject)


def _without_content(reason: str) -> str:
    """msgspec quotes invalid enumeration values; what was received must not reach a log through an error."""
    return "Invalid enum value" if reason.startswith("Invalid enum value") else reason


def _folded(tree: object, kind: object) -> object:
    """`tree` without nulls and with member names as `kind` spells them, as deep as `kind` knows the structure."""
    item = _item_type(kind)
    if item is not None and isinstance(tree, list):
        return [_folded(entry, item) for entry in tree]
    fields = _fields(kind)
    if not fields or not isinstance(tree, dict):
        return tree
    folded: dict[str, object] = {}
    for name, value in tree.items():
        known = name if name in fields else _by_lower_case(kind).get(name.lower())
        if known is None or value is None or (known != name and known in tree):
            continue
        folded[known] = _folded(value, fields[known])
    return folded


@functools.cache
def _fields(kind: object) -> dict[str, object]:
    """Encoded member name → type of the struct inside `kind`; empty when there is none."""
    for option in _options(kind):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return {field.encode_name: field.type for field in msgspec.structs.fields(option)}
    return {}


@functools.cache
def _by_lower_case(kind: object) -> dict[str, str]:
    return {name.lower(): name for name in _fields(kind)}


@functools.cache
def _item_type(kind: object) -> object | None:
    """The element type when `kind` is a list or a tuple of any length."""
    for option in _options(kind):
        if getattr(option, "__origin__", None) in {list, tuple}:
            item: object = option.__args__[0]
            return item
    return None


def _options(kind: object) -> tuple[Any, ...]:
    """The members of a union, or `kind` alone."""
    if getattr(kind, "__origin__", None) is None and hasattr(kind, "__args__"):
        return tuple(kind.__args__)
    return (kind,)
