"""What was deployed before: the records of an artifact, and going back to one of them. Transactions, no network.

Reference: control-plane protocol, section 6.7. A record is an unchangeable copy of a document for one gateway.
"""

from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_, select

from gatewright.hub import artifacts, gateways
from gatewright.hub import deployments as deploying
from gatewright.hub.problems import ApiError, not_found
from gatewright.hub.store import Unit
from gatewright.hub.tables import deployments, statuses
from gatewright.hub.tables import gateways as gateway_table
from gatewright.hub.views import RecordView
from gatewright.wire.times import Timestamp

ARCHIVED: Final = "ARCHIVED"
"""Status of a record that is not what its gateway is wanted to have now."""


def views(connection: Connection, ref: str, *, gateway: str = "") -> list[RecordView]:
    """The records of an artifact, the newest first, of one gateway if it is named. ApiError 404."""
    query = _records(artifacts.find(connection, ref).id)
    if gateway:
        query = query.where(deployments.c.gateway_id == gateways.find(connection, gateway).id)
    return [_view(row) for row in connection.execute(query)]


def view(connection: Connection, ref: str, deployment_id: str) -> RecordView:
    """One record with its document. ApiError 404."""
    return _view(_find(connection, artifacts.find(connection, ref).id, deployment_id), with_document=True)


def restore(unit: Unit, ref: str, deployment_id: str) -> str:
    """Deploy a record anew where it was deployed; answers the artifact's id. ApiError 403, 404, 409.

    The artifact's present document stays as it is.
    """
    artifact = artifacts.deployable(unit.connection, ref)
    row = _find(unit.connection, artifact.id, deployment_id)
    if row.status in {deploying.DEPLOYED, deploying.DEPLOYING}:
        raise ApiError(409, "DEPLOYMENT_ACTIVE", f"That is what {row.gateway} is wanted to have already.")
    deploying.deploy_to(unit, artifact, row.gateway, deployment_id)
    return artifact.id


def _records(artifact_id: str) -> Select[Any]:
    return (
        select(deployments, gateway_table.c.handle.label("gateway"), statuses.c.status)
        .join(gateway_table, gateway_table.c.id == deployments.c.gateway_id)
        .outerjoin(
            statuses,
            and_(
                statuses.c.deployment_id == deployments.c.id,
                statuses.c.artifact_id == deployments.c.artifact_id,
                statuses.c.gateway_id == deployments.c.gateway_id,
            ),
        )
        .where(deployments.c.artifact_id == artifact_id)
        .order_by(deployments.c.created_at.desc(), deployments.c.id.desc())
    )


def _find(connection: Connection, artifact_id: str, deployment_id: str) -> Row[Any]:
    row = connection.execute(_records(artifact_id).where(deployments.c.id == deployment_id)).first()
    if row is None:
        raise not_found("deployment", deployment_id)
    return row


def _view(row: Row[Any], *, with_document: bool = False) -> RecordView:
    return RecordView(
        id=row.id,
        gateway=row.gateway,
        status=row.status or ARCHIVED,
        created_at=Timestamp.from_ms(row.created_at).text(),
        document=row.content if with_document else "",
    )
