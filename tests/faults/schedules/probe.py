"""Asks Envoy: single requests, and the steady traffic to what no schedule touches."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from fault_world import SECURED, UNTOUCHED

HOST: Final = "127.0.0.1"
_PAUSE: Final = 0.01
_TIMEOUT: Final = 10.0


class Served(msgspec.Struct, frozen=True):
    """An answer of Envoy; `version` of the document that it came from, 0 when there was none."""

    status: int
    version: int

    def fits(self, steps: Sequence[int], *, guarded: bool) -> bool:
        """Whether one of the states in `steps` gives this answer to somebody without a credential."""
        if self.status == 200:
            return self.version in steps
        if self.status == 404:
            return 0 in steps
        return guarded and self.status in {401, 403} and any(steps)


async def ask(port: int, path: str, header: str = "") -> Served:
    """One request on a connection of its own; status 0 when there is no answer."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                return await _exchange(reader, writer, path, header)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError, IndexError):
        return Served(0, 0)


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, header: str) -> Served:
    lines = [f"GET {path} HTTP/1.1", "host: localhost", *filter(None, (header,))]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    length = re.search(rb"content-length: (\d+)", head.lower())
    body = await reader.readexactly(int(length.group(1))) if length else b""
    version = 0
    if status == 200:
        found = re.match(r"/edition-(\d+)/", json.loads(body)["path"])
        version = int(found.group(1)) if found else 0
    return Served(status, version)


class Probe:
    """Requests to the untouched APIs, all the while, on a kept connection."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._requests = [(f"/{name}/items", "") for name in UNTOUCHED] + [(f"/{SECURED}/items", f"api-key: {key}")]
        self._task: asyncio.Task[None] | None = None
        self._excuses = 0
        self._excused_until = 0.0
        self.count = 0
        self.failures: list[str] = []

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def is_excused(self) -> bool:
        return self._excuses > 0 or time.monotonic() < self._excused_until

    @contextlib.contextmanager
    def excused(self) -> Iterator[None]:
        """Envoy itself is being killed: nobody can answer."""
        self._excuses += 1
        try:
            yield
        finally:
            self._excuses -= 1
            self._excused_until = time.monotonic() + 0.5

    async def _run(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection(HOST, self._port)
            except OSError as error:
                self._note(f"connection: {error!r}")
            else:
                try:
                    await self._ask(reader, writer)
                finally:
                    writer.transport.abort()
            await asyncio.sleep(0.05)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until an answer is missing."""
        while True:
            for path, header in self._requests:
                failure = ""
                try:
                    async with asyncio.timeout(_TIMEOUT):
                        served = await _exchange(reader, writer, path, header)
                    failure = "" if served.status == 200 else f"{path}: {served.status}"
                except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                    failure = f"{path}: {error!r}"
                self._note(failure)
                if "Error" in failure:
                    return
            await asyncio.sleep(_PAUSE)

    def _note(self, failure: str) -> None:
        self.count += 1
        if failure and not self.is_excused:
            self.failures.append(failure)
