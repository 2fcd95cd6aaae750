"""The deployments of this gateway: list, compare, delete, fetch, update.

Source: control-plane protocol reference 4.2, 4.3. On purpose other than the original: what a run changes is
acknowledged, so that the control plane does not take for failed what serves; so is a recent deployment that was not
answered (its event was lost, or the process restarted), and one that was answered `failed` and serves by now.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from gatewright.controlplane.config import LinkConfig
from gatewright.controlplane.events import moment
from gatewright.controlplane.handlers.contract import Tools
from gatewright.controlplane.handlers.documents import Unusable, read_document
from gatewright.controlplane.rest import CallFailed
from gatewright.controlplane.sync.contract import Circumstances
from gatewright.controlplane.sync.diff import Diff, Update, control_plane_id, diff, newer
from gatewright.controlplane.sync.report import StepReport
from gatewright.controlplane.sync.shrinkage import Shrinkage
from gatewright.controlplane.sync.traced import traced
from gatewright.deployment.ids import Clock
from gatewright.deployment.results import Applied, Change, Refused, Stale
from gatewright.observability import tracing
from gatewright.observability.logging import get_logger
from gatewright.store.rows import ArtifactHead
from gatewright.wire.acks import PROCESSING_ERROR
from gatewright.wire.deployments import DeploymentRow, desired_state
from gatewright.wire.events import DeploymentEvent
from gatewright.wire.identifiers import derived_uuid
from gatewright.wire.kinds import DELETE_ORDER, FETCH_ORDER, kind_of
from gatewright.wire.times import Timestamp

EXISTENCE_CHUNK: Final = 1_000
"""Ids in one existence check."""

RECENT: Final = 120.0
"""Seconds. The control plane waits 60 s for an acknowledgement; clocks differ a little."""

_MOST_ERRORS: Final = 20
_log = get_logger(__name__)
T = TypeVar("T")


class DeploymentStep:
    """See Step."""

    def __init__(self, tools: Tools, config: LinkConfig, shrinkage: Shrinkage, clock: Clock) -> None:
        self._tools = tools
        self._config = config
        self._shrinkage = shrinkage
        self._clock = clock

    def applies(self, circumstances: Circumstances) -> bool:
        """Not with an API Manager: it sends its stored events again instead."""
        return self._config.pull and not circumstances.on_prem

    async def run(self, circumstances: Circumstances) -> StepReport:
        """See Step."""
        # What is stored is read before the list, so that nothing that arrives meanwhile looks superfluous.
        local = await self._tools.deployments.heads()
        answer = await self._tools.rest.deployments()
        if isinstance(answer, CallFailed):
            return StepReport(name="deployments", errors=(str(answer),))
        found = diff(local, answer.deployments)
        run = _Run(self._tools, circumstances, self._clock)
        withheld, blocked = await self._delete(run, found, local)
        run.gone = frozenset(row.uuid for row in blocked)
        for chunk in _chunks(_ordered(found.fetch), self._config.batch_size):
            await run.fetch(await run.unstored(chunk))
        for update in found.update:
            await run.update(update)
        for row in blocked:
            # What stood on it may stand on something else by now, or it has a successor.
            await run.delete(row)
        run.acknowledge_same(found.same, local)
        run.acknowledge_absent(found.absent)
        run.counts["unchanged"] = len(found.same)
        run.counts["ignored"] = found.ignored
        errors = tuple(run.errors[:_MOST_ERRORS])
        return StepReport(name="deployments", counts=dict(run.counts), errors=errors, withheld=withheld)

    async def _delete(self, run: "_Run", found: Diff, local: Sequence[ArtifactHead]) -> tuple[int, list[ArtifactHead]]:
        """Delete what the control plane does not know any more.

        How many deletions are withheld, and what has to go and cannot yet, because others stand on it.
        """
        if not found.delete:
            self._shrinkage.believes("deployments", 0, frozenset())
            return 0, []
        existing: set[str] = set()
        for chunk in _chunks(found.delete, EXISTENCE_CHUNK):
            answer = await self._tools.rest.existing([control_plane_id(row) for row in chunk])
            if isinstance(answer, CallFailed):
                run.errors.append(f"nothing was deleted: {answer}")
                return 0, []
            existing |= answer
        doomed = [row for row in found.delete if control_plane_id(row) not in existing]
        run.counts["retained"] = len(found.delete) - len(doomed)
        known = sum(row.origin == "control_plane" for row in local)
        if not self._shrinkage.believes("deployments", known, frozenset(row.uuid for row in doomed)):
            _log.warning(
                "the control plane wants to delete many artifacts at once; waiting for a second, equal answer",
                deletions=len(doomed),
                known=known,
            )
            return len(doomed), []
        ordered = sorted(
            (row for row in doomed if _rank(row.kind, DELETE_ORDER) is not None),
            key=lambda row: _rank(row.kind, DELETE_ORDER) or 0,
        )
        return 0, [row for row in ordered if not await run.delete(row, is_last=False)]


class _Run:
    """One run: counts, errors, and the three things that are done."""

    def __init__(self, tools: Tools, circumstances: Circumstances, clock: Clock) -> None:
        self._tools = tools
        self._circumstances = circumstances
        self._clock = clock
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self.gone: frozenset[str] = frozenset()
        """UUIDs of what the control plane has no more and is still here: a new artifact of that identity takes over."""

    async def delete(self, row: ArtifactHead, *, is_last: bool = True) -> bool:
        """Remove an artifact with its keys; False when others stand on it, which is an error the last time only."""
        at = Timestamp.from_ms(round(self._clock().timestamp() * 1000))
        correlation_id = derived_uuid(row.uuid, at)
        deletion = self._tools.deployments.apply_delete(row.uuid, correlation_id=correlation_id)
        result = await traced(deletion, correlation_id, "reconcile delete", artifact=row.uuid)
        if isinstance(result, Refused):
            in_use = result.code == "IN_USE"
            if is_last or not in_use:
                self.errors.append(f"{row.kind} {row.handle} was not deleted: {result.message}")
            return not in_use
        self._tools.acks.deleted(control_plane_id(row))
        self.counts["deleted"] += 1
        return True

    async def unstored(self, rows: Sequence[DeploymentRow]) -> Sequence[DeploymentRow]:
        """Without what events have brought since the comparison: after an outage they bring most of the list too."""
        stored = {row.uuid: row for row in await self._tools.deployments.some(row.artifact_id for row in rows)}
        brought = {
            row.artifact_id
            for row in rows
            if (ours := stored.get(row.artifact_id)) is not None
            and ours.deployment_id == row.deployment_id
            and not newer(row, ours)
        }
        if brought:
            self.counts["stale"] += len(brought)
        return [row for row in rows if row.artifact_id not in brought]

    async def fetch(self, rows: Sequence[DeploymentRow]) -> None:
        """Download a batch and store each document. A batch that fails leaves the others alone."""
        if not rows:
            return
        with tracing.span("fetch", batch=len(rows)):
            batch = await self._tools.rest.fetch_batch([row.deployment_id for row in rows])
        if isinstance(batch, CallFailed):
            self.errors.append(str(batch))
            self.counts["missing"] += len(rows)
            return
        # Rows are ordered by kind: what others refer to must be stored before them.
        for _, group in itertools.groupby(rows, key=lambda row: row.kind):
            await asyncio.gather(*(self._store(row, batch.documents.get(row.deployment_id)) for row in group))

    async def _store(self, row: DeploymentRow, body: bytes | None) -> None:
        kind = kind_of(row.kind)
        if body is None or kind is None:
            self.counts["missing"] += 1
            return
        try:
            performed_at = moment(row.deployed_at)
            async with self._tools.turns:
                document = await read_document(body, kind)
                secrets = self._tools.secrets.unknown(document)
                if not secrets:
                    await self._apply(row, document, performed_at)
                    return
        except (Unusable, OverflowError) as problem:
            self._refused(row, str(problem))
            return
        await self._tools.secrets.fetch(secrets)
        async with self._tools.turns:
            await self._apply(row, document, performed_at)

    async def _apply(self, row: DeploymentRow, document: dict[str, Any], performed_at: datetime | None) -> None:
        tombstones = self._tools.tombstones
        if tombstones.since(row.artifact_id, self._circumstances.started):
            return
        if tombstones.undeployed(row.artifact_id, performed_at):
            return
        deployment = self._tools.deployments.apply_deploy(
            row.artifact_id,
            document,
            deployment_id=row.deployment_id,
            performed_at=performed_at,
            correlation_id=_correlation(row),
            gone=self.gone,
        )
        result = await traced(deployment, _correlation(row), "reconcile deploy", artifact=row.artifact_id)
        match result:
            case Applied(change=change):
                self.counts["deployed"] += 1
                self._acknowledge(row, change)
            case Stale():
                self.counts["stale"] += 1
            case Refused():
                self._refused(row, f"{result.code}: {result.message}")

    def _refused(self, row: DeploymentRow, why: str) -> None:
        self.counts["refused"] += 1
        self.errors.append(f"{row.kind} {row.artifact_id}: {why}")
        event = _event(row)
        if event is not None and self._is_recent(event) and not self._tools.acks.said(event):
            self._tools.acks.outcome(
                event,
                correlation_id=_correlation(row),
                received=self._tools.now(),
                error_code=PROCESSING_ERROR,
                detail=why,
            )

    async def update(self, update: Update) -> None:
        """Another state or deployment id of a stored artifact."""
        remote = update.remote
        try:
            deployed_at = moment(remote.deployed_at)
        except OverflowError:
            deployed_at = None
        if deployed_at is None or self._tools.tombstones.since(remote.artifact_id, self._circumstances.started):
            return
        state: Literal["deployed", "undeployed"] = "deployed" if update.deployed else "undeployed"
        change = self._tools.deployments.apply_status(
            update.local.uuid,
            state=state,
            deployment_id=update.deployment_id,
            deployed_at=deployed_at,
            correlation_id=_correlation(remote),
        )
        result = await traced(change, _correlation(remote), f"reconcile {state}", artifact=remote.artifact_id)
        if isinstance(result, Applied):
            self.counts["updated"] += 1
            self._acknowledge(remote, result.change)
        elif isinstance(result, Refused):
            self.errors.append(f"{remote.kind} {remote.artifact_id}: {result.message}")

    def acknowledge_same(self, rows: Iterable[DeploymentRow], local: Sequence[ArtifactHead]) -> None:
        """Deployments that are stored already, and of which the control plane has not heard, or heard the contrary."""
        stored = {control_plane_id(row): row for row in local}
        for row in rows:
            event, ours = _event(row), stored.get(row.artifact_id)
            if event is None or ours is None or not self._is_owed(event):
                continue
            if (ours.desired_state == "deployed") != event.deployed:
                continue
            if event.deployed and ours.deployment_id != row.deployment_id:
                # Undeployed is undeployed, of whichever deployment.
                continue
            state = self._tools.deployments.status(ours.uuid).state
            if state in {"served", "stored", "pending"} or (state == "undeployed" and not event.deployed):
                self._tools.acks.applied(
                    event, self._stored(ours, row), correlation_id=_correlation(row), received=self._tools.now()
                )

    def acknowledge_absent(self, rows: Iterable[DeploymentRow]) -> None:
        """What the control plane wants undeployed and was never here, or is gone."""
        for row in rows:
            event = _event(row)
            if event is not None and self._is_owed(event):
                self._tools.acks.outcome(
                    event, correlation_id=_correlation(row), received=self._tools.now(), detail="unknown here"
                )

    def _stored(self, ours: ArtifactHead, row: DeploymentRow) -> Change:
        """Stands for the change that has stored it, which is rolled out, though maybe not accepted by all routers."""
        return Change(
            seq=0,
            kind=ours.kind,
            entity_id=ours.uuid,
            artifact_id=ours.uuid,
            action="UPDATE",
            correlation_id=_correlation(row),
            at=self._clock(),
        )

    def _acknowledge(self, row: DeploymentRow, change: Change) -> None:
        event, acks = _event(row), self._tools.acks
        if event is not None and (acks.denied(event) or not acks.said(event)):
            acks.applied(event, change, correlation_id=_correlation(row), received=self._tools.now())

    def _is_owed(self, event: DeploymentEvent) -> bool:
        acks = self._tools.acks
        return acks.denied(event) or (self._is_recent(event) and not acks.said(event))

    def _is_recent(self, event: DeploymentEvent) -> bool:
        """Whether the control plane may still be waiting."""
        at = event.performed_at
        return at is not None and abs(self._clock().timestamp() - at.unix_ns / 1e9) <= RECENT


def _event(row: DeploymentRow) -> DeploymentEvent | None:
    """The event that a row stands for."""
    kind, deployed = kind_of(row.kind), desired_state(row)
    if kind is None or deployed is None or row.deployed_at is None:
        return None
    return DeploymentEvent(
        kind=kind,
        artifact_id=row.artifact_id,
        deployed=deployed,
        deployment_id=row.deployment_id,
        performed_at=row.deployed_at,
    )


def _correlation(row: DeploymentRow) -> str:
    """The row's etag; the one that both ends derive when it has none."""
    if row.etag or row.deployed_at is None:
        return row.etag or row.deployment_id
    return derived_uuid(row.artifact_id, row.deployed_at)


def _ordered(rows: Iterable[DeploymentRow]) -> list[DeploymentRow]:
    """Kinds that others refer to first; kinds that cannot be fetched left out."""
    known = [row for row in rows if _rank(row.kind, FETCH_ORDER) is not None and row.deployment_id]
    return sorted(known, key=lambda row: _rank(row.kind, FETCH_ORDER) or 0)


def _rank(kind: str, order: Sequence[str]) -> int | None:
    return order.index(kind) if kind in order else None


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
