"""The syntax of `{{ … }}` expressions: text → tree. A subset of Go's `text/template` with its error texts.

Understood: texts, trim markers, comments, pipelines, parentheses, quoted, raw and character constants, numbers,
`true`, `false`, `nil`, `.` and `$` with fields, and `if` / `else` / `end`. Other control words are refused. Pure.
"""

import re
from collections.abc import Callable
from typing import NoReturn

import msgspec

_MAX_NESTING = 50


class TemplateSyntaxError(ValueError):
    """The expression cannot be read; the text is Go's description without position."""


class Constant(msgspec.Struct, frozen=True):
    """A literal, or `.` / `$` / a field of it (None: the data is nil). `name` is the source text."""

    value: str | int | float | bool | None
    source: str
    is_data: bool = False


class Call(msgspec.Struct, frozen=True):
    """A function with its written arguments; a pipe adds the value on its left as the last one."""

    function: str
    arguments: tuple["Constant | Call | Pipeline", ...]
    source: str
    offset: int


class Pipeline(msgspec.Struct, frozen=True):
    """Commands joined by `|`."""

    commands: tuple["Constant | Call | Pipeline", ...]


class If(msgspec.Struct, frozen=True):
    """`{{ if }} … {{ else }} … {{ end }}`."""

    condition: Pipeline
    then: tuple["Node", ...]
    otherwise: tuple["Node", ...]


Node = str | Pipeline | If
Operand = Constant | Call | Pipeline

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      |(?P<string>"(?:[^"\\\n]|\\.)*")
      |(?P<raw>`[^`]*`)
      |(?P<char>'(?:[^'\\\n]|\\.)+')
      |(?P<number>[-+]?(?:0[xX][0-9a-fA-F]+|[0-9][0-9_]*(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?))
      |(?P<field>[.$][\w.]*)
      |(?P<word>\w+)
      |(?P<mark>:=|[|()=,])""",
    re.VERBOSE,
)
_CLOSING = re.compile(r"(\s+-)?}}")
_CONTROL_WORDS = frozenset({"range", "with", "define", "block", "template", "break", "continue"})
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)


class _Token(msgspec.Struct, frozen=True):
    kind: str
    text: str
    start: int


def parse_template(text: str, is_function: Callable[[str], bool]) -> tuple[Node, ...]:
    """The tree of a text with expressions. Raises TemplateSyntaxError."""
    parser = _Parser(_split(text), is_function)
    nodes, closing = parser.nodes(0)
    if closing is not None:
        raise TemplateSyntaxError(f"unexpected {{{{{closing}}}}}")
    return nodes


def _split(text: str) -> list[str | list[_Token]]:
    """Texts and the token lists of actions, in order; trim markers applied, comments dropped."""
    pieces: list[str | list[_Token]] = []
    position, trim_left = 0, False
    while True:
        opening = text.find("{{", position)
        piece = text[position:] if opening < 0 else text[position:opening]
        piece = piece.lstrip(" \t\r\n") if trim_left else piece
        if opening < 0:
            return [*pieces, piece] if piece else pieces
        start = opening + 2
        if text[start : start + 1] == "-" and text[start + 1 : start + 2].isspace():
            piece, start = piece.rstrip(" \t\r\n"), start + 1
        if piece:
            pieces.append(piece)
        tokens, position, trim_left = _action(text, start)
        if tokens is not None:
            pieces.append(tokens)


def _action(text: str, start: int) -> tuple[list[_Token] | None, int, bool]:
    """Tokens of the action whose content begins at `start` (None for a comment), its end, and its trim marker."""
    if text.startswith("/*", start) or re.match(r"\s/\*", text[start : start + 3]):
        end = text.find("*/", start)
        if end < 0:
            raise TemplateSyntaxError("unclosed comment")
        closing = _CLOSING.match(text, end + 2)
        if closing is None:
            raise TemplateSyntaxError("comment ends before closing delimiter")
        return None, closing.end(), closing[1] is not None
    tokens: list[_Token] = []
    position = start
    while True:
        closing = _CLOSING.match(text, position)
        if closing is not None:
            return tokens, closing.end(), closing[1] is not None
        found = _TOKEN.match(text, position)
        if found is None:
            _refuse_character(text, position)
        if found.lastgroup != "space":
            tokens.append(_Token(str(found.lastgroup), found[0], found.start()))
        position = found.end()


def _refuse_character(text: str, position: int) -> NoReturn:
    character = text[position : position + 1]
    if not character:
        raise TemplateSyntaxError("unclosed action")
    if character == '"':
        raise TemplateSyntaxError("unterminated quoted string")
    if character == "`":
        raise TemplateSyntaxError("unterminated raw quoted string")
    if character == "'":
        raise TemplateSyntaxError("unterminated character constant")
    raise TemplateSyntaxError(f"unexpected {_quoted(character)} in operand")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Parser:
    """Recursive descent over the pieces; nesting is bounded."""

    def __init__(self, pieces: list[str | list[_Token]], is_function: Callable[[str], bool]) -> None:
        self._pieces = pieces
        self._position = 0
        self._is_function = is_function

    def nodes(self, depth: int) -> tuple[tuple[Node, ...], str | None]:
        """Nodes up to the end of the text, or to an `else` / `end`, whose words are returned."""
        if depth > _MAX_NESTING:
            raise TemplateSyntaxError(f"expression is nested deeper than {_MAX_NESTING} levels")
        nodes: list[Node] = []
        while self._position < len(self._pieces):
            piece = self._pieces[self._position]
            self._position += 1
            if isinstance(piece, str):
                nodes.append(piece)
                continue
            word = piece[0].text if piece and piece[0].kind == "word" else ""
            if word in {"else", "end"}:
                return tuple(nodes), " ".join(token.text for token in piece)
            if word == "if":
                nodes.append(self._if(piece[1:], depth))
            else:
                nodes.append(self._whole_pipeline(piece))
        return tuple(nodes), None

    def _if(self, condition: list[_Token], depth: int) -> If:
        test = self._whole_pipeline(condition, "if")
        then, closing = self.nodes(depth + 1)
        otherwise: tuple[Node, ...] = ()
        if closing is not None and closing.startswith("else if "):
            piece = self._pieces[self._position - 1]
            otherwise = (self._if(list(piece[2:]), depth + 1),)  # type: ignore[arg-type] # an action's tokens
            return If(test, then, otherwise)
        if closing == "else":
            otherwise, closing = self.nodes(depth + 1)
        if closing is None:
            raise TemplateSyntaxError("unexpected EOF")
        if closing != "end":
            raise TemplateSyntaxError(f"unexpected {{{{{closing}}}}}")
        return If(test, then, otherwise)

    def _whole_pipeline(self, tokens: list[_Token], context: str = "command") -> Pipeline:
        if not tokens:
            raise TemplateSyntaxError(f"missing value for {context}")
        pipeline, rest = self._pipeline(tokens, 0, 0)
        if rest < len(tokens):
            raise TemplateSyntaxError(f"unexpected {_described(tokens[rest])} in {context}")
        return pipeline

    def _pipeline(self, tokens: list[_Token], at: int, depth: int) -> tuple[Pipeline, int]:
        if depth > _MAX_NESTING:
            raise TemplateSyntaxError(f"expression is nested deeper than {_MAX_NESTING} levels")
        commands: list[Operand] = []
        while True:
            command, at = self._command(tokens, at, depth)
            if commands and isinstance(command, Constant):
                raise TemplateSyntaxError(f"non executable command in pipeline stage {len(commands) + 1}")
            commands.append(command)
            if at >= len(tokens) or tokens[at].text != "|":
                return Pipeline(tuple(commands)), at
            at += 1

    def _command(self, tokens: list[_Token], at: int, depth: int) -> tuple[Operand, int]:
        first = at
        operands: list[Operand] = []
        while at < len(tokens) and tokens[at].text not in {"|", ")"}:
            operand, at = self._operand(tokens, at, depth)
            operands.append(operand)
        if not operands:
            raise TemplateSyntaxError("missing value for command")
        head, *arguments = operands
        if not isinstance(head, Call):
            if arguments:
                raise TemplateSyntaxError("can't give argument to non-function " + tokens[first].text)
            return head, at
        source = " ".join(token.text for token in tokens[first:at])
        return Call(head.function, tuple(arguments), source, head.offset), at

    def _operand(self, tokens: list[_Token], at: int, depth: int) -> tuple[Operand, int]:
        token = tokens[at]
        if token.text == "(":
            pipeline, at = self._pipeline(tokens, at + 1, depth + 1)
            if at >= len(tokens):
                raise TemplateSyntaxError("unclosed left paren")
            return pipeline, at + 1
        if token.kind == "mark":
            raise TemplateSyntaxError(f"unexpected {_described(token)} in operand")
        if token.kind == "word":
            return self._word(token), at + 1
        return _constant(token), at + 1

    def _word(self, token: _Token) -> Operand:
        constants: dict[str, bool | None] = {"true": True, "false": False, "nil": None}
        if token.text in constants:
            return Constant(constants[token.text], token.text)
        if token.text in _CONTROL_WORDS or token.text in {"if", "else", "end"}:
            raise TemplateSyntaxError(f"unexpected <{token.text}>: this control word is not supported here")
        if not self._is_function(token.text):
            raise TemplateSyntaxError(f'function "{token.text}" not defined')
        return Call(token.text, (), token.text, token.start)


