"""The link to the control plane as a whole: puts its parts together, runs what a connect sets off, tells how it is.

It never ends the process and never keeps it from starting: whatever the control plane does shows in the status.
"""

import asyncio
import contextlib
import random as randomness
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Protocol

from gatewright.artifacts.policies import PolicyCatalogue
from gatewright.controlplane import metrics
from gatewright.controlplane.acks import Acknowledger
from gatewright.controlplane.apim.bottom_up import BottomUp
from gatewright.controlplane.apim.config import apim_config
from gatewright.controlplane.config import LinkConfig, link_config
from gatewright.controlplane.connection import TOKEN_CHECK, Connection
from gatewright.controlplane.credentials import Credentials, TokenProvider
from gatewright.controlplane.dispatch import Dispatcher
from gatewright.controlplane.drift import DriftCheck, Impossible
from gatewright.controlplane.drift_report import plain as plain_drift
from gatewright.controlplane.echoes import Echoes
from gatewright.controlplane.handlers.contract import STORED_AT_ONCE, Tools
from gatewright.controlplane.handlers.later import Later
from gatewright.controlplane.handlers.registry import handlers
from gatewright.controlplane.journal import Entry, Journal
from gatewright.controlplane.link import Link, State
from gatewright.controlplane.platform_secrets import PlatformSecrets
from gatewright.controlplane.problems import Problem
from gatewright.controlplane.push.manifest import COMPATIBLE_VERSION, manifest, send_manifest
from gatewright.controlplane.push.pusher import Pusher
from gatewright.controlplane.queues import Backlog
from gatewright.controlplane.rest import Rest
from gatewright.controlplane.signals import Linked
from gatewright.controlplane.status import LastError, LinkStatus, plain
from gatewright.controlplane.sync.reconcile import Reconciler
from gatewright.controlplane.sync.report import Reconcile
from gatewright.controlplane.sync.steps import steps
from gatewright.controlplane.tombstones import Tombstones
from gatewright.controlplane.trust import Trust
from gatewright.deployment import Deployments
from gatewright.deployment.ids import Clock, utc_now
from gatewright.deployment.secrets import Secrets
from gatewright.observability.logging import get_logger
from gatewright.settings.tree import Settings
from gatewright.store import StoreUnavailable
from gatewright.store.rows import ArtifactRow

MEMORY_NAME: Final = "controlplane.discovered"
CONFIRM_AFTER: Final = 30.0
"""Seconds until deletions that were not believed are looked at again."""

MEND_AFTER: Final = 5.0
"""Seconds, at most, until a reconcile follows events that could not be carried out, or an incomplete reconcile; doubled
each time that it is incomplete again."""

_NOT_CONFIGURED: Final = "Set controller.controlplane.host and controller.controlplane.token to connect."
_log = get_logger(__name__)


