"""The hub as a whole: data directory, certificates, store, listener, upkeep; started and stopped as one.

hub = Hub(HubConfig(data_dir=Path("hub")))
await hub.start()
print(hub.port, hub.ca_file, hub.admin_token_file)
await hub.stop()
"""

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.routing import Mount

from gatewright.hub.admin import ADMIN_TOKEN_FILE, Administrator, ensure_administrator
from gatewright.hub.config import Clock, HubConfig, system_clock
from gatewright.hub.connections import Connections
from gatewright.hub.gateway_api import GatewayApi
from gatewright.hub.http import internal_handlers
from gatewright.hub.listening import listen, serve
from gatewright.hub.lock import DirectoryLock, refuse_foreign
from gatewright.hub.people_api import BASE, PeopleApi
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
        refuse_foreign(self.config.data_dir, DATABASE_FILE)
        context, self._ca_file = server_context(self.config, datetime.fromtimestamp(self._clock() / 1e9, UTC))
        listener = listen(self.config)
        self._stack.callback(listener.close)
        self._port = listener.getsockname()[1]
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
        self._serving = await serve(self._application(services), self.config, context, listener, self._stack)
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

    async def _say_goodbye(self, watchers: Watchers) -> None:
        watchers.end()
        await self._connections.close_where(lambda _connection: True, REASON_SERVER_SHUTDOWN)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
