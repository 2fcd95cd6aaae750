"""Rows of subscriptions. Functions on a connection, inside the caller's transaction.

Only `gatewright.deployment` calls those that write. Statements are built once.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from gatewright.store import plans
from gatewright.store.rows import PlanRow, SubscriptionRow
from gatewright.store.tables import subscription_plans, subscriptions

_COLUMN_OF = {
    "uuid": "uuid",
    "api_id": "api_id",
    "token_hash": "subscription_token_hash",
    "application_id": "application_id",
    "plan_id": "subscription_plan_id",
    "billing_customer_id": "billing_customer_id",
    "billing_subscription_id": "billing_subscription_id",
    "status": "status",
    "origin": "origin",
    "created_at": "created_at",
    "updated_at": "updated_at",
}
_FIELDS = tuple(_COLUMN_OF)
_COLUMNS = [subscriptions.c[name] for name in _COLUMN_OF.values()]
_CHUNK = 500


class Serving(msgspec.Struct, frozen=True):
    """An active subscription with its plan (None: it has none and no limit)."""

    row: SubscriptionRow
    plan: PlanRow | None


def find(connection: Connection, gateway_id: str, uuid: str) -> SubscriptionRow | None:
    """The subscription with this UUID."""
    return _first(_run(connection, _BY_UUID, gateway_id=gateway_id, uuid=uuid))


def find_by_token(connection: Connection, gateway_id: str, api_id: str, token_hash: str) -> SubscriptionRow | None:
    """The subscription of this API with this token."""
    return _first(_run(connection, _BY_TOKEN, gateway_id=gateway_id, api_id=api_id, token_hash=token_hash))


def everything(connection: Connection, gateway_id: str) -> list[SubscriptionRow]:
    """All subscriptions, newest first."""
    return _newest_first(_run(connection, _ALL, gateway_id=gateway_id))


def of_api(connection: Connection, gateway_id: str, api_id: str) -> list[SubscriptionRow]:
    """Subscriptions of an API, newest first."""
    return _newest_first(_run(connection, _OF_API, gateway_id=gateway_id, api_id=api_id))


def count_of_plan(connection: Connection, gateway_id: str, plan_id: str) -> int:
    """How many subscriptions refer to a plan."""
    return connection.execute(_COUNT_OF_PLAN, {"gateway_id": gateway_id, "plan_id": plan_id}).scalar_one()


def serving(connection: Connection, gateway_id: str) -> list[Serving]:
    """All that routers must know: active ones whose plan, if they name one, is there."""
    return _joined(connection, _SERVING, gateway_id=gateway_id)


def serving_some(
    connection: Connection, gateway_id: str, uuids: Iterable[str], plan_ids: Iterable[str]
) -> list[Serving]:
    """Those of `serving` that have one of these UUIDs or one of these plans."""
    found: dict[str, Serving] = {}
    for statement, wanted in ((_SERVING_SOME, uuids), (_SERVING_OF_PLANS, plan_ids)):
        for chunk in _chunks(wanted):
            found.update(
                (one.row.uuid, one) for one in _joined(connection, statement, gateway_id=gateway_id, wanted=chunk)
            )
    return list(found.values())


def put(connection: Connection, gateway_id: str, row: SubscriptionRow) -> bool:
    """Insert, or replace the one with this UUID. True: it was new. Raises IntegrityError for a token of the API."""
    values = {f"new_{column}": getattr(row, field) for field, column in _COLUMN_OF.items()}
    if connection.execute(_REPLACE, {"this_gateway": gateway_id, "this_uuid": row.uuid, **values}).rowcount:
        return False
    connection.execute(
        _ADD, {"gateway_id": gateway_id, **{column: getattr(row, field) for field, column in _COLUMN_OF.items()}}
    )
    return True


def change_plan(connection: Connection, gateway_id: str, old: str, new: str) -> int:
    """Let all subscriptions of one plan refer to another; how many."""
    return connection.execute(_CHANGE_PLAN, {"this_gateway": gateway_id, "old": old, "new": new}).rowcount


def remove(connection: Connection, gateway_id: str, uuid: str) -> bool:
    """Delete one subscription. False: there is none."""
    return bool(connection.execute(_REMOVE, {"gateway_id": gateway_id, "uuid": uuid}).rowcount)


def remove_of_api(connection: Connection, gateway_id: str, api_id: str) -> int:
    """Delete all subscriptions of an API; how many there were."""
    return connection.execute(_REMOVE_OF_API, {"gateway_id": gateway_id, "api_id": api_id}).rowcount


# -- statements ----------------------------------------------------------------------------------------------------

_HERE = subscriptions.c.gateway_id == bindparam("gateway_id")
_IS = subscriptions.c.uuid == bindparam("uuid")
_ON_API = subscriptions.c.api_id == bindparam("api_id")
_PLAN = and_(
    subscription_plans.c.gateway_id == subscriptions.c.gateway_id,
    subscription_plans.c.uuid == subscriptions.c.subscription_plan_id,
)
_COMPLETE = or_(subscriptions.c.subscription_plan_id.is_(None), subscription_plans.c.uuid.is_not(None))


def _select(*conditions: ColumnElement[bool]) -> Select[Any]:
    return select(*_COLUMNS).where(_HERE, *conditions)


def _select_serving(*conditions: ColumnElement[bool]) -> Select[Any]:
    return (
        select(*_COLUMNS, *(column.label(f"plan_{column.name}") for column in plans.COLUMNS))
        .join_from(subscriptions, subscription_plans, _PLAN, isouter=True)
        .where(_HERE, subscriptions.c.status == "ACTIVE", _COMPLETE, *conditions)
    )


_BY_UUID = _select(_IS)
_BY_TOKEN = _select(_ON_API, subscriptions.c.subscription_token_hash == bindparam("token_hash"))
_ALL = _select()
_OF_API = _select(_ON_API)
_COUNT_OF_PLAN = (
    select(func.count())
    .select_from(subscriptions)
    .where(_HERE, subscriptions.c.subscription_plan_id == bindparam("plan_id"))
)
_SERVING = _select_serving()
_SERVING_SOME = _select_serving(subscriptions.c.uuid.in_(bindparam("wanted", expanding=True)))
_SERVING_OF_PLANS = _select_serving(subscriptions.c.subscription_plan_id.in_(bindparam("wanted", expanding=True)))
_ADD = insert(subscriptions)
_REPLACE = (
    update(subscriptions)
    .where(subscriptions.c.gateway_id == bindparam("this_gateway"), subscriptions.c.uuid == bindparam("this_uuid"))
    .values({column: bindparam(f"new_{column}") for column in _COLUMN_OF.values()})
)
_CHANGE_PLAN = (
    update(subscriptions)
    .where(
        subscriptions.c.gateway_id == bindparam("this_gateway"),
        subscriptions.c.subscription_plan_id == bindparam("old"),
    )
    .values(subscription_plan_id=bindparam("new"))
)
_REMOVE = delete(subscriptions).where(_HERE, _IS)
_REMOVE_OF_API = delete(subscriptions).where(_HERE, _ON_API)


def _run(connection: Connection, statement: Select[Any], **parameters: object) -> list[SubscriptionRow]:
    return [_row(row) for row in connection.execute(statement, parameters)]


def _joined(connection: Connection, statement: Select[Any], **parameters: object) -> list[Serving]:
    width = len(_COLUMNS)
    return [
        Serving(_row(row[:width]), None if row[width] is None else plans.row_of(row[width:]))
        for row in connection.execute(statement, parameters)
    ]


def _chunks(wanted: Iterable[str]) -> Iterator[list[str]]:
    everyone = list(wanted)
    for start in range(0, len(everyone), _CHUNK):
        yield everyone[start : start + _CHUNK]


def _newest_first(rows: list[SubscriptionRow]) -> list[SubscriptionRow]:
    rows.sort(key=lambda row: (row.created_at, row.uuid), reverse=True)
    return rows


def _first(rows: list[SubscriptionRow]) -> SubscriptionRow | None:
    return rows[0] if rows else None


def _row(columns: Row[Any] | tuple[Any, ...]) -> SubscriptionRow:
    return SubscriptionRow(**dict(zip(_FIELDS, columns, strict=True)))
