"""Request bodies within bounds, answers as JSON, and failures in one of the two shapes of error body."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gatewright.hub.problems import ApiError
from gatewright.observability.logging import get_logger
from gatewright.wire.codec import decode, encode
from gatewright.wire.envelope import EventTooLarge
from gatewright.wire.errors import internal_error, public_error
from gatewright.wire.failures import Undecodable
from gatewright.wire.paths import JSON_TYPE

T = TypeVar("T")
Handler = Callable[[Request, Exception], Awaitable[Response]]

READ_TIMEOUT: Final = 60.0
"""Seconds that a client has to send a whole body."""
SMALL_BODY: Final = 1_048_576

_log = get_logger(__name__)


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. ApiError 413 beyond `limit` bytes, 408 when it does not come, 400 when it breaks off."""
    too_large = ApiError(413, "BODY_TOO_LARGE", f"The body may have {limit} bytes at most.")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > limit:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError:
        raise ApiError(408, "BODY_TOO_SLOW", f"The body did not arrive within {READ_TIMEOUT:g} s.") from None
    except ClientDisconnect:
        raise ApiError(400, "BODY_INCOMPLETE", "The body broke off.") from None
    return b"".join(chunks)


async def read_json(request: Request, kind: type[T], limit: int = SMALL_BODY) -> T:
    """The body as `kind`; an empty one is `{}`. ApiError 400 that says which member is wrong."""
    body = await read_body(request, limit)
    value = decode(body or b"{}", kind, "body")
    if isinstance(value, Undecodable):
        raise ApiError(400, "VALIDATION_FAILED", f"Invalid request body: {value.reason} {value.where}".rstrip())
    return value


def as_json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`value` as a JSON answer."""
    return Response(encode(value), status, headers, JSON_TYPE)


def public_handlers() -> dict[Any, Handler]:
    """Failures as `{status, code, message}`: the hub's own API."""
    return _handlers(_public)


def internal_handlers() -> dict[Any, Handler]:
    """Failures as `{code, message, description}`: what gateways call."""
    return _handlers(_internal)


def _public(error: ApiError) -> bytes:
    if error.details:
        body = {"status": "error", "code": error.code, "message": error.message, "details": error.details}
        return encode(body)
    return public_error(error.code, error.message)


def _internal(error: ApiError) -> bytes:
    return internal_error(error.status, error.message)


def _handlers(write: Callable[[ApiError], bytes]) -> dict[Any, Handler]:
    async def handle(request: Request, problem: Exception) -> Response:
        error = _as_api_error(request, problem)
        return Response(write(error), error.status, media_type=JSON_TYPE)

    return {ApiError: handle, HTTPException: handle, SQLAlchemyError: handle, EventTooLarge: handle, Exception: handle}


def _as_api_error(request: Request, problem: Exception) -> ApiError:
    if isinstance(problem, ApiError):
        return problem
    if isinstance(problem, HTTPException):
        phrase = HTTPStatus(problem.status_code).phrase
        return ApiError(problem.status_code, phrase.upper().replace(" ", "_"), f"{phrase}.")
    if isinstance(problem, EventTooLarge):
        return ApiError(413, "EVENT_TOO_LARGE", "The change is too large for an event of 1 MiB.")
    if isinstance(problem, SQLAlchemyError):
        cause = str(getattr(problem, "orig", None) or type(problem).__name__)
        _log.error("the hub's database refuses", path=request.url.path, cause=cause)
        return ApiError(503, "STORAGE_UNAVAILABLE", "The hub cannot use its database now; nothing was changed.")
    _log.error("unexpected failure", path=request.url.path, exc_info=problem)
    return ApiError(500, "INTERNAL_ERROR", "Unexpected failure; the hub's log has the details.")
