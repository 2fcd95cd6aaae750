"""A whole router: the relay with its snapshot on disk, and a supervised Envoy fed by it.

Ready means that clients are served: Envoy runs, its listeners are open, and it has what the relay has. Later changes do
not take that back; an Envoy that ends does.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import BinaryIO, Final, Literal, Protocol, TypeAlias

import msgspec

from gatewright.envoy.resource import CLUSTER, LISTENER
from gatewright.observability.logging import get_logger
from gatewright.router import bootstrap
from gatewright.router.admin import AdminUnavailable, EnvoyAdmin
from gatewright.router.binary import EnvoyBinary, check, locate
from gatewright.router.bootstrap import Bootstrap
from gatewright.router.output import LOG_FORMAT, Problem, problem_in
from gatewright.router.state_directory import StateDirectory, check_port
from gatewright.router.supervisor import Supervisor
from gatewright.xds.disk import LastGood
from gatewright.xds.keys import WILDCARD_TYPES, ResourceKey, key_of
from gatewright.xds.limits import Limits
from gatewright.xds.outcomes import Accepted, Node, Outcome, Refused
from gatewright.xds.relay import Relay
from gatewright.xds.snapshot import Snapshot

LIVE_POLL_S: Final = 0.02
DRAIN_POLL_S: Final = 0.1
LAST_REQUESTS_S: Final = 0.5
CRASHES: Final = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE})
"""Ends that a resource can be the cause of. Out of memory (SIGKILL) is none of them."""

ACCESS_LOG_FLUSH_MS: Final = 1000

Reason: TypeAlias = Literal["ready", "stopped", "starting", "restarting", "no_configuration", "listener_refused"]

_log = get_logger(__name__)


class Source(Protocol):
    """Where the configuration comes from: `xds.local_source` or `xds.controller_link`."""

    @property
    def connected(self) -> bool:
        """Whether the router is in step with its controller."""
        ...

    @property
    def last_error(self) -> str | None:
        """Why not."""
        ...

    def start(self, relay: Relay, node: Node) -> None:
        """Begin to feed the relay."""

    async def stop(self) -> None:
        """End."""


class RouterConfig(msgspec.Struct, frozen=True):
    """Times in seconds.

    `node_id` empty: one made at the first start and kept. `binary` empty: the installed package's. `concurrency` 0: one
    worker for each core. `admin_tcp`: host and port of Envoy's admin interface, otherwise on a private socket only.
    `listeners`: addresses and ports that must be free before Envoy is started. `engine_socket`: where the policy engine
    listens.
    """

    state_dir: Path
    node_id: str = ""
    binary: str = ""
    concurrency: int = 0
    log_level: str = "info"
    drain_time_s: float = 15.0
    restart_backoff_max_s: float = 30.0
    re2_max_program_size: int = 400
    max_connections: int = 100_000
    admin_tcp: tuple[str, int] | None = None
    engine_socket: Path | None = None
    listeners: tuple[tuple[str, int], ...] = ()


class RouterStatus(msgspec.Struct, frozen=True):
    """A router for people and for readiness probes."""

    router: str
    ready: bool
    reason: Reason
    problem: Problem | None
    envoy_version: str
    envoy_pid: int | None
    envoy_restarts: int
    envoy_last_exit: str | None
    controller_connected: bool
    controller_error: str | None
    resources: int
    refused: tuple[Refused, ...]
    snapshot_error: str | None


class Router:
    """Start it in the thread that lives as long as Envoy should: Envoy dies with that thread."""

    def __init__(
        self,
        config: RouterConfig,
        source: Source,
        *,
        limits: Limits | None = None,
        access_log: BinaryIO | None = None,
    ) -> None:
        self._config = config
        self._source = source
        self._limits = limits
        self._access_log = access_log
        self._state: StateDirectory | None = None
        self._binary: EnvoyBinary | None = None
        self._relay: Relay | None = None
        self._last_good: LastGood | None = None
        self._admin: EnvoyAdmin | None = None
        self._supervisor: Supervisor | None = None
        self._ready = asyncio.Event()
        self._waiting_for_live: asyncio.Task[None] | None = None
        self._listener_problems: dict[ResourceKey, Problem] = {}
        self.id = ""

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start everything; returns before Envoy is ready. RouterError: something is in the way, and nothing runs."""
        config = self._config
        self._binary = await check(locate(config.binary))
        for address, port in config.listeners:
            if port:
                check_port(address, port)
        self._state = StateDirectory(config.state_dir)
        try:
            await self._start(self._state, self._binary)
        except BaseException:
            await self.stop()
            raise

    async def _start(self, state: StateDirectory, binary: EnvoyBinary) -> None:
        config = self._config
        self.id = state.identity(config.node_id)
        start = Bootstrap(
            node_id=self.id,
            xds_socket=state.run / "xds.sock",
            admin_socket=state.run / "admin.sock",
            admin_tcp=config.admin_tcp,
            engine_socket=config.engine_socket,
            re2_max_program_size=config.re2_max_program_size,
            max_connections=config.max_connections,
        )
        file = state.run / "envoy.json"
        bootstrap.write(start, file)
        self._admin = EnvoyAdmin(socket=None if config.admin_tcp else start.admin_socket, tcp=config.admin_tcp)
        self._last_good = LastGood(state.snapshot)
        self._relay = Relay(self._last_good, limits=self._limits, probe=self._admin.clusters)
        self._relay.on_outcomes = self._on_outcomes
        await self._relay.start(start.xds_socket)
        build = ".".join(map(str, binary.version))
        self._source.start(self._relay, Node(id=self.id, cluster=bootstrap.NODE_CLUSTER, relay=True, build=build))
        self._supervisor = Supervisor(
            command(binary, file, config), longest_delay_s=config.restart_backoff_max_s, access_log=self._access_log
        )
        self._supervisor.on_change(self._on_envoy)
        self._supervisor.start()

    async def stop(self) -> None:
        """Let open requests finish within the drain time, then end everything. Safe to call again."""
        if self._waiting_for_live is not None:
            self._waiting_for_live.cancel()
        # From here on a probe must see that clients should go elsewhere.
        was_ready = self.ready
        self._ready.clear()
        async with AsyncExitStack() as last_first:  # every step is taken, whatever the others do
            if self._state is not None:
                last_first.callback(self._state.close)
                self._state = None
            if self._admin is not None:
                last_first.push_async_callback(self._admin.close)
            if self._relay is not None:
                last_first.push_async_callback(self._relay.stop)
            last_first.push_async_callback(self._source.stop)
            if self._supervisor is not None:
                last_first.push_async_callback(self._supervisor.stop, self._drain if was_ready else None)

    # -- questions -------------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether clients are served."""
        return self._ready.is_set()

    async def wait_ready(self, timeout: float) -> bool:  # noqa: ASYNC109 - the caller's deadline, in seconds
        """Wait until ready; False when that took longer. `status` says what is missing."""
        try:
            async with asyncio.timeout(timeout):
                await self._ready.wait()
        except TimeoutError:
            return False
        return True

    def status(self) -> RouterStatus:
        """Everything known about this router."""
        supervisor, relay, binary = self._supervisor, self._relay, self._binary
        last_exit = supervisor.last_exit if supervisor is not None else None
        return RouterStatus(
            router=self.id,
            ready=self.ready,
            reason=self._reason(),
            problem=self.problem,
            envoy_version=".".join(map(str, binary.version)) if binary is not None else "",
            envoy_pid=supervisor.pid if supervisor is not None else None,
            envoy_restarts=supervisor.restarts if supervisor is not None else 0,
            envoy_last_exit=last_exit.reason if last_exit is not None else None,
            controller_connected=self._source.connected,
            controller_error=self._source.last_error,
            resources=len(relay.snapshot) if relay is not None else 0,
            refused=tuple(relay.refusals()) if relay is not None else (),
            snapshot_error=self._last_good.last_error if self._last_good is not None else None,
        )

    @property
    def problem(self) -> Problem | None:
        """A known reason why clients are not (all) served, with what to do."""
        if self._listener_problems:
            return next(iter(self._listener_problems.values()))
        return self._supervisor.problem if self._supervisor is not None else None

    @property
    def snapshot(self) -> Snapshot | None:
        """What this router has, once it is started; the policy engine reads along."""
        return self._relay.snapshot if self._relay is not None else None

    @property
    def admin(self) -> EnvoyAdmin | None:
        """Envoy's admin interface, for dumps and statistics."""
        return self._admin

    def _reason(self) -> Reason:
        supervisor = self._supervisor
        if self.ready:
            return "ready"
        if supervisor is None or supervisor.state in {"stopped", "stopping"}:
            return "stopped"
        if self._listener_problems:
            return "listener_refused"
        if supervisor.state == "waiting" or supervisor.restarts:
            return "restarting"
        loaded = self._relay is not None and self._relay.snapshot.loaded
        return "starting" if loaded else "no_configuration"

    # -- readiness -------------------------------------------------------------------------------------------------

    def _on_envoy(self) -> None:
        if self._supervisor is not None and self._supervisor.state != "running":
            self._ready.clear()
            self._listener_problems.clear()
            if self._waiting_for_live is not None:
                self._waiting_for_live.cancel()
                self._waiting_for_live = None
            self._tell_of_crash(self._supervisor)

    def _tell_of_crash(self, supervisor: Supervisor) -> None:
        ended = supervisor.last_exit
        crashed = supervisor.state == "waiting" and ended is not None and -ended.status in CRASHES
        if crashed and ended is not None and self._relay is not None:
            self._relay.envoy_crashed(ended.reason)

    def _on_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.key[0] == LISTENER:
                self._on_listener(outcome)
        if not self.ready and self._waiting_for_live is None and self._caught_up():
            self._waiting_for_live = asyncio.create_task(self._wait_for_live())

    def _on_listener(self, outcome: Outcome) -> None:
        if isinstance(outcome, Accepted):
            self._listener_problems.pop(outcome.key, None)
            return
        problem = problem_in(outcome.reason) or Problem("LISTENER_REFUSED", outcome.reason)
        if self._listener_problems.get(outcome.key) != problem:
            self._listener_problems[outcome.key] = problem
            _log.error("a listener cannot be opened", listener=outcome.key[1], code=problem.code, why=problem.message)

    def _caught_up(self) -> bool:
        """Whether Envoy has taken everything that the relay offers: listeners among it, clusters aside."""
        relay = self._relay
        if relay is None or not relay.snapshot.of_type(LISTENER):
            return False
        return all(
            relay.accepted_version(key_of(resource)) == resource.version
            for type_url in WILDCARD_TYPES - {CLUSTER}
            for resource in relay.snapshot.of_type(type_url).values()
        )

    async def _wait_for_live(self) -> None:
        """Listeners may still wait for their routes: Envoy itself knows when it takes traffic."""
        while True:
            if self._admin is not None and await self._admin.live():
                break
            await asyncio.sleep(LIVE_POLL_S)
        self._waiting_for_live = None
        self._ready.set()
        _log.info("the router serves", router=self.id)

    # -- draining --------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Clients are told to go elsewhere, open requests finish; bounded by the drain time."""
        admin, seconds = self._admin, self._config.drain_time_s
        if admin is None or seconds <= 0:
            return
        try:
            await admin.drain_gracefully()
            await _until_idle(admin, seconds)
            await admin.close_listeners()
            await _until_idle(admin, min(seconds, LAST_REQUESTS_S))
        except AdminUnavailable as error:
            _log.warning("Envoy does not answer while it is drained", why=str(error))


async def _until_idle(admin: EnvoyAdmin, seconds: float) -> None:
    """Until two looks in a row see no open request, at most `seconds`."""
    quiet = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while quiet < 2:
                quiet = quiet + 1 if not await admin.active_requests() else 0
                await asyncio.sleep(DRAIN_POLL_S)


def command(binary: EnvoyBinary, start: Path, config: RouterConfig) -> list[str]:
    """Envoy's command line."""
    return [
        str(binary.path),
        "--config-path", str(start),
        "--concurrency", str(config.concurrency or len(os.sched_getaffinity(0))),
        "--disable-hot-restart",
        "--log-level", config.log_level,
        *_quieter(config.log_level),
        "--log-format", LOG_FORMAT,
        "--drain-time-s", str(max(1, round(config.drain_time_s))),
        "--drain-strategy", "immediate",
        "--file-flush-interval-msec", str(ACCESS_LOG_FLUSH_MS),
    ]  # fmt: skip


def _quieter(log_level: str) -> list[str]:
    """At info Envoy lists its extensions at each start, and says two lines for each change of a cluster."""
    if log_level != "info":
        return []
    return ["--component-log-level", "main:warning,upstream:warning,runtime:warning"]
