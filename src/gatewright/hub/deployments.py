"""Deployments: what each gateway is wanted to run, and what it has said of that. Transactions, no network.

One status row per artifact and gateway. `performed_at` is the concurrency token: identical in row and event, in whole
milliseconds, and strictly growing for a row, because a gateway ignores an event that is not newer than the last.
"""

import enum
import secrets
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, case, delete, exists, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gatewright.hub import applications, artifacts, gateways, keys, references, subscriptions
from gatewright.hub.artifacts import Stored
from gatewright.hub.documents import Document
from gatewright.hub.problems import ApiError, not_found
from gatewright.hub.store import Unit
from gatewright.hub.tables import api_keys, deployments, statuses
from gatewright.hub.tables import artifacts as artifact_table
from gatewright.hub.tables import gateways as gateway_table
from gatewright.hub.views import DeploymentView
from gatewright.wire import acks
from gatewright.wire.deployments import STATE_DEPLOYED, STATE_UNDEPLOYED, DeploymentRow
from gatewright.wire.events import DeploymentEvent, lifecycle_payload, lifecycle_type
from gatewright.wire.identifiers import derived_uuid, new_uuid7
from gatewright.wire.imports import ORIGIN_GATEWAY
from gatewright.wire.kinds import ArtifactKind
from gatewright.wire.times import Timestamp

DEPLOYING: Final = "DEPLOYING"
UNDEPLOYING: Final = "UNDEPLOYING"
DEPLOYED: Final = STATE_DEPLOYED
UNDEPLOYED: Final = STATE_UNDEPLOYED
FAILED: Final = "FAILED"
PENDING: Final = (DEPLOYING, UNDEPLOYING)

_LIST_ORDER: Final = (ArtifactKind.REST_API, ArtifactKind.LLM_PROVIDER, ArtifactKind.LLM_PROXY, ArtifactKind.MCP)

_KEY = (statuses.c.artifact_id == bindparam("artifact"), statuses.c.gateway_id == bindparam("gateway"))
_STATUS = select(statuses).where(*_KEY)
_TARGET = (
    select(
        gateway_table.c.id,
        statuses.c.performed_at,
        exists().where(api_keys.c.artifact_id == bindparam("artifact")).label("has_keys"),
    )
    .outerjoin(
        statuses,
        (statuses.c.gateway_id == gateway_table.c.id) & (statuses.c.artifact_id == bindparam("artifact")),
    )
    .where(gateway_table.c.handle == bindparam("handle"))
)
"""All that a deployment asks before it writes, in one question."""
_SETTLE = update(statuses).where(*_KEY).values({name: bindparam(name) for name in ("status", "reason", "updated_at")})
_INSERT = insert(deployments)
_UPSERT = upsert(statuses)
_SET_STATUS = _UPSERT.on_conflict_do_update(
    index_elements=["artifact_id", "gateway_id"],
    set_={column.name: _UPSERT.excluded[column.name] for column in statuses.c if not column.primary_key},
)
_CURRENT = (
    select(deployments.c.content)
    .join(statuses, statuses.c.deployment_id == deployments.c.id)
    .where(*_KEY, statuses.c.desired == DEPLOYED)
)
_KNOWN = select(artifact_table.c.id).where(
    artifact_table.c.id == bindparam("artifact"), artifact_table.c.kind == bindparam("kind")
)


class AckOutcome(enum.Enum):
    """What an acknowledgement did."""

    APPLIED = "applied"
    DISCARDED = "discarded"
    SENSELESS = "senseless"


def deploy_document(unit: Unit, document: Document, handles: tuple[str, ...]) -> str:
    """Store a document and deploy it to the gateways named; answers the artifact's id."""
    return _deploy_to_all(unit, artifacts.store_document(unit, document), handles)


def deploy_again(unit: Unit, ref: str, handles: tuple[str, ...]) -> str:
    """Deploy an artifact's present document to the gateways named; answers the artifact's id."""
    return _deploy_to_all(unit, artifacts.deployable(unit.connection, ref), handles)


