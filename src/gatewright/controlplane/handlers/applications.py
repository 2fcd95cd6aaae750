"""`application.updated`: which keys belong to an application. Never acknowledged. Source: protocol reference 2.15."""

from typing import Final

from gatewright.controlplane.events import Event, Route
from gatewright.controlplane.handlers.contract import Outcome, Tools
from gatewright.controlplane.handlers.records import outcome_of
from gatewright.deployment import ApplicationEvent
from gatewright.wire.events import APPLICATION_UPDATED, ApplicationUpdated

TYPES: Final = (APPLICATION_UPDATED,)


class Applications:
    """Applications; keys that are not here yet are noted."""

    def __init__(self, tools: Tools) -> None:
        self._subscriptions = tools.deployments.subscriptions

    def route(self, event: Event) -> Route:
        """Behind the other events of the application."""
        payload = event.payload
        return Route(f"application/{payload.application_uuid}" if isinstance(payload, ApplicationUpdated) else "")

    async def handle(self, event: Event, document: bytes | None = None) -> Outcome:
        """See Handler."""
        del document
        payload = event.payload
        if not isinstance(payload, ApplicationUpdated):
            return Outcome("refused", "not an application event")
        application = ApplicationEvent(
            uuid=payload.application_uuid,
            handle=payload.application_id,
            name=payload.application_name,
            type=payload.application_type,
            key_ids=tuple(mapping.api_key_uuid for mapping in payload.mappings),
        )
        return outcome_of(await self._subscriptions.apply_application(application, correlation_id=event.correlation_id))

    def broken(self, event: Event, error: Exception) -> None:
        """See Handler; nobody waits for an answer."""
