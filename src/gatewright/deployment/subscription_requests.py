"""What callers ask of the write path about subscriptions, plans and applications. Pure values.

Sources: management API reference 14.1, 15.1; control-plane protocol reference 2.15 to 2.17, 3.8, 3.9.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec
from pydantic import SecretStr


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A plan made at the gateway. Limit and unit come together or not at all."""

    name: str
    billing_plan: str | None = None
    stop_on_quota_reach: bool = True
    limit_count: int | None = None
    limit_unit: str | None = None
    expires_at: datetime | None = None
    status: str = "ACTIVE"


class PlanPatch(msgspec.Struct, frozen=True, kw_only=True):
    """A partial update: None leaves a field as it is."""

    name: str | None = None
    billing_plan: str | None = None
    stop_on_quota_reach: bool | None = None
    limit_count: int | None = None
    limit_unit: str | None = None
    expires_at: datetime | None = None
    status: str | None = None


class PlanEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`subscriptionPlan.created`, `.updated`, or an entry of the list of plans. Empty texts mean absent."""

    uuid: str
    name: str = ""
    billing_plan: str = ""
    stop_on_quota_reach: bool = False
    limit_count: int | None = None
    limit_unit: str = ""
    expires_at: datetime | None = None
    status: str = ""
    correlation_id: str = ""


class SubscriptionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription made at the gateway. `api` is the UUID of a REST API, or its handle."""

    api: str
    token: SecretStr
    application_id: str | None = None
    plan_id: str | None = None
    billing_customer_id: str | None = None
    billing_subscription_id: str | None = None
    status: str = "ACTIVE"


class SubscriptionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions on a list, combined with AND; None or empty matches everything. `api`: UUID or handle."""

    api: str | None = None
    application_id: str | None = None
    status: str | None = None


class SubscriptionEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`subscription.created`, `.updated`, or an entry of an API's list. Empty texts mean absent.

    `cp_api_id` is the API as the control plane calls it.
    """

    uuid: str
    cp_api_id: str = ""
    token: SecretStr = SecretStr("")
    application_id: str = ""
    plan_id: str = ""
    status: str = ""
    billing_customer_id: str = ""
    billing_subscription_id: str = ""
    correlation_id: str = ""


class ApplicationEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`application.updated`: `key_ids` is the complete set of the keys of an application."""

    uuid: str
    handle: str
    name: str
    type: str
    key_ids: tuple[str, ...] = ()


Believes = Callable[[int, frozenset[str]], bool]
"""Asked before a list deletes: how many rows it speaks for, and which of them it would end."""


def always(_known: int, _doomed: frozenset[str]) -> bool:
    """Believe every list."""
    return True
