"""One exchange with API Manager over TLS: bounded in time and in size, failures as values.

The same trust as the link's: verified unless the settings say otherwise, TLS 1.2 at least. Redirects are not followed,
for the request carries a credential. What this module returns holds no credential that was sent.
"""

import asyncio
import ssl
from typing import Final

import httpx2
import msgspec

import gatewright
from gatewright.controlplane.network import network_problem
from gatewright.controlplane.trust import TlsUnusable, Trust
from gatewright.controlplane.words import quoted, retry_after

USER_AGENT: Final = f"gatewright/{gatewright.__version__}"
TIMEOUT: Final = 30.0
"""Seconds for one whole exchange."""

MEBIBYTE: Final = 1_048_576
LARGEST_ANSWER: Final = 16 * MEBIBYTE
_KEEP_ALIVE: Final = 30.0
_SPARE: Final = 4
_GRACE: Final = 1.0
"""Seconds that exchanges get when everything stops."""


class Answer(msgspec.Struct, frozen=True):
    """What came back, whatever the status. `retry_after` in seconds, 0 when nothing was said."""

    status: int
    body: bytes
    retry_after: float = 0.0

    def __repr__(self) -> str:
        """Without the body, which may hold a token."""
        return f"Answer({self.status}, {len(self.body)} bytes)"


class NoAnswer(msgspec.Struct, frozen=True):
    """Nothing usable came back; `cause` says why, for people."""

    cause: str


class Transport:
    """Keep-alive connections to one host. `host` may carry a port."""

    def __init__(self, host: str, trust: Trust, *, connections: int, timeout: float = TIMEOUT) -> None:
        self.host = host
        self._trust = trust
        self._connections = connections + _SPARE
        self._timeout = timeout
        self._context: ssl.SSLContext | None = None
        self._client: httpx2.AsyncClient | None = None
        self._under_way: set[asyncio.Task[Answer | NoAnswer]] = set()

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str],
        content: bytes | None = None,
        limit: int = LARGEST_ANSWER,
    ) -> Answer | NoAnswer:
        """One exchange; never repeated. Runs on when the caller is cancelled: no connection is left half-made."""
        call = asyncio.create_task(self._exchange(method, path, headers=headers, content=content, limit=limit))
        self._under_way.add(call)
        call.add_done_callback(self._under_way.discard)
        return await asyncio.shield(call)

    async def close(self) -> None:
        """Close the connections; what is under way gets a moment, then it ends."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_GRACE)
        calls = list(self._under_way)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        client, self._client, self._context = self._client, None, None
        if client is not None:
            await client.aclose()

    async def _exchange(
        self, method: str, path: str, *, headers: dict[str, str], content: bytes | None, limit: int
    ) -> Answer | NoAnswer:
        try:
            client = await self._connected()
            async with (
                asyncio.timeout(self._timeout),
                client.stream(method, f"https://{self.host}{path}", headers=headers, content=content) as response,
            ):
                chunks: list[bytes] = []
                size = 0
                async for chunk in response.aiter_bytes():
                    size += len(chunk)
                    if size > limit:
                        return NoAnswer(f"the answer has more than {limit} bytes")
                    chunks.append(chunk)
                later = retry_after(response.headers.get("retry-after", ""))
                return Answer(response.status_code, b"".join(chunks), later)
        except TlsUnusable as problem:
            return NoAnswer(problem.problem.message)
        except (TimeoutError, httpx2.TimeoutException):
            return NoAnswer(f"no complete answer within {self._timeout:g} s")
        except (httpx2.InvalidURL, httpx2.LocalProtocolError, httpx2.UnsupportedProtocol) as error:
            return NoAnswer(quoted(str(error)))
        except (httpx2.HTTPError, OSError, RuntimeError) as error:
            return NoAnswer(network_problem(error, self.host).message)

    async def _connected(self) -> httpx2.AsyncClient:
        """The client; a new one when a file of the trust has changed. Raises TlsUnusable."""
        context = await asyncio.to_thread(self._trust.context)
        if self._client is None or context is not self._context:
            old = self._client
            limits = httpx2.Limits(
                max_connections=self._connections,
                max_keepalive_connections=self._connections,
                keepalive_expiry=_KEEP_ALIVE,
            )
            fixed = {"user-agent": USER_AGENT, "accept-encoding": "identity"}
            self._client = httpx2.AsyncClient(verify=context, limits=limits, timeout=self._timeout, headers=fixed)
            self._context = context
            if old is not None:
                await old.aclose()
        return self._client
