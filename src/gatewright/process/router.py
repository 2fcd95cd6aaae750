"""The router of a process: its Envoy, fed by the controller in this process or by one elsewhere, and its engine."""

from collections.abc import Callable
from pathlib import Path

from gatewright.router.router import Router, RouterConfig, Source
from gatewright.settings.tree import Settings
from gatewright.xds.controller_link import ControllerLink


def state_dir(settings: Settings) -> Path:
    """Where the router keeps its snapshot."""
    own = settings.gatewright
    return Path(own.snapshot_dir or Path(own.data_dir) / "snapshots")


def remote_source(settings: Settings) -> ControllerLink:
    """The controller elsewhere."""
    remote = settings.gatewright.remote_controller
    port = remote.xds_port or settings.controller.server.xds_port
    return ControllerLink(f"{remote.host}:{port}")


class RouterPart:
    """Starts the router of a process. `source` is asked at the start, when the controller's part is there."""

    def __init__(self, settings: Settings, source: Callable[[], Source]) -> None:
        self._settings = settings
        self._source = source
        self.router: Router | None = None

    async def start(self) -> None:
        """Raises RouterError."""
        router = Router(_config(self._settings), self._source())
        await router.start()
        self.router = router

    async def stop(self) -> None:
        """Drain and stop Envoy."""
        if self.router is not None:
            await self.router.stop()


def _config(settings: Settings) -> RouterConfig:
    envoy, router, address = settings.gatewright.envoy, settings.router, settings.gatewright.bind.router
    listeners = [(address, router.listener_port)]
    if router.https_enabled:
        listeners.append((address, router.https_port))
    return RouterConfig(
        state_dir=state_dir(settings),
        binary=envoy.binary,
        concurrency=envoy.concurrency,
        log_level=envoy.log_level,
        drain_time_s=envoy.drain_time_seconds,
        restart_backoff_max_s=envoy.restart_backoff_max.total_seconds(),
        re2_max_program_size=envoy.re2_max_program_size,
        admin_tcp=(envoy.admin_host, envoy.admin_port) if envoy.admin_enabled else None,
        listeners=tuple(listeners),
    )
