"""Rows of subscription plans. Functions on a connection, inside the caller's transaction.

Only `gatewright.deployment` calls those that write. Statements are built once.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, delete, insert, select, update

from gatewright.store.rows import PlanRow
from gatewright.store.tables import subscription_plans as plans

_COLUMN_OF = {
    "uuid": "uuid",
    "name": "plan_name",
    "billing_plan": "billing_plan",
    "stop_on_quota_reach": "stop_on_quota_reach",
    "limit_count": "throttle_limit_count",
    "limit_unit": "throttle_limit_unit",
    "expires_at": "expiry_time",
    "status": "status",
    "origin": "origin",
    "created_at": "created_at",
    "updated_at": "updated_at",
}
_FIELDS = tuple(_COLUMN_OF)
COLUMNS = [plans.c[name] for name in _COLUMN_OF.values()]
"""In the order that `row_of` takes."""


def find(connection: Connection, gateway_id: str, uuid: str) -> PlanRow | None:
    """The plan with this UUID."""
    return _first(_run(connection, _BY_UUID, gateway_id=gateway_id, uuid=uuid))


def find_by_name(connection: Connection, gateway_id: str, name: str) -> PlanRow | None:
    """The plan with exactly this name."""
    return _first(_run(connection, _BY_NAME, gateway_id=gateway_id, name=name))


def everything(connection: Connection, gateway_id: str) -> list[PlanRow]:
    """All plans, newest first."""
    rows = _run(connection, _ALL, gateway_id=gateway_id)
    rows.sort(key=lambda row: (row.created_at, row.uuid), reverse=True)
    return rows


def put(connection: Connection, gateway_id: str, row: PlanRow) -> bool:
    """Insert, or replace the plan with this UUID. True: it was new. Raises IntegrityError for a taken name."""
    values = {f"new_{column}": getattr(row, field) for field, column in _COLUMN_OF.items()}
    if connection.execute(_REPLACE, {"this_gateway": gateway_id, "this_uuid": row.uuid, **values}).rowcount:
        return False
    connection.execute(
        _ADD, {"gateway_id": gateway_id, **{column: getattr(row, field) for field, column in _COLUMN_OF.items()}}
    )
    return True


def remove(connection: Connection, gateway_id: str, uuid: str) -> bool:
    """Delete one plan. False: there is none."""
    return bool(connection.execute(_REMOVE, {"gateway_id": gateway_id, "uuid": uuid}).rowcount)


def row_of(columns: Row[Any] | tuple[Any, ...]) -> PlanRow:
    """A row out of the values of `COLUMNS`."""
    return PlanRow(**dict(zip(_FIELDS, columns, strict=True)))


# -- statements ----------------------------------------------------------------------------------------------------

_HERE = plans.c.gateway_id == bindparam("gateway_id")
_IS = plans.c.uuid == bindparam("uuid")


def _select(*conditions: ColumnElement[bool]) -> Select[Any]:
    return select(*COLUMNS).where(_HERE, *conditions)


_BY_UUID = _select(_IS)
_BY_NAME = _select(plans.c.plan_name == bindparam("name"))
_ALL = _select()
_ADD = insert(plans)
_REPLACE = (
    update(plans)
    .where(plans.c.gateway_id == bindparam("this_gateway"), plans.c.uuid == bindparam("this_uuid"))
    .values({column: bindparam(f"new_{column}") for column in _COLUMN_OF.values()})
)
_REMOVE = delete(plans).where(_HERE, _IS)


def _run(connection: Connection, statement: Select[Any], **parameters: object) -> list[PlanRow]:
    return [row_of(row) for row in connection.execute(statement, parameters)]


def _first(rows: list[PlanRow]) -> PlanRow | None:
    return rows[0] if rows else None
