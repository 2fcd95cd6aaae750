"""Subscriptions to APIs. Gateways are told the plain token each time, so it is kept sealed. No network."""

import re
import secrets
import uuid
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from gatewright.hub import applications, artifacts, plans
from gatewright.hub.problems import ApiError, invalid, not_found
from gatewright.hub.store import Unit
from gatewright.hub.tables import applications as application_table
from gatewright.hub.tables import artifacts as artifact_table
from gatewright.hub.tables import plans as plan_table
from gatewright.hub.tables import statuses, subscriptions
from gatewright.hub.vault import Vault
from gatewright.hub.views import IssuedSubscription, SubscriptionView
from gatewright.wire import events
from gatewright.wire.identifiers import derived_uuid, token_hash
from gatewright.wire.kinds import ArtifactKind
from gatewright.wire.subscriptions import SubscriptionRow
from gatewright.wire.times import Timestamp

ACTIVE: Final = "ACTIVE"
STATUSES: Final = (ACTIVE, "INACTIVE", "REVOKED")
_PREFIX: Final = "sub_"
_TOKEN = re.compile(r"[\x21-\x7e]{16,256}")
_MAX_TEXT: Final = 200


class SubscriptionRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A new subscription. `api`, `plan` and `application` by handle or id; a token is made when there is none."""

    api: str
    plan: str = ""
    application: str = ""
    token: str = ""
    status: str = ACTIVE
    billing_customer_id: str = ""
    billing_subscription_id: str = ""

    def __repr__(self) -> str:
        return f"SubscriptionRequest(api={self.api!r})"


class SubscriptionChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is to change. None keeps; an empty plan or application clears."""

    plan: str | None = None
    application: str | None = None
    token: str | None = None
    status: str | None = None

    def __repr__(self) -> str:
        return "SubscriptionChange(…)"


def create(unit: Unit, wanted: SubscriptionRequest) -> IssuedSubscription:
    """Add a subscription and tell the API's gateways. ApiError 400, 404, 409."""
    artifact = artifacts.find(unit.connection, wanted.api)
    if artifact.kind != ArtifactKind.REST_API.value:
        raise ApiError(409, "ARTIFACT_UNSUPPORTED", f"Artifacts of kind {artifact.kind} have no subscriptions.")
    token = wanted.token or _PREFIX + secrets.token_hex(32)
    _check(token, wanted.status, wanted.billing_customer_id, wanted.billing_subscription_id)
    _refuse_taken(unit.connection, artifact.id, token, "")
    subscription_id, now = str(uuid.uuid4()), unit.now.unix_ms
    unit.connection.execute(
        insert(subscriptions).values(
            id=subscription_id,
            artifact_id=artifact.id,
            application_id=_application(unit.connection, wanted.application),
            plan_id=_plan(unit.connection, wanted.plan),
            token_hash=token_hash(token),
            token_sealed=unit.vault.seal(token, subscription_id),
            status=wanted.status,
            billing_customer_id=wanted.billing_customer_id,
            billing_subscription_id=wanted.billing_subscription_id,
            created_at=now,
            updated_at=now,
        )
    )
    payload = events.SubscriptionCreated(
        **_members(find(unit.connection, subscription_id)), subscription_token=token, subscription_id=subscription_id
    )
    for gateway_id in _gateways_of(unit.connection, artifact.id):
        unit.emit(gateway_id, events.SUBSCRIPTION_CREATED, payload)
    return IssuedSubscription(subscription=view(unit.connection, subscription_id), subscription_token=token)


def change(unit: Unit, subscription_id: str, wanted: SubscriptionChange) -> SubscriptionView:
    """Change a subscription and tell the API's gateways. ApiError 400, 404, 409."""
    known = find(unit.connection, subscription_id)
    values: dict[str, Any] = {"updated_at": max(unit.now.unix_ms, known.updated_at + 1)}
    if wanted.plan is not None:
        values["plan_id"] = _plan(unit.connection, wanted.plan)
    if wanted.application is not None:
        values["application_id"] = _application(unit.connection, wanted.application)
    if wanted.status is not None:
        values["status"] = wanted.status
    _check(wanted.token, wanted.status or known.status)
    if wanted.token is not None:
        _refuse_taken(unit.connection, known.artifact_id, wanted.token, known.id)
        values["token_hash"] = token_hash(wanted.token)
        values["token_sealed"] = unit.vault.seal(wanted.token, known.id)
    unit.connection.execute(update(subscriptions).where(subscriptions.c.id == known.id).values(**values))
    payload = events.SubscriptionUpdated(
        **_members(find(unit.connection, known.id)), subscription_id=known.id, subscription_token=wanted.token or ""
    )
    for gateway_id in _gateways_of(unit.connection, known.artifact_id):
        unit.emit(gateway_id, events.SUBSCRIPTION_UPDATED, payload)
    return view(unit.connection, known.id)


def remove(unit: Unit, subscription_id: str) -> None:
    """End a subscription and tell the API's gateways. ApiError 404."""
    known = find(unit.connection, subscription_id)
    unit.connection.execute(delete(subscriptions).where(subscriptions.c.id == known.id))
    # The id is all that a gateway needs; the token has no reason to travel once more.
    payload = events.SubscriptionDeleted(api_id=known.artifact_id, subscription_id=known.id)
    for gateway_id in _gateways_of(unit.connection, known.artifact_id):
        unit.emit(gateway_id, events.SUBSCRIPTION_DELETED, payload)


