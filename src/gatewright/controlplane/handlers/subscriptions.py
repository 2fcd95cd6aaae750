"""`subscription.created`, `.updated`, `.deleted`. Never acknowledged, never logged with their payload.

Source: control-plane protocol reference 2.16. What takes access away overtakes everything.
"""

from typing import Final

from gatewright.controlplane.events import Event, Route
from gatewright.controlplane.handlers.contract import Outcome, Tools
from gatewright.controlplane.handlers.records import outcome_of
from gatewright.controlplane.handlers.subscription_events import from_event, subscription_tombstone
from gatewright.wire.events import (
    SUBSCRIPTION_CREATED,
    SUBSCRIPTION_DELETED,
    SUBSCRIPTION_UPDATED,
    SubscriptionCreated,
    SubscriptionDeleted,
    SubscriptionUpdated,
)

TYPES: Final = (SUBSCRIPTION_CREATED, SUBSCRIPTION_UPDATED, SUBSCRIPTION_DELETED)
_ACTIVE: Final = "ACTIVE"


class SubscriptionEvents:
    """Subscriptions of REST APIs."""

    def __init__(self, tools: Tools) -> None:
        self._subscriptions = tools.deployments.subscriptions
        self._tombstones = tools.tombstones

    def route(self, event: Event) -> Route:
        """Behind the other events of the subscription: it may come before its API and its plan."""
        match event.payload:
            case SubscriptionCreated(subscription_id=uuid):
                return Route(subscription_tombstone(uuid), subject=uuid)
            case SubscriptionUpdated(subscription_id=uuid, status=status):
                if status == _ACTIVE:
                    return Route(subscription_tombstone(uuid), subject=uuid)
                # Voids nothing: what it leaves out (the token) may be in an event that still waits.
                return Route(subscription_tombstone(uuid), urgent=True, repeats=True)
            case SubscriptionDeleted(subscription_id=uuid):
                return Route(subscription_tombstone(uuid), urgent=True, subject=uuid)
        return Route("")

    async def handle(self, event: Event, document: bytes | None = None) -> Outcome:
        """See Handler."""
        del document
        match event.payload:
            case SubscriptionCreated() | SubscriptionUpdated() as payload:
                is_update = isinstance(payload, SubscriptionUpdated)
                return outcome_of(
                    await self._subscriptions.apply_subscription(
                        from_event(payload), update=is_update, correlation_id=event.correlation_id
                    )
                )
            case SubscriptionDeleted(subscription_id=uuid):
                self._tombstones.put(subscription_tombstone(uuid))
                return outcome_of(
                    await self._subscriptions.remove_subscription(uuid, correlation_id=event.correlation_id)
                )
        return Outcome("refused", "not a subscription event")

    def broken(self, event: Event, error: Exception) -> None:
        """See Handler; nobody waits for an answer."""
