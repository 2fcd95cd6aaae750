"""The outbox: what must still reach another system. Functions on a connection.

A row is written in the transaction of the change that it is about. A newer row of the same entity takes the place of
an older one under a new id, so that finishing the older one never finishes the newer.
"""

from collections.abc import Collection
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
_BARE = tuple(name for name in _FIELDS if name != "payload")
_QUEUED = (
    select(*(column for column in _COLUMNS if column.name != "payload"))
    .where(_HERE, outbox.c.target == bindparam("target"))
    .order_by(outbox.c.id)
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


def hasten(connection: Connection, gateway_id: str, target: str, entity_ids: Collection[str] | None = None) -> int:
    """Let waiting rows (of these entities only, when given) be tried at once; how many there were."""
    statement = (
        update(outbox)
        .where(outbox.c.gateway_id == gateway_id, outbox.c.target == target, outbox.c.not_before.is_not(None))
        .values(not_before=None)
    )
    if entity_ids is not None:
        statement = statement.where(outbox.c.entity_id.in_(entity_ids))
    return connection.execute(statement).rowcount


def dismiss_other_kinds(connection: Connection, gateway_id: str, target: str, *, kind: str, action: str) -> int:
    """Remove rows of this action about other kinds than `kind`; how many there were."""
    return connection.execute(
        delete(outbox).where(
            outbox.c.gateway_id == gateway_id,
            outbox.c.target == target,
            outbox.c.kind != kind,
            outbox.c.action == action,
        )
    ).rowcount


def find(connection: Connection, gateway_id: str, row_id: int) -> OutboxRow | None:
    """One row; None when it is done or a newer one has taken its place."""
    row = connection.execute(
        select(*_COLUMNS).where(outbox.c.gateway_id == gateway_id, outbox.c.id == row_id)
    ).one_or_none()
    return None if row is None else _row(row)


def find_entity(connection: Connection, gateway_id: str, target: str, entity_id: str) -> OutboxRow | None:
    """What is queued for an entity."""
    row = connection.execute(
        select(*_COLUMNS).where(
            outbox.c.gateway_id == gateway_id, outbox.c.target == target, outbox.c.entity_id == entity_id
        )
    ).one_or_none()
    return None if row is None else _row(row)


def queued(connection: Connection, gateway_id: str, target: str) -> list[OutboxRow]:
    """Everything for a target, oldest first, without payloads."""
    found = connection.execute(_QUEUED, {"gateway_id": gateway_id, "target": target})
    return [OutboxRow(payload={}, **dict(zip(_BARE, row, strict=True))) for row in found]


def ready(
    connection: Connection,
    gateway_id: str,
    target: str,
    *,
    kind: str,
    now: datetime,
    limit: int,
    actions: Collection[str] | None = None,
) -> list[OutboxRow]:
    """Rows of one kind (of these actions only, when given) that may be tried now, oldest first, without payloads."""
    statement = (
        select(*(column for column in _COLUMNS if column.name != "payload"))
        .where(
            outbox.c.gateway_id == gateway_id,
            outbox.c.target == target,
            outbox.c.kind == kind,
            or_(outbox.c.not_before.is_(None), outbox.c.not_before <= now),
        )
        .order_by(outbox.c.id)
        .limit(limit)
    )
    if actions is not None:
        statement = statement.where(outbox.c.action.in_(actions))
    return [OutboxRow(payload={}, **dict(zip(_BARE, row, strict=True))) for row in connection.execute(statement)]


def of_actions(connection: Connection, gateway_id: str, target: str, actions: Collection[str]) -> list[OutboxRow]:
    """All rows of these actions, oldest first."""
    found = connection.execute(
        select(*_COLUMNS)
        .where(outbox.c.gateway_id == gateway_id, outbox.c.target == target, outbox.c.action.in_(actions))
        .order_by(outbox.c.id)
    )
    return [_row(row) for row in found]


def next_due(connection: Connection, gateway_id: str, target: str, after: datetime | None = None) -> datetime | None:
    """The earliest time (after `after`, when given) at which a waiting row may be tried; None when there is none."""
    statement = select(func.min(outbox.c.not_before)).where(
        outbox.c.gateway_id == gateway_id, outbox.c.target == target
    )
    if after is not None:
        statement = statement.where(outbox.c.not_before > after)
    return connection.execute(statement).scalar()


def _row(row: Row[Any]) -> OutboxRow:
    return OutboxRow(**dict(zip(_FIELDS, row, strict=True)))
