"""The router of a process: its Envoy, fed by the controller in this process or by one elsewhere, and its engine."""

from collections.abc import Callable
from pathlib import Path

from gatewright.engine.feed import Feed
from gatewright.engine.server import Engine
from gatewright.observability.logging import get_logger
from gatewright.process.router_ports import RouterPorts
from gatewright.router.owned_directory import OwnedDirectory
from gatewright.router.router import Router, RouterConfig, Source
from gatewright.settings.tree import Settings
from gatewright.xds.controller_link import ControllerLink
from gatewright.xds.tls import ClientTls

FIRST_READY_S = 30.0
"""How long the start waits for Envoy before it says that clients are not served yet. It goes on in either case."""
_log = get_logger(__name__)


def state_dir(settings: Settings) -> Path:
    """Where the router keeps its snapshot."""
    own = settings.gatewright
    return Path(own.snapshot_dir or Path(own.data_dir) / "snapshots")


def remote_source(settings: Settings) -> ControllerLink:
    """The controllers elsewhere."""
    remote = settings.gatewright.remote_controller
    port = remote.xds_port or settings.controller.server.xds_port
    addresses = [address.strip() for address in remote.addresses if address.strip()] or [remote.host]
    tls = settings.policy_engine.xds.tls
    return ControllerLink(
        [_with_port(address, port) for address in addresses],
        tls=ClientTls(Path(tls.cert_path), Path(tls.key_path), Path(tls.ca_path), remote.server_name)
        if tls.enabled
        else None,
    )


def _with_port(address: str, port: int) -> str:
    """`host`, `host:port`, `[IPv6]` or `[IPv6]:port` with a port."""
    host, colon, given = address.rpartition(":")
    if colon and given.isdigit() and (":" not in host or host.endswith("]")):
        return address
    return f"[{address}]:{port}" if ":" in address and not address.startswith("[") else f"{address}:{port}"


class RouterPart:
    """Starts the router of a process. `source` is asked at the start, when the controller's part is there."""

    def __init__(self, settings: Settings, source: Callable[[], Source]) -> None:
        self._settings = settings
        self._source = source
        self.router: Router | None = None
        self._sockets: OwnedDirectory | None = None
        self._engine: Engine | None = None
        self._ports: RouterPorts | None = None
        self._feed: Feed | None = None

    async def start(self) -> None:
        """Raises RouterError, CannotBind; what was started is stopped again then."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self._sockets = OwnedDirectory()
        socket = self._sockets.path / "engine.sock"
        self._engine = Engine(socket, api_key_issuer=self._settings.api_key.issuer)
        await self._engine.start()
        self._ports = RouterPorts(self._settings, lambda: self.router)
        await self._ports.start()
        self.router = Router(_config(self._settings, socket), self._source())
        await self.router.start()
        if self.router.snapshot is not None:
            self._feed = Feed(self.router.snapshot, self._engine.credentials)
        if not await self.router.wait_ready(FIRST_READY_S):
            _log.warning("the router does not serve yet", reason=self.router.status().reason)

    async def stop(self) -> None:
        """Drain and stop Envoy, then the engine that it asks."""
        if self._feed is not None:
            self._feed.close()
        if self.router is not None:
            await self.router.stop()
        if self._engine is not None:
            await self._engine.stop()
        if self._ports is not None:
            await self._ports.stop()
        if self._sockets is not None:
            self._sockets.close()


def _config(settings: Settings, engine_socket: Path) -> RouterConfig:
    envoy, router, address = settings.gatewright.envoy, settings.router, settings.gatewright.bind.router
    listeners = [(address, router.listener_port)]
    if router.https_enabled:
        listeners.append((address, router.https_port))
    return RouterConfig(
        state_dir=state_dir(settings),
        engine_socket=engine_socket,
        binary=envoy.binary,
        concurrency=envoy.concurrency,
        log_level=envoy.log_level,
        drain_time_s=envoy.drain_time_seconds,
        restart_backoff_max_s=envoy.restart_backoff_max.total_seconds(),
        re2_max_program_size=envoy.re2_max_program_size,
        admin_tcp=(envoy.admin_host, envoy.admin_port) if envoy.admin_enabled else None,
        listeners=tuple(listeners),
    )
