"""Answers as the original writes them: JSON with HTML characters escaped and members sorted, and error envelopes.

Pure. Source: management API reference, section 5.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.responses import Response

from gatewright.artifacts.problems import ValidationProblem

_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
# These bytes occur in JSON only inside texts, so that they may be replaced in the finished document.

_encoder = msgspec.json.Encoder(order="sorted")


def encode(value: object) -> bytes:
    """JSON with sorted members, HTML characters escaped, one newline at the end."""
    try:
        encoded = _encoder.encode(value)
    except UnicodeEncodeError:
        encoded = _encoder.encode(_printable(value))
    for raw, escaped in _ESCAPES:
        if raw in encoded:
            encoded = encoded.replace(raw, escaped)
    return encoded + b"\n"


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


def _printable(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """`value` with lone surrogates, which UTF-8 cannot hold, as U+FFFD. Documents are bounded in depth."""
    if isinstance(value, str):
        return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in value)
    if isinstance(value, Mapping):
        return {_printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    return value
