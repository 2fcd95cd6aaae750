"""A line between gateway and control plane that can be told to be bad: TLS on both sides, HTTP and WebSocket known.

`Faults` says what is wrong just now; `Line` forwards accordingly. Everything runs on one event loop.

    faults = Faults(seed=1)
    async with Line(server_context, client_context, port=0, target=hub.port, faults=faults) as line:
        faults.on("reorder", share=0.5)
"""

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator
from typing import Any, Final, Self

HOST: Final = "127.0.0.1"
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_HELD: Final = 0.15
"""Seconds after which a frame that waits to be overtaken goes on alone."""

KINDS: Final = (
    "delay",  # every request and frame takes `seconds` longer
    "status",  # requests and upgrades are answered `status` by the line itself
    "truncate",  # an answer's body ends early: as a whole message (`broken` false) or with the connection (true)
    "lost_answer",  # a request arrives, its answer does not
    "cut",  # the connection ends in the middle of a frame
    "half_open",  # nothing goes through, nothing is closed; at the end connections go on (`reset` false) or are reset
    "duplicate",  # text frames come twice, in both directions
    "reorder",  # an event is overtaken by the next one
    "no_pings",  # pings (of the control plane) and pongs (of the gateway) are swallowed
    "down",  # connections are reset, new ones too
)


