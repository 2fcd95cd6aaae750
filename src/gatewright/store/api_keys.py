"""Rows of API keys. Functions on a connection, inside the caller's transaction.

Only `gatewright.deployment` calls those that write. Statements are built once.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, delete, func, insert, select, update

from gatewright.store.rows import ApiKeyRow
from gatewright.store.tables import api_keys

_COLUMN_OF = {
    "uuid": "uuid",
    "api_id": "artifact_uuid",
    "name": "name",
    "key_hash": "api_key",
    "masked_key": "masked_api_key",
    "status": "status",
    "source": "source",
    "origin": "origin",
    "issuer": "issuer",
    "external_ref_id": "external_ref_id",
    "created_by": "created_by",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "expires_at": "expires_at",
}
_FIELDS = tuple(_COLUMN_OF)
_COLUMNS = [api_keys.c[name] for name in _COLUMN_OF.values()]
_CHUNK = 500


def find(connection: Connection, gateway_id: str, api_id: str, name: str) -> ApiKeyRow | None:
    """The key of this name on this artifact."""
    rows = _run(connection, _NAMED, gateway_id=gateway_id, api_id=api_id, name=name)
    return rows[0] if rows else None


def of_artifact(
    connection: Connection, gateway_id: str, api_id: str, *, created_by: str | None = None
) -> list[ApiKeyRow]:
    """Keys of an artifact, newest first; only those of one user when `created_by` is given."""
    rows = _run(connection, _OF_ARTIFACT, gateway_id=gateway_id, api_id=api_id)
    if created_by is not None:
        rows = [row for row in rows if row.created_by == created_by]
    rows.sort(key=lambda row: (row.created_at, row.uuid), reverse=True)
    return rows


def active(connection: Connection, gateway_id: str, api_ids: Iterable[str] | None = None) -> list[ApiKeyRow]:
    """Active keys of these artifacts (of all when None), expired ones among them."""
    if api_ids is None:
        return _run(connection, _ACTIVE, gateway_id=gateway_id)
    wanted = list(api_ids)
    return [
        row
        for start in range(0, len(wanted), _CHUNK)
        for row in _run(connection, _ACTIVE_OF, gateway_id=gateway_id, api_ids=wanted[start : start + _CHUNK])
    ]


def some(connection: Connection, gateway_id: str, uuids: Iterable[str]) -> list[ApiKeyRow]:
    """The keys with these UUIDs, whatever their status; missing ones are left out."""
    wanted = list(uuids)
    return [
        row
        for start in range(0, len(wanted), _CHUNK)
        for row in _run(connection, _SOME, gateway_id=gateway_id, uuids=wanted[start : start + _CHUNK])
    ]


def count_active(connection: Connection, gateway_id: str, api_id: str, user: str) -> int:
    """How many active keys a user has on an artifact."""
    return connection.execute(_COUNT_ACTIVE, {"gateway_id": gateway_id, "api_id": api_id, "user": user}).scalar_one()


def value_taken(connection: Connection, gateway_id: str, row: ApiKeyRow) -> bool:
    """Whether another key of the gateway has the same value."""
    found = connection.execute(_VALUE, {"gateway_id": gateway_id, "key_hash": row.key_hash}).one_or_none()
    return found is not None and (found.artifact_uuid, found.name) != (row.api_id, row.name)


def put(connection: Connection, gateway_id: str, row: ApiKeyRow) -> bool:
    """Insert, or replace the key of the same name. True: it was new. Raises IntegrityError for a taken value."""
    values = {f"new_{column}": getattr(row, field) for field, column in _COLUMN_OF.items()}
    this = {"this_gateway": gateway_id, "this_api": row.api_id, "this_name": row.name}
    if connection.execute(_REPLACE, {**this, **values}).rowcount:
        return False
    connection.execute(
        _ADD, {"gateway_id": gateway_id, **{column: getattr(row, field) for field, column in _COLUMN_OF.items()}}
    )
    return True


def remove(connection: Connection, gateway_id: str, api_id: str, name: str) -> bool:
    """Delete one key. False: there is none."""
    return bool(connection.execute(_REMOVE, {"gateway_id": gateway_id, "api_id": api_id, "name": name}).rowcount)


def remove_of_artifact(connection: Connection, gateway_id: str, api_id: str) -> int:
    """Delete all keys of an artifact; how many there were."""
    return connection.execute(_REMOVE_ALL, {"gateway_id": gateway_id, "api_id": api_id}).rowcount


# -- statements ----------------------------------------------------------------------------------------------------

_HERE = api_keys.c.gateway_id == bindparam("gateway_id")
_ON_ARTIFACT = api_keys.c.artifact_uuid == bindparam("api_id")
_IS_NAMED = api_keys.c.name == bindparam("name")
_IS_ACTIVE = api_keys.c.status == "active"


def _select(*conditions: ColumnElement[bool]) -> Select[Any]:
    return select(*_COLUMNS).where(_HERE, *conditions)


_NAMED = _select(_ON_ARTIFACT, _IS_NAMED)
_OF_ARTIFACT = _select(_ON_ARTIFACT)
_ACTIVE = _select(_IS_ACTIVE)
_SOME = _select(api_keys.c.uuid.in_(bindparam("uuids", expanding=True)))
_ACTIVE_OF = _select(_IS_ACTIVE, api_keys.c.artifact_uuid.in_(bindparam("api_ids", expanding=True)))
_COUNT_ACTIVE = (
    select(func.count())
    .select_from(api_keys)
    .where(_HERE, _ON_ARTIFACT, _IS_ACTIVE, api_keys.c.created_by == bindparam("user"))
)
_VALUE = select(api_keys.c.artifact_uuid, api_keys.c.name).where(_HERE, api_keys.c.api_key == bindparam("key_hash"))
_ADD = insert(api_keys)
_REPLACE = (
    update(api_keys)
    .where(
        api_keys.c.gateway_id == bindparam("this_gateway"),
        api_keys.c.artifact_uuid == bindparam("this_api"),
        api_keys.c.name == bindparam("this_name"),
    )
    .values({column: bindparam(f"new_{column}") for column in _COLUMN_OF.values()})
)
_REMOVE = delete(api_keys).where(_HERE, _ON_ARTIFACT, _IS_NAMED)
_REMOVE_ALL = delete(api_keys).where(_HERE, _ON_ARTIFACT)


def _run(connection: Connection, statement: Select[Any], **parameters: object) -> list[ApiKeyRow]:
    return [_row(row) for row in connection.execute(statement, parameters)]


def _row(row: Row[Any]) -> ApiKeyRow:
    return ApiKeyRow(**dict(zip(_FIELDS, row, strict=True)))
