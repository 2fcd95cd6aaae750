"""REST APIs: as every kind, and besides what an API Manager says of imports that this gateway itself has made.

Source: bottom-up reference, section 16 and R13. On purpose other than the original: what only repeats an import of ours
is acknowledged and changes nothing, also when it overtakes the answer to that import.
"""

import asyncio
from datetime import datetime
from typing import Any

from gatewright.controlplane.apim.kept import restored
from gatewright.controlplane.events import Event, moment
from gatewright.controlplane.handlers.contract import Outcome, Tools
from gatewright.controlplane.handlers.lifecycle import (
    FETCH_PATIENCE,
    LONGEST_REFERENCE_DELAY,
    REFERENCE_DELAY,
    Lifecycle,
)
from gatewright.deployment.results import Applied, Refused, Stale
from gatewright.observability import tracing
from gatewright.wire.events import DeploymentEvent
from gatewright.wire.kinds import ArtifactKind


class RestApis(Lifecycle):
    """Events of REST APIs."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(ArtifactKind.REST_API, tools)

    async def _deploy(self, event: Event, payload: DeploymentEvent, body: bytes | None) -> Outcome:
        return await self._of_own_import(event, payload) or await super()._deploy(event, payload, body)

    async def _undeploy(self, event: Event, payload: DeploymentEvent) -> Outcome:
        echoes = self._tools.echoes
        row = await self._tools.deployments.resolve(payload.artifact_id) if echoes.enabled else None
        if row is not None and echoes.replaced(row, payload):
            self._said(event, payload, "a revision that a later import of this gateway has replaced")
            return Outcome("echo")
        return await super()._undeploy(event, payload)

    async def _store(
        self, event: Event, payload: DeploymentEvent, document: dict[str, Any], performed_at: datetime | None
    ) -> Outcome:
        if self._tools.echoes.enabled and await self._tools.deployments.resolve(payload.artifact_id) is None:
            # In this order: an API that is deleted between the two questions is found by the second.
            if await self._waits_for_import(event, payload, document):
                return Outcome("postponed", "an import of an API of this name is not answered yet")
            if await self._is_leaving(payload, document):
                # It is undeployed there next; stored, it would come back to life here.
                self._said(event, payload, "an API that was deleted here while it was imported")
                return Outcome("echo")
        # Asked before the definition was fetched, and again: an import may have been answered meanwhile.
        own = await self._of_own_import(event, payload)
        return own or await super()._store(event, payload, document, performed_at)

    async def _postponed(
        self,
        event: Event,
        payload: DeploymentEvent,
        document: dict[str, Any],
        performed_at: datetime | None,
        refused: Refused,
    ) -> bool:
        if refused.code == "CONFLICT" and await self._waits_for_import(event, payload, document):
            return True
        return await super()._postponed(event, payload, document, performed_at, refused)

    async def _apply(
        self, event: Event, payload: DeploymentEvent, document: dict[str, Any], performed_at: datetime | None
    ) -> Applied | Stale | Refused:
        """With what API Manager has no place for put back into an API that once came from here."""
        if self._tools.echoes.at_api_manager:
            row = await self._tools.deployments.resolve(payload.artifact_id)
            if row is not None and row.cp_artifact_id == payload.artifact_id:
                document = restored(document, row.document)
        return await super()._apply(event, payload, document, performed_at)

    async def _of_own_import(self, event: Event, payload: DeploymentEvent) -> Outcome | None:
        """What becomes of an event that only an import of ours has set off; None for all others."""
        echoes = self._tools.echoes
        told = echoes.enabled and bool(payload.deployment_id)
        row = await self._tools.deployments.resolve(payload.artifact_id) if told else None
        if row is None:
            return None
        patient = self._tools.now() - event.received < FETCH_PATIENCE
        if echoes.busy(row.uuid) and patient and self._tools.later.run(self._after_import(event, payload, row.uuid)):
            return Outcome("postponed", "an import of the artifact is under way")
        try:
            performed_at = moment(payload.performed_at)
        except OverflowError:
            return None
        if echoes.repeats(row, payload, performed_at):
            if self._tools.acks.said(payload):
                return Outcome("stale")
            self._said(event, payload, "repeats an import of this gateway")
            return Outcome("echo")
        return Outcome("stale") if echoes.superseded(row, payload, performed_at) else None

    async def _after_import(self, event: Event, payload: DeploymentEvent, local_id: str) -> None:
        await self._tools.echoes.settled(local_id, event.received + FETCH_PATIENCE - self._tools.now())
        if self._is_over(event, payload):
            tracing.settle(event.correlation_id, "overtaken")
            return
        self._settled(event, await self._deploy(event, payload, None))

    async def _waits_for_import(self, event: Event, payload: DeploymentEvent, document: dict[str, Any]) -> bool:
        """Whether the event is tried again later: it may have overtaken the answer to an import, which tells the id."""
        patient = self._tools.now() - event.received < FETCH_PATIENCE
        if not patient or not self._tools.echoes.enabled:
            return False
        spec = document["spec"]
        row = await self._tools.deployments.named("RestApi", str(spec["displayName"]), str(spec["version"]))
        if row is None or row.origin != "gateway_api" or row.cp_artifact_id is not None:
            return False
        return self._tools.later.run(self._until_linked(event, payload))

    async def _is_leaving(self, payload: DeploymentEvent, document: dict[str, Any]) -> bool:
        """Whether it is about an import of an API that is deleted here and still to be taken away there."""
        spec = document["spec"]
        leaving = await self._tools.deployments.apim.departing(str(spec["displayName"]), str(spec["version"]))
        return any(self._tools.echoes.of_departing(record, payload) for record in leaving)

    async def _until_linked(self, event: Event, payload: DeploymentEvent) -> None:
        """Look again until the import has told the id, as long as the control plane waits; then as it is by then."""
        delay = REFERENCE_DELAY
        while self._tools.now() + delay - event.received < FETCH_PATIENCE:
            await asyncio.sleep(delay)
            if self._is_over(event, payload):
                tracing.settle(event.correlation_id, "overtaken")
                return
            if await self._tools.deployments.resolve(payload.artifact_id) is not None:
                break
            delay = min(2 * delay, LONGEST_REFERENCE_DELAY)
        self._settled(event, await self._deploy(event, payload, None))
