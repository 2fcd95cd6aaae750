"""What gateways say about deployments: every acknowledgement is kept, the latest shows at the deployment."""

from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from gatewright.hub.apim.tables import acknowledgements, deployments, gateways
from gatewright.hub.store import Unit
from gatewright.wire.acks import ACTION_DEPLOY, DeploymentAck
from gatewright.wire.times import Timestamp

MAX_KEPT: Final = 10_000
"""Acknowledgements; the oldest leave."""

_FAILED: Final = frozenset({"failed", "failure"})
_RESOURCE: Final = "api"


def keep(unit: Unit, gateway_id: str, ack: DeploymentAck) -> None:
    """Record an acknowledgement. One about something else than APIs is ignored, as API Manager does."""
    if ack.resource_type != _RESOURCE:
        return
    result = unit.connection.execute(
        insert(acknowledgements).values(
            gateway_id=gateway_id,
            deployment_id=ack.deployment_id,
            artifact_id=ack.artifact_id,
            action=ack.action,
            status=ack.status,
            error_code=ack.error_code,
            performed_at=ack.performed_at.text(),
            received_at=unit.now.unix_ms,
        )
    )
    seq = int(result.lastrowid)
    unit.connection.execute(delete(acknowledgements).where(acknowledgements.c.seq <= seq - MAX_KEPT))
    if ack.action == ACTION_DEPLOY:
        unit.connection.execute(
            update(deployments)
            .where(
                deployments.c.gateway_id == gateway_id,
                deployments.c.api_id == ack.artifact_id,
                deployments.c.deployment_id == ack.deployment_id,
            )
            .values(outcome="FAILED" if ack.status in _FAILED else "SUCCESS", outcome_at=unit.now.unix_ms)
        )


def listed(connection: Connection, *, after: int = 0, limit: int = 1000) -> list[dict[str, object]]:
    """Acknowledgements in the order in which they came."""
    rows = connection.execute(
        select(acknowledgements, gateways.c.handle)
        .join(gateways, gateways.c.id == acknowledgements.c.gateway_id, isouter=True)
        .where(acknowledgements.c.seq > after)
        .order_by(acknowledgements.c.seq)
        .limit(limit)
    )
    return [
        {
            "seq": row.seq,
            "gateway": row.handle,
            "deploymentId": row.deployment_id,
            "artifactId": row.artifact_id,
            "action": row.action,
            "status": row.status,
            "errorCode": row.error_code,
            "performedAt": row.performed_at,
            "receivedAt": Timestamp.from_ms(row.received_at).text(),
        }
        for row in rows
    ]
