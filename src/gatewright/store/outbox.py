"""The outbox: what must still reach another system. Functions on a connection.

A row is written in the transaction of the change that it is about. A newer row of the same entity takes the place of
an older one under a new id, so that finishing the older one never finishes the newer.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, Row, bindparam, delete, func, insert, or_, select, update

from gatewright.store.rows import OutboxRow
from gatewright.store.tables import Instant, outbox

_COLUMNS = [column for column in outbox.c if column.name != "gateway_id"]
_FIELDS = tuple(column.name for column in _COLUMNS)
_LONGEST_ERROR = 4096
_HERE = outbox.c.gateway_id == bindparam("gateway_id")
_ADD = insert(outbox)
_WITHDRAW = delete(outbox).where(
    _HERE, outbox.c.target == bindparam("target"), outbox.c.entity_id == bindparam("entity_id")
)
_DUE = (
    select(*_COLUMNS)
    .where(
        _HERE,
        outbox.c.target == bindparam("target"),
        or_(outbox.c.not_before.is_(None), outbox.c.not_before <= bindparam("now", type_=Instant)),
    )
    .order_by(outbox.c.id)
    .limit(bindparam("limit", type_=Integer))
)


def put(
    connection: Connection,
    gateway_id: str,
    *,
    target: str,
    kind: str,
    entity_id: str,
    action: str,
    payload: dict[str, Any],
    correlation_id: str,
    at: datetime,
) -> None:
    """Queue work for `target`, in place of what is queued for the same entity."""
    withdraw(connection, gateway_id, target, entity_id)
    connection.execute(
        _ADD,
        {
            "gateway_id": gateway_id,
            "target": target,
            "kind": kind,
            "entity_id": entity_id,
            "action": action,
            "payload": payload,
            "correlation_id": correlation_id,
            "attempts": 0,
            "created_at": at,
        },
    )


def withdraw(connection: Connection, gateway_id: str, target: str, entity_id: str) -> bool:
    """Take back what is queued for an entity. False: nothing was."""
    return bool(
        connection.execute(_WITHDRAW, {"gateway_id": gateway_id, "target": target, "entity_id": entity_id}).rowcount
    )


def due(connection: Connection, gateway_id: str, target: str, now: datetime, limit: int) -> list[OutboxRow]:
    """Rows that may be tried at `now`, oldest first."""
    found = connection.execute(_DUE, {"gateway_id": gateway_id, "target": target, "now": now, "limit": limit})
    return [_row(row) for row in found]


def done(connection: Connection, gateway_id: str, row_id: int) -> bool:
    """Remove a finished row. False: a newer one has taken its place."""
    return bool(
        connection.execute(delete(outbox).where(outbox.c.gateway_id == gateway_id, outbox.c.id == row_id)).rowcount
    )


def retry(connection: Connection, gateway_id: str, row_id: int, not_before: datetime, error: str) -> bool:
    """Count an attempt and wait. False: a newer one has taken its place."""
    return bool(
        connection.execute(
            update(outbox)
            .where(outbox.c.gateway_id == gateway_id, outbox.c.id == row_id)
            .values(attempts=outbox.c.attempts + 1, not_before=not_before, last_error=error[:_LONGEST_ERROR])
        ).rowcount
    )


def next_due(connection: Connection, gateway_id: str, target: str) -> datetime | None:
    """The earliest time at which a waiting row may be tried, None when none waits for a time."""
    return connection.execute(
        select(func.min(outbox.c.not_before)).where(outbox.c.gateway_id == gateway_id, outbox.c.target == target)
    ).scalar()


def _row(row: Row[Any]) -> OutboxRow:
    return OutboxRow(**dict(zip(_FIELDS, row, strict=True)))
