"""Transactions that write subscriptions, and the change row that goes with them.

Plain functions on a connection, without side effects; tokens enter as secrets and leave as SHA-256. Sources:
management API reference 15, control-plane protocol reference 2.16, 4.5.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Connection

from gatewright.deployment.artifact_writes import Scope
from gatewright.deployment.ids import usable_id
from gatewright.deployment.plan_writes import LONGEST_TEXT
from gatewright.deployment.results import Change, Conflict, NotFound
from gatewright.deployment.subscription_requests import SubscriptionEvent, SubscriptionFilter, SubscriptionRequest
from gatewright.deployment.subscription_results import (
    RecordIgnored,
    RecordUnknown,
    Removed,
    Replaced,
    SubscriptionApplied,
    SubscriptionNotFound,
    SubscriptionRefused,
    SubscriptionStored,
)
from gatewright.model.subscriptions import LONGEST_TOKEN_BYTES
from gatewright.store import artifacts, changes, plans, subscriptions
from gatewright.store.rows import SUBSCRIPTION, Action, ArtifactRow, SubscriptionRow, SubscriptionStatus

KIND = "RestApi"
_STATUSES: dict[str, SubscriptionStatus] = {"ACTIVE": "ACTIVE", "INACTIVE": "INACTIVE", "REVOKED": "REVOKED"}
_NOT_FOUND = "Subscription not found"


def hash_of(token: str) -> str:
    """What is stored: lower-case hex SHA-256 of the trimmed token."""
    return hashlib.sha256(token.strip().encode("utf-8", "surrogatepass")).hexdigest()


# -- management side -----------------------------------------------------------------------------------------------


def create(connection: Connection, scope: Scope, request: SubscriptionRequest) -> SubscriptionStored:
    """POST. The checks and their order are those of 15.2. Raises SubscriptionRefused, NotFound, Conflict."""
    api = _api(connection, scope.gateway_id, request.api)
    if request.plan_id:
        _check_plan(connection, scope.gateway_id, request.plan_id, api.document)
    status = _status(request.status)
    token = request.token.get_secret_value()
    if len(token.encode("utf-8", "surrogatepass")) > LONGEST_TOKEN_BYTES:
        raise SubscriptionRefused(f"subscriptionToken must not exceed {LONGEST_TOKEN_BYTES} bytes")
    for field, text in (
        ("applicationId", request.application_id),
        ("billingCustomerId", request.billing_customer_id),
        ("billingSubscriptionId", request.billing_subscription_id),
    ):
        if text and len(text) > LONGEST_TEXT:
            raise SubscriptionRefused(f"{field} must not exceed {LONGEST_TEXT} characters")
    row = SubscriptionRow(
        uuid=str(uuid4()),
        api_id=api.uuid,
        token_hash=hash_of(token),
        application_id=request.application_id or None,
        plan_id=request.plan_id or None,
        billing_customer_id=request.billing_customer_id,
        billing_subscription_id=request.billing_subscription_id,
        status=status,
        created_at=scope.now,
        updated_at=scope.now,
    )
    if subscriptions.find_by_token(connection, scope.gateway_id, api.uuid, row.token_hash) is not None:
        raise Conflict("Application already subscribed to this API")
    subscriptions.put(connection, scope.gateway_id, row)
    return SubscriptionStored(row, _record(connection, scope, row, "CREATE"))


def update(connection: Connection, scope: Scope, uuid: str, status: str | None) -> SubscriptionStored:
    """PUT: only the status. Raises SubscriptionNotFound, SubscriptionRefused."""
    existing = _existing(connection, scope.gateway_id, uuid)
    wanted = existing.status if status is None else _status(status)
    row = msgspec.structs.replace(existing, status=wanted, updated_at=scope.now)
    subscriptions.put(connection, scope.gateway_id, row)
    return SubscriptionStored(row, _record(connection, scope, row, "UPDATE"))


def delete(connection: Connection, scope: Scope, uuid: str) -> Change:
    """DELETE. Raises SubscriptionNotFound."""
    row = _existing(connection, scope.gateway_id, uuid)
    subscriptions.remove(connection, scope.gateway_id, uuid)
    return _record(connection, scope, row, "DELETE")


def matching(connection: Connection, gateway_id: str, wanted: SubscriptionFilter) -> list[SubscriptionRow]:
    """Subscriptions, newest first. Raises NotFound, SubscriptionRefused for an API that is none."""
    if wanted.api:
        rows = subscriptions.of_api(connection, gateway_id, _api(connection, gateway_id, wanted.api).uuid)
    else:
        rows = subscriptions.everything(connection, gateway_id)
    return [
        row
        for row in rows
        if (not wanted.application_id or row.application_id == wanted.application_id)
        and (not wanted.status or row.status == wanted.status)
    ]


# -- control-plane side --------------------------------------------------------------------------------------------


def apply(
    connection: Connection, scope: Scope, event: SubscriptionEvent, *, is_update: bool
) -> SubscriptionApplied | RecordUnknown | RecordIgnored:
    """`subscription.created` (on a known id an update), or `.updated` (on an unknown id nothing)."""
    existing = subscriptions.find(connection, scope.gateway_id, event.uuid) if event.uuid else None
    if is_update and event.uuid and existing is None:
        return RecordUnknown(event.uuid)
    api_id = _local_api(connection, scope.gateway_id, event.cp_api_id)
    return _put(connection, scope, _wanted(scope, event, api_id, existing, is_update=is_update), existing)


def apply_removal(connection: Connection, scope: Scope, uuid: str) -> Removed:
    """`subscription.deleted`: an unknown subscription is fine."""
    existing = subscriptions.find(connection, scope.gateway_id, uuid)
    if existing is None:
        return Removed(None)
    subscriptions.remove(connection, scope.gateway_id, uuid)
    return Removed(_record(connection, scope, existing, "DELETE"))


def differing(
    stored: Iterable[SubscriptionRow], wanted: Iterable[SubscriptionEvent], scope: Scope, api_id: str
) -> list[SubscriptionEvent]:
    """The entries of an API's list that would change what is stored."""
    known = {row.uuid: row for row in stored}
    found = []
    for event in wanted:
        existing = known.get(event.uuid)
        row = _wanted(scope, event, api_id, existing, is_update=False)
        if isinstance(row, RecordIgnored) or existing is None or not _same(existing, row):
            found.append(event)
    return found


