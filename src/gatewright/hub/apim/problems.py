"""What a stand-in refuses, in API Manager's shape of error body, and how every failure gets into it."""

from http import HTTPStatus
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gatewright.hub.http import Handler
from gatewright.hub.problems import ApiError
from gatewright.observability.logging import get_logger
from gatewright.wire.codec import encode
from gatewright.wire.envelope import EventTooLarge
from gatewright.wire.paths import JSON_TYPE

_log = get_logger(__name__)


class Refusal(Exception):
    """A request is refused: HTTP status, text for people, and API Manager's number when it has one of its own."""

    def __init__(
        self, status: int, description: str, *, code: int = 0, message: str = "", headers: dict[str, str] | None = None
    ) -> None:
        self.status = status
        self.code = code or status
        self.message = message or HTTPStatus(status).phrase
        self.description = description
        self.headers = headers
        super().__init__(description)


def error_body(code: int, message: str, description: str) -> bytes:
    """The error body of all its REST APIs."""
    return encode({"code": code, "message": message, "description": description, "moreInfo": "", "error": []})


def handlers() -> dict[Any, Handler]:
    """For every exception that a request can end with."""
    kinds = (Refusal, ApiError, HTTPException, SQLAlchemyError, EventTooLarge, Exception)
    return dict.fromkeys(kinds, _handle)


async def _handle(request: Request, problem: Exception) -> Response:
    refusal = _as_refusal(request, problem)
    body = error_body(refusal.code, refusal.message, refusal.description)
    return Response(body, refusal.status, refusal.headers, JSON_TYPE)


def _as_refusal(request: Request, problem: Exception) -> Refusal:
    if isinstance(problem, Refusal):
        return problem
    if isinstance(problem, ApiError):
        return Refusal(problem.status, problem.message)
    if isinstance(problem, HTTPException):
        return Refusal(problem.status_code, f"{HTTPStatus(problem.status_code).phrase}.")
    if isinstance(problem, EventTooLarge):
        return Refusal(413, "The change is too large for an event of 1 MiB.")
    if isinstance(problem, SQLAlchemyError):
        cause = str(getattr(problem, "orig", None) or type(problem).__name__)
        _log.error("the stand-in's database refuses", path=request.url.path, cause=cause)
        return Refusal(503, "The database cannot be used now; nothing was changed.")
    _log.error("unexpected failure", path=request.url.path, exc_info=problem)
    return Refusal(500, "Internal server error; the log has the details.")
