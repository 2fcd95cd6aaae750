"""HTTP servers inside this process: uvicorn on a socket that was bound before, so that a taken port is told clearly."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

KEEP_ALIVE_S = 75
HEADERS_TIMEOUT_S = 30
CONCURRENT_CONNECTIONS = 1000


class PortInUse(Exception):
    """Somebody else listens there. The text says what to do."""


def bind(host: str, port: int, what: str) -> socket.socket:
    """A listening socket. Raises PortInUse, or OSError for an address that this machine does not have."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise PortInUse(
            f"{what} cannot listen on {host}:{port}: {error.strerror}. Stop what listens there or set another port"
        ) from error
    bound.set_inheritable(False)
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
            http="h11",
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, int(shutdown_timeout_s)),
            limit_concurrency=CONCURRENT_CONNECTIONS,
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
        """Finish what runs and close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()
