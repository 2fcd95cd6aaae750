"""What the gateway knows of its APIs at API Manager. Functions on a connection, inside the caller's transaction.

A record outlives its artifact: as long as something is to be undone there, and then as a memory (`gone_at`) for an API
of the same name and version that comes back.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, and_, bindparam, delete, exists, insert, or_, select, update

from gatewright.store.tables import apim_records, artifacts

Failure = Literal["temporary", "permanent"]


class ApimRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One API. `uuid` is the local UUID; of an API that was left behind by a new name, API Manager's.

    `api_id` and `revision` are the ids there, kept whatever fails; `revision` is None when nothing of ours is deployed.
    `content` is the hash of what was imported last, `begun` of an import whose outcome is not recorded yet.
    `fingerprint` is what API Manager showed after the last import, None when that could not be read. `error` and
    `failure` are of the last sync, None after a success.
    """

    uuid: str
    name: str
    version: str
    api_id: str | None = None
    revision: str | None = None
    content: str | None = None
    begun: str | None = None
    fingerprint: str | None = None
    synced_at: datetime | None = None
    error: str | None = None
    failure: Failure | None = None
    failed_at: datetime | None = None
    gone_at: datetime | None = None


_COLUMNS = [apim_records.c[name] for name in ApimRecord.__struct_fields__]
_HERE = apim_records.c.gateway_id == bindparam("here")
_ONE = select(*_COLUMNS).where(_HERE, apim_records.c.uuid == bindparam("wanted"))
_ALL = select(*_COLUMNS).where(_HERE, apim_records.c.gone_at.is_(None))
_NAMED = select(*_COLUMNS).where(
    _HERE,
    apim_records.c.gone_at.is_(None),
    apim_records.c.name == bindparam("name"),
    apim_records.c.version == bindparam("version"),
)
_MEMORY = (
    select(*_COLUMNS)
    .where(
        _HERE,
        apim_records.c.uuid != bindparam("uuid"),
        apim_records.c.name == bindparam("name"),
        apim_records.c.version == bindparam("version"),
        apim_records.c.api_id.is_not(None),
        ~exists().where(artifacts.c.gateway_id == bindparam("here"), artifacts.c.uuid == apim_records.c.uuid),
    )
    .order_by(apim_records.c.synced_at.desc(), apim_records.c.uuid)
    .limit(1)
)


def find(connection: Connection, gateway_id: str, uuid: str) -> ApimRecord | None:
    """The record of an artifact, gone or not."""
    return _first(connection.execute(_ONE, {"here": gateway_id, "wanted": uuid}).first())


def everything(connection: Connection, gateway_id: str) -> list[ApimRecord]:
    """All that are not gone, in no order."""
    return [_row(row) for row in connection.execute(_ALL, {"here": gateway_id})]


def named(connection: Connection, gateway_id: str, name: str, version: str) -> list[ApimRecord]:
    """Those of this name and version that are not gone: one of an API that is here, some of APIs that are leaving."""
    wanted = {"here": gateway_id, "name": name, "version": version}
    return [_row(row) for row in connection.execute(_NAMED, wanted)]


def memory(connection: Connection, gateway_id: str, uuid: str, name: str, version: str) -> ApimRecord | None:
    """The latest record of another API of this name and version, one that is no more here."""
    found = connection.execute(_MEMORY, {"here": gateway_id, "uuid": uuid, "name": name, "version": version})
    return _first(found.first())


def put(connection: Connection, gateway_id: str, record: ApimRecord) -> None:
    """Insert or replace; a claim on it stays."""
    values = msgspec.structs.asdict(record)
    changed = connection.execute(
        update(apim_records)
        .where(apim_records.c.gateway_id == gateway_id, apim_records.c.uuid == record.uuid)
        .values({name: value for name, value in values.items() if name != "uuid"})
    ).rowcount
    if not changed:
        connection.execute(insert(apim_records), {"gateway_id": gateway_id, **values})


def forget(connection: Connection, gateway_id: str, uuid: str) -> bool:
    """Delete a record. False: there is none."""
    return bool(
        connection.execute(
            delete(apim_records).where(apim_records.c.gateway_id == gateway_id, apim_records.c.uuid == uuid)
        ).rowcount
    )


def forget_older(connection: Connection, gateway_id: str, moment: datetime) -> int:
    """Delete memories from before `moment`; how many there were."""
    return connection.execute(
        delete(apim_records).where(apim_records.c.gateway_id == gateway_id, apim_records.c.gone_at < moment)
    ).rowcount


def claim(connection: Connection, gateway_id: str, uuid: str, *, owner: str, now: datetime, lease: timedelta) -> bool:
    """Make `owner` the only one who works on a record until the lease ends; again extends it. False: another one is.

    A SQLite file belongs to one process: whoever claimed there under another name is dead.
    """
    claimed = apim_records.c.claimed_by
    free = or_(
        claimed.is_(None),
        claimed == owner,
        and_(apim_records.c.claimed_until.is_not(None), apim_records.c.claimed_until <= now),
    )
    conditions = [] if connection.dialect.name == "sqlite" else [free]
    return bool(
        connection.execute(
            update(apim_records)
            .where(apim_records.c.gateway_id == gateway_id, apim_records.c.uuid == uuid, *conditions)
            .values(claimed_by=owner, claimed_until=now + lease)
        ).rowcount
    )


def release(connection: Connection, gateway_id: str, uuid: str) -> None:
    """End the claim on a record."""
    connection.execute(
        update(apim_records)
        .where(apim_records.c.gateway_id == gateway_id, apim_records.c.uuid == uuid)
        .values(claimed_by=None, claimed_until=None)
    )


def _first(row: Row[Any] | None) -> ApimRecord | None:
    return None if row is None else _row(row)


def _row(row: Row[Any]) -> ApimRecord:
    return ApimRecord(**dict(zip(ApimRecord.__struct_fields__, row, strict=True)))
