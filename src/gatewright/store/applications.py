"""Rows of applications and the keys that belong to them. Functions on a connection, inside the caller's transaction.

Only `gatewright.deployment` calls those that write. Statements are built once.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, insert, select, update

from gatewright.store.rows import ApplicationRow
from gatewright.store.tables import api_keys, applications
from gatewright.store.tables import application_api_keys as mappings

_COLUMN_OF = {
    "uuid": "application_uuid",
    "handle": "application_id",
    "name": "application_name",
    "type": "application_type",
    "created_at": "created_at",
    "updated_at": "updated_at",
}
_FIELDS = tuple(_COLUMN_OF)
_COLUMNS = [applications.c[name] for name in _COLUMN_OF.values()]
_CHUNK = 500


def find(connection: Connection, gateway_id: str, uuid: str) -> ApplicationRow | None:
    """The application with this UUID."""
    found = connection.execute(_BY_UUID, {"gateway_id": gateway_id, "uuid": uuid}).one_or_none()
    return None if found is None else _row(found)


def keys_of(connection: Connection, gateway_id: str, uuid: str) -> list[str]:
    """The UUIDs of the keys of an application, also of keys that are not here; sorted."""
    return sorted(connection.execute(_KEYS, {"gateway_id": gateway_id, "uuid": uuid}).scalars())


def everything(connection: Connection, gateway_id: str) -> dict[str, ApplicationRow]:
    """The application of each key that has one, by the key's UUID."""
    return _by_key(connection.execute(_ALL, {"gateway_id": gateway_id}).all())


def of_keys(connection: Connection, gateway_id: str, key_ids: Iterable[str]) -> dict[str, ApplicationRow]:
    """The same for these keys only."""
    wanted = list(key_ids)
    return _by_key(
        row
        for start in range(0, len(wanted), _CHUNK)
        for row in connection.execute(_SOME, {"gateway_id": gateway_id, "key_ids": wanted[start : start + _CHUNK]})
    )


def put(connection: Connection, gateway_id: str, row: ApplicationRow) -> bool:
    """Insert, or replace the application with this UUID. True: it was new."""
    values = {f"new_{column}": getattr(row, field) for field, column in _COLUMN_OF.items()}
    if connection.execute(_REPLACE, {"this_gateway": gateway_id, "this_uuid": row.uuid, **values}).rowcount:
        return False
    connection.execute(
        _ADD, {"gateway_id": gateway_id, **{column: getattr(row, field) for field, column in _COLUMN_OF.items()}}
    )
    return True


def remove(connection: Connection, gateway_id: str, uuid: str) -> bool:
    """Delete an application with its mappings. False: there is none."""
    return bool(connection.execute(_REMOVE, {"gateway_id": gateway_id, "uuid": uuid}).rowcount)


def map_keys(connection: Connection, gateway_id: str, uuid: str, key_ids: Iterable[str], at: datetime) -> None:
    """These and no others are the keys of an application from now on."""
    wanted = set(key_ids)
    known = set(keys_of(connection, gateway_id, uuid))
    gone, new = sorted(known - wanted), sorted(wanted - known)
    if gone:
        connection.execute(_UNMAP, [{"gateway_id": gateway_id, "uuid": uuid, "key_id": key_id} for key_id in gone])
    if new:
        connection.execute(
            _MAP,
            [
                {
                    "gateway_id": gateway_id,
                    "application_uuid": uuid,
                    "api_key_id": key_id,
                    "created_at": at,
                    "updated_at": at,
                }
                for key_id in new
            ],
        )


def forget_keys_of_api(connection: Connection, gateway_id: str, api_id: str) -> None:
    """All keys of an API are about to go."""
    connection.execute(_FORGET_KEYS_OF_API, {"gateway_id": gateway_id, "api_id": api_id})


def forget_key(connection: Connection, gateway_id: str, key_id: str) -> None:
    """A key is gone: it belongs to no application any more."""
    connection.execute(_FORGET_KEY, {"gateway_id": gateway_id, "key_id": key_id})


# -- statements ----------------------------------------------------------------------------------------------------

_HERE = applications.c.gateway_id == bindparam("gateway_id")
_IS = applications.c.application_uuid == bindparam("uuid")
_MAPPED_HERE = mappings.c.gateway_id == bindparam("gateway_id")
_OF_APPLICATION = mappings.c.application_uuid == bindparam("uuid")
_OF_KEY = mappings.c.api_key_id == bindparam("key_id")
_SAME = and_(
    mappings.c.gateway_id == applications.c.gateway_id,
    mappings.c.application_uuid == applications.c.application_uuid,
)

_BY_UUID = select(*_COLUMNS).where(_HERE, _IS)
_KEYS = select(mappings.c.api_key_id).where(_MAPPED_HERE, _OF_APPLICATION)
# A key that several applications claim belongs to the one that claimed it last.
_ALL = (
    select(mappings.c.api_key_id, *_COLUMNS)
    .join_from(mappings, applications, _SAME)
    .where(_HERE)
    .order_by(mappings.c.created_at, mappings.c.application_uuid)
)
_SOME = _ALL.where(mappings.c.api_key_id.in_(bindparam("key_ids", expanding=True)))
_ADD = insert(applications)
_REPLACE = (
    update(applications)
    .where(
        applications.c.gateway_id == bindparam("this_gateway"),
        applications.c.application_uuid == bindparam("this_uuid"),
    )
    .values({column: bindparam(f"new_{column}") for column in _COLUMN_OF.values()})
)
_REMOVE = delete(applications).where(_HERE, _IS)
_MAP = insert(mappings)
_UNMAP = delete(mappings).where(_MAPPED_HERE, _OF_APPLICATION, _OF_KEY)
_FORGET_KEYS_OF_API = delete(mappings).where(
    _MAPPED_HERE,
    mappings.c.api_key_id.in_(
        select(api_keys.c.uuid).where(
            api_keys.c.gateway_id == bindparam("gateway_id"), api_keys.c.artifact_uuid == bindparam("api_id")
        )
    ),
)
_FORGET_KEY = delete(mappings).where(_MAPPED_HERE, _OF_KEY)


def _by_key(rows: Iterable[Row[Any]]) -> dict[str, ApplicationRow]:
    return {row[0]: _row(row[1:]) for row in rows}


def _row(columns: Row[Any] | tuple[Any, ...]) -> ApplicationRow:
    return ApplicationRow(**dict(zip(_FIELDS, columns, strict=True)))