def replace(
    connection: Connection,
    scope: Scope,
    api_id: str,
    wanted: Sequence[SubscriptionEvent],
    doomed: frozenset[str],
    *,
    asked_at: datetime,
) -> Replaced:
    """Apply the list of one API: the end of `doomed`, then its entries. What has changed since is left alone."""
    applied, removed = 0, 0
    ignored: list[RecordIgnored] = []
    for uuid in sorted(doomed):
        existing = subscriptions.find(connection, scope.gateway_id, uuid)
        if existing is not None and existing.updated_at < asked_at:
            removed += apply_removal(connection, scope, uuid).change is not None
    for event in wanted:
        existing = subscriptions.find(connection, scope.gateway_id, event.uuid)
        if existing is not None and existing.updated_at >= asked_at:
            continue
        named = msgspec.structs.replace(scope, correlation_id=event.correlation_id or scope.correlation_id)
        row = _wanted(named, event, api_id, existing, is_update=False)
        result = _put(connection, named, row, existing)
        if isinstance(result, RecordIgnored):
            ignored.append(result)
        else:
            applied += result.change is not None
    return Replaced(applied=applied, removed=removed, ignored=tuple(ignored))


# -- inside --------------------------------------------------------------------------------------------------------


def _wanted(
    scope: Scope, event: SubscriptionEvent, api_id: str, existing: SubscriptionRow | None, *, is_update: bool
) -> SubscriptionRow | RecordIgnored:
    token = event.token.get_secret_value().strip()
    kept = existing if is_update else None
    if not event.uuid or not (api_id or kept) or not (token or kept):
        return RecordIgnored("MISSING_FIELD", "the subscription lacks its id, its API or its token")
    problem = _unusable(event, token)
    if problem is not None:
        return problem
    status = _STATUSES.get(event.status or ("" if is_update else "ACTIVE"))
    if status is None:
        return RecordIgnored("STATUS", f"the subscription {event.uuid} has an unknown status")
    return SubscriptionRow(
        uuid=event.uuid,
        api_id=api_id or (kept.api_id if kept else ""),
        token_hash=hash_of(token) if token else (kept.token_hash if kept else ""),
        application_id=event.application_id or None,
        plan_id=event.plan_id or None,
        billing_customer_id=existing.billing_customer_id if existing else event.billing_customer_id or None,
        billing_subscription_id=existing.billing_subscription_id if existing else event.billing_subscription_id or None,
        status=status,
        origin="control_plane",
        created_at=existing.created_at if existing else scope.now,
        updated_at=scope.now,
    )


