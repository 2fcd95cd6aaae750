"""The stand-in as a whole: data directory, certificates, store, listener, upkeep; started and stopped as one.

manager = ApiManager(ApiManagerConfig(data_dir=Path("api-manager-data")))
await manager.start()
print(manager.port, manager.ca_file, manager.admin_token_file)
await manager.stop()
"""

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from gatewright.hub.admin import ADMIN_TOKEN_FILE, ensure_administrator
from gatewright.hub.apim import accounts
from gatewright.hub.apim.admin_api import AdminApi
from gatewright.hub.apim.config import ApiManagerConfig, switch_board
from gatewright.hub.apim.control_api import CONTROL_BASE, ControlApi
from gatewright.hub.apim.devportal_api import DevPortalApi
from gatewright.hub.apim.guard import Endpoint
from gatewright.hub.apim.internal_api import INTERNAL_BASE, InternalApi
from gatewright.hub.apim.oauth_api import OauthApi
from gatewright.hub.apim.problems import handlers
from gatewright.hub.apim.publisher_api import PublisherApi
from gatewright.hub.apim.recorder import Recorder
from gatewright.hub.apim.services import Services
from gatewright.hub.apim.switches import SwitchBoard
from gatewright.hub.apim.tables import SCHEMA
from gatewright.hub.apim.upkeep import Upkeep
from gatewright.hub.config import Clock, system_clock
from gatewright.hub.connections import Connections
from gatewright.hub.http import as_json
from gatewright.hub.listening import listen, serve
from gatewright.hub.lock import DirectoryLock, refuse_foreign
from gatewright.hub.store import Published, Store
from gatewright.hub.tls import server_context
from gatewright.hub.vault import load_vault
from gatewright.observability.logging import get_logger
from gatewright.wire.paths import REASON_SERVER_SHUTDOWN, WELL_KNOWN

DATABASE_FILE: Final = "api-manager.db"
_VERSION: Final = "4.7.0"

_log = get_logger(__name__)


class ApiManager:
    """One stand-in in this process. `start` and `stop` once each, on the same event loop."""

    def __init__(self, config: ApiManagerConfig, *, clock: Clock = system_clock) -> None:
        self.config = config
        self.switches: SwitchBoard = switch_board(config)
        self.recorder = Recorder(requests=config.requests_kept, upload_bytes=config.uploads_kept_bytes, clock=clock)
        self._clock = clock
        self._lock = DirectoryLock(config.data_dir)
        self._stack = contextlib.AsyncExitStack()
        self._port = 0
        self._ca_file = config.data_dir
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
        """Where the token for switches and records stands, readable by the owner only."""
        return self.config.data_dir / ADMIN_TOKEN_FILE

    async def start(self) -> None:
        """Start; ready to serve when it returns. Raises HubStartError, and then nothing is left running."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        """Close every connection, finish what is under way, release everything."""
        await self._stack.aclose()

    async def wait(self) -> None:
        """Return when the server has ended, by `stop` or by a failure of its own."""
        if self._serving is not None:
            await asyncio.wait({self._serving})

    async def _start(self) -> None:
        config = self.config
        self._lock.acquire()
        self._stack.callback(self._lock.release)
        refuse_foreign(config.data_dir, DATABASE_FILE)
        context, self._ca_file = server_context(config, datetime.fromtimestamp(self._clock() / 1e9, UTC))
        listener = listen(config)
        self._stack.callback(listener.close)
        self._port = listener.getsockname()[1]
        store = Store(
            config.data_dir / DATABASE_FILE, self._clock, load_vault(config.data_dir), self._deliver, schema=SCHEMA
        )
        self._stack.push_async_callback(store.close)
        await store.open()
        self._connections = Connections(store, lambda _gateway_id: None)
        self._stack.push_async_callback(self._connections.settle)
        administrator = await ensure_administrator(store, config.data_dir)
        await store.write(lambda unit: accounts.keep(unit, config.users))
        services = Services(config, self._clock, store, self._connections, self.switches, self.recorder)
        control = ControlApi(services, administrator)
        application = Starlette(routes=_routes(services, control), exception_handlers=handlers())
        recorded = self.recorder.around(application, CONTROL_BASE)
        self._serving = await serve(recorded, config, context, listener, self._stack, numbered_pings=False)
        jobs = asyncio.create_task(Upkeep(services).run(), name="hub-upkeep")
        self._stack.push_async_callback(_ended, jobs)
        self._stack.push_async_callback(self._connections.close_where, lambda _connection: True, REASON_SERVER_SHUTDOWN)
        _log.info("stand-in API Manager is serving", port=self._port, data_dir=str(config.data_dir))

    def _deliver(self, published: list[Published]) -> None:
        self._connections.deliver(published)


def _routes(services: Services, control: ControlApi) -> list[BaseRoute]:
    return [
        Route(WELL_KNOWN, _well_known(services), methods=["GET"]),
        Mount(INTERNAL_BASE, InternalApi(services).application()),
        *OauthApi(services).routes(),
        *AdminApi(services).routes(),
        *PublisherApi(services).routes(),
        *DevPortalApi(services).routes(),
        Mount(CONTROL_BASE, control.application()),
    ]


def _well_known(services: Services) -> Endpoint:
    async def well_known(request: Request) -> Response:
        mode = services.fault(request, "well_known")
        if mode in {"404", "503"}:
            return Response(status_code=int(mode))
        if mode == "slow":
            await asyncio.sleep(services.config.slow_well_known)
        bare = INTERNAL_BASE.strip("/")
        path = {"leading_slash": INTERNAL_BASE, "empty_path": ""}.get(mode, bare)
        return as_json({"gatewayPath": path, "controlPlane": {"type": "APIM", "version": _VERSION}})

    return well_known


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
