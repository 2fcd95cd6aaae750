"""`/subscriptions`: create, list, read, change and delete. Source: management API reference, section 15."""

from collections.abc import Sequence
from typing import Any

import msgspec
from pydantic import SecretStr
from starlette.responses import Response

from gatewright.deployment.deployments import Deployments
from gatewright.deployment.results import Conflict, NotFound
from gatewright.deployment.subscription_requests import SubscriptionFilter, SubscriptionRequest
from gatewright.deployment.subscription_results import SubscriptionNotFound, SubscriptionRefused
from gatewright.management.bodies import answer, failure, timestamp, unavailable
from gatewright.management.matching import Operation
from gatewright.management.records import INVALID, Unreadable, given, record
from gatewright.management.requests import Call
from gatewright.management.serving import marked
from gatewright.store.errors import StoreUnavailable
from gatewright.store.rows import SubscriptionRow

ROLES = frozenset({"admin"})
FILTERS = frozenset({"apiId", "applicationId", "status"})
_NOT_FOUND = "Subscription not found"


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    api_id: str | None = None
    subscription_token: str | None = None
    application_id: str | None = None
    subscription_plan_id: str | None = None
    billing_customer_id: str | None = None
    billing_subscription_id: str | None = None
    status: str | None = None


class _Patch(msgspec.Struct, frozen=True, rename="camel"):
    status: str | None = None


class Subscriptions:
    """Endpoints of the collection and of one subscription."""

    def __init__(self, deployments: Deployments) -> None:
        self._writes = deployments.subscriptions

    def operations(self) -> Sequence[Operation]:
        """The table of this resource."""
        one = "/subscriptions/{subscriptionId}"
        return (
            Operation("POST", "/subscriptions", self.create, ROLES),
            Operation("GET", "/subscriptions", self.list, ROLES, FILTERS),
            Operation("GET", one, self.read, ROLES),
            Operation("PUT", one, self.update, ROLES),
            Operation("DELETE", one, self.delete, ROLES),
        )

    async def create(self, call: Call) -> Response:
        """POST: 201; the token is in this answer and nowhere else."""
        try:
            body = await record(call, _Body)
            api, token = (body.api_id or "").strip(), (body.subscription_token or "").strip()
            if not api:
                return failure(400, "apiId is required")
            if not token:
                return failure(400, "subscriptionToken is required")
            request = SubscriptionRequest(
                api=api,
                token=SecretStr(token),
                application_id=body.application_id or None,
                plan_id=body.subscription_plan_id or None,
                billing_customer_id=body.billing_customer_id,
                billing_subscription_id=body.billing_subscription_id,
                status="ACTIVE" if body.status is None else body.status,
            )
            stored = await self._writes.create(request, correlation_id=call.correlation_id)
        except (Unreadable, SubscriptionRefused, NotFound, Conflict, StoreUnavailable) as error:
            return _refusal(error, "create subscription")
        return marked(answer({**self._subscription(stored.row), "subscriptionToken": token}, 201), stored.change)

    async def list(self, call: Call) -> Response:
        """GET: newest first; filters combine."""
        filters = SubscriptionFilter(
            api=call.query.get("apiId"),
            application_id=call.query.get("applicationId"),
            status=call.query.get("status"),
        )
        try:
            rows = await self._writes.list(filters)
        except (NotFound, SubscriptionRefused, StoreUnavailable) as error:
            return _refusal(error, "list subscriptions")
        return answer({"count": len(rows), "subscriptions": [self._subscription(row) for row in rows]})

    async def read(self, call: Call) -> Response:
        """GET one."""
        try:
            row = await self._writes.get(call.path["subscriptionId"])
        except StoreUnavailable as error:
            return _refusal(error, "get subscription")
        return failure(404, _NOT_FOUND) if row is None else answer(self._subscription(row))

    async def update(self, call: Call) -> Response:
        """PUT: only the status can be changed."""
        uuid = call.path["subscriptionId"]
        try:
            if await self._writes.get(uuid) is None:
                return failure(404, _NOT_FOUND)
            patch = await record(call, _Patch)
            stored = await self._writes.update(uuid, status=patch.status, correlation_id=call.correlation_id)
        except (Unreadable, SubscriptionNotFound, SubscriptionRefused, StoreUnavailable) as error:
            return _refusal(error, "update subscription")
        return marked(answer(self._subscription(stored.row)), stored.change)

    async def delete(self, call: Call) -> Response:
        """DELETE: 204."""
        try:
            change = await self._writes.delete(call.path["subscriptionId"], correlation_id=call.correlation_id)
        except (SubscriptionNotFound, StoreUnavailable) as error:
            return _refusal(error, "delete subscription")
        return marked(Response(status_code=204), change)

    def _subscription(self, row: SubscriptionRow) -> dict[str, Any]:
        return {
            "id": row.uuid,
            "apiId": row.api_id,
            "gatewayId": self._writes.gateway_id,
            "status": row.status,
            "createdAt": timestamp(row.created_at),
            "updatedAt": timestamp(row.updated_at),
            **given(
                (
                    ("applicationId", row.application_id),
                    ("subscriptionPlanId", row.plan_id),
                    ("billingCustomerId", row.billing_customer_id),
                    ("billingSubscriptionId", row.billing_subscription_id),
                )
            ),
        }


def _refusal(error: Exception, doing: str) -> Response:
    if isinstance(error, Unreadable):
        return failure(400, INVALID)
    if isinstance(error, SubscriptionRefused):
        return failure(400, error.message)
    if isinstance(error, NotFound | SubscriptionNotFound):
        return failure(404, error.message)
    if isinstance(error, Conflict):
        return failure(409, error.message)
    return unavailable(error, f"Failed to {doing}")
