"""Error bodies: the internal shape of REST answers, and the public one of the upgrade and of management APIs."""

from http import HTTPStatus

from gatewright.wire.codec import Sparse, encode


class InternalError(Sparse, frozen=True, kw_only=True):
    """`code` repeats the HTTP status, `message` its reason phrase, `description` says what happened."""

    code: int
    message: str
    description: str = ""


class PublicError(Sparse, frozen=True, kw_only=True):
    """`status` is always `error`, `code` a constant such as `UNAUTHORIZED`."""

    code: str
    message: str


def internal_error(status: int, description: str = "") -> bytes:
    """Body of a failed internal REST call."""
    return encode(InternalError(code=status, message=HTTPStatus(status).phrase, description=description))


def public_error(code: str, message: str) -> bytes:
    """Body of a refused upgrade or of a failed management call."""
    return encode({"status": "error", "code": code, "message": message})


CAPACITY_TEXT = "maximum connection limit reached ({limit})"


def capacity_message(limit: int) -> str:
    """The one text frame a server sends before it drops a connection beyond its capacity."""
    return encode({"type": "error", "message": CAPACITY_TEXT.format(limit=limit)}).decode()
