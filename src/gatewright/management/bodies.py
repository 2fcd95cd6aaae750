"""Answers as the original writes them: JSON with HTML characters escaped and members sorted, and error envelopes."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from gatewright.artifacts.problems import ValidationProblem

_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def encode(value: object) -> bytes:
    """JSON with sorted members, HTML characters escaped, one newline at the end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.translate(_ESCAPES).encode("utf-8", "surrogatepass") + b"\n"


def answer(value: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(encode(value), status, {"content-type": "application/json"})


def text(body: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A plain-text answer of the router: unknown route, wrong method, unreadable parameter."""
    fixed = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
    return Response(body + "\n", status, {**fixed, **(headers or {})})


def failure(status: int, message: str, problems: Sequence[ValidationProblem] = ()) -> Response:
    """Envelope A: what a handler refuses."""
    body: dict[str, Any] = {"status": "error", "message": message}
    if problems:
        body["errors"] = [{"field": problem.field, "message": problem.message} for problem in problems]
    return answer(body, status)


def unavailable(error: Exception, what: str) -> Response:
    """The database cannot be used now; nothing was changed, and the text says what to do."""
    return failure(503, f"{what}: {error}")


def denial(status: int, code: str, message: str) -> Response:
    """Envelope B: authentication and authorization."""
    return answer({"code": code, "message": message}, status)


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC, fraction without trailing zeros."""
    whole = at.astimezone(UTC)
    fraction = f"{whole.microsecond:06d}".rstrip("0")
    return whole.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"