def undeploy(unit: Unit, ref: str, handles: tuple[str, ...]) -> str:
    """Take an artifact from gateways (from all that want it when none is named); answers the artifact's id."""
    artifact = artifacts.deployable(unit.connection, ref)
    current = {row.gateway_id: row for row in _statuses_of(unit.connection, artifact.id)}
    wanted = [gateways.find(unit.connection, handle).id for handle in handles]
    targets = wanted or [gateway_id for gateway_id, row in current.items() if row.desired == DEPLOYED]
    if not targets:
        raise ApiError(409, "DEPLOYMENT_NOT_ACTIVE", f"{artifact.handle!r} is not deployed anywhere.")
    for gateway_id in targets:
        row = current.get(gateway_id)
        if row is None or row.desired == UNDEPLOYED:
            raise ApiError(409, "DEPLOYMENT_NOT_ACTIVE", f"{artifact.handle!r} is not deployed on that gateway.")
        _change(unit, artifact, gateway_id, row.deployment_id, deployed=False, after_ms=row.performed_at)
    return artifact.id


def apply_ack(unit: Unit, gateway_id: str, ack: acks.DeploymentAck) -> AckOutcome:
    """Take over what a gateway says of a deployment. Only an identical `performedAt` counts."""
    successes = {acks.ACTION_DEPLOY: (DEPLOYING, DEPLOYED), acks.ACTION_UNDEPLOY: (UNDEPLOYING, UNDEPLOYED)}
    if ack.status == acks.STATUS_FAILED:
        status, reason = FAILED, ack.error_code[:200] or None
        expected: tuple[str, ...] = ()
    elif ack.status == acks.STATUS_SUCCESS and ack.action in successes:
        pending, status = successes[ack.action]
        expected, reason = (pending,), None
    else:
        return AckOutcome.SENSELESS
    row = _status(unit.connection, ack.artifact_id, gateway_id)
    if row is None or ack.performed_at != Timestamp.from_ms(row.performed_at):
        return AckOutcome.DISCARDED
    if expected and row.status not in expected and not _was_failed(row, wanted=status):
        return AckOutcome.DISCARDED
    unit.connection.execute(
        _SETTLE,
        {
            "artifact": ack.artifact_id,
            "gateway": gateway_id,
            "status": status,
            "reason": reason,
            "updated_at": unit.now.unix_ms,
        },
    )
    return AckOutcome.APPLIED


def expire(unit: Unit, ack_timeout: float) -> list[tuple[str, str]]:
    """Fail every deployment whose acknowledgement is overdue; answers (artifact id, gateway id) of each."""
    overdue = (
        statuses.c.status.in_(PENDING),
        statuses.c.performed_at < unit.now.unix_ms - int(ack_timeout * 1000),
    )
    rows = unit.connection.execute(select(statuses.c.artifact_id, statuses.c.gateway_id).where(*overdue)).all()
    if rows:
        unit.connection.execute(
            update(statuses)
            .where(*overdue)
            .values(status=FAILED, reason=acks.DEPLOYMENT_TIMEOUT, updated_at=unit.now.unix_ms),
        )
    return [(row.artifact_id, row.gateway_id) for row in rows]


def views(
    connection: Connection,
    *,
    artifact_id: str | None = None,
    gateway_id: str | None = None,
) -> list[DeploymentView]:
    """Status rows for people, by artifact and gateway."""
    query = _views(by_artifact=artifact_id is not None, by_gateway=gateway_id is not None)
    wanted = {"artifact": artifact_id, "gateway": gateway_id}
    return [
        DeploymentView(
            artifact_id=row.artifact_id,
            artifact=row.handle,
            kind=row.kind,
            origin=row.origin,
            gateway=row.gateway,
            deployment_id=row.deployment_id,
            status=row.status,
            desired=row.desired,
            performed_at=Timestamp.from_ms(row.performed_at).text(),
            updated_at=Timestamp.from_ms(row.updated_at).text(),
            reason=row.reason or "",
        )
        for row in connection.execute(query, {name: value for name, value in wanted.items() if value is not None})
    ]


