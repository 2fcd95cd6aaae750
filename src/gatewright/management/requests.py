"""A request after matching: decoded path parameters, single-valued query parameters, a bounded body, the caller."""

import asyncio
from collections.abc import Mapping

import msgspec
from starlette.requests import Request

from gatewright.artifacts.limits import DEFAULT_LIMITS
from gatewright.deployment.requests import Caller

LARGEST_BODY_BYTES = DEFAULT_LIMITS.max_bytes
"""What a document may weigh; the original has no limit."""

BODY_TIMEOUT_S = 30.0
"""From the end of the head to the end of the body."""


class BodyTooLarge(Exception):
    """The body exceeds what this server reads."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"request body exceeds {limit} bytes")


class BodyTooSlow(Exception):
    """The body did not arrive in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"request body did not arrive within {seconds:g} seconds")


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
        """The complete body. Raises BodyTooLarge (early, when its length is declared), BodyTooSlow."""
        declared = self.request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > limit:
            raise BodyTooLarge(limit)
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await self._read(limit)
        except TimeoutError:
            raise BodyTooSlow(BODY_TIMEOUT_S) from None

    async def _read(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in self.request.stream():
            size += len(part)
            if size > limit:
                raise BodyTooLarge(limit)
            parts.append(part)
        return b"".join(parts)
