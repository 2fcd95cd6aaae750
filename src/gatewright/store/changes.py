"""The change feed: what was changed, in the order of commits. Functions on a connection.

A row is written in the transaction of the change itself. Readers keep the last sequence number that they have seen.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, Row, bindparam, delete, func, insert, select

from gatewright.store import meta
from gatewright.store.rows import Action, ChangeRow
from gatewright.store.tables import changes

_COLUMNS = [column for column in changes.c if column.name != "gateway_id"]
_FIELDS = tuple(column.name for column in _COLUMNS)
_PRUNED = "changes.pruned"
_ADD = insert(changes)
_SINCE = (
    select(*_COLUMNS)
    .where(changes.c.gateway_id == bindparam("gateway_id"), changes.c.seq > bindparam("seq"))
    .order_by(changes.c.seq)
    .limit(bindparam("limit", type_=Integer))
)


def append(
    connection: Connection,
    gateway_id: str,
    *,
    kind: str,
    entity_id: str,
    artifact_id: str,
    action: Action,
    correlation_id: str,
    at: datetime,
) -> ChangeRow:
    """Add an entry; its number is larger than every one before."""
    values: dict[str, Any] = {
        "kind": kind,
        "entity_id": entity_id,
        "artifact_id": artifact_id,
        "action": action,
        "correlation_id": correlation_id,
        "at": at,
    }
    inserted = connection.execute(_ADD, {"gateway_id": gateway_id, **values})
    primary_key = inserted.inserted_primary_key
    if primary_key is None:
        raise RuntimeError("the database returned no sequence number")
    return ChangeRow(seq=primary_key[0], **values)


def since(connection: Connection, gateway_id: str, seq: int, limit: int) -> list[ChangeRow]:
    """Entries after `seq`, oldest first."""
    found = connection.execute(_SINCE, {"gateway_id": gateway_id, "seq": seq, "limit": limit})
    return [_row(row) for row in found]


def last_seq(connection: Connection, gateway_id: str) -> int:
    """The newest number, 0 when nothing was changed yet."""
    return connection.execute(select(func.max(changes.c.seq)).where(changes.c.gateway_id == gateway_id)).scalar() or 0


def first_seq(connection: Connection, gateway_id: str) -> int:
    """The oldest number that is kept."""
    return connection.execute(select(func.min(changes.c.seq)).where(changes.c.gateway_id == gateway_id)).scalar() or 0


def prune(connection: Connection, gateway_id: str, *, before: datetime, keep: int) -> int:
    """Forget entries older than `before`, but never the newest `keep`; how many went."""
    newest = last_seq(connection, gateway_id)
    old = (changes.c.gateway_id == gateway_id, changes.c.at < before, changes.c.seq <= newest - keep)
    last = connection.execute(select(func.max(changes.c.seq)).where(*old)).scalar()
    if last is None:
        return 0
    meta.write(connection, gateway_id, _PRUNED, max(last, pruned_to(connection, gateway_id)), sealed=False)
    return connection.execute(delete(changes).where(*old)).rowcount


def pruned_to(connection: Connection, gateway_id: str) -> int:
    """The largest number that was forgotten; a reader that stopped before it must load everything anew."""
    return meta.read(connection, gateway_id, _PRUNED) or 0


def _row(row: Row[Any]) -> ChangeRow:
    return ChangeRow(**dict(zip(_FIELDS, row, strict=True)))
