"""The engine: takes work out of the outbox and gives each API its turns.

One API after the other by name and version, different APIs side by side within the pool. Nothing is held here that a
crash could lose: the outbox says what is to be done, the records what is known. While the link is down, or with the
sync switched off, only departures are worked on: what was deleted here must not stay deployed there.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from gatewright.controlplane.apim import metrics
from gatewright.controlplane.apim.config import ApimConfig
from gatewright.controlplane.apim.gate import Gate
from gatewright.controlplane.apim.outcome import Outcome
from gatewright.controlplane.apim.tools import Item
from gatewright.controlplane.apim.turn import Turns
from gatewright.controlplane.apim.work import Work, departure
from gatewright.controlplane.journal import Entry, Journal
from gatewright.deployment import Deployments
from gatewright.deployment.apim_writes import DEPARTURES
from gatewright.deployment.ids import Clock
from gatewright.observability.logging import get_logger
from gatewright.store import StoreUnavailable
from gatewright.store.apim_records import Failure
from gatewright.store.rows import OutboxRow

FIRST_WAIT: Final = 4.0
LONGEST_WAIT: Final = 300.0
"""Bounds in seconds of the random wait after a failure that may pass."""

REOPEN_AFTER: Final = 30.0
"""Seconds between two connects that both make everything that waits due: a link that flaps must not hammer."""

_BUSY_WAIT: Final = 5.0
_PAUSE: Final = 30.0
_GATHER: Final = 0.02
_MEASURE_EVERY: Final = 5.0
_log = get_logger(__name__)


class Sync:
    """One gateway's engine. Runs from the first connect to an API Manager until `stop`."""

    def __init__(
        self,
        config: ApimConfig,
        deployments: Deployments,
        turns: Turns,
        *,
        journal: Journal,
        clock: Clock,
        random: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._config = config
        self._deployments = deployments
        self._records = deployments.apim
        self._turns = turns
        self._journal = journal
        self._clock = clock
        self._random = random
        self._now = now
        self._gate = Gate(config.pool, random)
        self._task: asyncio.Task[None] | None = None
        self._running: dict[asyncio.Task[None], Item] = {}
        self._ready: list[OutboxRow] = []
        self._failing: set[str] = set()
        self._wake = asyncio.Event()
        self._reopen = False
        self._ahead: dict[int, tuple[str, str]] = {}
        self._work = Work(deployments)
        self._connected = self._here = False
        self._opened_at: float | None = None
        self._measured_at = -_MEASURE_EVERY
        self._departing: dict[str, asyncio.Event] = {}

    @property
    def running(self) -> bool:
        """Whether the engine works at all."""
        return self._task is not None

    @property
    def out_of_order(self) -> bool:
        """Whether API Manager itself keeps failing, so that only single tries are made."""
        return self._gate.closed

    def connect(self) -> None:
        """The link to an API Manager is up."""
        self._here = self._connected = self._reopen = True
        self._ready.clear()
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="apim-sync")

    def disconnect(self, *, elsewhere: bool = False) -> None:
        """The link is down; what is under way goes on. `elsewhere`: it leads to no API Manager any more."""
        self._connected = False
        self._here = self._here and not elsewhere
        self._ready.clear()

    def hurry(self) -> None:
        """Somebody wants it now: what waits for its time is due, also shortly after a connect."""
        self._reopen, self._opened_at = True, None
        self._wake.set()

    async def stop(self) -> None:
        """End; what is under way is found again at the next start."""
        task, self._task = self._task, None
        under_way = [item.uuid for item in self._running.values()]
        tasks = [*self._running, *([task] if task is not None else [])]
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if under_way:
            with contextlib.suppress(StoreUnavailable):
                await self._records.release(under_way)

    async def departed(self, uuid: str, patience: float) -> None:
        """Returns when a deleted API has had its first turn, at the latest after `patience` seconds."""
        if self._task is None:
            return
        ended = self._departing.setdefault(uuid, asyncio.Event())
        try:
            async with asyncio.timeout(patience):
                waiting = await self._records.departures()
                if any(row.entity_id == uuid and row.attempts == 0 for row in waiting):
                    self._ready.clear()  # what was read ahead has time; somebody waits for this
                    self._wake.set()
                    await ended.wait()
        except (TimeoutError, StoreUnavailable):
            _log.warning("Bottom-up sync: the deletion reaches APIM later", uuid=uuid)
        finally:
            self._departing.pop(uuid, None)

    # -- the loop ------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._deployments.outbox_changed.clear()
            self._wake.clear()
            try:
                await self._reopen_if_due()
                await self._measure()
                patience = await self._start_what_may()
            except StoreUnavailable as problem:
                _log.error("what has to be sent cannot be read", error=str(problem))
                patience = _PAUSE
            except Exception as error:  # noqa: BLE001 - a fault about one API must not end the sync of all others
                _log.error("APIs could not be synced", exc_info=error)
                patience = _PAUSE
            await self._news(patience)

    async def _reopen_if_due(self) -> None:
        """After a connect everything that waits is due."""
        now = self._now()
        recent = self._opened_at is not None and now - self._opened_at < REOPEN_AFTER
        if not self._reopen or not self._connected or recent:
            return
        self._reopen, self._opened_at = False, now
        await self._records.open()
        self._ready.clear()
        waiting = len(await self._records.ready(self._config.queue, departures_only=not self._config.enabled))
        if waiting:
            _log.info("Bottom-up sync: starting", pending=waiting)
        else:
            _log.info("Bottom-up sync: no pending APIs to process")

    async def _measure(self) -> None:
        """Every few seconds: counting reads a whole table."""
        if self._here and self._now() >= self._measured_at + _MEASURE_EVERY:
            self._measured_at = self._now()
            counts = await self._records.counts()
            for status, state in (("pending", "pending"), ("success", "synced"), ("failed", "failed")):
                metrics.APIS.labels(state).set(counts.get(status, 0))
            metrics.OUT_OF_ORDER.set(self._gate.closed)

    async def _news(self, patience: float) -> None:
        """Until something was written or a turn has ended, at most `patience` seconds."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._wake, self._deployments.outbox_changed)]
        try:
            done, _ = await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if done:
            await asyncio.sleep(_GATHER)

    async def _start_what_may(self) -> float:
        """Start turns; returns for how many seconds there is nothing to start without news."""
        if not self._here:
            return _PAUSE
        now = self._now()
        slots = self._gate.slots(now, len(self._running))
        if slots <= 0:
            return min(_PAUSE, self._gate.wait(now) or _PAUSE)
        if not self._ready:
            await self._refill()
        for row in tuple(self._ready):
            if slots <= 0:
                break
            item = await self._work.item(row.id)
            if row not in self._ready:
                break  # what was read ahead is void: the link has changed, or what stood in the way has gone
            if item is not None and self._is_blocked(item):
                continue
            self._ready.remove(row)
            if item is not None:
                self._start(item)
                slots -= 1
        return await self._patience()

    async def _refill(self) -> None:
        """Read ahead. What is to be taken away for people who wait for it comes first."""
        departures_only = not (self._connected and self._config.enabled)
        rows = await self._records.ready(self._config.queue, departures_only=departures_only)
        under_way = {item.queued.id for item in self._running.values()}
        self._ready = sorted(
            (row for row in rows if row.id not in under_way), key=lambda row: (row.action not in DEPARTURES, row.id)
        )
        departures = await self._records.departures() if self._ready else []
        # One that has failed stands in nobody's way: it never takes away what a later import has deployed.
        self._ahead = {row.id: departure(row).key for row in departures if row.attempts == 0}

    def _is_blocked(self, item: Item) -> bool:
        """Whether another item about the same API comes first."""
        if any(other.uuid == item.uuid or other.key == item.key for other in self._running.values()):
            return True
        return any(key == item.key and row_id < item.queued.id for row_id, key in self._ahead.items())

    async def _patience(self) -> float:
        """Seconds until something becomes due; what is due already waits for the link or for a turn to end."""
        now, waits = self._now(), [_PAUSE]
        due = await self._records.next_due()
        if due is not None:
            waits.append(max(0.05, (due - self._clock()).total_seconds()))
        if self._reopen and self._connected and self._opened_at is not None:
            waits.append(max(0.1, REOPEN_AFTER - (now - self._opened_at)))
        return min(waits)

    # -- turns ---------------------------------------------------------------------------------------------------------

    def _start(self, item: Item) -> None:
        task = asyncio.create_task(self._turn(item), name=f"apim-sync {item.uuid}")
        self._running[task] = item
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        item = self._running.pop(task)
        if item.queued.action in DEPARTURES:
            # What it stood in the way of has to be looked at anew.
            self._ready.clear()
        waiter = self._departing.get(item.uuid)
        if waiter is not None:
            waiter.set()
        self._wake.set()

    async def _turn(self, item: Item) -> None:
        began = self._now()
        try:
            try:
                outcome = await self._turns.run(item)
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - a mistake about one API must be visible and not end the rest
                _log.error("Bottom-up sync: internal error", uuid=item.uuid, exc_info=error)
                outcome = Outcome(kind="failed", message=f"internal error: {type(error).__name__}")
            await self._settle(item, outcome)
        except StoreUnavailable as problem:
            _log.error("Bottom-up sync: the outcome cannot be recorded", uuid=item.uuid, error=str(problem))
            await asyncio.sleep(_BUSY_WAIT)
            return
        metrics.SYNCS.labels(outcome.kind).inc()
        metrics.SECONDS.observe(self._now() - began)
        if outcome.kind != "busy":
            entry = Entry(
                at=self._clock(), what="apim sync", outcome=outcome.kind, subject=item.uuid, detail=outcome.message
            )
            self._journal.add(entry)

    async def _settle(self, item: Item, outcome: Outcome) -> None:
        row = item.queued
        if outcome.kind == "busy":
            await self._records.postpone(row.id, self._clock() + timedelta(seconds=_BUSY_WAIT), outcome.message)
            return
        if outcome.kind != "failed":
            self._failing.discard(item.uuid)
            if outcome.kind != "nothing" and self._gate.succeeded():
                failing, self._failing = self._failing, set()
                await self._records.hasten(failing)
            return
        if outcome.outage:
            self._gate.failed(self._now(), outcome.retry_after)
        if outcome.temporary or outcome.outage:
            self._failing.add(item.uuid)
        wait = self._wait(row.attempts, outcome)
        later = None if wait is None else self._clock() + timedelta(seconds=wait)
        failure: Failure = "temporary" if outcome.temporary else "permanent"
        await self._records.failed(item.uuid, row.id, outcome.message, failure, later)

    def _wait(self, attempts: int, outcome: Outcome) -> float | None:
        """Seconds until the next turn after a failure; None: not before the API changes."""
        if outcome.hopeless:
            return None
        if not outcome.temporary:
            return self._config.retry_every * (0.9 + 0.1 * self._random())
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempts, 20))
        return max(1.0, longest * self._random(), outcome.retry_after)
