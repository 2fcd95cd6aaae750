"""Transactions that write subscription plans, and the change row that goes with them.

Plain functions on a connection, without side effects. Sources: management API reference 14, control-plane protocol
reference 2.17, 4.4.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import uuid4

import msgspec
from sqlalchemy import Connection

from gatewright.deployment.artifact_writes import Scope
from gatewright.deployment.ids import usable_id
from gatewright.deployment.results import Change, Conflict
from gatewright.deployment.subscription_requests import PlanEvent, PlanPatch, PlanRequest
from gatewright.deployment.subscription_results import (
    PlanApplied,
    PlanInUse,
    PlanNotFound,
    PlanStored,
    RecordIgnored,
    RecordUnknown,
    Removed,
    Replaced,
    SubscriptionRefused,
)
from gatewright.store import changes, plans, subscriptions
from gatewright.store.rows import SUBSCRIPTION_PLAN, Action, PlanRow, PlanStatus

UNITS = ("Day", "Hour", "Min", "Month")
LONGEST_TEXT = 255
_LONGEST_UNIT = 20
_LARGEST_COUNT = 2**63 - 1
_STATUSES: dict[str, PlanStatus] = {"ACTIVE": "ACTIVE", "INACTIVE": "INACTIVE"}
_TAKEN = "Subscription plan already exists"
_NOT_FOUND = "Subscription plan not found"


# -- management side -----------------------------------------------------------------------------------------------


def create(connection: Connection, scope: Scope, request: PlanRequest) -> PlanStored:
    """POST. Raises SubscriptionRefused, Conflict."""
    name = request.name.strip()
    if not name:
        raise SubscriptionRefused("planName is required")
    _check_texts(name, request.billing_plan)
    _check_limit(request.limit_count, request.limit_unit)
    row = PlanRow(
        uuid=str(uuid4()),
        name=name,
        billing_plan=request.billing_plan,
        stop_on_quota_reach=request.stop_on_quota_reach,
        limit_count=request.limit_count,
        limit_unit=request.limit_unit,
        expires_at=request.expires_at,
        status=_status(request.status),
        created_at=scope.now,
        updated_at=scope.now,
    )
    if plans.find_by_name(connection, scope.gateway_id, name) is not None:
        raise Conflict(_TAKEN)
    plans.put(connection, scope.gateway_id, row)
    return PlanStored(row, _record(connection, scope, row.uuid, "CREATE"))


def update(connection: Connection, scope: Scope, uuid: str, patch: PlanPatch) -> PlanStored:
    """PUT, a partial update. Raises PlanNotFound, SubscriptionRefused, Conflict."""
    existing = plans.find(connection, scope.gateway_id, uuid)
    if existing is None:
        raise PlanNotFound(_NOT_FOUND)
    name = existing.name if patch.name is None else patch.name.strip()
    if not name:
        raise SubscriptionRefused("planName cannot be empty")
    _check_texts(name, patch.billing_plan)
    _check_limit(patch.limit_count, patch.limit_unit)
    given = {
        "billing_plan": patch.billing_plan,
        "stop_on_quota_reach": patch.stop_on_quota_reach,
        "limit_count": patch.limit_count,
        "limit_unit": patch.limit_unit,
        "expires_at": patch.expires_at,
        "status": None if patch.status is None else _status(patch.status),
    }
    row = msgspec.structs.replace(
        existing,
        name=name,
        updated_at=scope.now,
        **{field: value for field, value in given.items() if value is not None},
    )
    other = plans.find_by_name(connection, scope.gateway_id, name)
    if other is not None and other.uuid != uuid:
        raise Conflict(_TAKEN)
    plans.put(connection, scope.gateway_id, row)
    return PlanStored(row, _record(connection, scope, uuid, "UPDATE"))


def delete(connection: Connection, scope: Scope, uuid: str) -> Change:
    """DELETE. Raises PlanNotFound, PlanInUse."""
    if plans.find(connection, scope.gateway_id, uuid) is None:
        raise PlanNotFound(_NOT_FOUND)
    users = subscriptions.count_of_plan(connection, scope.gateway_id, uuid)
    if users:
        raise PlanInUse(f"{users} subscription{'s refer' if users > 1 else ' refers'} to it")
    plans.remove(connection, scope.gateway_id, uuid)
    return _record(connection, scope, uuid, "DELETE")


# -- control-plane side --------------------------------------------------------------------------------------------


def apply(
    connection: Connection, scope: Scope, event: PlanEvent, *, is_update: bool
) -> PlanApplied | RecordUnknown | RecordIgnored:
    """`subscriptionPlan.created` (on a known id an update), or `.updated` (on an unknown id nothing)."""
    existing = plans.find(connection, scope.gateway_id, event.uuid) if event.uuid else None
    if is_update and event.uuid and existing is None:
        return RecordUnknown(event.uuid)
    wanted = _wanted(scope, event, existing, is_update=is_update)
    if isinstance(wanted, RecordIgnored):
        return wanted
    if existing is not None and _same(existing, wanted):
        return PlanApplied(existing, None)
    other = plans.find_by_name(connection, scope.gateway_id, wanted.name)
    if other is not None and other.uuid != wanted.uuid:
        return RecordIgnored("NAME_TAKEN", f"the plan {other.uuid} has the name {wanted.name!r} already")
    plans.put(connection, scope.gateway_id, wanted)
    return PlanApplied(wanted, _record(connection, scope, wanted.uuid, "UPDATE" if existing else "CREATE"))


def apply_removal(connection: Connection, scope: Scope, uuid: str) -> Removed | RecordIgnored:
    """`subscriptionPlan.deleted`: an unknown plan is fine, one in use is kept."""
    if plans.find(connection, scope.gateway_id, uuid) is None:
        return Removed(None)
    users = subscriptions.count_of_plan(connection, scope.gateway_id, uuid)
    if users:
        return RecordIgnored("IN_USE", f"{users} subscriptions refer to the plan {uuid}; it is kept")
    plans.remove(connection, scope.gateway_id, uuid)
    return Removed(_record(connection, scope, uuid, "DELETE"))


def differing(stored: Iterable[PlanRow], wanted: Iterable[PlanEvent], scope: Scope) -> list[PlanEvent]:
    """The entries of a list that would change what is stored."""
    known = {row.uuid: row for row in stored}
    found = []
    for event in wanted:
        row = _wanted(scope, event, known.get(event.uuid), is_update=False)
        if isinstance(row, RecordIgnored) or event.uuid not in known or not _same(known[event.uuid], row):
            found.append(event)
    return found


def replace(
    connection: Connection, scope: Scope, wanted: Sequence[PlanEvent], doomed: frozenset[str], *, asked_at: datetime
) -> Replaced:
    """Apply a list: its entries, and the end of `doomed`. What has changed since `asked_at` is left alone.

    A plan that was made anew under the same name takes the place of the old one, with its subscriptions.
    """
    applied, removed = 0, 0
    ignored: list[RecordIgnored] = []
    for event in wanted:
        if _is_newer(connection, scope, event.uuid, asked_at):
            continue
        holder = plans.find_by_name(connection, scope.gateway_id, event.name.strip())
        if holder is not None and holder.uuid in doomed and holder.uuid != event.uuid:
            subscriptions.change_plan(connection, scope.gateway_id, holder.uuid, event.uuid)
            plans.remove(connection, scope.gateway_id, holder.uuid)
            _record(connection, scope, holder.uuid, "DELETE")
            removed += 1
        result = apply(connection, _named(scope, event.correlation_id), event, is_update=False)
        if isinstance(result, RecordIgnored):
            ignored.append(result)
        elif isinstance(result, PlanApplied):
            applied += result.change is not None
    for uuid in sorted(doomed):
        if _is_newer(connection, scope, uuid, asked_at):
            continue
        gone = apply_removal(connection, scope, uuid)
        if isinstance(gone, RecordIgnored):
            ignored.append(gone)
        else:
            removed += gone.change is not None
    return Replaced(applied=applied, removed=removed, ignored=tuple(ignored))


# -- inside --------------------------------------------------------------------------------------------------------


def _wanted(scope: Scope, event: PlanEvent, existing: PlanRow | None, *, is_update: bool) -> PlanRow | RecordIgnored:
    name = event.name.strip() or (existing.name if existing and is_update else "")
    if not event.uuid or not name:
        return RecordIgnored("MISSING_FIELD", "the plan lacks its id or its name")
    if not usable_id(event.uuid) or max(len(name), len(event.billing_plan)) > LONGEST_TEXT:
        return RecordIgnored("INVALID_FIELD", "the id, the name or the billing plan is too long")
    if len(event.limit_unit) > _LONGEST_UNIT or abs(event.limit_count or 0) > _LARGEST_COUNT:
        return RecordIgnored("INVALID_FIELD", f"the limit of the plan {event.uuid} is out of range")
    status = _STATUSES.get(event.status or (existing.status if existing and is_update else "ACTIVE"))
    if status is None:
        return RecordIgnored("STATUS", f"the plan {event.uuid} has an unknown status")
    return PlanRow(
        uuid=event.uuid,
        name=name,
        billing_plan=event.billing_plan or None,
        stop_on_quota_reach=event.stop_on_quota_reach,
        limit_count=event.limit_count,
        limit_unit=event.limit_unit or None,
        expires_at=event.expires_at,
        status=status,
        origin="control_plane",
        created_at=existing.created_at if existing else scope.now,
        updated_at=scope.now,
    )


def _same(stored: PlanRow, wanted: PlanRow) -> bool:
    return msgspec.structs.replace(wanted, updated_at=stored.updated_at, created_at=stored.created_at) == stored


def _is_newer(connection: Connection, scope: Scope, uuid: str, asked_at: datetime) -> bool:
    existing = plans.find(connection, scope.gateway_id, uuid)
    return existing is not None and existing.updated_at >= asked_at


def _named(scope: Scope, correlation_id: str) -> Scope:
    return msgspec.structs.replace(scope, correlation_id=correlation_id or scope.correlation_id)


def _check_limit(count: int | None, unit: str | None) -> None:
    if (count is None) != (unit is None):
        raise SubscriptionRefused("throttleLimitCount and throttleLimitUnit must be provided together")
    if count is not None and count <= 0:
        raise SubscriptionRefused("throttleLimitCount must be positive")
    if unit is not None and unit not in UNITS:
        raise SubscriptionRefused(f"throttleLimitUnit must be one of: {', '.join(UNITS)}")


def _status(text: str) -> PlanStatus:
    status = _STATUSES.get(text)
    if status is None:
        raise SubscriptionRefused(f"invalid status: {text}")
    return status


def _check_texts(name: str, billing_plan: str | None) -> None:
    for field, text in (("planName", name), ("billingPlan", billing_plan or "")):
        if len(text) > LONGEST_TEXT:
            raise SubscriptionRefused(f"{field} must not exceed {LONGEST_TEXT} characters")


def _record(connection: Connection, scope: Scope, uuid: str, action: Action) -> Change:
    return changes.append(
        connection,
        scope.gateway_id,
        kind=SUBSCRIPTION_PLAN,
        entity_id=uuid,
        artifact_id=uuid,
        action=action,
        correlation_id=scope.correlation_id,
        at=scope.now,
    )
