"""`/subscription-plans`: create, list, read, change and delete plans. Source: management API reference, section 14.

A name that is taken by another plan, and a plan that is in use, are conflicts (409); the original answers 500.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from starlette.responses import Response

from gatewright.deployment.deployments import Deployments
from gatewright.deployment.results import Conflict
from gatewright.deployment.subscription_requests import PlanPatch, PlanRequest
from gatewright.deployment.subscription_results import PlanInUse, PlanNotFound, SubscriptionRefused
from gatewright.management.bodies import answer, failure, timestamp, unavailable
from gatewright.management.matching import Operation
from gatewright.management.records import INVALID, Unreadable, given, in_utc, record
from gatewright.management.requests import Call
from gatewright.management.serving import marked
from gatewright.store.errors import StoreUnavailable
from gatewright.store.rows import PlanRow

ROLES = frozenset({"admin"})
_NOT_FOUND = "Subscription plan not found"

Count = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Time = Annotated[datetime, msgspec.Meta(tz=True)]


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    plan_name: str | None = None
    billing_plan: str | None = None
    stop_on_quota_reach: bool | None = None
    throttle_limit_count: Count | None = None
    throttle_limit_unit: str | None = None
    expiry_time: Time | None = None
    status: str | None = None


class SubscriptionPlans:
    """Endpoints of the collection and of one plan."""

    def __init__(self, deployments: Deployments) -> None:
        self._writes = deployments.subscriptions

    def operations(self) -> Sequence[Operation]:
        """The table of this resource."""
        one = "/subscription-plans/{planId}"
        return (
            Operation("POST", "/subscription-plans", self.create, ROLES),
            Operation("GET", "/subscription-plans", self.list, ROLES),
            Operation("GET", one, self.read, ROLES),
            Operation("PUT", one, self.update, ROLES),
            Operation("DELETE", one, self.delete, ROLES),
        )

    async def create(self, call: Call) -> Response:
        """POST: 201 with the plan."""
        try:
            body = await record(call, _Body)
            request = PlanRequest(
                name=body.plan_name or "",
                billing_plan=body.billing_plan,
                stop_on_quota_reach=True if body.stop_on_quota_reach is None else body.stop_on_quota_reach,
                limit_count=body.throttle_limit_count,
                limit_unit=body.throttle_limit_unit,
                expires_at=in_utc(body.expiry_time),
                status="ACTIVE" if body.status is None else body.status,
            )
            stored = await self._writes.create_plan(request, correlation_id=call.correlation_id)
        except (Unreadable, SubscriptionRefused, Conflict, StoreUnavailable) as error:
            return _refusal(error, "create")
        return marked(answer(self._plan(stored.row), 201), stored.change)

    async def list(self, call: Call) -> Response:
        """GET: all plans, newest first."""
        del call
        try:
            rows = await self._writes.plans()
        except StoreUnavailable as error:
            return unavailable(error, "Failed to list subscription plans")
        return answer({"count": len(rows), "subscriptionPlans": [self._plan(row) for row in rows]})

    async def read(self, call: Call) -> Response:
        """GET one."""
        try:
            row = await self._writes.plan(call.path["planId"])
        except StoreUnavailable as error:
            return unavailable(error, "Failed to get subscription plan")
        return failure(404, _NOT_FOUND) if row is None else answer(self._plan(row))

    async def update(self, call: Call) -> Response:
        """PUT: absent members stay as they are."""
        uuid = call.path["planId"]
        try:
            if await self._writes.plan(uuid) is None:
                return failure(404, _NOT_FOUND)
            body = await record(call, _Body)
            patch = PlanPatch(
                name=body.plan_name,
                billing_plan=body.billing_plan,
                stop_on_quota_reach=body.stop_on_quota_reach,
                limit_count=body.throttle_limit_count,
                limit_unit=body.throttle_limit_unit,
                expires_at=in_utc(body.expiry_time),
                status=body.status,
            )
            stored = await self._writes.update_plan(uuid, patch, correlation_id=call.correlation_id)
        except (Unreadable, PlanNotFound, SubscriptionRefused, Conflict, StoreUnavailable) as error:
            return _refusal(error, "update")
        return marked(answer(self._plan(stored.row)), stored.change)

    async def delete(self, call: Call) -> Response:
        """DELETE: 204."""
        try:
            change = await self._writes.delete_plan(call.path["planId"], correlation_id=call.correlation_id)
        except (PlanNotFound, PlanInUse, StoreUnavailable) as error:
            return _refusal(error, "delete")
        return marked(Response(status_code=204), change)

    def _plan(self, row: PlanRow) -> dict[str, Any]:
        return {
            "id": row.uuid,
            "planName": row.name,
            "stopOnQuotaReach": row.stop_on_quota_reach,
            "gatewayId": self._writes.gateway_id,
            "status": row.status,
            "createdAt": timestamp(row.created_at),
            "updatedAt": timestamp(row.updated_at),
            **given(
                (
                    ("billingPlan", row.billing_plan),
                    ("throttleLimitCount", row.limit_count),
                    ("throttleLimitUnit", row.limit_unit),
                    ("expiryTime", timestamp(row.expires_at) if row.expires_at else None),
                )
            ),
        }


def _refusal(error: Exception, doing: str) -> Response:
    if isinstance(error, Unreadable):
        return failure(400, INVALID)
    if isinstance(error, SubscriptionRefused):
        return failure(400, error.message)
    if isinstance(error, PlanNotFound):
        return failure(404, error.message)
    if isinstance(error, Conflict):
        return failure(409, error.message)
    if isinstance(error, PlanInUse):
        return failure(409, f"Failed to {doing} subscription plan: {error.message}")
    return unavailable(error, f"Failed to {doing} subscription plan")
