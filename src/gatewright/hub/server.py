"""The hub as a whole: data directory, certificates, store, listener, upkeep; started and stopped as one.

hub = Hub(HubConfig(data_dir=Path("hub")))
await hub.start()
print(hub.port, hub.ca_file, hub.admin_token_file)
await hub.stop()
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from gatewright.hub.admin import ADMIN_TOKEN_FILE, Administrator, ensure_administrator
from gatewright.hub.config import Clock, HubConfig, system_clock
from gatewright.hub.connections import Connections
from gatewright.hub.gateway_api import GatewayApi
from gatewright.hub.http import internal_handlers
from gatewright.hub.liveness import heartbeat_protocol
from gatewright.hub.lock import DirectoryLock
from gatewright.hub.people_api import BASE, PeopleApi
from gatewright.hub.problems import HubStartError
from gatewright.hub.request_deadline import deadline_protocol
from gatewright.hub.services import Services
from gatewright.hub.store import Published, Store
from gatewright.hub.tls import server_context
from gatewright.hub.upkeep import Upkeep
from gatewright.hub.vault import load_vault
from gatewright.hub.watching import Touched, Watchers
from gatewright.observability.logging import get_logger
from gatewright.wire.paths import CLOUD_BASE, REASON_SERVER_SHUTDOWN
from gatewright.wire.times import Timestamp

DATABASE_FILE: Final = "hub.db"
MAX_MESSAGE_BYTES: Final = 1_048_576
"""Of what a gateway may send over its socket; acknowledgements have some hundred bytes."""

_MAX_REQUESTS: Final = 2000
_BACKLOG: Final = 512
_IDLE_TIMEOUT: Final = 120
_STOP_PATIENCE: Final = 5
_GOODBYE_PATIENCE: Final = 0.5

_log = get_logger(__name__)


class Hub:
    """One hub in this process. `start` and `stop` once each, on the same event loop."""

    def __init__(self, config: HubConfig, *, clock: Clock = system_clock) -> None:
        self.config = config
        self._clock = clock
        self._lock = DirectoryLock(config.data_dir)
        self._stack = contextlib.AsyncExitStack()
        self._port = 0
        self._ca_file = config.data_dir
        self._administrator: Administrator | None = None
        self._upkeep: Upkeep | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def ca_file(self) -> Path:
        """What gateways and clients verify it with (PEM)."""
        return self._ca_file

    @property
    def admin_token_file(self) -> Path:
        """Where the administrator's token stands, readable by the owner only."""
        return self.config.data_dir / ADMIN_TOKEN_FILE

    @property
    def first_admin_token(self) -> str | None:
        """The administrator's token when this start made it, to be shown once; None at every later start."""
        return self._administrator.first_token if self._administrator is not None else None

    @property
    def upkeep(self) -> Upkeep:
        """The periodic jobs, to be run out of turn."""
        if self._upkeep is None:
            raise RuntimeError("the hub is not started")
        return self._upkeep

    async def start(self) -> None:
        """Start; ready to serve when it returns. Raises HubStartError, and then nothing is left running."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        """Close every connection (1000 `server shutdown`), finish what is under way, release everything."""
        await self._stack.aclose()

    async def wait(self) -> None:
        """Return when the server has ended, by `stop` or by a failure of its own."""
        if self._serving is not None:
            await asyncio.wait({self._serving})

    async def _start(self) -> None:
        self._lock.acquire()
        self._stack.callback(self._lock.release)
        context, self._ca_file = server_context(self.config, datetime.fromtimestamp(self._clock() / 1e9, UTC))
        listener = self._listen()
        self._stack.callback(listener.close)
        watchers = Watchers()
        vault = load_vault(self.config.data_dir)
        store = Store(self.config.data_dir / DATABASE_FILE, self._clock, vault, self._deliver)
        self._stack.push_async_callback(store.close)
        await store.open()
        self._connections = Connections(store, lambda gateway_id: watchers.tell(Touched(gateway_id=gateway_id)))
        self._stack.push_async_callback(self._connections.settle)
        self._administrator = await ensure_administrator(store, self.config.data_dir)
        services = Services(self.config, self._clock, store, self._connections, watchers)
        self._upkeep = Upkeep(services)
        await self._serve(self._application(services), context, listener)
        jobs = asyncio.create_task(self._upkeep.run(), name="hub-upkeep")
        self._stack.push_async_callback(_ended, jobs)
        self._stack.push_async_callback(self._say_goodbye, watchers)
        _log.info("hub is serving", port=self._port, data_dir=str(self.config.data_dir))

    def _deliver(self, published: list[Published]) -> None:
        self._connections.deliver(published)

    def _application(self, services: Services) -> Starlette:
        if self._administrator is None:
            raise RuntimeError("there is no administrator yet")
        people = PeopleApi(services, self._administrator, Timestamp(self._clock()))
        routes = [
            Mount(CLOUD_BASE, GatewayApi(services).application()),
            Mount(BASE, people.application()),
        ]
        return Starlette(routes=routes, exception_handlers=internal_handlers())

    def _listen(self) -> socket.socket:
        try:
            listener = _bound(self.config.host, self.config.port)
        except OSError as error:
            raise HubStartError(
                "HUB_PORT_UNAVAILABLE",
                f"The hub cannot listen on {self.config.host}:{self.config.port}: {error.strerror}. "
                "Stop what uses the port, or choose another port.",
            ) from error
        self._port = listener.getsockname()[1]
        return listener

    async def _serve(self, application: Starlette, context: ssl.SSLContext, listener: socket.socket) -> None:
        config = uvicorn.Config(
            application,
            ws=heartbeat_protocol(self.config.ping_interval, self.config.connection_timeout),
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            http=deadline_protocol(self.config.head_timeout),
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=self.config.max_connections + _MAX_REQUESTS,
            timeout_keep_alive=_IDLE_TIMEOUT,
            timeout_graceful_shutdown=_STOP_PATIENCE,
            ssl_context_factory=lambda _config, _default: context,
        )
        server = _Server(config)
        self._serving = asyncio.create_task(server.serve(sockets=[listener]), name="hub-server")
        self._stack.push_async_callback(_shut_down, server, self._serving)
        await asyncio.wait(
            {self._serving, asyncio.create_task(server.ready.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        if self._serving.done():
            raise HubStartError("HUB_SERVER_FAILED", f"The hub's server ended at once: {self._serving.exception()}.")

    async def _say_goodbye(self, watchers: Watchers) -> None:
        watchers.end()
        await self._connections.close_where(lambda _connection: True, REASON_SERVER_SHUTDOWN)


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


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
