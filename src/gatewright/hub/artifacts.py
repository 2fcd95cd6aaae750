"""The artifacts that the hub holds: made here and deployed, or pushed by gateways. Transactions, no network."""

import uuid
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert

from gatewright.hub import gateways
from gatewright.hub.documents import Document, provider_handles
from gatewright.hub.problems import ApiError, not_found
from gatewright.hub.store import Unit
from gatewright.hub.tables import artifacts, statuses
from gatewright.hub.views import ArtifactView
from gatewright.wire.deployments import STATE_UNDEPLOYED
from gatewright.wire.events import DeletionEvent, lifecycle_payload, lifecycle_type
from gatewright.wire.imports import ORIGIN_GATEWAY
from gatewright.wire.kinds import ArtifactKind, kind_of
from gatewright.wire.times import Timestamp

ORIGIN_HUB: Final = "control_plane"

_INSERT = upsert(artifacts)
_STORE = _INSERT.on_conflict_do_update(
    index_elements=["handle"],
    set_={name: _INSERT.excluded[name] for name in ("display_name", "version", "document", "updated_at")},
    where=(artifacts.c.origin == ORIGIN_HUB) & (artifacts.c.kind == _INSERT.excluded.kind),
).returning(artifacts.c.id)
"""One statement adds or replaces; it answers nothing when the handle belongs to something else."""
_FIND = (
    select(artifacts).where(or_(artifacts.c.handle == bindparam("ref"), artifacts.c.id == bindparam("ref"))).limit(1)
)


class Stored(msgspec.Struct, frozen=True):
    """An artifact of the hub's own, ready to be deployed."""

    id: str
    kind: ArtifactKind
    handle: str
    document: str


def store_document(unit: Unit, document: Document) -> Stored:
    """Add an artifact or replace the document of the one with that handle. ApiError 403 for a gateway's own."""
    values = {
        "id": str(uuid.uuid4()),
        "handle": document.handle,
        "kind": document.kind.value,
        "origin": ORIGIN_HUB,
        "project": "",
        "display_name": document.display_name,
        "version": document.version,
        "document": document.text,
        "created_at": unit.now.unix_ms,
        "updated_at": unit.now.unix_ms,
    }
    artifact_id = unit.connection.execute(_STORE, values).scalar()
    if artifact_id is None:
        known = find(unit.connection, document.handle)
        refuse_gateways_own(known)
        raise ApiError(409, "ARTIFACT_EXISTS", f"{document.handle!r} exists with kind {known.kind}.")
    return Stored(artifact_id, document.kind, document.handle, document.text)


def find(connection: Connection, ref: str) -> Row[Any]:
    """An artifact by handle or id. ApiError 404."""
    row = connection.execute(_FIND, {"ref": ref}).first()
    if row is None:
        raise not_found("artifact", ref)
    return row


def deployable(connection: Connection, ref: str) -> Stored:
    """An artifact of the hub's own by handle or id. ApiError 404, 403 for a gateway's, 409 for an unknown kind."""
    row = find(connection, ref)
    refuse_gateways_own(row)
    kind = kind_of(row.kind)
    if kind is None:
        raise ApiError(409, "ARTIFACT_UNSUPPORTED", f"Artifacts of kind {row.kind} cannot be deployed.")
    return Stored(row.id, kind, row.handle, row.document)


def listed(connection: Connection, *, origin: str = "", kind: str = "") -> list[ArtifactView]:
    """Artifacts by handle, without their documents."""
    query = select(artifacts).order_by(artifacts.c.handle)
    if origin:
        query = query.where(artifacts.c.origin == origin)
    if kind:
        query = query.where(artifacts.c.kind == kind)
    return [view(row) for row in connection.execute(query)]


def remove(unit: Unit, ref: str) -> Row[Any]:
    """Delete an artifact with its keys and deployments and tell every gateway. ApiError 404, 409."""
    row = find(unit.connection, ref)
    if row.origin == ORIGIN_GATEWAY and _wanted_somewhere(unit.connection, row.id):
        raise ApiError(409, "ARTIFACT_IN_USE", f"{row.handle!r} belongs to a gateway that still has it deployed.")
    _refuse_referred(unit.connection, row)
    unit.connection.execute(delete(artifacts).where(artifacts.c.id == row.id))
    kind = kind_of(row.kind)
    if kind is not None and row.origin == ORIGIN_HUB:
        event = DeletionEvent(kind=kind, artifact_id=row.id)
        for gateway_id in gateways.by_ids(unit.connection):
            unit.emit(gateway_id, lifecycle_type(event), lifecycle_payload(event))
    return row


def refuse_gateways_own(row: Row[Any]) -> None:
    """ApiError 403 for an artifact that a gateway owns: its changes come from there."""
    if row.origin == ORIGIN_GATEWAY:
        raise ApiError(403, "ARTIFACT_READ_ONLY", f"{row.handle!r} was made at a gateway and is changed there only.")


def view(row: Row[Any], *, with_document: bool = False) -> ArtifactView:
    """An artifact for people."""
    return ArtifactView(
        id=row.id,
        kind=row.kind,
        handle=row.handle,
        display_name=row.display_name,
        version=row.version,
        origin=row.origin,
        project=row.project,
        created_at=Timestamp.from_ms(row.created_at).text(),
        updated_at=Timestamp.from_ms(row.updated_at).text(),
        document=row.document if with_document else "",
    )


def existing(connection: Connection, ids: tuple[str, ...]) -> set[str]:
    """Which of `ids` are artifacts."""
    found: set[str] = set()
    for start in range(0, len(ids), 500):
        chunk = ids[start : start + 500]
        found.update(connection.execute(select(artifacts.c.id).where(artifacts.c.id.in_(chunk))).scalars())
    return found


def _refuse_referred(connection: Connection, row: Row[Any]) -> None:
    """ApiError 409 for a provider of a proxy: gateways refuse to delete it and have no way to say so."""
    if row.kind != ArtifactKind.LLM_PROVIDER.value:
        return
    query = select(artifacts.c.handle, artifacts.c.document).where(artifacts.c.kind == ArtifactKind.LLM_PROXY.value)
    for proxy in connection.execute(query):
        if row.handle in provider_handles(proxy.document):
            raise ApiError(409, "ARTIFACT_IN_USE", f"The proxy {proxy.handle!r} refers to the provider {row.handle!r}.")


def _wanted_somewhere(connection: Connection, artifact_id: str) -> bool:
    query = select(statuses.c.gateway_id).where(
        statuses.c.artifact_id == artifact_id, statuses.c.desired != STATE_UNDEPLOYED
    )
    return connection.execute(query.limit(1)).first() is not None
