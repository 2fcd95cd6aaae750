"""A control plane that does as a test tells it: TLS, HTTP answers by path, and a WebSocket whose frames the test sends.

Answers are tuples `(status, body)` or `(status, body, headers)`, exceptions of its own are not hidden.
"""

import asyncio
import base64
import hashlib
import json
import ssl
import struct
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from gatewright.hub.tls import ensure_certificates

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
WEBSOCKET = "/ws/gateways/connect"
ACK = json.dumps({"type": "connection.ack", "gatewayId": "gw-1", "connectionId": "c-1", "timestamp": "now"})


class Request:
    """What arrived over HTTP."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body


class Peer:
    """One accepted WebSocket, seen from the server."""

    def __init__(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self.reader = reader
        self.writer = writer
        self.frames: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self.closing = False

    def frame(self, opcode: int, payload: bytes | str = b"") -> None:
        """Send a frame."""
        data = payload.encode() if isinstance(payload, str) else payload
        head = bytes([0x80 | opcode])
        if len(data) < 126:
            head += bytes([len(data)])
        elif len(data) < 65536:
            head += b"\x7e" + struct.pack(">H", len(data))
        else:
            head += b"\x7f" + struct.pack(">Q", len(data))
        self.writer.write(head + data)

    def event(self, kind: str, payload: object, correlation_id: str = "c", **more: object) -> None:
        """Send an event."""
        self.frame(TEXT, json.dumps({"type": kind, "payload": payload, "correlationId": correlation_id, **more}))

    async def receive(self) -> tuple[int, bytes]:
        """The next frame that the gateway sends."""
        async with asyncio.timeout(60):
            return await self.frames.get()

    async def read(self) -> None:
        """Collect frames; a close frame is answered as the protocol wants it."""
        while True:
            opcode, data = await self._frame()
            self.frames.put_nowait((opcode, data))
            if opcode == CLOSE:
                if not self.closing:
                    self.frame(CLOSE, data)
                self.writer.close()
                return

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", await self.reader.readexactly(8))
        mask = await self.reader.readexactly(4) if second & 0x80 else b"\0\0\0\0"
        data = await self.reader.readexactly(length)
        return first & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))

    async def message(self) -> dict:
        """The next text message."""
        while True:
            opcode, data = await self.receive()
            if opcode == TEXT:
                return json.loads(data)

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame."""
        self.closing = True
        self.frame(CLOSE, struct.pack(">H", code) + reason.encode())

    async def stay(self) -> None:
        """Ping until cancelled: a gateway counts a silent connection as dead."""
        while not self.closing:
            self.frame(PING)
            await asyncio.sleep(5)

    def abort(self) -> None:
        """Cut the connection."""
        self.closing = True
        self.writer.transport.abort()


async def greet(peer: Peer) -> None:
    """What an honest control plane does first."""
    peer.frame(TEXT, ACK)


class Hostile:
    """The server. `answers` by (method, path); `upgrade` is what the upgrade is answered with instead of 101."""

    def __init__(self, directory: Path) -> None:
        certificate, key, self.ca_file = ensure_certificates(directory, ("127.0.0.1", "localhost"), datetime.now(UTC))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self.answers: dict[tuple[str, str], object] = {}
        self.requests: list[Request] = []
        self.upgrades: list[Request] = []
        self.upgrade: tuple[int, bytes] | None = None
        self.on_peer: Callable[[Peer], Awaitable[None]] = greet
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        self._tasks: set[asyncio.Future[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Sockets are closed in the next turn of the loop, which may be its last.
        await asyncio.sleep(0)

    async def peer(self) -> Peer:
        """The next WebSocket."""
        async with asyncio.timeout(60):
            return await self.peers.get()

    def asked(self, path: str) -> list[Request]:
        """Requests whose path ends like this."""
        return [request for request in self.requests if request.path.partition("?")[0].endswith(path)]

    def find(self, request: Request) -> object:
        """What a request is answered; without the query when there is nothing for the whole path."""
        plain = self.answers.get((request.method, request.path.partition("?")[0]), (404, b"{}"))
        return self.answers.get((request.method, request.path), plain)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Noted before it runs: what is cancelled before its first step closes nothing.
        self._writers.add(writer)
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(method, path, headers, body)
        if headers.get("upgrade", "").lower() == "websocket":
            return await self._socket(request, reader, writer)
        self.requests.append(request)
        answer = self.find(request)
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Awaitable):
            answer = await answer
        status, content, *rest = answer
        if isinstance(content, dict | list):
            content = json.dumps(content).encode()
        lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in (rest[0] if rest else {}).items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        return True

    async def _socket(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self.upgrades.append(request)
        if self.upgrade is not None:
            status, content = self.upgrade
            writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content)
            return True
        accept = base64.b64encode(hashlib.sha1((request.headers["sec-websocket-key"] + _MAGIC).encode()).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        peer = Peer(request, reader, writer)
        await self.on_peer(peer)
        self.peers.put_nowait(peer)
        await peer.read()
        return False


def honest(server: Hostile, base: str = "/api/internal/v1") -> None:
    """Empty lists and a welcome for the manifest, as a control plane without artifacts answers."""
    server.answers |= {
        ("GET", f"{base}/secrets"): (200, {"list": [], "count": 0}),
        ("GET", f"{base}/deployments"): (200, {"deployments": []}),
        ("GET", f"{base}/subscription-plans"): (200, []),
        ("POST", f"{base}/gateways/gw-1/manifest"): (204, b""),
        ("POST", f"{base}/artifacts/import-gateway-artifacts"): (200, {"artifacts": {}}),
        **{
            ("GET", f"{base}/{kind}/api-keys"): (200, [])
            for kind in ("apis", "websub-apis", "webbroker-apis", "llm-providers", "llm-proxies")
        },
    }