class Faults:
    """What is wrong just now. `share` of a fault: how much of what it could hit it does hit."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._now: dict[str, dict[str, Any]] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.lines: set[Line] = set()
        self.hits: dict[str, int] = {}

    def on(self, kind: str, **options: Any) -> None:
        assert kind in KINDS, kind
        self._now[kind] = options
        if kind == "half_open":
            self._flowing.clear()
        if kind == "down":
            self._reset()

    def off(self, kind: str) -> None:
        options = self._now.pop(kind, {})
        if kind == "half_open":
            if options.get("reset"):
                self._reset()
            self._flowing.set()

    def all_off(self) -> None:
        for kind in list(self._now):
            self.off(kind)

    def hit(self, kind: str) -> dict[str, Any] | None:
        """The options of a fault when it strikes this time."""
        options = self._now.get(kind)
        if options is None or self._random.random() >= options.get("share", 1.0):
            return None
        self.hits[kind] = self.hits.get(kind, 0) + 1
        return options

    async def flow(self) -> None:
        """Wait as long as nothing goes through; take the time that everything takes."""
        if not self._flowing.is_set():
            self.hits["half_open"] = self.hits.get("half_open", 0) + 1
            await self._flowing.wait()
        slow = self.hit("delay")
        if slow is not None:
            await asyncio.sleep(slow["seconds"] * self._random.random())

    def part(self, size: int) -> int:
        """How much of something gets through before it is cut: never all of it."""
        return self._random.randrange(size) if size else 0

    def _reset(self) -> None:
        for line in self.lines:
            line.reset()


class _Ended(Exception):
    """A connection is over."""


class Line:
    """Listens with one certificate, and connects to `target` for every connection."""

    def __init__(
        self, server: ssl.SSLContext, client: ssl.SSLContext, *, port: int, target: int, faults: Faults
    ) -> None:
        self._contexts = (server, client)
        self._wanted_port = port
        self._target = target
        self.faults = faults
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST, self._wanted_port, ssl=self._contexts[0])
        self.faults.lines.add(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self.faults.lines.discard(self)
        self._server.close()
        self.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def use(self, faults: Faults) -> None:
        """Other faults from now on, also for what is open."""
        self.faults.lines.discard(self)
        self.faults.all_off()
        self.faults = faults
        faults.lines.add(self)

    def reset(self) -> None:
        """Abort everything that is open."""
        for writer in list(self._open):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            if self.faults.hit("down") is None:
                await self._serve(reader, writer)
        except (_Ended, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ssl.SSLError, ValueError):
            pass
        except asyncio.CancelledError:
            pass  # the line is being closed; the task must not look failed to the server that made it
        finally:
            self._tasks.discard(task)
            self._open.discard(writer)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests one after another; an upgrade takes the rest of the connection."""
        hub: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                head, body = await _message(reader)
                await self.faults.flow()
                refused = self.faults.hit("status")
                if refused is not None:
                    await _send(writer, _own_answer(refused))
                    continue
                if hub is None:
                    hub = await asyncio.open_connection(HOST, self._target, ssl=self._contexts[1], server_hostname=HOST)
                    self._open.add(hub[1])
                await _send(hub[1], head + body)
                if self.faults.hit("lost_answer") is not None:
                    await asyncio.sleep(0.05)  # so that the request is read before its connection dies
                    raise _Ended
                await self._answer(hub[0], writer)
                if b"upgrade: websocket" in head.lower():
                    await self._frames((reader, writer), hub)
                    return
        finally:
            if hub is not None:
                self._open.discard(hub[1])
                hub[1].transport.abort()

    async def _answer(self, hub: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await _message(hub, answer=True)
        await self.faults.flow()
        short = self.faults.hit("truncate") if body else None
        if short is None:
            await _send(writer, head + body)
            return
        part = body[: self.faults.part(len(body))]
        if short.get("broken") or b"content-length" not in head.lower():
            await _send(writer, head + part)
            raise _Ended
        await _send(writer, _with_length(head, len(part)) + part)

    async def _frames(
        self,
        gateway: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        hub: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Both directions until one ends."""
        down = asyncio.create_task(self._direction(hub[0], gateway[1], PING))
        up = asyncio.create_task(self._direction(gateway[0], hub[1], PONG))
        try:
            await asyncio.wait({down, up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            down.cancel()
            up.cancel()
            await asyncio.gather(down, up, return_exceptions=True)
        raise _Ended

    async def _direction(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, beat: int) -> None:
        held, first = b"", True
        while True:
            try:
                async with asyncio.timeout(_HELD if held else None):
                    opcode, frame = await _frame(reader)
            except TimeoutError:
                await _send(writer, held)
                held = b""
                continue
            await self.faults.flow()
            if self.faults.hit("cut") is not None:
                await _send(writer, held + frame[: self.faults.part(len(frame))])
                raise _Ended
            if opcode == beat and self.faults.hit("no_pings") is not None:
                continue
            # The acknowledgement of the connection is no event: it stays the first, and alone.
            event, first = opcode == TEXT and not (first and beat == PING), first and opcode != TEXT
            # Only events: they may come over many ways, but what one gateway says stays in its order.
            if event and beat == PING and not held and self.faults.hit("reorder") is not None:
                held = frame
                continue
            again = frame if event and self.faults.hit("duplicate") is not None else b""
            await _send(writer, frame + held + again)
            held = b""
            if opcode == CLOSE:
                first = False


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _message(reader: asyncio.StreamReader, *, answer: bool = False) -> tuple[bytes, bytes]:
    """One HTTP/1.1 message as it came: head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    if answer and lines[0].split(b" ")[1] in {b"101", b"204", b"304"}:
        return head, b""
    if b"content-length" in fields:
        return head, await reader.readexactly(int(fields[b"content-length"]))
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return head, b"".join([chunk async for chunk in _chunks(reader)])
    return head, b""


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        yield line + await reader.readexactly(size + 2)
        if not size:
            return


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One WebSocket frame as it came, and its opcode."""
    head = await reader.readexactly(2)
    length = head[1] & 0x7F
    if length >= 126:
        more = await reader.readexactly(2 if length == 126 else 8)
        head, length = head + more, int.from_bytes(more)
    if head[1] & 0x80:
        head += await reader.readexactly(4)
    return head[0] & 0x0F, head + await reader.readexactly(length)


def _own_answer(options: dict[str, Any]) -> bytes:
    status = options["status"]
    body = b'{"status":"error","code":"FAULT","message":"the line is bad"}'
    head = f"HTTP/1.1 {status} Fault\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    if "retry_after" in options:
        head += f"retry-after: {options['retry_after']}\r\n"
    return f"{head}\r\n".encode() + body


def _with_length(head: bytes, length: int) -> bytes:
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
    lines.insert(1, b"content-length: %d" % length)
    return b"\r\n".join(lines)


@contextlib.asynccontextmanager
async def fault(faults: Faults, kind: str, **options: Any) -> AsyncIterator[None]:
    """A fault for a while."""
    faults.on(kind, **options)
    try:
        yield
    finally:
        faults.off(kind)
