"""Rows of artifacts: reading, guarded writing, conflicts. Functions on a connection, inside the caller's transaction.

Only `gatewright.deployment` calls those that write. Statements are built once: building them costs more than running.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    Update,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    type_coerce,
    update,
)

from gatewright.store.rows import ArtifactHead, ArtifactRow, SyncStatus
from gatewright.store.tables import DOCUMENTS, Json, artifacts

_COLUMNS = [column for column in artifacts.c if column.name not in {"gateway_id", "data_version"}]
_FIELDS = tuple(column.name for column in _COLUMNS)
_CHUNK = 500


class Taken(msgspec.Struct, frozen=True):
    """Another artifact has the same identity; `what` tells which part."""

    what: Literal["name_and_version", "handle"]
    uuid: str


def find(connection: Connection, gateway_id: str, uuid: str) -> ArtifactRow | None:
    """The artifact with this local UUID."""
    return _first(_run(connection, [_BY_UUID], gateway_id=gateway_id, uuid=uuid))


def find_by_handle(connection: Connection, gateway_id: str, kind: str, handle: str) -> ArtifactRow | None:
    """The artifact of this kind with this handle."""
    if kind not in DOCUMENTS:
        return None
    return _first(_run(connection, [_BY_HANDLE[kind]], gateway_id=gateway_id, kind=kind, handle=handle))


def find_by_name(
    connection: Connection, gateway_id: str, kind: str, display_name: str, version: str
) -> ArtifactRow | None:
    """The artifact of this kind with this name and version."""
    return _first(
        _run(connection, [_BY_NAME[kind]], gateway_id=gateway_id, kind=kind, display_name=display_name, version=version)
    )


def resolve(connection: Connection, gateway_id: str, cp_id: str) -> ArtifactRow | None:
    """What a control plane means by an id: a local UUID, else the id it gave to an artifact pushed to it."""
    return find(connection, gateway_id, cp_id) or _first(
        _run(connection, [_BY_CP_ID], gateway_id=gateway_id, cp_id=cp_id)
    )


def everything(connection: Connection, gateway_id: str, kinds: Iterable[str] | None = None) -> list[ArtifactRow]:
    """Artifacts of these kinds (all when None), newest first."""
    rows = [
        row
        for kind in (DOCUMENTS if kinds is None else kinds)
        if kind in DOCUMENTS
        for row in _run(connection, [_ALL[kind]], gateway_id=gateway_id, kind=kind)
    ]
    rows.sort(key=lambda row: (row.created_at, row.uuid), reverse=True)
    return rows


def heads(connection: Connection, gateway_id: str) -> list[ArtifactHead]:
    """Artifacts of all kinds without their documents, oldest first."""
    found = connection.execute(_HEADS, {"gateway_id": gateway_id})
    return [ArtifactHead(**dict(zip(_FIELDS, row, strict=True))) for row in found]


def mentioning(connection: Connection, gateway_id: str, kind: str, words: Iterable[str]) -> set[str]:
    """UUIDs of the artifacts of a kind whose document, as JSON text, holds one of these words."""
    documents = DOCUMENTS[kind]
    as_text = type_coerce(documents.c.configuration, Text)
    held = or_(*(as_text.contains(word, autoescape=True) for word in words))
    return set(connection.execute(select(documents.c.uuid).where(documents.c.gateway_id == gateway_id, held)).scalars())


def some(connection: Connection, gateway_id: str, uuids: Iterable[str]) -> list[ArtifactRow]:
    """The artifacts with these UUIDs, in no order; missing ones are left out."""
    wanted = list(uuids)
    return [
        row
        for start in range(0, len(wanted), _CHUNK)
        for row in _run(connection, [_SOME], gateway_id=gateway_id, uuids=wanted[start : start + _CHUNK])
    ]


def identifiers(connection: Connection, gateway_id: str) -> list[str]:
    """The UUIDs of all artifacts, oldest first."""
    return list(connection.execute(_UUIDS, {"gateway_id": gateway_id}).scalars())


def unsynced(connection: Connection, gateway_id: str, kind: str) -> list[str]:
    """UUIDs of the artifacts of a kind that were made here and are not known to be synced; oldest first."""
    return list(connection.execute(_UNSYNCED, {"gateway_id": gateway_id, "kind": kind}).scalars())


def sync_counts(connection: Connection, gateway_id: str, kind: str) -> dict[str, int]:
    """How many artifacts of a kind that were made here have which state of sync."""
    found = connection.execute(_SYNC_COUNTS, {"gateway_id": gateway_id, "kind": kind})
    return {str(status or "pending"): int(number) for status, number in found}


def count(connection: Connection, gateway_id: str, kind: str) -> int:
    """How many artifacts of a kind there are."""
    return connection.execute(_COUNT, {"gateway_id": gateway_id, "kind": kind}).scalar_one()


def taken(connection: Connection, gateway_id: str, row: ArtifactRow) -> Taken | None:
    """The artifact that stands in the way of `row`; name and version are looked at first."""
    others = _others(connection, gateway_id, row)
    for other in others:
        if (other.display_name, other.version) == (row.display_name, row.version):
            return Taken("name_and_version", other.uuid)
    return Taken("handle", others[0].uuid) if others else None


def rivals(connection: Connection, gateway_id: str, row: ArtifactRow) -> list[ArtifactRow]:
    """All artifacts that stand in the way of `row`: at most one by its handle, and one by name and version."""
    return some(connection, gateway_id, [other.uuid for other in _others(connection, gateway_id, row)])


def _others(connection: Connection, gateway_id: str, row: ArtifactRow) -> Sequence[Any]:
    return connection.execute(
        _OTHERS,
        {
            "gateway_id": gateway_id,
            "kind": row.kind,
            "uuid": row.uuid,
            "display_name": row.display_name,
            "version": row.version,
            "handle": row.handle,
        },
    ).all()


def add(connection: Connection, gateway_id: str, row: ArtifactRow) -> None:
    """Insert a new artifact. Raises IntegrityError when its identity is taken."""
    connection.execute(_ADD, {"gateway_id": gateway_id, **_values(row)})
    connection.execute(
        _ADD_DOCUMENT[row.kind], {"gateway_id": gateway_id, "uuid": row.uuid, "configuration": row.document}
    )


def replace(connection: Connection, gateway_id: str, row: ArtifactRow, *, newer_than_stored: bool) -> bool:
    """Replace the artifact with `row.uuid`; `created_at` stays. False: there is none, or it is not older.

    `newer_than_stored` demands a `deployed_at` strictly after the stored one. Raises IntegrityError.
    """
    values = {f"new_{name}": value for name, value in _values(row).items()}
    statement = _REPLACE_OLDER if newer_than_stored else _REPLACE
    if connection.execute(statement, {"this_gateway": gateway_id, "this_uuid": row.uuid, **values}).rowcount == 0:
        return False
    connection.execute(
        _REPLACE_DOCUMENT[row.kind],
        {"this_gateway": gateway_id, "this_uuid": row.uuid, "new_configuration": row.document},
    )
    return True


def remove(connection: Connection, gateway_id: str, uuid: str) -> bool:
    """Delete an artifact with its document; its keys are the caller's. False: there is none."""
    return bool(connection.execute(_REMOVE, {"gateway_id": gateway_id, "uuid": uuid}).rowcount)