def _unusable(event: SubscriptionEvent, token: str) -> RecordIgnored | None:
    ids = [event.uuid, *(text for text in (event.cp_api_id, event.plan_id) if text)]
    texts = (event.application_id, event.billing_customer_id, event.billing_subscription_id)
    if not all(usable_id(text) for text in ids) or any(len(text) > LONGEST_TEXT for text in texts):
        return RecordIgnored("INVALID_FIELD", "an id of the subscription is too long or holds odd characters")
    if len(token.encode("utf-8", "surrogatepass")) > LONGEST_TOKEN_BYTES:
        return RecordIgnored("INVALID_FIELD", f"the token of the subscription {event.uuid} is too long")
    return None


def _put(
    connection: Connection, scope: Scope, wanted: SubscriptionRow | RecordIgnored, existing: SubscriptionRow | None
) -> SubscriptionApplied | RecordIgnored:
    if isinstance(wanted, RecordIgnored):
        return wanted
    if existing is not None and _same(existing, wanted):
        return SubscriptionApplied(existing, None)
    other = subscriptions.find_by_token(connection, scope.gateway_id, wanted.api_id, wanted.token_hash)
    if other is not None and other.uuid != wanted.uuid:
        return RecordIgnored("TOKEN_TAKEN", f"the subscription {other.uuid} of the API has the same token")
    subscriptions.put(connection, scope.gateway_id, wanted)
    return SubscriptionApplied(wanted, _record(connection, scope, wanted, "UPDATE" if existing else "CREATE"))


def _same(stored: SubscriptionRow, wanted: SubscriptionRow) -> bool:
    return msgspec.structs.replace(wanted, updated_at=stored.updated_at, created_at=stored.created_at) == stored


def _existing(connection: Connection, gateway_id: str, uuid: str) -> SubscriptionRow:
    row = subscriptions.find(connection, gateway_id, uuid)
    if row is None:
        raise SubscriptionNotFound(_NOT_FOUND)
    return row


def _api(connection: Connection, gateway_id: str, identifier: str) -> ArtifactRow:
    """A REST API by UUID, else by handle."""
    found = artifacts.find(connection, gateway_id, identifier)
    if found is not None and found.kind != KIND:
        raise SubscriptionRefused(f"Configuration with identifier '{identifier}' is not a REST API")
    found = found or artifacts.find_by_handle(connection, gateway_id, KIND, identifier)
    if found is None:
        raise NotFound(f"RestAPI with identifier '{identifier}' not found")
    return found


def _local_api(connection: Connection, gateway_id: str, cp_id: str) -> str:
    """The local UUID; of an API that is not here yet the id that it will have."""
    if not cp_id:
        return ""
    found = artifacts.resolve(connection, gateway_id, cp_id)
    return cp_id if found is None else found.uuid


def _check_plan(connection: Connection, gateway_id: str, plan_id: str, document: Mapping[str, Any]) -> None:
    plan = plans.find(connection, gateway_id, plan_id)
    if plan is None:
        raise SubscriptionRefused("Subscription plan not found or not enabled")
    if plan.status != "ACTIVE":
        raise SubscriptionRefused("Subscription plan is not active")
    spec = document.get("spec")
    offered = spec.get("subscriptionPlans") if isinstance(spec, Mapping) else None
    if offered and plan.name.casefold() not in {str(name).casefold() for name in offered}:
        raise SubscriptionRefused(f'Subscription plan "{plan.name}" is not enabled for this API')


def _status(text: str) -> SubscriptionStatus:
    status = _STATUSES.get(text)
    if status is None:
        raise SubscriptionRefused(f"invalid status: {text}")
    return status


def _record(connection: Connection, scope: Scope, row: SubscriptionRow, action: Action) -> Change:
    return changes.append(
        connection,
        scope.gateway_id,
        kind=SUBSCRIPTION,
        entity_id=row.uuid,
        artifact_id=row.api_id,
        action=action,
        correlation_id=scope.correlation_id,
        at=scope.now,
    )
