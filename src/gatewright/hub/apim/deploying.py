"""Revisions and where they are deployed, with the events that tell gateways. Transactions, no network."""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, update

from gatewright.hub.apim.platform_gateways import Environment, environments_by_name
from gatewright.hub.apim.problems import Refusal
from gatewright.hub.apim.project import Target
from gatewright.hub.apim.tables import apis, deployments, gateways, revisions
from gatewright.hub.store import Unit
from gatewright.wire.events import API_DEPLOYED, API_UNDEPLOYED
from gatewright.wire.times import Timestamp

MAX_REVISIONS: Final = 5
_RETIRED: Final = "RETIRED"


def create_revision(unit: Unit, api: Row[Any], *, rotate: bool, user: str, successors: Iterable[str] = ()) -> str:
    """Freeze an API as it is; answers the revision's id.

    At the limit the oldest makes room if `rotate`, else Refusal 400. The gateways in `successors` get the new one at
    once, so they are not told that the oldest was taken from them.
    """
    present = unit.connection.execute(
        select(revisions.c.id).where(revisions.c.api_id == api.id).order_by(revisions.c.number)
    ).scalars()
    oldest = list(present)
    if len(oldest) >= MAX_REVISIONS:
        if not rotate:
            raise Refusal(400, f"Maximum number of revisions per API has been reached: {MAX_REVISIONS}.", code=900500)
        spared = set() if api.state == _RETIRED else set(successors)
        _remove_revision(unit, api.id, oldest[0], user, spared)
    revision_id, number = str(uuid.uuid4()), api.last_revision + 1
    unit.connection.execute(
        insert(revisions).values(
            id=revision_id,
            api_id=api.id,
            number=number,
            description="",
            data=api.data,
            definition=api.definition,
            created_at=unit.now.unix_ms,
        )
    )
    unit.connection.execute(update(apis).where(apis.c.id == api.id).values(last_revision=number))
    return revision_id


def delete_revision(unit: Unit, api_id: str, revision_id: str) -> None:
    """Remove a revision. Refusal 404, or 400 while it is deployed."""
    _require_revision(unit.connection, api_id, revision_id)
    if _active(unit.connection, api_id, revision_id):
        raise Refusal(400, "The revision is deployed. Undeploy it first.", code=900503)
    unit.connection.execute(delete(revisions).where(revisions.c.id == revision_id))


def deploy(
    unit: Unit, api: Row[Any], revision_id: str, targets: Sequence[Target], *, user: str, announce: bool
) -> None:
    """Deploy a revision, in place of any other of the API. Refusal 400 or 404."""
    _require_revision(unit.connection, api.id, revision_id)
    places = resolved(unit.connection, targets)
    if api.state == _RETIRED:
        return
    for target, environment in places:
        deployment_id = _deployment_id(api.id, environment.gateway_id, revision_id)
        mine = (deployments.c.api_id == api.id, deployments.c.gateway_id == environment.gateway_id)
        unit.connection.execute(delete(deployments).where(*mine))
        unit.connection.execute(
            insert(deployments).values(
                api_id=api.id,
                gateway_id=environment.gateway_id,
                revision_id=revision_id,
                deployment_id=deployment_id,
                vhost=target.vhost or environment.host,
                display=target.display,
                active=True,
                deployed_at=unit.now.unix_ms,
                outcome="",
            )
        )
        if announce:
            _tell(unit, API_DEPLOYED, api.id, environment.gateway_id, deployment_id, user=user)


def announce(unit: Unit, api_id: str, revision_id: str, user: str) -> None:
    """Tell gateways of a revision that was deployed to them without a word, as far as it still is."""
    for row in _active(unit.connection, api_id, revision_id):
        _tell(unit, API_DEPLOYED, api_id, row.gateway_id, row.deployment_id, user=user, at_ms=row.deployed_at)


def undeploy(
    unit: Unit, api_id: str, revision_id: str, names: Sequence[str], *, user: str, mismatching: bool = False
) -> None:
    """Take a revision from environments. Refusal 404 for what is unknown or not deployed.

    With `mismatching` the events carry ids that no deployment ever had, as older builds sent them.
    """
    _require_revision(unit.connection, api_id, revision_id)
    places = resolved(unit.connection, [Target(name, display=False) for name in names])
    active = {row.gateway_id: row for row in _active(unit.connection, api_id, revision_id)}
    for _target, environment in places:
        if environment.gateway_id not in active:
            raise Refusal(404, f"The revision is not deployed to {environment.name}.", code=900505)
    for _target, environment in places:
        row = active[environment.gateway_id]
        deployment_id = str(uuid.uuid4()) if mismatching else row.deployment_id
        _end(unit, row)
        _tell(unit, API_UNDEPLOYED, api_id, environment.gateway_id, deployment_id, user=user)


