"""Sends artifacts made here: all of them at every connect, then each as it changes, out of the outbox.

The outbox is written with the change itself and emptied only by the control plane's answer, so a crash loses nothing.
While the link is down, in on-prem mode or with pushing switched off everything stays `pending`. Failures are tried
again with growing waits, for ever, and show as `failed` after five attempts. Source: reference section 5.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

import msgspec

from gatewright.controlplane import metrics
from gatewright.controlplane.config import DEFAULT_POOL, DEFAULT_QUEUE
from gatewright.controlplane.journal import Entry, Journal
from gatewright.controlplane.push.entries import Unsendable, import_entry, ranked
from gatewright.controlplane.rest import CallFailed, Rest
from gatewright.deployment import Deployments
from gatewright.deployment.ids import Clock
from gatewright.deployment.results import OUTBOX_DELETE, OUTBOX_TARGET, deleted_artifact
from gatewright.observability.logging import get_logger
from gatewright.store import StoreUnavailable
from gatewright.store.rows import ArtifactRow, OutboxRow
from gatewright.wire.imports import ImportEntry, ImportOutcome, push_rank

ATTEMPTS: Final = 5
"""Failed attempts after which the artifact's status says `failed`."""

CHUNK: Final = 200
"""Entries of one call; the control plane takes 32 MiB."""

CHUNK_CHARACTERS: Final = 16_000_000
LONGEST_WAIT: Final = 900.0
_FIRST_WAIT: Final = 1.0
_PAUSE: Final = 30.0
"""Seconds between two looks at the outbox without news."""

_GATHER: Final = 0.02

_MANY: Final = 10_000
_FOR_EVER: Final = timedelta(days=3650)
_log = get_logger(__name__)


class _Item(msgspec.Struct, frozen=True):
    """An artifact to send; `queued` is its outbox row, if it has one."""

    artifact: ArtifactRow
    deleted: bool
    queued: OutboxRow | None


_Chunk = list[tuple[_Item, ImportEntry]]


