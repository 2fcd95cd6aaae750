"""A TLS listener inside another program: bound at once, served by uvicorn with heartbeat and deadlines."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from gatewright.hub.config import HubConfig
from gatewright.hub.liveness import heartbeat_protocol
from gatewright.hub.problems import HubStartError
from gatewright.hub.request_deadline import deadline_protocol

MAX_MESSAGE_BYTES: Final = 1_048_576
"""Of what a gateway may send over its socket; acknowledgements have some hundred bytes."""

_MAX_REQUESTS: Final = 2000
_BACKLOG: Final = 512
_IDLE_TIMEOUT: Final = 120
_STOP_PATIENCE: Final = 5
_GOODBYE_PATIENCE: Final = 0.5


def listen(config: HubConfig) -> socket.socket:
    """The listening socket of a configuration. Raises HubStartError."""
    try:
        return _bound(config.host, config.port)
    except OSError as error:
        raise HubStartError(
            "HUB_PORT_UNAVAILABLE",
            f"The hub cannot listen on {config.host}:{config.port}: {error.strerror}. "
            "Stop what uses the port, or choose another port.",
        ) from error


async def serve(
    application: ASGIApp,
    config: HubConfig,
    context: ssl.SSLContext,
    listener: socket.socket,
    stack: contextlib.AsyncExitStack,
    *,
    numbered_pings: bool = True,
) -> asyncio.Task[None]:
    """Serve until `stack` is closed; ready when it returns. The task ends with the server. Raises HubStartError."""
    uvicorn_config = uvicorn.Config(
        application,
        ws=heartbeat_protocol(config.ping_interval, config.connection_timeout, numbered=numbered_pings),
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        http=deadline_protocol(config.head_timeout),
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=config.max_connections + _MAX_REQUESTS,
        timeout_keep_alive=_IDLE_TIMEOUT,
        timeout_graceful_shutdown=_STOP_PATIENCE,
        ssl_context_factory=lambda _config, _default: context,
    )
    server = _Server(uvicorn_config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="hub-server")
    stack.push_async_callback(_shut_down, server, serving)
    await asyncio.wait({serving, asyncio.create_task(server.ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        raise HubStartError("HUB_SERVER_FAILED", f"The hub's server ended at once: {serving.exception()}.")
    return serving


class _Server(uvicorn.Server):
    """uvicorn inside another program: it leaves signals alone and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the command that runs the hub."""
        yield

    def drop_idle(self) -> None:
        """End connections that answer nothing any more: a peer that ignores TLS's goodbye would hold them open."""
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is None or cycle.response_complete:
                connection.transport.abort()

    def drop(self) -> None:
        """End all that are left: the base class leaves those open that its patience was not enough for."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does it, then tell."""
        await super().startup(sockets)
        self.ready.set()


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket. Made with its protocol named, else asyncio leaves Nagle's algorithm on: 40 ms an answer."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


async def _shut_down(server: _Server, serving: asyncio.Task[None]) -> None:
    server.should_exit = True
    _, waiting = await asyncio.wait({serving}, timeout=_GOODBYE_PATIENCE)
    if waiting:
        server.drop_idle()
        await asyncio.wait({serving})
    server.drop()
    # Sockets are closed in the next turn of the loop, which may be its last.
    await asyncio.sleep(0)
