"""HTTP servers inside this process: uvicorn on a socket that was bound before, so that a taken port is told clearly."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from gatewright.management.protocol import MOST_CONNECTIONS, MOST_HEAD_BYTES, BoundedProtocol

KEEP_ALIVE_S = 75
BACKLOG = 1024
UNREAD_ANSWER_TIMEOUT_MS = 60_000
"""A client that does not take its answer for so long loses the connection."""

_REMEDIES = {
    errno.EADDRINUSE: "Stop what listens there, or set another port",
    errno.EACCES: "Set a port above 1023, or give the process the right to use this one",
    errno.EADDRNOTAVAIL: "Set an address that this machine has",
}


class CannotBind(Exception):
    """The address cannot be had. The text says what to do."""


class PortInUse(CannotBind):
    """Somebody else listens there."""


def bind(host: str, port: int, what: str) -> socket.socket:
    """A socket that listens; connections wait in it until a server takes them. Raises PortInUse, CannotBind."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_ANSWER_TIMEOUT_MS)
        bound.bind((host, port))
        # Two processes may bind one address; only one may listen.
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        kind = PortInUse if error.errno == errno.EADDRINUSE else CannotBind
        remedy = _REMEDIES.get(error.errno or 0, "Set another address")
        raise kind(f"{what} cannot listen on {host}:{port}: {error.strerror}. {remedy}") from error
    return bound


class _Server(uvicorn.Server):
    """Signals belong to the process, not to one of its servers. Tells when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As the base class, then tell."""
        await super().startup(sockets)
        self.serving.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def drop(self) -> None:
        """End connections that the patience was not enough for: the base class leaves them open."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class HttpServer:
    """Serves one ASGI application until stopped."""

    def __init__(self, app: ASGIApp, bound: socket.socket, *, shutdown_timeout_s: float) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            ws="none",
            http=BoundedProtocol,
            h11_max_incomplete_event_size=MOST_HEAD_BYTES,
            backlog=BACKLOG,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, int(shutdown_timeout_s)),
            limit_concurrency=MOST_CONNECTIONS,
        )
        self._server = _Server(config)
        self._socket = bound
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port, also when it was chosen by the system."""
        return int(self._socket.getsockname()[1])

    async def start(self) -> None:
        """Serve; returns when requests are answered."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        serving = asyncio.create_task(self._server.serving.wait())
        await asyncio.wait({self._task, serving}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            serving.cancel()
            self._task.result()

    async def stop(self) -> None:
        """Finish what runs, as long as patience lasts, and close."""
        self._server.should_exit = True
        try:
            if self._task is not None:
                await self._task
        finally:
            self._server.drop()
            self._socket.close()
        # Sockets are closed in the next turn of the loop, which may be its last.
        await asyncio.sleep(0)
