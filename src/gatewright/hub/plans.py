"""Subscription plans: how much a subscription allows. Every gateway knows all of them. Transactions, no network."""

import re
import uuid
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from gatewright.hub import gateways
from gatewright.hub.problems import ApiError, invalid, not_found
from gatewright.hub.store import Unit
from gatewright.hub.tables import plans, subscriptions
from gatewright.hub.views import PlanView
from gatewright.wire import events
from gatewright.wire.identifiers import derived_uuid
from gatewright.wire.subscriptions import PlanRow
from gatewright.wire.times import Timestamp

STATUSES: Final = ("ACTIVE", "INACTIVE")
MAX_TEXT: Final = 200
_MAX_COUNT: Final = 2**31 - 1
_HANDLE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A whole plan; an update replaces everything but the handle. `id` is the handle."""

    id: str = ""
    plan_name: str = ""
    billing_plan: str = ""
    stop_on_quota_reach: bool = True
    throttle_limit_count: int | None = None
    throttle_limit_unit: str = ""
    expiry_time: str = ""
    status: str = "ACTIVE"


def create(unit: Unit, wanted: PlanRequest) -> PlanView:
    """Add a plan and tell every gateway. ApiError 400, 409."""
    handle = wanted.id or re.sub(r"[^a-z0-9]+", "-", wanted.plan_name.lower()).strip("-")
    values = _checked(wanted, handle)
    _refuse_taken(unit.connection, handle, wanted.plan_name, "")
    plan_id, now = str(uuid.uuid4()), unit.now.unix_ms
    unit.connection.execute(insert(plans).values(id=plan_id, handle=handle, created_at=now, updated_at=now, **values))
    return _announced(unit, plan_id, events.PLAN_CREATED)


def change(unit: Unit, ref: str, wanted: PlanRequest) -> PlanView:
    """Replace a plan and tell every gateway. ApiError 400, 404, 409."""
    known = find(unit.connection, ref)
    values = _checked(wanted, known.handle)
    _refuse_taken(unit.connection, known.handle, wanted.plan_name, known.id)
    changed_at = max(unit.now.unix_ms, known.updated_at + 1)
    unit.connection.execute(update(plans).where(plans.c.id == known.id).values(updated_at=changed_at, **values))
    return _announced(unit, known.id, events.PLAN_UPDATED)


def remove(unit: Unit, ref: str) -> None:
    """Delete a plan that no subscription has and tell every gateway. ApiError 404, 409."""
    known = find(unit.connection, ref)
    used = unit.connection.execute(select(subscriptions.c.id).where(subscriptions.c.plan_id == known.id).limit(1))
    if used.first() is not None:
        raise ApiError(
            409, "PLAN_IN_USE", f"Subscriptions have the plan {known.handle!r}. Change or delete them first."
        )
    unit.connection.execute(delete(plans).where(plans.c.id == known.id))
    payload = events.PlanDeleted(plan_id=known.id, handle=known.handle, plan_name=known.name)
    for gateway_id in gateways.by_ids(unit.connection):
        unit.emit(gateway_id, events.PLAN_DELETED, payload)


def find(connection: Connection, ref: str) -> Row[Any]:
    """A plan by handle or id. ApiError 404."""
    row = connection.execute(select(plans).where(or_(plans.c.handle == ref, plans.c.id == ref)).limit(1)).first()
    if row is None:
        raise not_found("plan", ref)
    return row


def views(connection: Connection) -> list[PlanView]:
    """All plans by handle."""
    return [view(row) for row in connection.execute(select(plans).order_by(plans.c.handle))]


def view(row: Row[Any]) -> PlanView:
    """A plan for people."""
    return PlanView(
        id=row.handle,
        uuid=row.id,
        plan_name=row.name,
        billing_plan=row.billing_plan,
        stop_on_quota_reach=row.stop_on_quota_reach,
        throttle_limit_count=row.limit_count,
        throttle_limit_unit=row.limit_unit,
        expiry_time="" if row.expires_at is None else Timestamp.from_ms(row.expires_at).text(),
        status=row.status,
        created_at=Timestamp.from_ms(row.created_at).text(),
        updated_at=Timestamp.from_ms(row.updated_at).text(),
    )


def wire_rows(connection: Connection) -> list[PlanRow]:
    """The plan list, the same for every gateway."""
    return [
        PlanRow(
            **_members(row),
            id=row.id,
            created_at=Timestamp.from_ms(row.created_at),
            updated_at=Timestamp.from_ms(row.updated_at),
            etag=derived_uuid(row.id, Timestamp.from_ms(row.updated_at)),
        )
        for row in connection.execute(select(plans).order_by(plans.c.created_at, plans.c.id))
    ]


def _members(row: Row[Any]) -> dict[str, Any]:
    """What list and events have in common."""
    return {
        "handle": row.handle,
        "plan_name": row.name,
        "billing_plan": row.billing_plan,
        "stop_on_quota_reach": row.stop_on_quota_reach,
        "throttle_limit_count": row.limit_count,
        "throttle_limit_unit": row.limit_unit,
        "expiry_time": None if row.expires_at is None else Timestamp.from_ms(row.expires_at),
        "status": row.status,
    }


def _announced(unit: Unit, plan_id: str, kind: str) -> PlanView:
    row = find(unit.connection, plan_id)
    struct = events.PlanCreated if kind == events.PLAN_CREATED else events.PlanUpdated
    payload = struct(plan_id=row.id, **_members(row))
    for gateway_id in gateways.by_ids(unit.connection):
        unit.emit(gateway_id, kind, payload)
    return view(row)


def _checked(wanted: PlanRequest, handle: str) -> dict[str, Any]:
    problems = []
    if _HANDLE.fullmatch(handle) is None:
        problems.append("id: must have 1 to 63 characters of a-z, 0-9 and - and neither begin nor end with -")
    if not wanted.plan_name.strip() or len(wanted.plan_name) > MAX_TEXT:
        problems.append(f"planName: must have 1 to {MAX_TEXT} characters")
    if len(wanted.billing_plan) > MAX_TEXT:
        problems.append(f"billingPlan: may have {MAX_TEXT} characters at most")
    count, unit_of_time = wanted.throttle_limit_count, wanted.throttle_limit_unit
    if (count is None) != (not unit_of_time):
        problems.append("throttleLimitCount, throttleLimitUnit: give both or none")
    if count is not None and not 0 < count <= _MAX_COUNT:
        problems.append(f"throttleLimitCount: must be between 1 and {_MAX_COUNT}")
    if unit_of_time and unit_of_time.lower() not in {"min", "minute", "hour", "day", "month"}:
        problems.append("throttleLimitUnit: must be min, hour, day or month")
    if wanted.status not in STATUSES:
        problems.append(f"status: must be one of {', '.join(STATUSES)}")
    expires_at = None
    if wanted.expiry_time:
        try:
            expires_at = Timestamp.parse(wanted.expiry_time).unix_ms
        except ValueError:
            problems.append("expiryTime: must be an RFC 3339 time such as 2027-01-01T00:00:00Z")
    if problems:
        raise invalid(*problems)
    return {
        "name": wanted.plan_name,
        "billing_plan": wanted.billing_plan,
        "stop_on_quota_reach": wanted.stop_on_quota_reach,
        "limit_count": count,
        "limit_unit": unit_of_time,
        "expires_at": expires_at,
        "status": wanted.status,
    }


def _refuse_taken(connection: Connection, handle: str, name: str, own_id: str) -> None:
    query = select(plans.c.id).where(or_(plans.c.handle == handle, plans.c.name == name), plans.c.id != own_id)
    if connection.execute(query.limit(1)).first() is not None:
        raise ApiError(409, "PLAN_EXISTS", f"There is a plan with the id {handle!r} or the name {name!r} already.")
