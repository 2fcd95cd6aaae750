"""What the tables hold, as frozen values.

Times are aware datetimes in UTC with microseconds (`deployed_at`: milliseconds). Pure; nothing of the project is
imported. Source: control-plane protocol reference, Appendix B; management API reference, section 21.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

DesiredState = Literal["deployed", "undeployed"]
Origin = Literal["gateway_api", "control_plane"]
SyncStatus = Literal["pending", "success", "failed"]
KeySource = Literal["local", "external"]
KeyStatus = Literal["active", "revoked", "expired"]
Action = Literal["CREATE", "UPDATE", "DELETE"]

API_KEY = "ApiKey"
"""`ChangeRow.kind` of changes to API keys; changes to artifacts carry the artifact's kind."""


class ArtifactRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored artifact. `document` is the unrendered envelope as its author wrote it, without `status`.

    `deployed_at` is the concurrency token of deployments and the time of the undeployment for undeployed artifacts.
    """

    uuid: str
    kind: str
    handle: str
    display_name: str
    version: str
    document: dict[str, Any]
    desired_state: DesiredState = "deployed"
    deployment_id: str | None = None
    deployed_at: datetime | None = None
    origin: Origin = "gateway_api"
    cp_artifact_id: str | None = None
    cp_sync_status: SyncStatus | None = None
    cp_sync_info: str | None = None
    created_at: datetime
    updated_at: datetime


class ApiKeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored API key: only its hash (lower-case hex SHA-256 of the trimmed key) and its mask.

    `api_id` is the local UUID of the artifact. An expired key keeps the status `active`, as in the original. `source`
    says where the value was made, `origin` who manages the key: a list of the control plane speaks only for its own.
    """

    uuid: str
    api_id: str
    name: str
    key_hash: str
    masked_key: str
    status: KeyStatus = "active"
    source: KeySource = "local"
    origin: Origin = "gateway_api"
    issuer: str | None = None
    external_ref_id: str | None = None
    created_by: str = "system"
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None


class ChangeRow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the change feed. `seq` grows with every change and is never used twice.

    `entity_id` is the artifact's or the key's UUID; `artifact_id` the artifact that the change is about in both cases.
    """

    seq: int
    kind: str
    entity_id: str
    artifact_id: str
    action: Action
    correlation_id: str
    at: datetime


class OutboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must still reach another system. There is at most one row per target and entity: the newest.

    `payload` holds what cannot be read from the tables any more when the row is taken (a deleted artifact).
    """

    id: int
    target: str
    kind: str
    entity_id: str
    action: str
    payload: dict[str, Any]
    correlation_id: str
    attempts: int
    created_at: datetime
    not_before: datetime | None = None
    last_error: str | None = None
