"""`subscriptionPlan.created`, `.updated`, `.deleted`. Never acknowledged. Source: protocol reference 2.17."""

from typing import Final

from gatewright.controlplane.events import Event, Route
from gatewright.controlplane.handlers.contract import Outcome, Tools
from gatewright.controlplane.handlers.plan_events import from_event, plan_tombstone
from gatewright.controlplane.handlers.records import outcome_of
from gatewright.wire.events import PLAN_CREATED, PLAN_DELETED, PLAN_UPDATED, PlanCreated, PlanDeleted, PlanUpdated

TYPES: Final = (PLAN_CREATED, PLAN_UPDATED, PLAN_DELETED)


class Plans:
    """Subscription plans."""

    def __init__(self, tools: Tools) -> None:
        self._subscriptions = tools.deployments.subscriptions
        self._tombstones = tools.tombstones

    def route(self, event: Event) -> Route:
        """Behind the other events of the plan; subscriptions may come before their plan."""
        match event.payload:
            case PlanCreated(plan_id=uuid) | PlanUpdated(plan_id=uuid) | PlanDeleted(plan_id=uuid):
                return Route(plan_tombstone(uuid))
        return Route("")

    async def handle(self, event: Event, document: bytes | None = None) -> Outcome:
        """See Handler."""
        del document
        match event.payload:
            case PlanCreated() | PlanUpdated() as payload:
                try:
                    plan = from_event(payload)
                except OverflowError:
                    return Outcome("refused", "expiryTime is beyond all calendars")
                is_update = isinstance(payload, PlanUpdated)
                return outcome_of(
                    await self._subscriptions.apply_plan(plan, update=is_update, correlation_id=event.correlation_id)
                )
            case PlanDeleted(plan_id=plan_id):
                self._tombstones.put(plan_tombstone(plan_id))
                return outcome_of(await self._subscriptions.remove_plan(plan_id, correlation_id=event.correlation_id))
        return Outcome("refused", "not a plan event")

    def broken(self, event: Event, error: Exception) -> None:
        """See Handler; nobody waits for an answer."""
