"""Two documents field by field, for people: where they differ, with credentials masked and long values cut. Pure.

Both must be in their stored form. What is empty counts as absent, numbers are equal by value, and operations are
matched by method and path, not by their place.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from gatewright.artifacts.credentials import is_reference
from gatewright.controlplane.words import quoted
from gatewright.observability.redaction import MASK

MOST_FIELDS: Final = 50
"""Differences of one artifact that are told; further ones are only counted."""

LONGEST_VALUE: Final = 300
"""Characters of a value's JSON."""

_COUNTED: Final = 10_000
_HIDING: Final = ("password", "passphrase", "secret", "token", "credential", "apikey", "privatekey", "authorization")


class Field(msgspec.Struct, frozen=True):
    """One difference; UNSET stands for a field that is not there."""

    path: str
    wanted: Any = msgspec.UNSET
    stored: Any = msgspec.UNSET
    why: Literal["value", "order"] = "value"


def field_differences(wanted: Mapping[str, Any], stored: Mapping[str, Any]) -> tuple[tuple[Field, ...], int]:
    """The first `MOST_FIELDS` differences, and how many more there are (up to a bound)."""
    found: list[Field] = []
    more = 0
    for each in _objects("", wanted, stored, hidden=False):
        if len(found) < MOST_FIELDS:
            found.append(each)
        else:
            more += 1
            if more >= _COUNTED:
                break
    return tuple(found), more


def _differences(path: str, wanted: Any, stored: Any, *, hidden: bool) -> Iterator[Field]:  # noqa: ANN401 - any JSON value
    if isinstance(wanted, Mapping) and isinstance(stored, Mapping):
        yield from _objects(path, wanted, stored, hidden=hidden)
    elif isinstance(wanted, list | tuple) and isinstance(stored, list | tuple):
        yield from _lists(path, wanted, stored, hidden=hidden)
    elif not _equal(wanted, stored):
        yield Field(path, _shown(wanted, path, hidden=hidden), _shown(stored, path, hidden=hidden))


def _objects(path: str, wanted: Mapping[str, Any], stored: Mapping[str, Any], *, hidden: bool) -> Iterator[Field]:
    for name in dict.fromkeys((*wanted, *stored)):
        below = f"{path}.{name}" if path else str(name)
        hides = hidden or _hides(name, wanted, stored, path)
        yield from _differences(below, wanted.get(name), stored.get(name), hidden=hides)


def _lists(path: str, wanted: Sequence[Any], stored: Sequence[Any], *, hidden: bool) -> Iterator[Field]:
    ours, theirs = _keyed(path, stored), _keyed(path, wanted)
    if ours is None or theirs is None:
        for index in range(max(len(wanted), len(stored))):
            one = wanted[index] if index < len(wanted) else None
            other = stored[index] if index < len(stored) else None
            yield from _differences(f"{path}[{index}]", one, other, hidden=hidden)
        return
    for key in dict.fromkeys((*theirs, *ours)):
        yield from _differences(f"{path}[{key}]", theirs.get(key), ours.get(key), hidden=hidden)
    if theirs.keys() == ours.keys() and list(theirs) != list(ours):
        yield Field(path, list(theirs)[:10], list(ours)[:10], "order")


def _keyed(path: str, items: Sequence[Any]) -> dict[str, Any] | None:
    """Operations by what tells them apart; None where that is not certain."""
    if path != "spec.operations":
        return None
    found: dict[str, Any] = {}
    for item in items:
        if not isinstance(item, Mapping) or "match" in item:
            return None
        found[quoted(f"{item.get('method', '')} {item.get('path', '')}")] = item
    return found if len(found) == len(items) else None


def _equal(one: Any, other: Any) -> bool:  # noqa: ANN401 - any JSON value
    if _empty(one) and _empty(other):
        return True
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _empty(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return value is None or (isinstance(value, Mapping | list | tuple) and not value)


def _hides(name: str, wanted: Mapping[str, Any], stored: Mapping[str, Any], path: str) -> bool:
    """Whether a member may hold a credential: by its own name, by that of its object, or by the header it sets."""
    if _hiding(name):
        return True
    if name != "value":
        return False
    named = [str(each.get("name", "")) for each in (wanted, stored)]
    return path.rpartition(".")[2] == "auth" or any(_hiding(each) for each in named)


def _hiding(name: str) -> bool:
    plain = "".join(char for char in name.lower() if char.isalnum())
    return any(word in plain for word in _HIDING)


def _shown(value: Any, path: str, *, hidden: bool) -> Any:  # noqa: ANN401 - any JSON value
    if value is None:
        return msgspec.UNSET
    shown = _masked(value, hidden=hidden, path=path)
    if isinstance(shown, str):
        return quoted(shown)
    text = msgspec.json.encode(shown).decode()
    return shown if len(text) <= LONGEST_VALUE else f"{quoted(text[:LONGEST_VALUE])}…"


def _masked(value: Any, *, hidden: bool, path: str) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, Mapping):
        return {
            str(name): _masked(item, hidden=hidden or _hides(str(name), value, value, path), path=f"{path}.{name}")
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_masked(item, hidden=hidden, path=path) for item in value]
    if hidden and not (isinstance(value, str) and is_reference(value)):
        return MASK
    return quoted(value) if isinstance(value, str) else value
