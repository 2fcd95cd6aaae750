"""Rows of secrets: envelopes, never values. Functions on a connection, inside the caller's transaction."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from gatewright.store.tables import secrets


class SecretRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored secret. `ciphertext` is an envelope of `encryption.py`."""

    handle: str
    display_name: str
    description: str
    ciphertext: str
    created_at: datetime
    updated_at: datetime


def everything(connection: Connection, gateway_id: str) -> list[SecretRow]:
    """All, newest first."""
    return [_row(row) for row in connection.execute(_ALL, {"here": gateway_id})]


def find(connection: Connection, gateway_id: str, handle: str) -> SecretRow | None:
    """The secret with this handle."""
    row = connection.execute(_ONE, {"here": gateway_id, "wanted": handle}).one_or_none()
    return None if row is None else _row(row)


def add(connection: Connection, gateway_id: str, row: SecretRow) -> None:
    """Insert. Raises IntegrityError when the handle is taken."""
    connection.execute(insert(secrets), {"gateway_id": gateway_id, **msgspec.structs.asdict(row)})


def replace(connection: Connection, gateway_id: str, row: SecretRow) -> bool:
    """Replace all but the time of creation. False: there is none."""
    values = {name: getattr(row, name) for name in ("display_name", "description", "ciphertext", "updated_at")}
    statement = update(secrets).where(secrets.c.gateway_id == gateway_id, secrets.c.handle == row.handle)
    return bool(connection.execute(statement.values(**values)).rowcount)


def remove(connection: Connection, gateway_id: str, handle: str) -> bool:
    """Delete. False: there is none."""
    return bool(connection.execute(_REMOVE, {"here": gateway_id, "wanted": handle}).rowcount)


_COLUMNS = [column for column in secrets.c if column.name != "gateway_id"]
_FIELDS = tuple(column.name for column in _COLUMNS)
_HERE = secrets.c.gateway_id == bindparam("here")
_ALL = select(*_COLUMNS).where(_HERE).order_by(secrets.c.created_at.desc(), secrets.c.handle)
_ONE = select(*_COLUMNS).where(_HERE, secrets.c.handle == bindparam("wanted"))
_REMOVE = delete(secrets).where(_HERE, secrets.c.handle == bindparam("wanted"))


def _row(row: Row[Any]) -> SecretRow:
    return SecretRow(**dict(zip(_FIELDS, row, strict=True)))