class Pusher:
    """The one consumer of the outbox. Runs while the link is up, between `open` and `close`."""

    def __init__(
        self,
        deployments: Deployments,
        rest: Rest,
        *,
        clock: Clock,
        journal: Journal,
        pool: int = DEFAULT_POOL,
        queue: int = DEFAULT_QUEUE,
    ) -> None:
        """`pool`: calls at one time. `queue`: artifacts of which the entries are in memory at one time."""
        self._deployments = deployments
        self._rest = rest
        self._clock = clock
        self._journal = journal
        self._pool = asyncio.Semaphore(pool)
        self._read_ahead = queue
        self._task: asyncio.Task[None] | None = None
        self._hurried = asyncio.Event()
        self._incomplete = False
        self.pending = 0

    def open(self) -> None:
        """The link is up: send everything once, then what changes."""
        self.close()
        self._task = asyncio.create_task(self._run(), name="push")

    def hurry(self) -> None:
        """Send everything once more now, also what waits for its time after a failure."""
        self._hurried.set()

    def close(self) -> None:
        """The link is down."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def stop(self) -> None:
        """Close, and wait for the end of what is under way."""
        task = self._task
        self.close()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        everything, failures = True, 0
        while True:
            everything = everything or self._hurried.is_set()
            self._hurried.clear()
            self._deployments.outbox_changed.clear()
            self._incomplete = False
            try:
                await self._send(await (self._all() if everything else self._due()))
                everything = self._incomplete
                patience = await self._patience()
            except StoreUnavailable as problem:
                _log.error("what has to be sent cannot be read", error=str(problem))
                patience = _PAUSE
            except Exception as error:  # noqa: BLE001 - a fault about one artifact must not end the push of all others
                _log.error("artifacts could not be sent", exc_info=error)
                patience = _PAUSE
            failures = failures + 1 if everything else 0
            if everything:
                await self._until(self._hurried, _backoff(failures))
            else:
                await self._news(min(patience, _PAUSE))

    async def _news(self, patience: float) -> None:
        """Until something was written, at most `patience` seconds; what is written together is sent together."""
        changed = asyncio.ensure_future(self._until(self._deployments.outbox_changed, patience))
        hurried = asyncio.ensure_future(self._hurried.wait())
        try:
            await asyncio.wait({changed, hurried}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            hurried.cancel()
        if self._deployments.outbox_changed.is_set():
            await asyncio.sleep(_GATHER)

    @staticmethod
    async def _until(event: asyncio.Event, patience: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await event.wait()

    async def _all(self) -> list[_Item]:
        """Every artifact that was made here, and the deletions that wait."""
        queued = {row.entity_id: row for row in await self._queue()}
        made_here = [head.uuid for head in await self._deployments.heads() if head.origin == "gateway_api"]
        rows = sorted(await self._deployments.some(made_here), key=lambda row: (row.created_at, row.uuid), reverse=True)
        items = [_Item(row, False, queued.get(row.uuid)) for row in ranked(rows)]
        here = {row.uuid for row in rows}
        deletions = await self._still_due((row, None) for row in queued.values() if row.entity_id not in here)
        return deletions + items

    async def _due(self) -> list[_Item]:
        """What the outbox holds that may be tried now."""
        now = self._clock()
        rows = [row for row in await self._queue() if row.not_before is None or row.not_before <= now]
        items = await self._still_due([(row, await self._deployments.get_by_id(row.entity_id)) for row in rows])
        return sorted(items, key=lambda item: (not item.deleted, push_rank(item.artifact.kind)))

    async def _still_due(self, rows: Iterable[tuple[OutboxRow, ArtifactRow | None]]) -> list[_Item]:
        """Outbox rows with their artifacts; those that have become void are done."""
        items: list[_Item] = []
        for row, artifact in rows:
            found = await self._of(row, artifact)
            if not found:
                await self._deployments.outbox_done(row.id)
            items += found
        return items

    async def _queue(self) -> list[OutboxRow]:
        """All that waits; notes when the first of it may be tried again."""
        rows = await self._deployments.outbox_due(OUTBOX_TARGET, self._clock() + _FOR_EVER, limit=_MANY)
        self.pending = len(rows)
        metrics.PENDING.set(self.pending)
        return rows

    async def _patience(self) -> float:
        """Seconds until something in the outbox may be tried again, at most `_PAUSE`."""
        now = self._clock()
        later = [row.not_before for row in await self._queue() if row.not_before is not None]
        return max(0.0, min(((moment - now).total_seconds() for moment in later), default=_PAUSE))

    async def _of(self, row: OutboxRow, artifact: ArtifactRow | None) -> list[_Item]:
        if row.action == OUTBOX_DELETE:
            last = deleted_artifact(row)
            # The control plane goes by the handle: to tell it of the deletion would take the successor away.
            is_void = last.kind == "LlmProviderTemplate" or await self._deployments.get(last.kind, last.handle)
            return [] if is_void else [_Item(last, True, row)]
        if artifact is None or artifact.origin != "gateway_api":
            return []
        return [_Item(artifact, False, row)]

    # -- sending -------------------------------------------------------------------------------------------------------

    async def _send(self, items: Sequence[_Item]) -> None:
        """Send in chunks, and note every outcome."""
        for start in range(0, len(items), self._read_ahead):
            await self._send_some(items[start : start + self._read_ahead])

    async def _send_some(self, items: Sequence[_Item]) -> None:
        sendable: list[tuple[_Item, ImportEntry]] = []
        for item in items:
            made = import_entry(item.artifact, deleted=item.deleted)
            if isinstance(made, Unsendable):
                await self._unsendable(item, made)
            else:
                sendable.append((item, made))
        for together in _independent(_chunks(sendable)):
            await self._side_by_side(together)

    async def _side_by_side(self, chunks: Sequence[_Chunk]) -> None:
        """All of them, whatever becomes of one. Raises what the first that failed raises."""
        outcomes = await asyncio.gather(*(self._call(chunk) for chunk in chunks), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _call(self, chunk: _Chunk) -> None:
        async with self._pool:
            answer = await self._rest.import_artifacts([made for _, made in chunk])
        if isinstance(answer, CallFailed) and not answer.temporary and len(chunk) > 1:
            # One of them may be what the control plane cannot take: the others must not suffer for it.
            for together in _independent([pair] for pair in chunk):
                await self._side_by_side(together)
            return
        for item, _ in chunk:
            await self._answered(item, answer)

    async def _unsendable(self, item: _Item, made: Unsendable) -> None:
        """Nothing will change before the artifact does."""
        await self._mark(item, "failed", None, made.reason)
        await self._done(item)
        self._note(item, "failed", made.reason)

    async def _answered(self, item: _Item, answer: dict[str, ImportOutcome] | CallFailed) -> None:
        if isinstance(answer, CallFailed):
            self._incomplete = self._incomplete or (item.queued is None and answer.temporary)
            await self._again(item, str(answer), told=False)
            return
        result = answer.get(item.artifact.uuid)
        if result is None:
            await self._again(item, "the control plane's answer does not mention the artifact", told=False)
        elif result.error:
            await self._again(item, result.error, told=True)
        else:
            await self._mark(item, "success", result.id or None, None)
            await self._done(item)
            self._note(item, "success", "")

    async def _again(self, item: _Item, error: str, *, told: bool) -> None:
        """Count the attempt and wait. `told`: the control plane itself refused this artifact."""
        row = item.queued
        attempts = (row.attempts if row is not None else 0) + 1
        if told or (row is not None and attempts >= ATTEMPTS):
            await self._mark(item, "failed", None, error)
        self._note(item, "failed", error)
        if row is not None:
            later = self._clock() + timedelta(seconds=_backoff(attempts))
            await self._deployments.outbox_retry(row.id, later, error)

    async def _done(self, item: _Item) -> None:
        if item.queued is not None:
            await self._deployments.outbox_done(item.queued.id)
            self.pending = max(0, self.pending - 1)
            metrics.PENDING.set(self.pending)

    async def _mark(self, item: _Item, status: str, cp_id: str | None, info: str | None) -> None:
        """Record the outcome, unless nothing is new: marking is a write."""
        row = item.artifact
        if item.deleted or (status, cp_id or row.cp_artifact_id, info) == (
            row.cp_sync_status,
            row.cp_artifact_id,
            row.cp_sync_info,
        ):
            return
        await self._deployments.mark_pushed(row.uuid, "success" if status == "success" else "failed", cp_id, info)

    def _note(self, item: _Item, outcome: str, detail: str) -> None:
        metrics.PUSHES.labels(outcome).inc()
        row = item.artifact
        at: datetime = self._clock()
        self._journal.add(Entry(at=at, what="push", outcome=outcome, subject=f"{row.kind}/{row.handle}", detail=detail))
        log = _log.warning if outcome == "failed" else _log.info
        log("artifact sent to the control plane", kind=row.kind, handle=row.handle, outcome=outcome, detail=detail)


def _backoff(failures: int) -> float:
    """Seconds after so many failures in a row."""
    return min(_FIRST_WAIT * 2.0 ** min(failures - 1, 20), LONGEST_WAIT)


def _independent(chunks: Iterable[_Chunk]) -> Iterator[list[_Chunk]]:
    """Chunks that may go side by side: those of one kind. What others refer to has arrived before them."""
    for _, together in groupby(enumerate(chunks), key=lambda pair: _only_rank(pair[1]) or (pair[0],)):
        yield [chunk for _, chunk in together]


def _only_rank(chunk: _Chunk) -> tuple[bool, int] | None:
    ranks = {(item.deleted, push_rank(item.artifact.kind)) for item, _ in chunk}
    return ranks.pop() if len(ranks) == 1 else None


def _chunks(items: Sequence[tuple[_Item, ImportEntry]]) -> Iterator[_Chunk]:
    """Calls of bounded size, so that one large artifact does not make all of them fail."""
    chunk: _Chunk = []
    size = 0
    for pair in items:
        weight = len(msgspec.json.encode(pair[1].configuration))
        if chunk and (len(chunk) >= CHUNK or size + weight > CHUNK_CHARACTERS):
            yield chunk
            chunk, size = [], 0
        chunk.append(pair)
        size += weight
    if chunk:
        yield chunk
