"""The `{{ env "NAME" "default" }}` and `{{ file "/path" }}` tokens of configuration files. Reference: section 1.4.

Understands what files of the original contain: the two functions, string literals, nesting by parentheses or a
pipe, white-space trimming and comments. Reads only the files that a token names, inside the allowed folders.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MAX_FILE = 1_048_576
ALLOWED_FOLDERS = (
    "/etc/gateway-controller",
    "/secrets/gateway-controller",
    "/etc/gateway-runtime",
    "/secrets/gateway-runtime",
)
ALLOW_LIST_VARIABLE = "APIP_CONFIG_FILE_SOURCE_ALLOWLIST"

_ACTION = re.compile(
    r"""\{\{(?P<left>-\s)?(?P<body>(?:"(?:\\.|[^"\\])*"|`[^`]*`|(?!\}\})[^"`])*?)(?P<right>\s-)?\}\}""",
    re.DOTALL,
)
_TOKEN = re.compile(r"\s*(?:(\"(?:\\.|[^\"\\\n])*\")|(`[^`]*`)|([A-Za-z_]\w*)|([()|])|(\S))")
_MAX_NESTING = 16


class InterpolationError(ValueError):
    """A token that cannot be expanded; the text is the cause as the original words it."""


@dataclass(slots=True)
class Interpolator:
    """Expands tokens and remembers what they referred to."""

    environ: Mapping[str, str]
    allowed: Sequence[str] = ALLOWED_FOLDERS
    variables: list[str] = field(default_factory=list)
    """Variables whose value was used, since `expand` was last called."""
    files: list[str] = field(default_factory=list)
    """Files whose contents were used, since `expand` was last called."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Interpolator":
        """With the allow-list that the environment asks for, else the original's."""
        listed = environ.get(ALLOW_LIST_VARIABLE, "")
        folders = tuple(part.strip() for part in listed.split(",") if part.strip())
        return cls(environ, folders if listed else ALLOWED_FOLDERS)

    def expand(self, text: str) -> str:
        """`text` with its tokens replaced. Raises InterpolationError."""
        self.variables, self.files = [], []
        if "{{" not in text:
            return text
        pieces: list[str] = []
        position, trim = 0, False
        for action in _ACTION.finditer(text):
            literal = text[position : action.start()]
            if "{{" in literal:
                break
            literal = literal.lstrip() if trim else literal
            pieces.append(literal.rstrip() if action["left"] else literal)
            pieces.append(self._action(action["body"]))
            position, trim = action.end(), bool(action["right"])
        rest = text[position:]
        if "{{" in rest:
            raise InterpolationError('a "{{" is not closed by "}}" or contains an unterminated string')
        pieces.append(rest.lstrip() if trim else rest)
        return "".join(pieces)

    def _action(self, body: str) -> str:
        if body.strip().startswith("/*") and body.strip().endswith("*/"):
            return ""
        tokens = _Tokens(body)
        value = self._pipeline(tokens, 0)
        if tokens.peek():
            raise InterpolationError(f'unexpected "{tokens.peek()}" in "{{{{{body}}}}}"')
        return value

    def _pipeline(self, tokens: "_Tokens", depth: int) -> str:
        value = self._command(tokens, None, depth)
        while tokens.peek() == "|":
            tokens.take()
            value = self._command(tokens, value, depth)
        return value

    def _command(self, tokens: "_Tokens", piped: str | None, depth: int) -> str:
        if depth > _MAX_NESTING:
            raise InterpolationError("parentheses are nested too deeply")
        word = tokens.peek()
        if word[:1].isalpha() or word[:1] == "_":
            tokens.take()
            if word not in {"env", "file"}:
                raise InterpolationError(f'function "{word}" not defined')
            arguments = []
            while tokens.peek()[:1] in {'"', "`", "("}:
                arguments.append(self._operand(tokens, depth))
            if piped is not None:
                arguments.append(piped)
            return self._env(arguments) if word == "env" else self._file(arguments)
        if piped is not None:
            raise InterpolationError("a pipe must lead into a function")
        return self._operand(tokens, depth)

    def _operand(self, tokens: "_Tokens", depth: int) -> str:
        word = tokens.take()
        if word == "(":
            value = self._pipeline(tokens, depth + 1)
            if tokens.take() != ")":
                raise InterpolationError("an opening parenthesis is not closed")
            return value
        if word[:1] == "`":
            return word[1:-1]
        if word[:1] == '"':
            return _unquote(word)
        raise InterpolationError(f'unexpected "{word}"' if word else "a token is empty")

    def _env(self, arguments: list[str]) -> str:
        if not arguments:
            raise InterpolationError("wrong number of args for env: want at least 1 got 0")
        name, *defaults = arguments
        value = self.environ.get(name, "")
        if value:
            self.variables.append(name)
            return value
        if not defaults:
            raise InterpolationError(f'required env var "{name}" is not found')
        return defaults[0]

    def _file(self, arguments: list[str]) -> str:
        if len(arguments) != 1:
            raise InterpolationError(f"wrong number of args for file: want 1 got {len(arguments)}")
        name = arguments[0]
        if not self.allowed:
            raise InterpolationError("file interpolation not permitted: no allowlist configured")
        text = _read(name, self.allowed)
        self.files.append(name)
        return text


class _Tokens:
    """The words of one action."""

    def __init__(self, body: str) -> None:
        self._iterator = self._split(body)
        self._next = next(self._iterator, "")

    def peek(self) -> str:
        """The next word, or ''."""
        return self._next

    def take(self) -> str:
        """The next word, consumed."""
        word, self._next = self._next, next(self._iterator, "")
        return word

    @staticmethod
    def _split(body: str) -> Iterator[str]:
        for match in _TOKEN.finditer(body):
            yield match[0].strip()


def _unquote(token: str) -> str:
    """A Go string literal; its escapes are those of JSON, plus a few that JSON lacks."""
    text = re.sub(r"\\x([0-9A-Fa-f]{2})", r"\\u00\1", token)
    text = text.replace("\\a", "\\u0007").replace("\\v", "\\u000b")
    try:
        value = json.loads(text, strict=False)
    except ValueError:
        raise InterpolationError(f"invalid string literal {token}") from None
    return str(value)


def _read(name: str, allowed: Sequence[str]) -> str:
    path = Path(name)
    refused = InterpolationError(f'file "{name}" is not in an allowed source directory')
    if "\0" in name or ".." in path.parts or not _inside(path.absolute(), [Path(folder) for folder in allowed]):
        raise refused
    missing = InterpolationError(f'required file "{name}" is not found')
    try:
        resolved = path.resolve(strict=True)
        if not _inside(resolved, [Path(folder).resolve() for folder in allowed]):
            raise refused
        if not resolved.is_file():
            raise missing
        with resolved.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except (OSError, RuntimeError):
        raise missing from None
    if len(data) > MAX_FILE:
        raise InterpolationError(f'file "{name}" exceeds the maximum allowed size')
    return data.decode("utf-8", errors="replace").rstrip(" \t\r\n")


def _inside(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) and path != folder for folder in folders)
