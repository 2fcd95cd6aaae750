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

PlanStatus = Literal["ACTIVE", "INACTIVE"]
SubscriptionStatus = Literal["ACTIVE", "INACTIVE", "REVOKED"]

API_KEY = "ApiKey"
"""`ChangeRow.kind` of changes to API keys; changes to artifacts carry the artifact's kind."""

SUBSCRIPTION = "Subscription"
"""`ChangeRow.kind` of changes to subscriptions."""

SUBSCRIPTION_PLAN = "SubscriptionPlan"
"""`ChangeRow.kind` of changes to plans; such an entry names the plan as its artifact."""

CERTIFICATE = "Certificate"
"""`ChangeRow.kind` of changes to the authorities that upstreams are checked against; it names no artifact."""

SECRET = "Secret"  # noqa: S105 - the name of a kind
"""`ChangeRow.kind` of changes to secrets; such an entry names the handle where others name an artifact."""

CREDENTIAL_KINDS = frozenset({API_KEY, SUBSCRIPTION, SUBSCRIPTION_PLAN})
"""Changes that travel in the lane of revocations."""


class ArtifactHead(msgspec.Struct, frozen=True, kw_only=True):
    """A stored artifact without its document: what a comparison of many needs, at a tenth of the cost.

    `deployed_at` is the concurrency token of deployments and the time of the undeployment for undeployed artifacts.
    """

    uuid: str
    kind: str
    handle: str
    display_name: str
    version: str
    desired_state: DesiredState = "deployed"
    deployment_id: str | None = None
    deployed_at: datetime | None = None
    origin: Origin = "gateway_api"
    cp_artifact_id: str | None = None
    cp_sync_status: SyncStatus | None = None
    cp_sync_info: str | None = None
    created_at: datetime
    updated_at: datetime


class ArtifactRow(ArtifactHead, frozen=True, kw_only=True):
    """A stored artifact. `document` is the unrendered envelope as its author wrote it, without `status`."""

    document: dict[str, Any]


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


class PlanRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored subscription plan. Without a count, or without a unit that is known, it sets no limit."""

    uuid: str
    name: str
    billing_plan: str | None = None
    stop_on_quota_reach: bool = True
    limit_count: int | None = None
    limit_unit: str | None = None
    expires_at: datetime | None = None
    status: PlanStatus = "ACTIVE"
    origin: Origin = "gateway_api"
    created_at: datetime
    updated_at: datetime


class SubscriptionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored subscription: of its token only the lower-case hex SHA-256.

    `api_id` is the local UUID of the API, or the control plane's id of one that is not here yet. `plan_id` may name a
    plan that is not here yet; then the subscription does not serve.
    """

    uuid: str
    api_id: str
    token_hash: str
    application_id: str | None = None
    plan_id: str | None = None
    billing_customer_id: str | None = None
    billing_subscription_id: str | None = None
    status: SubscriptionStatus = "ACTIVE"
    origin: Origin = "gateway_api"
    created_at: datetime
    updated_at: datetime


class ApplicationRow(msgspec.Struct, frozen=True, kw_only=True):
    """An application of the control plane. Subscriptions name it by its UUID; `handle` is what people call it."""

    uuid: str
    handle: str
    name: str
    type: str
    created_at: datetime
    updated_at: datetime


class ChangeRow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the change feed. `seq` grows with every change and is never used twice.

    `entity_id` is the UUID of the artifact, key, subscription or plan; `artifact_id` the artifact that it is about.
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
