"""Which endpoint a request means: path templates, methods, parameters, as the original's router matches them.

Pure. Source: management API reference, 1.2.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, unquote_to_bytes

import msgspec
from starlette.responses import Response

from gatewright.management.requests import Call

MOST_QUERY_FIELDS = 100
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

Endpoint = Callable[[Call], Awaitable[Response]]


class Operation(msgspec.Struct, frozen=True):
    """One method on one path template below the base path. Empty `roles`: open to all, without authentication.

    `query` names the parameters that may be given once at most; others are ignored.
    """

    method: str
    path: str
    endpoint: Endpoint
    roles: frozenset[str]
    query: frozenset[str] = frozenset()


class Match(NamedTuple):
    """An operation, and its path parameters as they were sent."""

    operation: Operation
    parameters: Mapping[str, str]


class WrongMethod(NamedTuple):
    """The path is known. `allowed` in alphabetical order."""

    allowed: Sequence[str]


class BadParameter(Exception):
    """A parameter that cannot be read; the text is the answer."""


class _Node:
    """A segment of the path templates: literal children, then one parameter."""

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.parameter: tuple[str, _Node] | None = None
        self.operations: dict[str, Operation] = {}


class RouteTable:
    """All operations of a server."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        for operation in operations:
            self._add(operation)

    def find(self, path: str, method: str) -> Match | WrongMethod | None:
        """`path` as sent, below the base path. None: no such path."""
        wanted = "GET" if method == "HEAD" else method
        allowed: set[str] = set()
        for node, parameters in _nodes(self._root, path.split("/")[1:], {}):
            operation = node.operations.get(wanted)
            if operation is not None:
                return Match(operation, parameters)
            allowed |= set(node.operations)
        if not allowed:
            return None
        return WrongMethod(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))

    def _add(self, operation: Operation) -> None:
        node = self._root
        for segment in operation.path.strip("/").split("/"):
            if segment.startswith("{"):
                if node.parameter is None:
                    node.parameter = (segment[1:-1], _Node())
                node = node.parameter[1]
            else:
                node = node.literal.setdefault(segment, _Node())
        node.operations[operation.method] = operation


def _nodes(node: _Node, segments: Sequence[str], parameters: dict[str, str]) -> Iterator[tuple[_Node, dict[str, str]]]:
    """Where a path ends, literal segments first. As deep as the templates, not as the path."""
    if not segments:
        if node.operations:
            yield node, parameters
        return
    head, rest = segments[0], segments[1:]
    if not head:
        return
    child = node.literal.get(unquote(head))
    if child is not None:
        yield from _nodes(child, rest, parameters)
    if node.parameter is not None:
        name, below = node.parameter
        yield from _nodes(below, rest, {**parameters, name: head})


def cleaned(path: str) -> str:
    """The path without `//`, `.` and `..`, as a redirect target; a trailing slash stays."""
    if "//" not in path and "/." not in path:
        return path
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment not in {"", "."}:
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if path.endswith("/") and kept else "")


def bound(parameters: Mapping[str, str]) -> dict[str, str]:
    """Path parameters decoded, once (the original decodes them twice). Raises BadParameter."""
    decoded: dict[str, str] = {}
    for name, raw in parameters.items():
        if _BROKEN_PERCENT.search(raw):
            raise BadParameter(f"Invalid format for parameter {name}: invalid URL escape")
        try:
            decoded[name] = unquote_to_bytes(raw).decode("utf-8")
        except UnicodeDecodeError:
            raise BadParameter(f"Invalid format for parameter {name}: the path segment is not UTF-8") from None
    return decoded


def single_valued(query: str, known: frozenset[str]) -> dict[str, str]:
    """The known parameters of a query string. Raises BadParameter for one that is given twice."""
    if not query or not known:
        return {}
    try:
        values = parse_qs(query, keep_blank_values=True, max_num_fields=MOST_QUERY_FIELDS)
    except ValueError:
        raise BadParameter(f"the query has more than {MOST_QUERY_FIELDS} parameters") from None
    for name in sorted(known):
        if len(values.get(name, ())) > 1:
            raise BadParameter(
                f"Invalid format for parameter {name}: multiple values for single value parameter '{name}'"
            )
    return {name: found[0] for name, found in values.items() if name in known}