class Memory(Protocol):
    """Keeps small values over restarts; `gatewright.store.Store` is one."""

    async def get_meta(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """The value, or None."""
        ...

    async def set_meta(self, name: str, value: object) -> None:
        """Keep it."""
        ...


class Unconnected(Exception):
    """A reconcile was asked for, but there is no connection; the text says why."""


class ControlPlane:
    """One gateway's link. `start` and `stop` once each, on one event loop."""

    def __init__(
        self,
        settings: Settings,
        deployments: Deployments,
        *,
        catalogue: PolicyCatalogue,
        memory: Memory | None = None,
        version: str = COMPATIBLE_VERSION,
        token: TokenProvider | None = None,
        secrets: Secrets | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
        clock: Clock = utc_now,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        """`version` is told to the control plane, which chooses the form of documents by it.

        `token` is asked before every attempt; by default the token of the settings. `secrets`: where those of
        the control plane are kept; without it none are asked for. `environment`: what documents may read of it.
        """
        self._config: LinkConfig = link_config(settings)
        self._deployments = deployments
        self._memory = memory
        self._clock = clock
        self._random = random
        self._manifest = manifest(catalogue, version)
        self._credentials = Credentials(token or (lambda: settings.controller.controlplane.token))
        self._token_may_come = token is not None
        self._token_wait: asyncio.Task[None] | None = None
        self._journal = Journal()
        self._rest = Rest(self._config.host, self._credentials)
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: set[asyncio.Task[None]] = set()
        self._state, self._since = State.DISCONNECTED, clock()
        self._link: Link | None = None
        self._connection: Connection | None = None
        self._linked: Linked | None = None
        self._connects = 0
        self._mode = "unknown"
        self._last_error: LastError | None = None
        self._next_attempt: datetime | None = None
        self._manifest_error = ""
        self._wanted = asyncio.Event()
        self._wanted_by = ""
        self._soon: asyncio.TimerHandle | None = None
        self._acks = Acknowledger(deployments, self._send, clock=clock, journal=self._journal)
        self._secrets = PlatformSecrets(self._rest, secrets, _now)
        self._later = Later()
        self._echoes = Echoes(timedelta(seconds=self._config.echo_window))
        tools = Tools(
            deployments,
            self._rest,
            self._acks,
            Tombstones(_now),
            self._secrets,
            self._later,
            self._echoes,
            asyncio.Semaphore(STORED_AT_ONCE),
            _now,
        )
        self._dispatcher = Dispatcher(
            handlers(tools),
            self._rest,
            backlog=Backlog(batch_size=self._config.batch_size),
            journal=self._journal,
            clock=clock,
            on_overflow=lambda: self._want("overflow"),
            on_missed=self._want_soon,
        )
        self._reconciler = Reconciler(
            steps(tools, self._config, clock), clock=clock, now=_now, on_prem=lambda: self._on_prem
        )
        self._pusher = Pusher(
            deployments,
            self._rest,
            clock=clock,
            journal=self._journal,
            pool=self._config.push_pool,
            queue=self._config.push_queue,
        )
        self._bottom_up = BottomUp(
            apim_config(settings),
            deployments,
            self._rest,
            Trust(self._config),
            echoes=self._echoes,
            environment=environment,
            found_again=self._want_soon,
            journal=self._journal,
            clock=clock,
            random=random,
            now=_now,
        )
        self._drift = DriftCheck(
            deployments,
            self._rest,
            self._config,
            clock=clock,
            on_prem=lambda: self._on_prem,
            secrets=secrets,
            versions=self._secrets.versions,
        )

    @property
    def configured(self) -> bool:
        """Whether there is a control plane to connect to."""
        return bool(self._config.host)

    @property
    def _on_prem(self) -> bool:
        return self._link is not None and bool(self._link.path)

    async def start(self) -> None:
        """Begin to connect; returns at once, whether or not anybody answers."""
        if not self.configured:
            _log.info("no control plane is configured", advice=_NOT_CONFIGURED)
            return
        await self._credentials.read()
        if self._credentials.token:
            await self._connect()
            return
        _log.warning("there is no registration token: the gateway does not connect", advice=_NOT_CONFIGURED)
        if self._token_may_come:
            self._token_wait = asyncio.create_task(self._when_there_is_a_token(), name="token")

    async def _when_there_is_a_token(self) -> None:
        while not self._credentials.token:
            await asyncio.sleep(TOKEN_CHECK)
            await self._credentials.read()
        await self._connect()

    async def _connect(self) -> None:
        if not self._config.verify:
            _log.warning(
                "the control plane's certificate is NOT verified: anybody on the way can read the token",
                advice="Remove controller.controlplane.insecure_skip_verify and set gatewright.controlplane.ca_file.",
            )
        self._link = Link(
            initial=self._config.reconnect_initial,
            maximum=self._config.reconnect_max,
            random=self._random,
            remembered=await self._remembered(),
        )
        self._connection = Connection(
            self._config.host,
            self._link,
            rest=self._rest,
            trust=Trust(self._config),
            credentials=self._credentials,
            observer=self,
            remember=self._remember,
        )
        self._connection.start()

    async def stop(self) -> None:
        """Say goodbye and end everything; what is unfinished is found again by the next reconcile."""
        if self._soon is not None:
            self._soon.cancel()
        if self._token_wait is not None:
            self._token_wait.cancel()
            await asyncio.gather(self._token_wait, return_exceptions=True)
        self._end_session()
        await self._pusher.stop()
        await self._bottom_up.stop()
        await self._dispatcher.stop()
        await self._later.stop()
        await self._secrets.stop()
        await self._acks.stop()
        await self._reconciler.stop()
        if self._connection is not None:
            await self._connection.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._rest.close()

    async def reconcile(self) -> Reconcile:
        """Reconcile now. Raises Unconnected."""
        if self._linked is None:
            raise Unconnected(self._why_unconnected())
        self._pusher.hurry()
        self._bottom_up.hurry()
        return await self._reconciler.run("request")

    async def sync(self) -> Mapping[str, Any]:
        """Reconcile now, as plain data; `error` says why that is impossible."""
        try:
            report = await self.reconcile()
        except Unconnected as problem:
            return {"error": str(problem)}
        counts: dict[str, Any] = dict(report.counts)
        return {**counts, "problems": list(report.errors)} if report.errors else counts

    async def drift(self, names: Iterable[str] = ()) -> Mapping[str, Any]:
        """Compare what the control plane wants with what is stored and served; `error` says why that is impossible."""
        if self._linked is None:
            return {"error": self._why_unconnected()}
        try:
            return plain_drift(await self._drift.run(names))
        except Impossible as problem:
            return {"error": str(problem)}

    async def plan(self, names: Iterable[str]) -> Mapping[str, Any]:
        """What a sync to an API Manager would do about these APIs; `error` says why that cannot be told."""
        return await self._bottom_up.plan(names)

    @property
    def bottom_up(self) -> BottomUp:
        """The direction to API Manager."""
        return self._bottom_up

    def status(self) -> LinkStatus:
        """How the link is."""
        link, linked = self._link, self._linked
        report = self._reconciler.last
        reported = link is not None
        error = self._last_error
        end = self._connection.certificate_end if self._connection else None
        return LinkStatus(
            configured=self.configured,
            state=self._state.value,
            since=self._since,
            host=self._config.host,
            mode="on_prem" if self._on_prem else self._mode,
            gateway_id=linked.gateway_id if linked else "",
            connection_id=linked.connection_id if linked else "",
            attempts=link.attempt if link is not None else 0,
            reconnects=max(0, self._connects - 1),
            next_attempt_at=self._next_attempt if link is not None and link.waiting else None,
            verified=self._config.verify,
            certificate_expires_at=end,
            certificate_days_left=None if end is None else (end - self._clock()).days,
            last_error=error,
            advice=(error.advice if error and linked is None else "") if reported else _NOT_CONFIGURED,
            manifest_error=self._manifest_error,
            last_reconcile=report,
            deletions_withheld=report.withheld if report else 0,
            waiting=self._dispatcher.waiting,
            acks_owed=self._acks.owed,
            pushes_pending=self._pusher.pending,
            events=self._journal.entries(),
        )

    def describe(self) -> Mapping[str, Any]:
        """The status, ready for JSON."""
        return plain(self.status())

    async def api_manager(self, rows: Iterable[ArtifactRow]) -> Mapping[str, Any]:
        """How far these artifacts are on their way to an API Manager, and what hinders them."""
        return await self._bottom_up.overview(rows)

    # -- what the connection tells -------------------------------------------------------------------------------------

    def on_linked(self, linked: Linked) -> None:
        """Everything that a connect sets off, side by side; none of it delays the reader."""
        self._linked = linked
        self._echoes.connected(linked.gateway_id if linked.path else "")
        self._connects += 1
        if self._connects > 1:
            metrics.RECONNECTIONS.inc()
        self._mode = mode = "on_prem" if linked.path else "cloud"
        self._journal.add(Entry(at=self._clock(), what="link", outcome="connected", subject=linked.connection_id))
        _log.info("connected to the control plane", host=self._config.host, mode=mode, gateway_id=linked.gateway_id)
        end = self._connection.certificate_end if self._connection else None
        if end is not None:
            metrics.CERTIFICATE_END.set(end.timestamp())
        self._acks.resend()
        self._in_session(self._reconciling())
        if linked.path:
            self._bottom_up.connect(linked.gateway_id)
        else:
            self._bottom_up.not_offered()
            self._in_session(self._tell_manifest(linked))
            if self._config.push:
                self._pusher.open()

    def on_unlinked(self) -> None:
        """What needs the connection ends; queues, acknowledgements and their outcomes stay."""
        self._linked = None
        self._end_session()
        self._acks.lost()
        self._pusher.close()
        self._bottom_up.disconnect()

    def on_event(self, text: str) -> None:
        """Into the queues."""
        self._dispatcher.submit(text)

    def on_failed(self, problem: Problem, delay: float) -> None:
        """Show and log it."""
        now = self._clock()
        self._last_error = LastError(problem.code, problem.message, problem.advice, now)
        self._next_attempt = now + timedelta(seconds=delay)
        metrics.FAILURES.labels(problem.code).inc()
        outcome = "refused" if problem.refusal else "failed"
        self._journal.add(Entry(at=now, what="link", outcome=outcome, detail=f"{problem.code}: {problem.message}"))
        log = _log.error if problem.refusal else _log.warning
        log(
            "no connection to the control plane",
            code=problem.code,
            why=problem.message,
            advice=problem.advice,
            next_attempt_in_s=round(delay, 2),
        )

    def on_state(self, state: State) -> None:
        """Note since when."""
        self._state, self._since = state, self._clock()
        for each in State:
            metrics.STATE.labels(each.value).set(each is state)

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _send(self, text: str) -> bool:
        return self._connection is not None and await self._connection.send(text)

    async def _reconciling(self) -> None:
        """At once, at every interval, and whenever somebody wants it."""
        trigger, incomplete = "connect", 0
        while True:
            self._wanted.clear()
            report = await self._reconciler.run(trigger)
            incomplete = incomplete + 1 if report.errors else 0
            # A little spread, so that a fleet that connected together does not ask together for ever.
            wait = self._config.polling_interval * (0.9 + 0.1 * self._random())
            trigger = "interval"
            if report.withheld:
                wait, trigger = min(wait, CONFIRM_AFTER), "confirmation"
            if incomplete and (again := MEND_AFTER * 2.0 ** min(incomplete - 1, 20)) < wait:
                wait, trigger = again * (0.5 + 0.5 * self._random()), "retry"
            try:
                async with asyncio.timeout(wait):
                    await self._wanted.wait()
                trigger = self._wanted_by
            except TimeoutError:
                pass

    def _want(self, by: str) -> None:
        self._wanted_by = by
        self._wanted.set()

    def _want_soon(self) -> None:
        """Not at once: what went wrong may go wrong for many events, and for a while."""
        if self._soon is None:
            wait = MEND_AFTER * (0.5 + 0.5 * self._random())
            self._soon = asyncio.get_running_loop().call_later(wait, self._mend)

    def _mend(self) -> None:
        self._soon = None
        self._want("missed")

    async def _tell_manifest(self, linked: Linked) -> None:
        failure = await send_manifest(self._rest, linked.gateway_id, self._manifest)
        self._manifest_error = str(failure) if failure is not None else ""
        outcome = "failed" if failure is not None else "success"
        entry = Entry(at=self._clock(), what="manifest", outcome=outcome, detail=self._manifest_error)
        self._journal.add(entry)

    def _in_session(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._session.add(task)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._session.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a task of the link ended", exc_info=task.exception())

    def _end_session(self) -> None:
        for task in list(self._session):
            task.cancel()
        self._session.clear()

    async def _remembered(self) -> str:
        """The path discovered at this host in an earlier run."""
        kept = None
        if self._memory is not None:
            with contextlib.suppress(StoreUnavailable):
                kept = await self._memory.get_meta(MEMORY_NAME)
        if isinstance(kept, dict) and kept.get("host") == self._config.host and isinstance(kept.get("path"), str):
            return str(kept["path"])
        return ""

    async def _remember(self, path: str) -> None:
        if self._memory is not None:
            await self._memory.set_meta(MEMORY_NAME, {"host": self._config.host, "path": path})

    def _why_unconnected(self) -> str:
        if not self.configured or self._link is None:
            return f"No control plane is configured. {_NOT_CONFIGURED}"
        error = self._last_error
        why = f": {error.message}. {error.advice}" if error else ""
        return f"The link to {self._config.host} is {self._state.value}{why}".rstrip()


def _now() -> float:
    return asyncio.get_running_loop().time()