@cache
def _views(*, by_artifact: bool, by_gateway: bool) -> Select[Any]:
    """Built once for each combination: building costs more than the database takes to answer."""
    query = (
        select(
            statuses,
            artifact_table.c.handle,
            artifact_table.c.kind,
            artifact_table.c.origin,
            gateway_table.c.handle.label("gateway"),
        )
        .join(artifact_table, artifact_table.c.id == statuses.c.artifact_id)
        .join(gateway_table, gateway_table.c.id == statuses.c.gateway_id)
        .order_by(artifact_table.c.handle, gateway_table.c.handle)
    )
    if by_artifact:
        query = query.where(statuses.c.artifact_id == bindparam("artifact"))
    if by_gateway:
        query = query.where(statuses.c.gateway_id == bindparam("gateway"))
    return query


def wire_rows(connection: Connection, gateway_id: str, since: Timestamp | None) -> list[DeploymentRow]:
    """The deployment list of a gateway: what it is wanted to have, without what it made itself."""
    rank = case({kind.value: place for place, kind in enumerate(_LIST_ORDER)}, value=artifact_table.c.kind, else_=9)
    query = (
        select(statuses, artifact_table.c.kind)
        .join(artifact_table, artifact_table.c.id == statuses.c.artifact_id)
        .where(statuses.c.gateway_id == gateway_id, artifact_table.c.origin != ORIGIN_GATEWAY)
        .order_by(rank, statuses.c.performed_at.desc())
    )
    if since is not None:
        query = query.where(statuses.c.performed_at > since.unix_ms)
    return [
        DeploymentRow(
            artifact_id=row.artifact_id,
            deployment_id=row.deployment_id,
            kind=row.kind,
            state=row.desired,
            deployed_at=Timestamp.from_ms(row.performed_at),
            etag=derived_uuid(row.deployment_id, Timestamp.from_ms(row.performed_at)),
        )
        for row in connection.execute(query)
    ]


def current_content(connection: Connection, gateway_id: str, kind: ArtifactKind, artifact_id: str) -> str | None:
    """The document a gateway is to run now, None when it is to run none. ApiError 404 for an unknown artifact."""
    key = {"artifact": artifact_id, "gateway": gateway_id}
    content: str | None = connection.execute(_CURRENT, key).scalar()
    if content is None or kind is not ArtifactKind.REST_API:
        known = connection.execute(_KNOWN, {"artifact": artifact_id, "kind": kind.value}).first()
        if known is None:
            raise ApiError(404, "ARTIFACT_NOT_FOUND", "not found")
    return content


def contents(connection: Connection, gateway_id: str, ids: Iterable[str]) -> list[Row[Any]]:
    """(deployment id, artifact id, kind, content) of those of `ids` that belong to the gateway."""
    wanted = list(dict.fromkeys(ids))
    found: list[Row[Any]] = []
    for start in range(0, len(wanted), 500):
        query = (
            select(deployments.c.id, deployments.c.artifact_id, artifact_table.c.kind, deployments.c.content)
            .join(artifact_table, artifact_table.c.id == deployments.c.artifact_id)
            .where(deployments.c.id.in_(wanted[start : start + 500]), deployments.c.gateway_id == gateway_id)
        )
        found.extend(connection.execute(query))
    return found


def is_associated(connection: Connection, artifact_id: str, gateway_id: str) -> bool:
    """True when the gateway has or had the artifact."""
    return _status(connection, artifact_id, gateway_id) is not None


def record(unit: Unit, artifact_id: str, gateway_id: str, content: str, *, revision: str = "") -> str:
    """Keep an immutable copy of a document; answers the deployment id."""
    deployment_id = new_uuid7(unit.now.unix_ms, secrets.token_bytes(10))
    unit.connection.execute(
        _INSERT,
        {
            "id": deployment_id,
            "artifact_id": artifact_id,
            "gateway_id": gateway_id,
            "content": content,
            "revision": revision,
            "created_at": unit.now.unix_ms,
        },
    )
    references.record(unit.connection, deployment_id, content)
    return deployment_id