def announce_all(unit: Unit, artifact_id: str, gateway_id: str) -> None:
    """Send every subscription of an API to one gateway."""
    rows = unit.connection.execute(select(subscriptions).where(subscriptions.c.artifact_id == artifact_id)).all()
    for row in rows:
        token = unit.vault.unseal(row.token_sealed, row.id)
        payload = events.SubscriptionCreated(**_members(row), subscription_token=token, subscription_id=row.id)
        unit.emit(gateway_id, events.SUBSCRIPTION_CREATED, payload)


def find(connection: Connection, subscription_id: str) -> Row[Any]:
    """A subscription by id. ApiError 404."""
    row = connection.execute(select(subscriptions).where(subscriptions.c.id == subscription_id)).first()
    if row is None:
        raise not_found("subscription", subscription_id)
    return row


def view(connection: Connection, subscription_id: str) -> SubscriptionView:
    """One subscription for people. ApiError 404."""
    find(connection, subscription_id)
    return _views(connection, subscriptions.c.id == subscription_id)[0]


def views(connection: Connection, api: str = "") -> list[SubscriptionView]:
    """Subscriptions by API and age, of one API (by handle or id) or of all. ApiError 404."""
    return _views(connection, subscriptions.c.artifact_id == artifacts.find(connection, api).id if api else None)


def wire_rows(connection: Connection, vault: Vault, artifact_id: str) -> list[SubscriptionRow]:
    """The subscriptions of one API with their plain tokens."""
    query = select(subscriptions).where(subscriptions.c.artifact_id == artifact_id)
    return [
        SubscriptionRow(
            **_members(row),
            id=row.id,
            subscription_token=vault.unseal(row.token_sealed, row.id),
            created_at=Timestamp.from_ms(row.created_at),
            updated_at=Timestamp.from_ms(row.updated_at),
            etag=derived_uuid(row.id, Timestamp.from_ms(row.updated_at)),
        )
        for row in connection.execute(query.order_by(subscriptions.c.created_at, subscriptions.c.id))
    ]


def _members(row: Row[Any]) -> dict[str, Any]:
    """What list and events have in common."""
    return {
        "api_id": row.artifact_id,
        "application_id": row.application_id or "",
        "subscription_plan_id": row.plan_id or "",
        "status": row.status,
        "billing_customer_id": row.billing_customer_id,
        "billing_subscription_id": row.billing_subscription_id,
    }


def _views(connection: Connection, where: Any) -> list[SubscriptionView]:  # noqa: ANN401 - an SQL condition or None
    query = (
        select(
            subscriptions,
            artifact_table.c.handle.label("api"),
            plan_table.c.handle.label("plan"),
            application_table.c.handle.label("application"),
        )
        .join(artifact_table, artifact_table.c.id == subscriptions.c.artifact_id)
        .outerjoin(plan_table, plan_table.c.id == subscriptions.c.plan_id)
        .outerjoin(application_table, application_table.c.id == subscriptions.c.application_id)
        .order_by(artifact_table.c.handle, subscriptions.c.created_at, subscriptions.c.id)
    )
    if where is not None:
        query = query.where(where)
    return [
        SubscriptionView(
            id=row.id,
            api=row.api,
            plan=row.plan or "",
            application=row.application or "",
            status=row.status,
            billing_customer_id=row.billing_customer_id,
            billing_subscription_id=row.billing_subscription_id,
            created_at=Timestamp.from_ms(row.created_at).text(),
            updated_at=Timestamp.from_ms(row.updated_at).text(),
        )
        for row in connection.execute(query)
    ]


def _plan(connection: Connection, ref: str) -> str | None:
    return str(plans.find(connection, ref).id) if ref else None


def _application(connection: Connection, ref: str) -> str | None:
    return str(applications.find(connection, ref).id) if ref else None


def _check(token: str | None, status: str, *texts: str) -> None:
    problems = []
    if token is not None and _TOKEN.fullmatch(token) is None:
        problems.append("token: must have 16 to 256 visible ASCII characters")
    if status not in STATUSES:
        problems.append(f"status: must be one of {', '.join(STATUSES)}")
    if any(len(text) > _MAX_TEXT for text in texts):
        problems.append(f"billingCustomerId, billingSubscriptionId: may have {_MAX_TEXT} characters at most")
    if problems:
        raise invalid(*problems)


def _refuse_taken(connection: Connection, artifact_id: str, token: str, own_id: str) -> None:
    query = select(subscriptions.c.id).where(
        subscriptions.c.artifact_id == artifact_id,
        subscriptions.c.token_hash == token_hash(token),
        subscriptions.c.id != own_id,
    )
    if connection.execute(query).first() is not None:
        raise ApiError(409, "SUBSCRIPTION_EXISTS", "That API has a subscription with this token already.")


def _gateways_of(connection: Connection, artifact_id: str) -> list[str]:
    query = select(statuses.c.gateway_id).where(statuses.c.artifact_id == artifact_id).order_by(statuses.c.gateway_id)
    return list(connection.execute(query).scalars())