def mark_synced(
    connection: Connection,
    gateway_id: str,
    uuid: str,
    *,
    status: SyncStatus,
    cp_artifact_id: str | None,
    info: str | None,
    at: datetime,
) -> bool:
    """Record a push; `cp_artifact_id` None keeps what is known. False: no artifact that was made here."""
    values: dict[str, Any] = {"cp_sync_status": status, "cp_sync_info": info, "updated_at": at}
    if cp_artifact_id is not None:
        values["cp_artifact_id"] = cp_artifact_id
    return bool(
        connection.execute(
            update(artifacts)
            .where(artifacts.c.gateway_id == gateway_id, artifacts.c.uuid == uuid, artifacts.c.origin == "gateway_api")
            .values(**values)
        ).rowcount
    )


def mark_at_apim(
    connection: Connection,
    gateway_id: str,
    uuid: str,
    *,
    status: SyncStatus,
    cp_artifact_id: str | None,
    info: str | None,
    at: datetime,
) -> bool:
    """Record a sync to API Manager: all three values as given. False: no artifact that was made here."""
    return bool(
        connection.execute(
            update(artifacts)
            .where(artifacts.c.gateway_id == gateway_id, artifacts.c.uuid == uuid, artifacts.c.origin == "gateway_api")
            .values(cp_sync_status=status, cp_artifact_id=cp_artifact_id, cp_sync_info=info, updated_at=at)
        ).rowcount
    )


# -- statements ----------------------------------------------------------------------------------------------------

_HERE = artifacts.c.gateway_id == bindparam("gateway_id")


def _select(kind: str, *conditions: ColumnElement[bool]) -> Select[Any]:
    documents = DOCUMENTS[kind]
    same = and_(documents.c.gateway_id == artifacts.c.gateway_id, documents.c.uuid == artifacts.c.uuid)
    return select(documents.c.configuration, *_COLUMNS).join_from(artifacts, documents, same).where(_HERE, *conditions)