def everywhere(connection: Connection, api_id: str, revision_id: str) -> list[str]:
    """The names of all environments that a revision is deployed to."""
    query = (
        select(gateways.c.handle)
        .join(deployments, deployments.c.gateway_id == gateways.c.id)
        .where(deployments.c.api_id == api_id, deployments.c.revision_id == revision_id, deployments.c.active)
    )
    return list(connection.execute(query.order_by(gateways.c.handle)).scalars())


def resolved(connection: Connection, targets: Sequence[Target]) -> list[tuple[Target, Environment]]:
    """The environments behind targets. Refusal 404 for an unknown one, 400 for a virtual host it has not."""
    known = environments_by_name(connection)
    places = []
    for target in {target.name: target for target in targets}.values():
        environment = known.get(target.name)
        if environment is None:
            message = f"Label {target.name} is not a defined gateway environment."
            raise Refusal(404, message, code=900518, message="GATEWAY_ENVIRONMENT_NOT_FOUND")
        if target.vhost and target.vhost != environment.host:
            raise Refusal(400, f"{target.vhost} is no virtual host of {target.name}.", code=900512)
        places.append((target, environment))
    return places


def deployment_views(connection: Connection, api_id: str, revision_id: str = "") -> list[dict[str, object]]:
    """What of an API, or of one revision, is deployed where."""
    query = (
        select(deployments, gateways.c.handle)
        .join(gateways, gateways.c.id == deployments.c.gateway_id)
        .where(deployments.c.api_id == api_id, deployments.c.active)
        .order_by(gateways.c.handle)
    )
    if revision_id:
        query = query.where(deployments.c.revision_id == revision_id)
    return [
        {
            "revisionUuid": row.revision_id,
            "name": row.handle,
            "vhost": row.vhost,
            "displayOnDevportal": row.display,
            "status": "APPROVED",
            "deployedTime": Timestamp.from_ms(row.deployed_at).text(),
            "successDeployedTime": _time(row.outcome_at) if row.outcome == "SUCCESS" else None,
            "liveGatewayCount": 1,
            "deployedGatewayCount": int(row.outcome == "SUCCESS"),
            "failedGatewayCount": int(row.outcome == "FAILED"),
        }
        for row in connection.execute(query)
    ]


def revision_views(connection: Connection, api_id: str) -> list[dict[str, object]]:
    """The revisions of an API, oldest first."""
    rows = connection.execute(select(revisions).where(revisions.c.api_id == api_id).order_by(revisions.c.number))
    return [
        {
            "id": row.id,
            "displayName": f"Revision {row.number}",
            "description": row.description,
            "createdTime": Timestamp.from_ms(row.created_at).text(),
            "apiInfo": {"id": api_id},
            "deploymentInfo": deployment_views(connection, api_id, row.id),
        }
        for row in rows
    ]


def describe(unit: Unit, revision_id: str, description: str) -> None:
    """Give a revision a text for people."""
    unit.connection.execute(update(revisions).where(revisions.c.id == revision_id).values(description=description))


def _remove_revision(unit: Unit, api_id: str, revision_id: str, user: str, spared: set[str]) -> None:
    for row in _active(unit.connection, api_id, revision_id):
        _end(unit, row)
        if row.gateway_id not in spared:
            _tell(unit, API_UNDEPLOYED, api_id, row.gateway_id, row.deployment_id, user=user)
    unit.connection.execute(delete(revisions).where(revisions.c.id == revision_id))


def _require_revision(connection: Connection, api_id: str, revision_id: str) -> None:
    found = connection.execute(
        select(revisions.c.id).where(revisions.c.api_id == api_id, revisions.c.id == revision_id)
    ).first()
    if found is None:
        raise Refusal(404, f"Requested revision {revision_id!r} of the API {api_id} not found.", code=900502)


def _active(connection: Connection, api_id: str, revision_id: str) -> list[Row[Any]]:
    return list(
        connection.execute(
            select(deployments).where(
                deployments.c.api_id == api_id, deployments.c.revision_id == revision_id, deployments.c.active
            )
        )
    )


def _end(unit: Unit, row: Row[Any]) -> None:
    unit.connection.execute(
        update(deployments)
        .where(deployments.c.api_id == row.api_id, deployments.c.gateway_id == row.gateway_id)
        .values(active=False)
    )


def _tell(
    unit: Unit, kind: str, api_id: str, gateway_id: str, deployment_id: str, *, user: str, at_ms: int | None = None
) -> None:
    at = unit.now if at_ms is None else Timestamp.from_ms(at_ms)
    verb = "deploy" if kind == API_DEPLOYED else "undeploy"
    payload = {"apiId": api_id, "deploymentId": deployment_id, "performedAt": at.text()}
    unit.emit(gateway_id, kind, payload, user_id=user, correlation_id=f"{verb}:{deployment_id}")


def _deployment_id(api_id: str, gateway_id: str, revision_id: str) -> str:
    """The UUID of version 3 (MD5, no name space) that API Manager derives: the same for the same revision."""
    digest = hashlib.md5(f"{api_id}:{gateway_id}:{revision_id}".encode(), usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest, version=3))


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else Timestamp.from_ms(at_ms).text()
