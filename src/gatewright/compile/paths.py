"""Paths of operations: how a request must match them, where it goes on the upstream, and which of two wins.

Source: data-plane reference, sections 4.3, 4.5 and 6. Pure.
"""

import re

from gatewright.compile.errors import CompileError
from gatewright.compile.expressions import DEFAULT_LIMIT, check_expression, surely_small
from gatewright.model.expressions import quoted
from gatewright.model.routes import HeaderMatch, PathMatch, Rank, Rewrite

WILDCARD = "/*"
_PARAMETER = re.compile(r"\{[^{}]*\}")
_IMPOSSIBLE = re.compile(r"[\x00-\x20\x7f?#\ud800-\udfff]")

# order of precedence inside one segment: smaller wins
_LITERAL, _MIXED, _PARAMETER_ONLY, _END, _WILDCARD_SEGMENT = range(5)


def check_path(text: str, field: str) -> None:
    """Raises CompileError for characters that no request path can hold."""
    if not can_match(text):
        raise CompileError(
            "PATH_CHARACTER",
            f"{text!r} holds a character that no request path can hold",
            field,
            "Percent-encode blanks and control characters; leave the query string out",
        )


def can_match(path: str) -> bool:
    """False for an operation path that no request can have, such as one with a query string or a blank.

    The original accepts such operations; they answer nothing, and their API's other operations work.
    """
    return not _IMPOSSIBLE.search(_PARAMETER.sub("", path))


def path_match(context: str, path: str, match_type: str | None, field: str, limit: int = DEFAULT_LIMIT) -> PathMatch:
    """The matcher of an operation (4.3). `context` is "" for the root. Raises CompileError.

    Unlike the original, `{x}` in front of `/*` is a parameter and not the literal text.
    """
    full = context + path
    literal = literal_prefix(context, path)
    if path.endswith(WILDCARD):
        if "{" not in path:
            return PathMatch("subtree", full[: -len(WILDCARD)], literal)
        return _regex(context, path[: -len(WILDCARD)], r"(?:/.*)?", literal, field, limit=limit)
    if "{" in path:
        return _regex(context, path, "", literal, field, limit=limit)
    if path == "/":
        return PathMatch("slash", context, literal) if context else PathMatch("exact", "/", literal)
    if match_type is not None and match_type.strip().lower() == "exact":
        return PathMatch("exact", full, literal)
    return PathMatch("slash", full, literal)


def _regex(context: str, path: str, tail: str, literal: str, field: str, *, limit: int) -> PathMatch:
    pieces = [quoted(piece) for piece in _PARAMETER.split(path)]
    expression = f"^{quoted(context)}{'[^/]+'.join(pieces)}{tail}$"
    if not surely_small(expression, limit):
        check_expression(expression, field, limit)
    return PathMatch("regex", expression, literal)


def literal_prefix(context: str, path: str) -> str:
    """The whole literal segments in front of the first one with a parameter or a wildcard."""
    segments = (path.removesuffix(WILDCARD)).split("/")[1:]
    prefix = context
    for segment in segments:
        if "{" in segment:
            break
        if segment:
            prefix += "/" + segment
    return prefix


def first_segment(literal: str, path: str) -> str | None:
    """First path segment of everything the operation matches; None when that is not one literal text."""
    if literal:
        return literal.split("/", 2)[1]
    return "" if path == "/" else None


def rewrite(context: str, path: str, base: str) -> Rewrite:
    """What happens to the path towards the upstream (6). `base` has no trailing slash and is "" for the root."""
    if path == "/":
        return Rewrite("root", context, base)
    if path.endswith(WILDCARD) and not base:
        return Rewrite("rest", context, base)
    return Rewrite("keep", context, base)


def rank(match: PathMatch, context: str, path: str, headers: tuple[HeaderMatch, ...], index: int) -> Rank:
    """Sort key of a route among those of its virtual host (4.5): smaller is tried first.

    Only `exact` matchers outrank the rest whatever their path, as the original's exact matchers do (DP-019); the ones
    that it writes as expressions and that are no expressions here keep the rank of expressions.
    """
    written_exact = match.kind == "exact" and path != "/"
    segments = [(_LITERAL, 0) for s in context.split("/") if s]
    segments += [_segment_rank(s) for s in path.split("/") if s]
    exact_headers = sum(1 for h in headers if h.kind == "exact" and h.value)
    return (0 if written_exact else 1, (*segments, (_END, 0)), -len(headers), -exact_headers, index)


def _segment_rank(segment: str) -> tuple[int, int]:
    if segment == "*":
        return (_WILDCARD_SEGMENT, 0)
    literal_characters = len(_PARAMETER.sub("", segment))
    if literal_characters == len(segment):
        return (_LITERAL, 0)
    return (_MIXED, -literal_characters) if literal_characters else (_PARAMETER_ONLY, 0)
