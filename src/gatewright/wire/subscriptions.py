"""Lists of subscriptions and their plans. Both answers are bare arrays."""

from gatewright.wire.codec import Sparse, decode_array
from gatewright.wire.failures import Undecodable
from gatewright.wire.times import Timestamp


class PlanRow(Sparse, frozen=True, kw_only=True):
    """One subscription plan. `billing_plan` is understood though Platform API never sends it."""

    id: str = ""
    handle: str = ""
    plan_name: str = ""
    billing_plan: str = ""
    stop_on_quota_reach: bool = False
    throttle_limit_count: int | None = None
    throttle_limit_unit: str = ""
    expiry_time: Timestamp | None = None
    status: str = ""
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    etag: str = ""


class SubscriptionRow(Sparse, frozen=True, kw_only=True):
    """One subscription of an API, with its plain token."""

    id: str = ""
    api_id: str = ""
    application_id: str = ""
    subscription_token: str = ""
    subscription_plan_id: str = ""
    status: str = ""
    billing_customer_id: str = ""
    billing_subscription_id: str = ""
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    etag: str = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r})"


def decode_plans(body: bytes) -> tuple[PlanRow, ...] | Undecodable:
    """Read the answer of `GET /subscription-plans`."""
    return decode_array(body, PlanRow, "subscription plans")


def decode_subscriptions(body: bytes) -> tuple[SubscriptionRow, ...] | Undecodable:
    """Read the answer of `GET /apis/{id}/subscriptions`."""
    return decode_array(body, SubscriptionRow, "subscriptions")
