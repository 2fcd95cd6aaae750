"""What is deployed to a gateway, as the gateway itself may ask. Reads only."""

from typing import Any

import msgspec
from sqlalchemy import Connection, select

from gatewright.hub.apim.tables import api_keys, deployments, revisions
from gatewright.wire.apikeys import ACTIVE
from gatewright.wire.times import Timestamp


def data_of(connection: Connection, gateway_id: str, api_id: str) -> dict[str, Any] | None:
    """The API as the revision has it that is deployed to a gateway; None when none is."""
    found = connection.execute(
        select(revisions.c.data)
        .join(deployments, deployments.c.revision_id == revisions.c.id)
        .where(deployments.c.gateway_id == gateway_id, deployments.c.api_id == api_id, deployments.c.active)
    ).scalar()
    return None if found is None else msgspec.json.decode(found, type=dict[str, Any])


def rows(connection: Connection, gateway_id: str, since: Timestamp | None) -> list[dict[str, object]]:
    """The deployment list of a gateway, from a time on if one is given."""
    query = (
        select(deployments)
        .where(deployments.c.gateway_id == gateway_id, deployments.c.active)
        .order_by(deployments.c.deployed_at, deployments.c.api_id)
    )
    if since is not None:
        query = query.where(deployments.c.deployed_at >= since.unix_ms)
    return [
        {
            "deploymentId": row.deployment_id,
            "artifactId": row.api_id,
            "kind": "RestApi",
            "state": "deployed",
            "deployedAt": Timestamp.from_ms(row.deployed_at).text(),
        }
        for row in connection.execute(query)
    ]


def batch(connection: Connection, gateway_id: str, wanted: list[str]) -> list[tuple[str, str, dict[str, Any]]]:
    """(deployment id, API id, data) of those among `wanted` that are deployed to a gateway."""
    query = (
        select(deployments.c.deployment_id, deployments.c.api_id, revisions.c.data)
        .join(revisions, revisions.c.id == deployments.c.revision_id)
        .where(deployments.c.gateway_id == gateway_id, deployments.c.active)
        .order_by(deployments.c.deployed_at, deployments.c.api_id)
    )
    asked = set(wanted)
    return [
        (row.deployment_id, row.api_id, msgspec.json.decode(row.data, type=dict[str, Any]))
        for row in connection.execute(query)
        if row.deployment_id in asked
    ]


def key_rows(connection: Connection, gateway_id: str, *, status: str) -> list[dict[str, object]]:
    """The active keys of the APIs that are deployed to a gateway; `status` is how "active" is spelt."""
    query = (
        select(api_keys)
        .join(deployments, deployments.c.api_id == api_keys.c.api_id)
        .where(deployments.c.gateway_id == gateway_id, deployments.c.active, api_keys.c.status == ACTIVE)
        .order_by(api_keys.c.created_at, api_keys.c.uuid)
    )
    return [
        {
            "uuid": row.uuid,
            "name": row.name,
            "maskedApiKey": row.mask,
            "apiKeyHashes": {"sha256": row.hash},
            "artifactUuid": row.api_id,
            "status": status,
            "createdAt": Timestamp.from_ms(row.created_at).text(),
            "createdBy": row.created_by,
            "updatedAt": Timestamp.from_ms(row.updated_at).text(),
            "source": "external",
            "externalRefId": None,
            "issuer": None,
            **({} if row.expires_at is None else {"expiresAt": Timestamp.from_ms(row.expires_at).text()}),
        }
        for row in connection.execute(query)
    ]