def _select_any(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Artifacts of all kinds in one statement: each has its document in one of the tables."""
    found: Any = artifacts
    for documents in DOCUMENTS.values():
        same = and_(documents.c.gateway_id == artifacts.c.gateway_id, documents.c.uuid == artifacts.c.uuid)
        found = found.outerjoin(documents, same)
    configuration = func.coalesce(*(documents.c.configuration for documents in DOCUMENTS.values()), type_=Json())
    return select(configuration, *_COLUMNS).select_from(found).where(_HERE, *conditions)


def _replacement(*conditions: ColumnElement[bool]) -> Update:
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in _FIELDS if name not in {"uuid", "created_at"}}
    return (
        update(artifacts)
        .where(
            artifacts.c.gateway_id == bindparam("this_gateway"),
            artifacts.c.uuid == bindparam("this_uuid"),
            *conditions,
        )
        .values(values)
    )


_BY_UUID = _select_any(artifacts.c.uuid == bindparam("uuid"))
_BY_CP_ID = _select_any(artifacts.c.cp_artifact_id == bindparam("cp_id"))
_SOME = _select_any(artifacts.c.uuid.in_(bindparam("uuids", expanding=True)))
_BY_HANDLE = {
    kind: _select(kind, artifacts.c.kind == bindparam("kind"), artifacts.c.handle == bindparam("handle"))
    for kind in DOCUMENTS
}
_BY_NAME = {
    kind: _select(
        kind,
        artifacts.c.kind == bindparam("kind"),
        artifacts.c.display_name == bindparam("display_name"),
        artifacts.c.version == bindparam("version"),
    )
    for kind in DOCUMENTS
}
_ALL = {kind: _select(kind, artifacts.c.kind == bindparam("kind")) for kind in DOCUMENTS}
_HEADS = select(*_COLUMNS).where(_HERE).order_by(artifacts.c.created_at, artifacts.c.uuid)
_UUIDS = select(artifacts.c.uuid).where(_HERE).order_by(artifacts.c.created_at, artifacts.c.uuid)
_UNSYNCED = (
    select(artifacts.c.uuid)
    .where(
        _HERE,
        artifacts.c.kind == bindparam("kind"),
        artifacts.c.origin == "gateway_api",
        or_(artifacts.c.cp_sync_status.is_(None), artifacts.c.cp_sync_status != "success"),
    )
    .order_by(artifacts.c.created_at, artifacts.c.uuid)
)
_SYNC_COUNTS = (
    select(artifacts.c.cp_sync_status, func.count())
    .where(_HERE, artifacts.c.kind == bindparam("kind"), artifacts.c.origin == "gateway_api")
    .group_by(artifacts.c.cp_sync_status)
)
_COUNT = select(func.count()).select_from(artifacts).where(_HERE, artifacts.c.kind == bindparam("kind"))
_OTHERS = select(artifacts.c.uuid, artifacts.c.handle, artifacts.c.display_name, artifacts.c.version).where(
    _HERE,
    artifacts.c.kind == bindparam("kind"),
    artifacts.c.uuid != bindparam("uuid"),
    or_(
        and_(
            artifacts.c.display_name == bindparam("display_name"),
            artifacts.c.version == bindparam("version"),
        ),
        artifacts.c.handle == bindparam("handle"),
    ),
)
_ADD = insert(artifacts)
_ADD_DOCUMENT = {kind: insert(table) for kind, table in DOCUMENTS.items()}
_REPLACE = _replacement()
_REPLACE_OLDER = _replacement(
    or_(artifacts.c.deployed_at.is_(None), artifacts.c.deployed_at < bindparam("new_deployed_at"))
)
_REPLACE_DOCUMENT = {
    kind: update(table)
    .where(table.c.gateway_id == bindparam("this_gateway"), table.c.uuid == bindparam("this_uuid"))
    .values(configuration=bindparam("new_configuration"))
    for kind, table in DOCUMENTS.items()
}
_REMOVE = delete(artifacts).where(_HERE, artifacts.c.uuid == bindparam("uuid"))


def _run(connection: Connection, statements: Iterable[Select[Any]], **parameters: object) -> list[ArtifactRow]:
    return [_row(row) for statement in statements for row in connection.execute(statement, parameters)]


def _first(rows: list[ArtifactRow]) -> ArtifactRow | None:
    return rows[0] if rows else None


def _row(row: Row[Any]) -> ArtifactRow:
    return ArtifactRow(document=row[0], **dict(zip(_FIELDS, row[1:], strict=True)))


def _values(row: ArtifactRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _FIELDS}
