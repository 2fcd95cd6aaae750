"""From the socket's text to the handlers: decode, queue, run with bounds. Never blocks the reader.

Irregular input is survived and never quoted (reference 2.3). When the queue is full nothing is lost: events are dropped
and a reconcile is asked for, which brings the same state; so is one after events that could not be carried out as they
came.
"""

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from gatewright.controlplane import metrics
from gatewright.controlplane.events import Event
from gatewright.controlplane.handlers.contract import Handler, Outcome
from gatewright.controlplane.journal import Entry, Journal
from gatewright.controlplane.queues import Backlog, Job
from gatewright.controlplane.rest import CallFailed, Rest
from gatewright.deployment.ids import Clock
from gatewright.observability import tracing
from gatewright.observability.logging import correlation, get_logger
from gatewright.wire.acks import CONNECTION_ACK
from gatewright.wire.envelope import Envelope, decode_envelope
from gatewright.wire.events import EVENT_TYPES, DeploymentEvent, decode_payload
from gatewright.wire.failures import Undecodable, WireFault

WORKERS: Final = 8
URGENT_WORKERS: Final = 32
"""Each waits for the disk only, and all that wait together share one commit; others must find room in it."""

_FALLBACK_WORKERS: Final = 8
_LONGEST_TYPE: Final = 60
_MENDED: Final = frozenset({"failed", "mismatch"})
"""Outcomes after which the gateway is not as the control plane wants it, and the next reconcile may mend that."""

_log = get_logger(__name__)


