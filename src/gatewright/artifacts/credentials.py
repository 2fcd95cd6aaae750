"""Write-only credentials of upstreams inside documents: where they are, what is shown, what an update inherits.

A kind names the objects that may hold an `auth` block as paths; `*` stands for every item of a list. Everything here
gives new documents and leaves its arguments alone. Pure. Source: management API reference, section 6.8.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from gatewright.artifacts.plain import Plain

Path = tuple[str, ...]
Owner = Mapping[str, Any]
"""An object that may have an `auth` member."""

NO_AUTH = "none"
_REFERENCE = re.compile(r"(?:[Bb]earer )?\{\{-?\s*(?:secret|env)\s+\"[^\"\\]*\"\s*-?\}\}")


def is_reference(value: str) -> bool:
    """Whether a value only names a secret or a variable, and so gives nothing away."""
    return _REFERENCE.fullmatch(value) is not None


def without_credentials(document: Owner, owners: Sequence[Path]) -> dict[str, Any]:
    """What may be shown: `auth` without `value`."""
    return _with_auth(document, owners, lambda auth: {name: item for name, item in auth.items() if name != "value"})


def with_values(document: Owner, owners: Sequence[Path], change: Callable[[str], str]) -> dict[str, Any]:
    """The document with every credential changed."""

    def changed(auth: Owner) -> dict[str, Any]:
        value = auth.get("value")
        return {**auth, "value": change(value)} if isinstance(value, str) and value else dict(auth)

    return _with_auth(document, owners, changed)


def inherited(document: Owner, stored: Owner, owners: Sequence[Path]) -> dict[str, Any]:
    """`document`, which replaces `stored`, with the credentials that it does not repeat.

    An entry of a proxy inherits only from the entry with the same provider id. `type: none` keeps nothing.
    """
    result = dict(document)
    for path in owners:
        known = list(_owners(stored, path))
        result = _changed(result, path, partial(_inheriting, known=known, path=path))
    return result


def _inheriting(owner: Owner, known: Sequence[Owner], path: Path) -> dict[str, Any]:
    before = _auth(_same(owner, known, path))
    auth = owner.get("auth")
    if auth is None:
        return {**owner, "auth": dict(before)} if before.get("value") else dict(owner)
    kind = auth.get("type", "")
    if kind == NO_AUTH:
        return {**owner, "auth": {name: item for name, item in auth.items() if name != "value"}}
    if not auth.get("value") and before.get("value") and before.get("type", "") == kind:
        return {**owner, "auth": {**auth, "value": before["value"]}}
    return dict(owner)


def _same(owner: Owner, known: Sequence[Owner], path: Path) -> Owner:
    """The stored counterpart: the upstream, or the entry with the same provider id and, if possible, the same name."""
    if path[-1] == "upstream":
        return known[0] if known else {}
    equal = [other for other in known if other.get("id", "") == owner.get("id", "")]
    named = [other for other in equal if other.get("as") == owner.get("as")]
    return next(iter(named or equal), {})


def _auth(owner: Owner) -> Owner:
    auth = owner.get("auth")
    return auth if isinstance(auth, Mapping) else {}


def _with_auth(document: Owner, owners: Sequence[Path], change: Callable[[Owner], dict[str, Any]]) -> dict[str, Any]:
    def changed(owner: Owner) -> dict[str, Any]:
        auth = owner.get("auth")
        return {**owner, "auth": change(auth)} if isinstance(auth, Mapping) else dict(owner)

    result = dict(document)
    for path in owners:
        result = _changed(result, path, changed)
    return result


def _changed(value: Plain, path: Path, change: Callable[[Owner], dict[str, Any]]) -> Plain:
    """A copy along the path, with the objects at its end changed."""
    if not path:
        return change(value) if isinstance(value, Mapping) else value
    head, rest = path[0], path[1:]
    if head == "*":
        return [_changed(item, rest, change) for item in value] if isinstance(value, list | tuple) else value
    if isinstance(value, Mapping) and head in value:
        return {**value, head: _changed(value[head], rest, change)}
    return value


def _owners(value: Plain, path: Path) -> Iterator[Owner]:
    if not path:
        if isinstance(value, Mapping):
            yield value
    elif path[0] == "*":
        for item in value if isinstance(value, list | tuple) else ():
            yield from _owners(item, path[1:])
    elif isinstance(value, Mapping):
        yield from _owners(value.get(path[0]), path[1:])
