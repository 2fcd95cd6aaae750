"""Deployed, undeployed, deleted: the same for every kind of artifact.

Source: control-plane protocol reference 2.6 to 2.12. On purpose other than the original: a fetch that fails for a
passing reason is tried again within the control plane's patience; an event that is no news is never answered `failed`
for the sake of its fetch; what refers to an artifact that is still on its way is tried again; ids of gateway-made
artifacts are resolved in every step.
"""

import asyncio
from contextlib import nullcontext
from datetime import datetime
from typing import Any, Final
from weakref import WeakValueDictionary

from gatewright.controlplane.events import Event, Route, moment
from gatewright.controlplane.handlers.contract import Outcome, Tools
from gatewright.controlplane.handlers.documents import Unusable, read_document
from gatewright.controlplane.rest import CallFailed
from gatewright.deployment.results import Applied, DeploymentIdMismatch, Refused, Stale, Unknown
from gatewright.observability import tracing
from gatewright.wire.acks import DEPLOYMENT_ID_MISMATCH, PROCESSING_ERROR
from gatewright.wire.events import DeletionEvent, DeploymentEvent
from gatewright.wire.kinds import NAMES, ArtifactKind

FETCH_DELAYS: Final = (0.25, 1.0, 4.0)
"""Seconds before each further attempt at a definition."""

FETCH_PATIENCE: Final = 30.0
"""Seconds since the event's arrival after which no further attempt is begun."""

REFERENCE_DELAY: Final = 0.05
LONGEST_REFERENCE_DELAY: Final = 2.0
"""Seconds between attempts to store what refers to something that is not here yet; doubled each time."""