class Dispatcher:
    """Takes events, runs handlers. Belongs to one event loop."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        rest: Rest,
        *,
        backlog: Backlog,
        journal: Journal,
        clock: Clock,
        on_overflow: Callable[[], None],
        on_missed: Callable[[], None] = lambda: None,
        workers: int = WORKERS,
    ) -> None:
        self._handlers = handlers
        self._rest = rest
        self._backlog = backlog
        self._journal = journal
        self._clock = clock
        self._on_overflow = on_overflow
        self._on_missed = on_missed
        self._workers = workers
        self._running = 0
        self._urgent_running = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._overflowing = False
        self._stopped = False

    @property
    def waiting(self) -> int:
        """Events in the queues."""
        return len(self._backlog)

    @property
    def busy(self) -> int:
        """Events that wait or are being handled."""
        return len(self._backlog) + len(self._tasks)

    def submit(self, text: str) -> None:
        """Take one text message."""
        if self._stopped:
            return
        envelope = decode_envelope(text)
        if isinstance(envelope, Undecodable):
            self._irregular("other", envelope, len(text))
        elif envelope.type != CONNECTION_ACK:
            self._accept(envelope, len(text))

    def _accept(self, envelope: Envelope, size: int) -> None:
        payload = decode_payload(envelope)
        handler = self._handlers.get(envelope.type)
        if isinstance(payload, Undecodable):
            self._irregular(envelope.type, payload, size)
            return
        if handler is None:
            self._unhandled(envelope)
            return
        event = Event(
            type=envelope.type,
            payload=payload,
            correlation_id=envelope.correlation_id or str(uuid.uuid4()),
            user_id=envelope.user_id,
            received=asyncio.get_running_loop().time(),
            traced=tracing.now(),
        )
        tracing.begin(event.correlation_id, event.type, event.traced, artifact=_subject(event))
        if self._backlog.put(event, handler.route(event)):
            self._pump()
        else:
            self._overflow(event)

    async def stop(self) -> None:
        """End everything that is under way; what waits is left to the next reconcile."""
        self._stopped = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- running -------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        while not self._stopped and self._urgent_running < URGENT_WORKERS:
            job = self._backlog.take_urgent()
            if job is None:
                break
            self._urgent_running += 1
            self._spawn(self._urgent(job))
        while not self._stopped and self._running < self._workers:
            jobs = self._backlog.take()
            if not jobs:
                break
            self._running += 1
            self._spawn(self._ordered(jobs))
        metrics.WAITING.set(len(self._backlog))
        if self._overflowing and not self._backlog:
            self._overflowing = False
            self._on_overflow()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._pump()

    async def _urgent(self, job: Job) -> None:
        try:
            await self._run(job)
        finally:
            self._urgent_running -= 1

    async def _ordered(self, jobs: tuple[Job, ...]) -> None:
        try:
            documents = await self._fetch(jobs) if len(jobs) > 1 else {}
            gate = asyncio.Semaphore(len(jobs) if documents else _FALLBACK_WORKERS)
            await asyncio.gather(*(self._gated(job, documents, gate) for job in jobs))
        finally:
            self._running -= 1

    async def _gated(self, job: Job, documents: Mapping[str, bytes], gate: asyncio.Semaphore) -> None:
        payload = job.event.payload
        document = documents.get(payload.deployment_id) if isinstance(payload, DeploymentEvent) else None
        async with gate:
            await self._run(job, document)

    async def _fetch(self, jobs: tuple[Job, ...]) -> Mapping[str, bytes]:
        """Documents by deployment id in one download; what is missing is fetched one by one."""
        ids = [job.event.payload.deployment_id for job in jobs if isinstance(job.event.payload, DeploymentEvent)]
        started = tracing.now()
        batch = await self._rest.fetch_batch(ids)
        for job in jobs:
            error = batch.code if isinstance(batch, CallFailed) else ""
            tracing.record(job.event.correlation_id, "fetch", started, error=error, batch=len(ids))
        if isinstance(batch, CallFailed):
            _log.info("a batch could not be fetched; its definitions are fetched one by one", error=str(batch))
            return {}
        return batch.documents

    async def _run(self, job: Job, document: bytes | None = None) -> None:
        event = job.event
        handler = self._handlers[event.type]
        try:
            with correlation(event.correlation_id):
                # What waited behind others waited here.
                tracing.record(event.correlation_id, "event received", event.traced)
                outcome = await handler.handle(event, document)
                self._note(event, outcome)
        except Exception as error:  # noqa: BLE001 - a fault in one handler must not end the others
            _log.error("an event could not be handled", event_type=event.type, exc_info=error)
            handler.broken(event, error)
            self._note(event, Outcome("failed", f"internal error: {type(error).__name__}"))
        finally:
            self._backlog.done(job)
            self._pump()

    # -- what is told --------------------------------------------------------------------------------------------------

    def _note(self, event: Event, outcome: Outcome) -> None:
        seconds = asyncio.get_running_loop().time() - event.received
        metrics.EVENTS.labels(event.type, outcome.word).inc()
        metrics.MESSAGE_SECONDS.observe(seconds)
        subject = _subject(event)
        if outcome.word != "postponed":
            tracing.settle(event.correlation_id, outcome.word, failed=outcome.failed)
        entry = Entry(
            at=self._clock(),
            what=event.type,
            outcome=outcome.word,
            subject=subject,
            detail=outcome.detail,
            correlation_id=event.correlation_id,
            duration_ms=round(seconds * 1000, 1),
        )
        self._journal.add(entry)
        if outcome.word in _MENDED:
            self._on_missed()
        log = _log.warning if outcome.failed else _log.info
        log(
            "event handled",
            event_type=event.type,
            outcome=outcome.word,
            artifact=subject,
            detail=outcome.detail,
            duration_ms=entry.duration_ms,
        )

    def _irregular(self, kind: str, failure: Undecodable, size: int) -> None:
        """Ignored, never closed for, never acknowledged."""
        known = kind if kind in EVENT_TYPES else "other"
        metrics.EVENTS.labels(known, "irregular").inc()
        self._journal.add(
            Entry(at=self._clock(), what=kind[:_LONGEST_TYPE], outcome="irregular", detail=failure.reason)
        )
        log = _log.info if failure.code is WireFault.UNKNOWN_TYPE else _log.error
        log(
            "a message was ignored", event_type=kind[:_LONGEST_TYPE], why=failure.reason, where=failure.where, size=size
        )

    def _unhandled(self, envelope: Envelope) -> None:
        metrics.EVENTS.labels(envelope.type, "unhandled").inc()
        self._journal.add(Entry(at=self._clock(), what=envelope.type, outcome="unhandled"))
        _log.warning("this gateway does not handle events of this type", event_type=envelope.type)

    def _overflow(self, event: Event) -> None:
        metrics.EVENTS.labels(event.type, "overflow").inc()
        tracing.settle(event.correlation_id, "overflow", failed=True)
        if not self._overflowing:
            self._overflowing = True
            self._journal.add(Entry(at=self._clock(), what=event.type, outcome="overflow"))
            _log.warning("too many events wait; a reconcile takes their place", waiting=len(self._backlog))


def _subject(event: Event) -> str:
    return getattr(event.payload, "artifact_id", "") or getattr(event.payload, "api_id", "")
