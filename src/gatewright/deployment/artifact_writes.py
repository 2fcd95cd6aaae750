"""Transactions that write artifacts: identity, conflicts, staleness, and the change and outbox rows that go with them.

Plain functions on a connection; everything they decide on is read in the same transaction, so two writers of one
artifact cannot interleave. They may be run again after a failed commit, hence no side effects.
Sources: control-plane protocol reference 2.6 to 2.10, management API reference 6.4, 6.5, 8.3, 8.4.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from gatewright.artifacts import llm_template
from gatewright.deployment import references
from gatewright.deployment.ids import milliseconds, new_uuid
from gatewright.deployment.kinds import Prepared
from gatewright.deployment.results import (
    OUTBOX_DELETE,
    OUTBOX_PUSH,
    OUTBOX_TARGET,
    Applied,
    Change,
    Conflict,
    DeploymentIdMismatch,
    InUse,
    NotFound,
    Refused,
    Stale,
    Stored,
    Unknown,
    UnknownReference,
)
from gatewright.store import api_keys, apim_records, applications, artifacts, changes, outbox, subscriptions
from gatewright.store.rows import API_KEY, Action, ArtifactRow, DesiredState, SyncStatus


class Scope(msgspec.Struct, frozen=True):
    """What all writes of one call share. `pushes`: artifacts made here must reach the control plane."""

    gateway_id: str
    now: datetime
    correlation_id: str
    pushes: bool


class Overtaken(Exception):
    """What the document was prepared against has changed meanwhile: prepare it again."""


def create(connection: Connection, scope: Scope, kind: str, prepared: Prepared, pinned: str | None) -> Stored:
    """POST. A pinned UUID that exists makes it an update. Raises UnknownReference, Conflict."""
    existing = artifacts.find(connection, scope.gateway_id, pinned) if pinned else None
    if existing is not None and existing.kind != kind:
        raise Conflict(f"configuration already exists: the artifact id {pinned} belongs to a {existing.kind}")
    row = _local_row(scope, kind, prepared, existing, uuid=pinned or new_uuid(scope.now), state="deployed")
    return _store_local(connection, scope, row, existing, prepared)


def update(connection: Connection, scope: Scope, kind: str, handle: str, prepared: Prepared) -> Stored:
    """PUT. Raises NotFound, Overtaken, UnknownReference, InUse, Conflict."""
    existing = _wanted(connection, scope, kind, handle)
    _check_base(existing, prepared)
    if prepared.handle != existing.handle:
        references.check_unused(connection, scope.gateway_id, existing, "renamed")
    state: DesiredState = "undeployed" if prepared.undeployed else "deployed"
    row = _local_row(scope, kind, prepared, existing, uuid=existing.uuid, state=state)
    return _store_local(connection, scope, row, existing, prepared)


def delete(connection: Connection, scope: Scope, kind: str, handle: str) -> Change:
    """DELETE. Raises NotFound, InUse."""
    row = _wanted(connection, scope, kind, handle)
    references.check_unused(connection, scope.gateway_id, row, "deleted")
    if scope.pushes and row.origin == "gateway_api":
        # The control plane hears of it as an undeployment, which needs the last document.
        _queue(connection, scope, row, OUTBOX_DELETE, {"artifact": msgspec.to_builtins(row)})
    else:
        apim_records.forget(connection, scope.gateway_id, row.uuid)
    return _remove(connection, scope, row)


def apply_deploy(
    connection: Connection,
    scope: Scope,
    kind: str,
    cp_id: str,
    prepared: Prepared,
    *,
    deployment_id: str,
    deployed_at: datetime,
    gone: Collection[str] = (),
) -> Applied | Stale | Refused:
    """A deployment that the control plane asks for. Raises Overtaken.

    `gone`: UUIDs of artifacts that the control plane has no more. Those of its own that are in the way make room, and
    what stands on them stands on this one from now on.
    """
    existing = artifacts.resolve(connection, scope.gateway_id, cp_id)
    if existing is not None and not _is_newer(deployed_at, existing):
        return Stale(existing)
    if existing is not None and existing.kind != kind:
        return Refused("CONFLICT", f"the artifact {existing.uuid} is a {existing.kind} and cannot become a {kind}")
    _check_base(existing, prepared)
    row = ArtifactRow(
        uuid=existing.uuid if existing else cp_id,
        kind=kind,
        handle=prepared.handle,
        display_name=prepared.display_name,
        version=prepared.version,
        document=prepared.document,
        desired_state="deployed",
        deployment_id=deployment_id,
        deployed_at=deployed_at,
        origin="control_plane",
        cp_artifact_id=existing.cp_artifact_id if existing else None,
        created_at=existing.created_at if existing else scope.now,
        updated_at=scope.now,
    )
    predecessors = _predecessors(connection, scope, row, gone) if gone else []
    base = _admitted(connection, scope, row, existing, prepared, has_room=bool(predecessors))
    if isinstance(base, Refused):
        return base
    users = [user for each in predecessors for user in _retire(connection, scope, each)]
    if existing is None:
        artifacts.add(connection, scope.gateway_id, row)
    elif not artifacts.replace(connection, scope.gateway_id, row, newer_than_stored=True):
        if predecessors:
            raise Overtaken  # nothing of it may be kept
        return Stale(existing)
    references.pass_on(connection, scope.gateway_id, users, row)
    references.bind(connection, scope.gateway_id, row, base)
    # From now on the control plane owns it: what was still to be pushed is void.
    outbox.withdraw(connection, scope.gateway_id, OUTBOX_TARGET, row.uuid)
    change = _record(connection, scope, row, "UPDATE" if existing else "CREATE")
    return Applied(row, change, prepared.warnings, tuple(each.uuid for each in predecessors))


def apply_undeploy(
    connection: Connection, scope: Scope, cp_id: str, *, deployment_id: str, deployed_at: datetime
) -> Applied | Stale | Unknown | DeploymentIdMismatch:
    """An undeployment: the document, the keys and the origin stay."""
    existing = artifacts.resolve(connection, scope.gateway_id, cp_id)
    if existing is None:
        return Unknown()
    # An id noted with an artifact made here is of an earlier undeployment: imports give every revision another one.
    ours = existing.origin == "gateway_api"
    if not ours and deployment_id and existing.deployment_id and deployment_id != existing.deployment_id:
        return DeploymentIdMismatch(existing.deployment_id, deployment_id)
    return _set_state(connection, scope, existing, "undeployed", deployment_id=deployment_id, deployed_at=deployed_at)


def apply_status(
    connection: Connection, scope: Scope, uuid: str, state: DesiredState, *, deployment_id: str, deployed_at: datetime
) -> Applied | Stale | Unknown:
    """State, deployment id and time as the deployment list has them."""
    existing = artifacts.find(connection, scope.gateway_id, uuid)
    if existing is None:
        return Unknown()
    return _set_state(connection, scope, existing, state, deployment_id=deployment_id, deployed_at=deployed_at)


def apply_delete(connection: Connection, scope: Scope, cp_id: str) -> Applied | Unknown | Refused:
    """A deletion, unless others stand on the artifact. For an unknown id, keys that came before it are removed."""
    existing = artifacts.resolve(connection, scope.gateway_id, cp_id)
    if existing is not None:
        try:
            references.check_unused(connection, scope.gateway_id, existing, "deleted")
        except InUse as problem:
            return Refused("IN_USE", problem.message)
        return Applied(None, _remove_for_good(connection, scope, existing))
    if not _remove_credentials(connection, scope, cp_id):
        return Unknown()
    return Unknown(
        changes.append(
            connection,
            scope.gateway_id,
            kind=API_KEY,
            entity_id=cp_id,
            artifact_id=cp_id,
            action="DELETE",
            correlation_id=scope.correlation_id,
            at=scope.now,
        )
    )


def mark_pushed(
    connection: Connection, scope: Scope, uuid: str, status: SyncStatus, *, cp_artifact_id: str | None, info: str | None
) -> None:
    """The outcome of a push."""
    artifacts.mark_synced(
        connection, scope.gateway_id, uuid, status=status, cp_artifact_id=cp_artifact_id, info=info, at=scope.now
    )


def _wanted(connection: Connection, scope: Scope, kind: str, handle: str) -> ArtifactRow:
    row = artifacts.find_by_handle(connection, scope.gateway_id, kind, handle)
    if row is None:
        raise NotFound(f"{kind} with handle '{handle}' not found")
    return row


def _predecessors(connection: Connection, scope: Scope, row: ArtifactRow, gone: Collection[str]) -> list[ArtifactRow]:
    """What is in the way of `row`, if all of it can make room; none of it otherwise.

    Never what was made here, nor what others refer to by a handle that `row` does not have.
    """
    rivals = artifacts.rivals(connection, scope.gateway_id, row)
    for rival in rivals:
        if rival.uuid not in gone or rival.origin != "control_plane":
            return []
        if rival.handle != row.handle and not references.is_unused(connection, scope.gateway_id, rival):
            return []
    return rivals


def _retire(connection: Connection, scope: Scope, row: ArtifactRow) -> list[str]:
    """Remove what has a successor; the UUIDs of what stood on it."""
    users = references.release(connection, scope.gateway_id, row)
    _remove_for_good(connection, scope, row)
    return users


def _admitted(
    connection: Connection,
    scope: Scope,
    row: ArtifactRow,
    existing: ArtifactRow | None,
    prepared: Prepared,
    *,
    has_room: bool,
) -> ArtifactRow | Refused | None:
    """What `row` stands on, if anything, or why it cannot be stored. `has_room`: what is in its way will go."""
    try:
        if existing is not None and existing.handle != row.handle:
            references.check_unused(connection, scope.gateway_id, existing, "renamed")
        base = references.check(connection, scope.gateway_id, prepared.references)
    except UnknownReference as problem:
        return Refused("UNKNOWN_REFERENCE", problem.message)
    except InUse as problem:
        return Refused("IN_USE", problem.message)
    conflict = None if has_room else _conflict(connection, scope, row)
    return base if conflict is None else Refused("CONFLICT", conflict)


def _check_base(existing: ArtifactRow | None, prepared: Prepared) -> None:
    """Whether the artifact is still the one whose credentials were inherited. Raises Overtaken."""
    stored = existing.document if existing is not None else None
    if prepared.base is not None and prepared.base.document != stored:
        raise Overtaken


def _local_row(
    scope: Scope, kind: str, prepared: Prepared, existing: ArtifactRow | None, *, uuid: str, state: DesiredState
) -> ArtifactRow:
    """The row of a write through the management API. Who owns the artifact does not change by it."""
    origin = existing.origin if existing else "gateway_api"
    return ArtifactRow(
        uuid=uuid,
        kind=kind,
        handle=prepared.handle,
        display_name=prepared.display_name,
        version=prepared.version,
        document=prepared.document,
        desired_state=state,
        deployment_id=existing.deployment_id if existing else None,
        deployed_at=_later(scope.now, existing),
        origin=origin,
        cp_artifact_id=existing.cp_artifact_id if existing else None,
        cp_sync_status="pending" if origin == "gateway_api" else None,
        # Ids of API Manager stay; the words of a failure are over.
        cp_sync_info=existing.cp_sync_info if existing and (existing.cp_sync_info or "").startswith("{") else None,
        created_at=existing.created_at if existing else scope.now,
        updated_at=scope.now,
    )


def _store_local(
    connection: Connection, scope: Scope, row: ArtifactRow, existing: ArtifactRow | None, prepared: Prepared
) -> Stored:
    base = references.check(connection, scope.gateway_id, prepared.references)
    conflict = _conflict(connection, scope, row)
    if conflict is not None:
        raise Conflict(f"configuration already exists: {conflict}")
    if existing is None:
        artifacts.add(connection, scope.gateway_id, row)
    else:
        artifacts.replace(connection, scope.gateway_id, row, newer_than_stored=False)
    references.bind(connection, scope.gateway_id, row, base)
    if scope.pushes and row.origin == "gateway_api":
        _queue(connection, scope, row, OUTBOX_PUSH, {})
    return Stored(row, _record(connection, scope, row, "UPDATE" if existing else "CREATE"), prepared.warnings)


def _set_state(
    connection: Connection,
    scope: Scope,
    existing: ArtifactRow,
    state: DesiredState,
    *,
    deployment_id: str,
    deployed_at: datetime,
) -> Applied | Stale:
    if not _is_newer(deployed_at, existing):
        return Stale(existing)
    row = msgspec.structs.replace(
        existing,
        desired_state=state,
        deployment_id=deployment_id,
        deployed_at=deployed_at,
        updated_at=scope.now,
    )
    if not artifacts.replace(connection, scope.gateway_id, row, newer_than_stored=True):
        return Stale(existing)
    return Applied(row, _record(connection, scope, row, "UPDATE"))


def _remove_for_good(connection: Connection, scope: Scope, row: ArtifactRow) -> Change:
    """As the control plane wants it: nothing of it is to be sent any more."""
    outbox.withdraw(connection, scope.gateway_id, OUTBOX_TARGET, row.uuid)
    apim_records.forget(connection, scope.gateway_id, row.uuid)
    return _remove(connection, scope, row)


def _remove(connection: Connection, scope: Scope, row: ArtifactRow) -> Change:
    _remove_credentials(connection, scope, row.uuid)
    artifacts.remove(connection, scope.gateway_id, row.uuid)
    return _record(connection, scope, row, "DELETE")


def _remove_credentials(connection: Connection, scope: Scope, api_id: str) -> int:
    """The keys and subscriptions of an artifact; how many there were."""
    applications.forget_keys_of_api(connection, scope.gateway_id, api_id)
    keys = api_keys.remove_of_artifact(connection, scope.gateway_id, api_id)
    return keys + subscriptions.remove_of_api(connection, scope.gateway_id, api_id)


def _conflict(connection: Connection, scope: Scope, row: ArtifactRow) -> str | None:
    """The original's words for what stands in the way, without its prefix."""
    taken = artifacts.taken(connection, scope.gateway_id, row)
    if taken is None:
        return None
    if row.kind == llm_template.KIND:  # unique by handle alone
        return f"template with handle '{row.handle}' already exists"
    if taken.what == "handle":
        return f"configuration with handle '{row.handle}' already exists"
    return f"configuration with name '{row.display_name}' and version '{row.version}' already exists"


def _record(connection: Connection, scope: Scope, row: ArtifactRow, action: Action) -> Change:
    return changes.append(
        connection,
        scope.gateway_id,
        kind=row.kind,
        entity_id=row.uuid,
        artifact_id=row.uuid,
        action=action,
        correlation_id=scope.correlation_id,
        at=scope.now,
    )


def _queue(connection: Connection, scope: Scope, row: ArtifactRow, action: str, payload: dict[str, object]) -> None:
    outbox.put(
        connection,
        scope.gateway_id,
        target=OUTBOX_TARGET,
        kind=row.kind,
        entity_id=row.uuid,
        action=action,
        payload=payload,
        correlation_id=scope.correlation_id,
        at=scope.now,
    )


def _is_newer(deployed_at: datetime, existing: ArtifactRow) -> bool:
    return existing.deployed_at is None or deployed_at > existing.deployed_at


def _later(now: datetime, existing: ArtifactRow | None) -> datetime:
    """Now in milliseconds, but always after what is stored: two writes in one millisecond both count."""
    time = milliseconds(now)
    if existing is None or existing.deployed_at is None or time > existing.deployed_at:
        return time
    return existing.deployed_at + timedelta(milliseconds=1)
