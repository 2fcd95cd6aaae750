"""A request after matching: decoded path parameters, single-valued query parameters, a bounded body, the caller."""

from collections.abc import Mapping

import msgspec
from starlette.requests import Request

from gatewright.deployment.requests import Caller

LARGEST_BODY_BYTES = 16 * 1024 * 1024


class BodyTooLarge(Exception):
    """The body exceeds what this server reads."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"request body exceeds {limit} bytes")


class Call(msgspec.Struct, frozen=True):
    """What an endpoint gets."""

    request: Request
    path: Mapping[str, str]
    query: Mapping[str, str]
    correlation_id: str
    user: str = ""
    roles: frozenset[str] = frozenset()

    @property
    def caller(self) -> Caller:
        """The caller as the write path knows it."""
        return Caller(user=self.user, admin="admin" in self.roles)

    @property
    def content_type(self) -> str:
        """The header as sent, empty when absent."""
        return str(self.request.headers.get("content-type", ""))

    async def body(self, limit: int = LARGEST_BODY_BYTES) -> bytes:
        """The complete body. Raises BodyTooLarge."""
        parts: list[bytes] = []
        size = 0
        async for part in self.request.stream():
            size += len(part)
            if size > limit:
                raise BodyTooLarge(limit)
            parts.append(part)
        return b"".join(parts)