def _described(token: _Token) -> str:
    return f"<{token.text}>" if token.kind == "word" else _quoted(token.text)


def _constant(token: _Token) -> Constant:
    text = token.text
    if token.kind == "string":
        return Constant(_unescaped(text[1:-1]), text)
    if token.kind == "raw":
        return Constant(text[1:-1], text)
    if token.kind == "char":
        character = _unescaped(text[1:-1])
        if len(character) != 1:
            raise TemplateSyntaxError(f"malformed character constant: {text}")
        return Constant(ord(character), text)
    if token.kind == "field":
        if text.startswith("$") and text != "$" and not text.startswith("$."):
            raise TemplateSyntaxError(f"undefined variable {_quoted(text)}")
        return Constant(None, text, is_data=True)
    return Constant(_number(text), text)


def _number(text: str) -> int | float:
    plain = text.replace("_", "")
    if len(plain) > 40:
        raise TemplateSyntaxError("bad number syntax: too long")
    try:
        return int(plain, 0)
    except ValueError:
        pass
    try:
        return int(plain, 8) if plain.lstrip("+-").startswith("0") and plain.isdigit() else float(plain)
    except ValueError:
        raise TemplateSyntaxError(f"bad number syntax: {_quoted(text)}") from None


def _unescaped(text: str) -> str:
    def replaced(found: re.Match[str]) -> str:
        code = found[1]
        if code[0] in "xuU" and len(code) > 1:
            number = int(code[1:], 16)
        elif len(code) == 3:
            number = int(code, 8)
        else:
            number = -1
        if (number < 0 and code not in _ESCAPES) or number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
            raise TemplateSyntaxError("invalid syntax")
        return chr(number) if number >= 0 else _ESCAPES[code]

    return _ESCAPE.sub(replaced, text)
