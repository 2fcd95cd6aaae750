"""APIs as the Publisher shows them: one with everything, or a list that is searched. Reads only."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, select

from gatewright.hub.apim import publishing
from gatewright.hub.apim.project import GATEWAY_TYPE
from gatewright.hub.apim.tables import apis, revisions

_DEFAULTS: Final[Mapping[str, object]] = {
    "description": None,
    "isDefaultVersion": False,
    "hasThumbnail": False,
    "enableSchemaValidation": False,
    "responseCachingEnabled": False,
    "cacheTimeout": 300,
    "type": "HTTP",
    "transport": ["http", "https"],
    "tags": [],
    "policies": [],
    "categories": [],
    "scopes": [],
    "keyManagers": ["all"],
    "maxTps": None,
    "apiThrottlingPolicy": None,
    "authorizationHeader": "Authorization",
    "apiKeyHeader": "ApiKey",
    "securityScheme": ["oauth_basic_auth_api_key_mandatory", "oauth2"],
    "visibility": "PUBLIC",
    "visibleRoles": [],
    "visibleTenants": [],
    "subscriptionAvailability": "CURRENT_TENANT",
    "subscriptionAvailableTenants": [],
    "accessControl": "NONE",
    "accessControlRoles": [],
    "additionalProperties": [],
    "mediationPolicies": [],
    "apiHubPolicies": [],
    "operations": [],
    "endpointImplementationType": "ENDPOINT",
    "gatewayVendor": "wso2",
    "gatewayType": GATEWAY_TYPE,
    "businessInformation": {
        "businessOwner": None,
        "businessOwnerEmail": None,
        "technicalOwner": None,
        "technicalOwnerEmail": None,
    },
    "corsConfiguration": {
        "corsConfigurationEnabled": False,
        "accessControlAllowOrigins": ["*"],
        "accessControlAllowCredentials": False,
        "accessControlAllowHeaders": ["authorization", "Content-Type", "ApiKey"],
        "accessControlAllowMethods": ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"],
    },
    "workflowStatus": "APPROVED",
}
"""What API Manager shows of an API that says nothing about it: whoever compares has to expect it."""


def view(connection: Connection, api_id: str) -> dict[str, object]:
    """Everything about an API, or about a revision by the revision's id. Raises Refusal 404."""
    revision = connection.execute(select(revisions).where(revisions.c.id == api_id)).first()
    row = publishing.find(connection, api_id if revision is None else revision.api_id)
    data = msgspec.json.decode(row.data if revision is None else revision.data, type=dict[str, Any])
    properties = data.get("additionalProperties")
    return {
        **_DEFAULTS,
        "displayName": row.name,
        **data,
        "additionalPropertiesMap": {
            each["name"]: each
            for each in (properties if isinstance(properties, list) else [])
            if isinstance(each, dict) and isinstance(each.get("name"), str)
        },
        "id": api_id,
        "name": row.name,
        "version": row.version,
        "context": data["context"],
        "provider": row.provider,
        "lifeCycleStatus": row.state,
        "initiatedFromGateway": row.from_gateway,
        "isRevision": revision is not None,
        "revisionId": 0 if revision is None else revision.number,
        "revisionedApiId": None if revision is None else row.id,
        "createdTime": str(row.created_at),
        "lastUpdatedTime": str(row.updated_at),
        "lastUpdatedTimestamp": str(row.updated_at),
    }


def listed(connection: Connection, query: str, offset: int, limit: int) -> tuple[list[dict[str, object]], int]:
    """A page of APIs by name and version, and how many there are. `query` as `name:Orders version:v1`, or free text."""
    every: Iterable[Row[Any]] = connection.execute(_EVERY)
    rows = [row for row in every if _matches(row, query)]
    return [_item(row) for row in rows[offset : offset + limit]], len(rows)


_EVERY: Final = select(
    apis.c.id,
    apis.c.name,
    apis.c.version,
    apis.c.context,
    apis.c.provider,
    apis.c.state,
    apis.c.from_gateway,
    apis.c.created_at,
    apis.c.updated_at,
).order_by(apis.c.name, apis.c.version)


def _item(row: Row[Any]) -> dict[str, object]:
    return {
        "id": row.id,
        "name": row.name,
        "description": None,
        "context": row.context,
        "version": row.version,
        "provider": row.provider,
        "type": "HTTP",
        "lifeCycleStatus": row.state,
        "gatewayType": GATEWAY_TYPE,
        "gatewayVendor": "wso2",
        "initiatedFromGateway": row.from_gateway,
        "createdTime": str(row.created_at),
        "updatedTime": str(row.updated_at),
    }


def _matches(row: Row[Any], query: str) -> bool:
    fields = {"name": row.name, "version": row.version, "context": row.context, "provider": row.provider}
    # A value may hold blanks: what has no field of its own belongs to the field before it.
    wanted: list[tuple[str, str]] = []
    for word in query.split():
        field, colon, value = word.partition(":")
        if colon and field.lower() in fields:
            wanted.append((field.lower(), value))
        elif wanted:
            wanted[-1] = (wanted[-1][0], f"{wanted[-1][1]} {word}")
        else:
            wanted.append(("name", word))
    return all(_fits(fields[field], value) for field, value in wanted)


def _fits(present: str, wanted: str) -> bool:
    """Quoted: exactly; else a part, regardless of case."""
    if len(wanted) > 1 and wanted[0] == wanted[-1] == '"':
        return present == wanted[1:-1]
    return wanted.strip("*").lower() in present.lower()
