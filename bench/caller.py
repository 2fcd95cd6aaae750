"""One kept-alive HTTP/1.1 connection that asks for a path and reads the status: light enough to poll tightly."""

import asyncio
from typing import Self

from bench.ports import HOST

_LONGEST_ANSWER_S = 10.0


class NotAnswered(Exception):
    """Something did not become true in time. The text says what."""


class Caller:
    """Use as an async context manager. Connects when needed, again after the server has closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()

    async def status(self, path: str, *, key: str = "") -> int:
        """Status of a GET; 0 when there is no connection or no answer."""
        try:
            async with asyncio.timeout(_LONGEST_ANSWER_S):
                return await self._ask(path, key)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            self._close()
            return 0

    async def until(
        self, status: int, path: str, *, key: str = "", timeout_s: float = 30.0, pause_s: float = 0.0005
    ) -> float:
        """Ask until the answer has that status; the loop's time when it came. Raises NotAnswered."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while (last := await self.status(path, key=key)) != status:
            if loop.time() > deadline:
                raise NotAnswered(f"{path} still answers {last or 'nothing'} instead of {status} after {timeout_s:g} s")
            await asyncio.sleep(pause_s if last else 0.005)
        return loop.time()

    async def _ask(self, path: str, key: str) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self._port)
        reader, writer = self._streams
        header = f"API-Key: {key}\r\n" if key else ""
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        if length.strip():
            await reader.readexactly(int(length))
        if b"connection: close" in head:
            self._close()
        return int(head[9:12])

    def _close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