def trim(unit: Unit, kept: int) -> int:
    """Remove the oldest records beyond `kept` of each artifact and gateway, never a current one; answers how many."""
    place = (
        func.row_number()
        .over(
            partition_by=(deployments.c.artifact_id, deployments.c.gateway_id),
            order_by=(deployments.c.created_at.desc(), deployments.c.id.desc()),
        )
        .label("place")
    )
    ranked = select(deployments.c.id, place).subquery()
    surplus = select(ranked.c.id).where(ranked.c.place > kept)
    current = select(statuses.c.deployment_id)
    return unit.connection.execute(
        delete(deployments).where(deployments.c.id.in_(surplus), deployments.c.id.not_in(current))
    ).rowcount


def set_status(
    unit: Unit,
    artifact_id: str,
    gateway_id: str,
    *,
    deployment_id: str,
    status: str,
    desired: str,
    performed_at: int,
) -> None:
    """Write a status row, new or not."""
    unit.connection.execute(
        _SET_STATUS,
        {
            "artifact_id": artifact_id,
            "gateway_id": gateway_id,
            "deployment_id": deployment_id,
            "status": status,
            "desired": desired,
            "performed_at": performed_at,
            "reason": None,
            "updated_at": unit.now.unix_ms,
        },
    )


def deploy_to(unit: Unit, artifact: Stored, handle: str, deployment_id: str = "") -> None:
    """Deploy the artifact's present document to a gateway, or a record of what it had before. ApiError 404."""
    target = unit.connection.execute(_TARGET, {"artifact": artifact.id, "handle": handle}).first()
    if target is None:
        raise not_found("gateway", handle)
    deployment_id = deployment_id or record(unit, artifact.id, target.id, artifact.document)
    _change(unit, artifact, target.id, deployment_id, deployed=True, after_ms=target.performed_at)
    # A gateway drops keys of an artifact that it does not know yet, so they follow each deployment.
    if target.has_keys:
        keys.announce_all(unit, artifact.id, target.id)
        applications.announce_all(unit, artifact.id, target.id)
    # Until now this gateway was told of none of them; later ones reach it as they are made.
    if target.performed_at is None:
        subscriptions.announce_all(unit, artifact.id, target.id)


def _deploy_to_all(unit: Unit, artifact: Stored, handles: tuple[str, ...]) -> str:
    for handle in dict.fromkeys(handles):
        deploy_to(unit, artifact, handle)
    return artifact.id


def _change(
    unit: Unit,
    artifact: Stored,
    gateway_id: str,
    deployment_id: str,
    *,
    deployed: bool,
    after_ms: int | None,
) -> None:
    performed_at = unit.now.unix_ms if after_ms is None else max(unit.now.unix_ms, after_ms + 1)
    set_status(
        unit,
        artifact.id,
        gateway_id,
        deployment_id=deployment_id,
        status=DEPLOYING if deployed else UNDEPLOYING,
        desired=DEPLOYED if deployed else UNDEPLOYED,
        performed_at=performed_at,
    )
    event = DeploymentEvent(
        kind=artifact.kind,
        artifact_id=artifact.id,
        deployed=deployed,
        deployment_id=deployment_id,
        performed_at=Timestamp.from_ms(performed_at),
    )
    unit.emit(gateway_id, lifecycle_type(event), lifecycle_payload(event))


def _was_failed(row: Row[Any], *, wanted: str) -> bool:
    """True when the gateway now says that it has what it, or our patience, has called failed before."""
    return bool(row.status == FAILED and row.desired == wanted)


def _status(connection: Connection, artifact_id: str, gateway_id: str) -> Row[Any] | None:
    return connection.execute(_STATUS, {"artifact": artifact_id, "gateway": gateway_id}).first()


def _statuses_of(connection: Connection, artifact_id: str) -> list[Row[Any]]:
    return list(connection.execute(select(statuses).where(statuses.c.artifact_id == artifact_id)))
