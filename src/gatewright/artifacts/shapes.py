"""Shapes: which members a kind's document has and of which type, and reading a plain mapping by them.

Reading follows the original's decoder: unknown members vanish, `null` is absent, member names match in any letter
case unless said otherwise, a wrong type ends the reading. It makes the document that is stored and shown.
Pure. Source: management API reference, section 4.1.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

from gatewright.artifacts.limits import excess
from gatewright.artifacts.literals import LiteralScalar, meaning
from gatewright.artifacts.plain import Plain
from gatewright.artifacts.problems import MalformedDocument


class Shape(Protocol):
    """Reads a value that is not None; raises ShapeMismatch."""

    @property
    def empty(self) -> Plain:
        """What `null` means inside a list or a map."""
        ...

    def read(self, value: Plain) -> Plain:
        """The value in its stored form."""
        ...


class ShapeMismatch(Exception):
    """A value of the wrong type; the path is collected while the reading unwinds."""

    def __init__(self, found: str, wanted: str) -> None:
        super().__init__()
        self.found = found
        self.wanted = wanted
        self.path: list[str] = []

    def at(self, segment: str) -> "ShapeMismatch":
        """Put the mismatch one level further down."""
        self.path.append(segment)
        return self

    @property
    def field(self) -> str:
        """Path from the top, such as `spec.operations[2].policies`."""
        return "".join(reversed(self.path)).removeprefix(".")


def _kind(value: Plain) -> str:
    value = value.value if type(value) is LiteralScalar else value
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return {str: "string", list: "array", dict: "object", type(None): "null"}.get(type(value), type(value).__name__)


class Text:
    """A string."""

    empty = ""

    def read(self, value: Plain) -> str:
        if type(value) is str:
            return value
        if type(value) is LiteralScalar:
            return value.text
        raise ShapeMismatch(_kind(value), "string")


class Integer:
    """A whole number; `5.0` counts, as YAML turns it into one."""

    empty = 0

    def read(self, value: Plain) -> int:
        value = value.value if type(value) is LiteralScalar else value
        if type(value) is int:
            return value
        if type(value) is float and value.is_integer():
            return int(value)
        raise ShapeMismatch(_kind(value), "int")


class Boolean:
    """`true` or `false`."""

    empty = False

    def read(self, value: Plain) -> bool:
        value = value.value if type(value) is LiteralScalar else value
        if type(value) is bool:
            return value
        raise ShapeMismatch(_kind(value), "bool")


class Free:
    """Any JSON value, kept as it is."""

    empty = None

    def read(self, value: Plain) -> Plain:
        problem = excess(value)
        if problem:
            raise ShapeMismatch(f"a value that is refused ({problem})", "any")
        return meaning(value)


class FreeObject(Free):
    """An object with any content."""

    empty: Plain = MappingProxyType({})

    def read(self, value: Plain) -> Plain:
        if not isinstance(value, Mapping):
            raise ShapeMismatch(_kind(value), "object")
        return super().read(dict(value))


class ListOf:
    """A list of one shape."""

    empty: Plain = ()

    def __init__(self, item: Shape) -> None:
        self._item = item

    def read(self, value: Plain) -> list[Any]:
        if not isinstance(value, list | tuple) or type(value) is LiteralScalar:
            raise ShapeMismatch(_kind(value), "array")
        read, empty = self._item.read, self._item.empty
        result = []
        try:
            for item in value:
                result.append(read(empty if item is None else item))  # noqa: PERF401 - the index is needed
        except ShapeMismatch as mismatch:
            raise mismatch.at(f"[{len(result)}]") from None
        return result


class MapOf:
    """An object with free keys and values of one shape."""

    empty: Plain = MappingProxyType({})

    def __init__(self, item: Shape) -> None:
        self._item = item

    def read(self, value: Plain) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ShapeMismatch(_kind(value), "object")
        result = {}
        for key, item in value.items():
            try:
                result[key] = self._item.read(self._item.empty if item is None else item)
            except ShapeMismatch as mismatch:
                raise mismatch.at(f".{key}") from None
        return result


class Record:
    """An object with known members. `keep_unknown` keeps the others and makes names exact (upstream objects)."""

    empty: Plain = MappingProxyType({})

    def __init__(self, members: Mapping[str, Shape], *, keep_unknown: bool = False) -> None:
        self._members = dict(members)
        self._keep_unknown = keep_unknown
        self._folded = {} if keep_unknown else {name.casefold(): name for name in members}

    def read(self, value: Plain) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ShapeMismatch(_kind(value), "object")
        result: dict[str, Any] = {}
        for key, item in value.items():
            name = key if key in self._members else self._folded.get(str(key).casefold())
            try:
                if name is not None:
                    if item is not None:
                        result[name] = self._members[name].read(item)
                elif self._keep_unknown:
                    result[key] = _FREE.read(item)
            except ShapeMismatch as mismatch:
                raise mismatch.at(f".{name or key}") from None
        return result


_FREE = Free()
TEXT = Text()
INTEGER = Integer()
BOOLEAN = Boolean()
FREE_OBJECT = FreeObject()
TEXTS = ListOf(TEXT)
TEXT_MAP = MapOf(TEXT)

METADATA = Record({"name": TEXT, "labels": TEXT_MAP, "annotations": TEXT_MAP})
UPSTREAM = Record({"url": TEXT, "ref": TEXT, "hostRewrite": TEXT}, keep_unknown=True)
UPSTREAM_DEFINITION = Record(
    {
        "name": TEXT,
        "basePath": TEXT,
        "timeout": Record({"connect": TEXT}),
        "upstreams": ListOf(Record({"url": TEXT, "weight": INTEGER})),
    }
)
RESILIENCE = Record({"timeout": TEXT, "idleTimeout": TEXT})
POLICY = Record({"name": TEXT, "version": TEXT, "executionCondition": TEXT, "params": FREE_OBJECT})


def envelope(spec: Shape) -> Record:
    """The shape of a kind with this `spec`. `status` is not a member: what a client sends there is ignored."""
    return Record({"apiVersion": TEXT, "kind": TEXT, "metadata": METADATA, "spec": spec})


def shaped(document: Plain, shape: Record, *, type_name: str) -> dict[str, Any]:
    """The stored form of a parsed document. Raises MalformedDocument with the path of the first wrong type."""
    try:
        return shape.read(document)
    except ShapeMismatch as mismatch:
        where = f"field {mismatch.field} of " if mismatch.field else f"{type_name} of "
        raise MalformedDocument(
            f"failed to parse JSON: json: cannot unmarshal {mismatch.found} into {where}type {mismatch.wanted}",
            mismatch.field,
        ) from None
