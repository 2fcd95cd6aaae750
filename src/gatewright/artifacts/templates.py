"""Rendering of `{{ … }}` expressions in the strings under `spec`: secrets, environment, defaults, small text functions.

Pure: secrets and environment variables come in as arguments. Output is bounded. Values that come from secrets, or
from anything computed out of them, are collected, so that they can be kept out of logs and dumps.
Source: management API reference, section 6.7.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from gatewright.artifacts.plain import Plain
from gatewright.artifacts.problems import InvalidArtifact, ValidationProblem
from gatewright.artifacts.template_syntax import (
    Call,
    Constant,
    If,
    Node,
    Operand,
    Pipeline,
    TemplateSyntaxError,
    parse_template,
)

SecretLookup = Callable[[str], str | None]

MAX_TEXT = 1024 * 1024  # characters of one rendered string, and of every value on the way to it
MAX_TOTAL = 32 * 1024 * 1024  # characters of all rendered strings of a document
MASK = "******"


class TemplateError(InvalidArtifact):
    """An expression cannot be rendered. `message` is what the client gets, complete."""

    def __init__(self, message: str, field: str = "") -> None:
        self.message = message
        super().__init__((ValidationProblem(field=field, message=message),))


class SecretUnavailable(Exception):
    """The secret exists but its value cannot be had; the text says why and never holds the value."""


class Rendered(msgspec.Struct, frozen=True):
    """A rendered document and every sensitive value in it (never empty texts)."""

    document: dict[str, Any]
    sensitive: frozenset[str]

    def __repr__(self) -> str:
        """Without the content."""
        return f"Rendered({len(self.sensitive)} sensitive values)"


class _Failure(Exception):
    """Why a function failed."""


class _UnknownSecret(Exception):
    """The whole message to the client."""


class _Value(msgspec.Struct, frozen=True):
    """A value under way; `sensitive` when any of its sources is."""

    content: Plain
    sensitive: bool = False
    is_data: bool = False


class Renderer:
    """Renders documents with one source of secrets and one environment. Keeps no state between documents."""

    def __init__(self, secret: SecretLookup, environment: Mapping[str, str] = MappingProxyType({})) -> None:
        """`secret` gives None for an unknown handle, and may raise SecretUnavailable."""
        self._secret = secret
        self._environment = environment

    def render(self, document: Mapping[str, Any], *, handle: str = "", kind: str = "") -> Rendered:
        """A copy with the strings under `spec` rendered; all else is the same object. Raises TemplateError.

        `handle` and `kind` only appear in the error text.
        """
        rendering = _Rendering(self._secret, self._environment)
        spec = document.get("spec")
        try:
            rendered = rendering.walk(spec) if has_expressions(spec) else spec
        except _UnknownSecret as unknown:
            raise TemplateError(str(unknown), rendering.field) from None
        except TemplateSyntaxError as problem:
            raise TemplateError(str(problem), rendering.field) from None
        except _Failure as failure:
            raise TemplateError(
                f'Failed to render configuration: failed to render config "{handle}" (kind={kind}): '
                f"failed to render spec templates: {rendering.chain}template execution error: {failure}",
                rendering.field,
            ) from None
        result = dict(document)
        if spec is not None:
            result["spec"] = rendered
        return Rendered(document=result, sensitive=frozenset(rendering.sensitive))


def has_expressions(value: Plain) -> bool:
    """Whether any string leaf holds `{{`. Does not recurse."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if "{{" in item:
                return True
        elif isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return False


def referenced_secrets(document: Mapping[str, Any], environment: Mapping[str, str]) -> frozenset[str]:
    """Handles that rendering will ask for, so that they can be fetched beforehand. Never raises for bad expressions."""
    asked: set[str] = set()

    def note(handle: str) -> str:
        asked.add(handle)
        return "-"

    rendering = _Rendering(note, environment, tolerant=True)
    spec = document.get("spec")
    if has_expressions(spec):
        rendering.walk(spec)
    return frozenset(asked)


def masked(text: str, sensitive: Iterable[str]) -> str:
    """`text` with every sensitive value replaced; longer values first."""
    for value in sorted(sensitive, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


class _Rendering:
    """One document being rendered; knows where it is, for the error text."""

    def __init__(self, secret: SecretLookup, environment: Mapping[str, str], *, tolerant: bool = False) -> None:
        self._secret = secret
        self._environment = environment
        self._tolerant = tolerant
        self._path: list[str | int] = []
        self._total = 0
        self.sensitive: set[str] = set()

    @property
    def chain(self) -> str:
        """The position in the original's words."""
        return "".join(f"index {s}: " if isinstance(s, int) else f'field "{s}": ' for s in self._path)

    @property
    def field(self) -> str:
        """The position as a field path."""
        return "spec" + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in self._path)

    def walk(self, value: Plain) -> Plain:
        """The value with all its string leaves rendered. Depth is bounded by the document's."""
        if isinstance(value, str):
            return self._leaf(value) if "{{" in value else value
        if isinstance(value, dict):
            return {key: self._child(key, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._child(index, item) for index, item in enumerate(value)]
        return value

    def _child(self, segment: str | int, value: Plain) -> Plain:
        if not isinstance(value, str | dict | list):
            return value
        self._path.append(segment)
        result = self.walk(value)
        self._path.pop()
        return result

    def _leaf(self, text: str) -> str:
        try:
            result = self._nodes(parse_template(text, _FUNCTIONS.__contains__))
            self._add_to_total(len(result))
        except (_Failure, _UnknownSecret, TemplateSyntaxError):
            if self._tolerant:
                return ""
            raise
        return result

    def _add_to_total(self, characters: int) -> None:
        self._total += characters
        if self._total > MAX_TOTAL:
            raise _Failure(f"the rendered document is longer than {MAX_TOTAL} characters")

    def _nodes(self, nodes: tuple[Node, ...]) -> str:
        return _joined(self._node(node) for node in nodes)

    def _node(self, node: Node) -> str:
        if isinstance(node, str):
            return node
        if isinstance(node, If):
            return self._nodes(node.then if _truth(self._value(node.condition).content) else node.otherwise)
        return _printed(self._value(node).content)

    def _value(self, node: Operand, piped: tuple[_Value, ...] = ()) -> _Value:
        if isinstance(node, Constant):
            return _Value(node.value, is_data=node.is_data)
        if isinstance(node, Pipeline):
            value: tuple[_Value, ...] = piped
            for command in node.commands:
                value = (self._value(command, value),)
            return value[0]
        return self._call(node, (*(self._value(a) for a in node.arguments), *piped))

    def _call(self, call: Call, arguments: tuple[_Value, ...]) -> _Value:
        function, least, most = _FUNCTIONS[call.function]
        where = f'template: artifact:1:{call.offset}: executing "artifact" at <{call.source}>: '
        if not least <= len(arguments) <= most:
            wanted = str(least) if least == most else f"at least {least}"
            raise _Failure(f"{where}wrong number of args for {call.function}: want {wanted} got {len(arguments)}")
        try:
            content = _bounded(function(self, *(a.content for a in arguments)))
        except _Failure as failure:
            raise _Failure(f"{where}error calling {call.function}: {failure}") from None
        sensitive = call.function in {"secret", "redact"} or any(a.sensitive for a in arguments)
        if sensitive and isinstance(content, str) and content:
            self.sensitive.add(content)
        return _Value(content, sensitive)

    def secret(self, handle: Plain) -> str:
        """Function `secret`."""
        name = _text(handle)
        try:
            value = self._secret(name)
        except SecretUnavailable as problem:
            raise _UnknownSecret(f'failed to resolve secret "{name}": {problem}') from None
        if value is None:
            raise _UnknownSecret(f'failed to resolve secret "{name}": configuration not found: id={name}')
        return value

    def env(self, name: Plain) -> str:
        """Function `env`."""
        return self._environment.get(_text(name), "")


def _text(value: Plain) -> str:
    if not isinstance(value, str):
        raise _Failure(f"wrong type for value; expected string; got {_go_type(value)}")
    return value


def _go_type(value: Plain) -> str:
    return {bool: "bool", int: "int", float: "float64"}.get(type(value), "nil")


def _truth(value: Plain) -> bool:
    return bool(value)


def _printed(value: Plain) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.15g}" if math.isfinite(value) else str(value)
    return "<no value>" if value is None else str(value)


def _bounded(value: Plain) -> Plain:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise _Failure(f"a value is longer than {MAX_TEXT} characters")
    return value


def _joined(texts: Iterable[str]) -> str:
    parts: list[str] = []
    length = 0
    for text in texts:
        length += len(text)
        if length > MAX_TEXT:
            raise _Failure(f"a value is longer than {MAX_TEXT} characters")
        parts.append(text)
    return "".join(parts)


def _default(_: _Rendering, fallback: Plain, value: Plain) -> Plain:
    return value if _truth(value) else fallback


def _required(_: _Rendering, message: Plain, value: Plain) -> Plain:
    if not _truth(value):
        raise _Failure(f"required value missing: {_text(message)}")
    return value


def _replace(_: _Rendering, old: Plain, new: Plain, value: Plain) -> str:
    before, after, text = _text(old), _text(new), _text(value)
    if len(text) + text.count(before) * max(0, len(after) - len(before)) > MAX_TEXT:
        raise _Failure(f"a value is longer than {MAX_TEXT} characters")
    return text.replace(before, after)


def _len(_: _Rendering, value: Plain) -> int:
    return len(_text(value).encode("utf-8", "replace"))


def _eq(_: _Rendering, first: Plain, *others: Plain) -> bool:
    return any(type(first) is type(other) and first == other for other in others)


def _and(_: _Rendering, *values: Plain) -> Plain:
    return next((v for v in values if not _truth(v)), values[-1])


def _or(_: _Rendering, *values: Plain) -> Plain:
    return next((v for v in values if _truth(v)), values[-1])


def _print(_: _Rendering, *values: Plain) -> str:
    return _joined(map(_printed, values))


def _printf(_: _Rendering, pattern: Plain, *values: Plain) -> str:
    parts = _text(pattern).replace("%%", "\0").split("%")
    if any(part[:1] not in {"s", "v", "d"} for part in parts[1:]) or len(parts) - 1 != len(values):
        raise _Failure("printf understands %s, %v, %d and %%, one value for each")
    pieces = (_printed(v) + part[1:] for v, part in zip(values, parts[1:], strict=True))
    return _joined(piece.replace("\0", "%") for piece in (parts[0], *pieces))


_ANY = 100
_Function = Callable[..., Any]
_FUNCTIONS: Mapping[str, tuple[_Function, int, int]] = {
    "secret": (_Rendering.secret, 1, 1),
    "env": (_Rendering.env, 1, 1),
    "default": (_default, 2, 2),
    "required": (_required, 2, 2),
    "upper": (lambda _, value: _text(value).upper(), 1, 1),
    "lower": (lambda _, value: _text(value).lower(), 1, 1),
    "trim": (lambda _, value: _text(value).strip(), 1, 1),
    "replace": (_replace, 3, 3),
    "redact": (lambda _, value: value, 1, 1),
    "len": (_len, 1, 1),
    "eq": (_eq, 2, _ANY),
    "ne": (lambda _, a, b: not _eq(_, a, b), 2, 2),
    "and": (_and, 1, _ANY),
    "or": (_or, 1, _ANY),
    "not": (lambda _, value: not _truth(value), 1, 1),
    "print": (_print, 0, _ANY),
    "printf": (_printf, 1, _ANY),
}
