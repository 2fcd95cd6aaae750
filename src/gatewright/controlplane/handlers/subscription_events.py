"""Subscription events and lists as the write path takes them. Pure. Source: protocol reference 2.16, 3.9."""

from pydantic import SecretStr

from gatewright.deployment import SubscriptionEvent
from gatewright.wire.events import SubscriptionCreated, SubscriptionUpdated
from gatewright.wire.subscriptions import SubscriptionRow


def from_event(payload: SubscriptionCreated | SubscriptionUpdated) -> SubscriptionEvent:
    """Of an event."""
    return _subscription(payload, payload.subscription_id, payload.api_id, "")


def from_row(row: SubscriptionRow, cp_api_id: str) -> SubscriptionEvent:
    """Of an entry in the list of the API that the control plane calls `cp_api_id`."""
    return _subscription(row, row.id, cp_api_id, row.etag)


def subscription_tombstone(uuid: str) -> str:
    """How a deleted subscription is remembered."""
    return f"subscription/{uuid}"


def _subscription(
    source: SubscriptionCreated | SubscriptionUpdated | SubscriptionRow,
    uuid: str,
    cp_api_id: str,
    correlation_id: str,
) -> SubscriptionEvent:
    return SubscriptionEvent(
        uuid=uuid,
        cp_api_id=cp_api_id,
        token=SecretStr(source.subscription_token),
        application_id=source.application_id,
        plan_id=source.subscription_plan_id,
        status=source.status,
        billing_customer_id=source.billing_customer_id,
        billing_subscription_id=source.billing_subscription_id,
        correlation_id=correlation_id,
    )