class Lifecycle:
    """Events of one kind of artifact."""

    def __init__(self, kind: ArtifactKind, tools: Tools) -> None:
        self._kind = kind
        self._tools = tools
        self._writing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def types(self) -> tuple[str, ...]:
        """The event types that this handler takes."""
        family = NAMES[self._kind].event
        return (f"{family}.deployed", f"{family}.undeployed", f"{family}.deleted")

    def route(self, event: Event) -> Route:
        """Everything about an artifact queues behind its other events."""
        payload = event.payload
        return Route(payload.artifact_id if isinstance(payload, DeploymentEvent | DeletionEvent) else "")

    async def handle(self, event: Event, document: bytes | None = None) -> Outcome:
        """See Handler."""
        match event.payload:
            case DeletionEvent(artifact_id=artifact_id):
                return await self._delete(event, artifact_id)
            case DeploymentEvent(deployed=False) as payload:
                return await self._undeploy(event, payload)
            case DeploymentEvent() as payload if self._is_undeployed_since(payload):
                return Outcome("stale")
            case DeploymentEvent() as payload:
                return await self._deploy(event, payload, document)
        return Outcome("refused", "not a life-cycle event")

    def broken(self, event: Event, error: Exception) -> None:
        """See Handler."""
        if isinstance(event.payload, DeploymentEvent):
            self._failed(event, event.payload, f"internal error: {type(error).__name__}")

    # -- the three -----------------------------------------------------------------------------------------------------

    async def _deploy(self, event: Event, payload: DeploymentEvent, body: bytes | None) -> Outcome:
        if not payload.deployment_id:
            return self._failed(event, payload, "the event has no deployment id")
        try:
            performed_at = moment(payload.performed_at)
            with tracing.span("fetch") if body is None else nullcontext():
                answer = body if body is not None else await self._fetch(event, payload)
            if isinstance(answer, CallFailed):
                if await self._is_old_news(payload, performed_at):
                    return Outcome("stale")
                self._failed(event, payload, str(answer))
                return Outcome("failed", str(answer))
            async with self._tools.turns:
                document = await read_document(answer, self._kind)
                secrets = self._tools.secrets.unknown(document)
                if not secrets:
                    return await self._store(event, payload, document, performed_at)
        except (Unusable, OverflowError) as problem:
            return self._failed(event, payload, str(problem))
        await self._tools.secrets.fetch(secrets)
        async with self._tools.turns:
            return await self._store(event, payload, document, performed_at)

    async def _store(
        self, event: Event, payload: DeploymentEvent, document: dict[str, Any], performed_at: datetime | None
    ) -> Outcome:
        result = await self._apply(event, payload, document, performed_at)
        if isinstance(result, Refused) and await self._postponed(event, payload, document, performed_at, result):
            return Outcome("postponed", result.message)
        return self._answer(event, payload, result)

    async def _postponed(
        self,
        event: Event,
        payload: DeploymentEvent,
        document: dict[str, Any],
        performed_at: datetime | None,
        refused: Refused,
    ) -> bool:
        """Whether what stands in the way may go away, so that the deployment is tried again outside of the queue."""
        if refused.code != "UNKNOWN_REFERENCE" or performed_at is None:
            return False
        # What it refers to may be in another queue. Waiting here would take a worker from it.
        return self._tools.later.run(self._until_referenced(event, payload, document, performed_at))

    async def _until_referenced(
        self, event: Event, payload: DeploymentEvent, document: dict[str, Any], performed_at: datetime
    ) -> None:
        """Try again as long as the control plane waits; a newer event makes this one stale, or ends it."""
        delay, result = REFERENCE_DELAY, None
        while self._tools.now() + delay - event.received < FETCH_PATIENCE:
            await asyncio.sleep(delay)
            async with self._alone(payload.artifact_id):
                if self._is_over(event, payload):
                    tracing.settle(event.correlation_id, "overtaken")
                    return
                result = await self._apply(event, payload, document, performed_at)
            if not isinstance(result, Refused) or result.code != "UNKNOWN_REFERENCE":
                break
            delay = min(2 * delay, LONGEST_REFERENCE_DELAY)
        missing = Refused("UNKNOWN_REFERENCE", "what it refers to did not come")
        self._settled(event, self._answer(event, payload, result or missing))

    async def _apply(
        self, event: Event, payload: DeploymentEvent, document: dict[str, Any], performed_at: datetime | None
    ) -> Applied | Stale | Refused:
        return await self._tools.deployments.apply_deploy(
            payload.artifact_id,
            document,
            deployment_id=payload.deployment_id,
            performed_at=performed_at,
            correlation_id=event.correlation_id,
        )

    def _answer(self, event: Event, payload: DeploymentEvent, result: Applied | Stale | Refused) -> Outcome:
        match result:
            case Applied(change=change):
                self._tools.acks.applied(payload, change, correlation_id=event.correlation_id, received=event.received)
                return Outcome("applied")
            case Stale():
                return Outcome("stale")
            case Refused():
                outcome = self._failed(event, payload, f"{result.code}: {result.message}")
                # What is in the way may be gone at the control plane, which a reconcile finds out.
                return Outcome("failed", outcome.detail) if result.code == "CONFLICT" else outcome

    async def _undeploy(self, event: Event, payload: DeploymentEvent) -> Outcome:
        acks = self._tools.acks
        try:
            performed_at = moment(payload.performed_at)
        except OverflowError:
            return self._failed(event, payload, "performedAt is beyond all calendars")
        async with self._alone(payload.artifact_id):
            result = await self._tools.deployments.apply_undeploy(
                payload.artifact_id,
                deployment_id=payload.deployment_id,
                performed_at=performed_at,
                correlation_id=event.correlation_id,
            )
            if isinstance(result, Unknown) and performed_at is not None:
                # Its deployment may still wait for something, or be in a list that is on its way here.
                self._tools.tombstones.undeploy(payload.artifact_id, performed_at)
        match result:
            case Applied(change=change):
                acks.applied(payload, change, correlation_id=event.correlation_id, received=event.received)
                return Outcome("applied")
            case Stale():
                return Outcome("stale")
            case Unknown():
                self._said(event, payload, "unknown here")
                return Outcome("unknown")
            case DeploymentIdMismatch():
                detail = f"deployment {result.stored} is stored, not {result.wanted}"
                return self._failed(event, payload, detail, code=DEPLOYMENT_ID_MISMATCH)
            case Refused():
                return self._failed(event, payload, f"{result.code}: {result.message}")

    async def _delete(self, event: Event, artifact_id: str) -> Outcome:
        self._tools.tombstones.put(artifact_id)
        self._tools.acks.deleted(artifact_id)
        async with self._alone(artifact_id):
            result = await self._tools.deployments.apply_delete(artifact_id, correlation_id=event.correlation_id)
        match result:
            case Applied():
                return Outcome("applied")
            case Unknown():
                return Outcome("unknown")
            case Refused():
                return Outcome("failed", f"{result.code}: {result.message}")

    # -- inside --------------------------------------------------------------------------------------------------------

    def _alone(self, artifact_id: str) -> asyncio.Lock:
        """What was postponed runs outside of the artifact's queue: it must not write between a look and a write."""
        lock = self._writing.get(artifact_id)
        if lock is None:
            lock = self._writing[artifact_id] = asyncio.Lock()
        return lock

    def _is_over(self, event: Event, payload: DeploymentEvent) -> bool:
        """Whether the artifact was deleted since the event came, or undeployed since what the event tells of."""
        is_deleted = self._tools.tombstones.since(payload.artifact_id, event.received)
        return is_deleted or self._is_undeployed_since(payload)

    def _is_undeployed_since(self, payload: DeploymentEvent) -> bool:
        try:
            return self._tools.tombstones.undeployed(payload.artifact_id, moment(payload.performed_at))
        except OverflowError:
            return False

    async def _fetch(self, event: Event, payload: DeploymentEvent) -> bytes | CallFailed:
        answer = await self._tools.rest.definition(self._kind, payload.artifact_id)
        for delay in FETCH_DELAYS:
            if not isinstance(answer, CallFailed) or not answer.temporary:
                break
            if self._tools.now() + delay - event.received > FETCH_PATIENCE:
                break
            await asyncio.sleep(max(delay, min(answer.retry_after, FETCH_PATIENCE)))
            answer = await self._tools.rest.definition(self._kind, payload.artifact_id)
        return answer

    async def _is_old_news(self, payload: DeploymentEvent, performed_at: datetime | None) -> bool:
        if performed_at is None:
            return False
        row = await self._tools.deployments.resolve(payload.artifact_id)
        return row is not None and row.deployed_at is not None and row.deployed_at >= performed_at

    def _settled(self, event: Event, outcome: Outcome) -> None:
        """What was postponed has come to its end, unless it is postponed once more."""
        if outcome.word != "postponed":
            tracing.settle(event.correlation_id, outcome.word, failed=outcome.failed)

    def _said(self, event: Event, payload: DeploymentEvent, detail: str) -> None:
        self._tools.acks.outcome(payload, correlation_id=event.correlation_id, received=event.received, detail=detail)

    def _failed(self, event: Event, payload: DeploymentEvent, detail: str, *, code: str = PROCESSING_ERROR) -> Outcome:
        self._tools.acks.outcome(
            payload, correlation_id=event.correlation_id, received=event.received, error_code=code, detail=detail
        )
        return Outcome("mismatch" if code == DEPLOYMENT_ID_MISMATCH else "refused", detail)
