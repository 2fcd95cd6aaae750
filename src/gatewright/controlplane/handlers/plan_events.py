"""Plan events and lists of plans as the write path takes them. Pure. Source: protocol reference 2.17, 3.8."""

from gatewright.controlplane.events import moment
from gatewright.deployment import PlanEvent
from gatewright.wire.events import PlanCreated, PlanUpdated
from gatewright.wire.subscriptions import PlanRow


def from_event(payload: PlanCreated | PlanUpdated) -> PlanEvent:
    """Raises OverflowError for a time beyond all calendars."""
    return _plan(payload, payload.plan_id, "")


def from_row(row: PlanRow) -> PlanEvent:
    """An entry of the list. Raises OverflowError for a time beyond all calendars."""
    return _plan(row, row.id, row.etag)


def plan_tombstone(uuid: str) -> str:
    """How a deleted plan is remembered."""
    return f"plan/{uuid}"


def _plan(source: PlanCreated | PlanUpdated | PlanRow, uuid: str, correlation_id: str) -> PlanEvent:
    expiry = source.expiry_time
    return PlanEvent(
        uuid=uuid,
        name=source.plan_name,
        billing_plan=source.billing_plan,
        stop_on_quota_reach=source.stop_on_quota_reach,
        limit_count=source.throttle_limit_count,
        limit_unit=source.throttle_limit_unit,
        expires_at=None if expiry is None or expiry.is_zero else moment(expiry),
        status=source.status,
        correlation_id=correlation_id,
    )
