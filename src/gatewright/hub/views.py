"""What the hub's own REST API answers: shared by the server and by its client."""

from typing import Any

import msgspec


class View(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base: camelCase, members with default values left out. Times are RFC 3339 texts."""


class GatewayView(View, frozen=True, kw_only=True):
    """A registered gateway. `id` is its handle, `uuid` what it learns from the connection's ack."""

    id: str
    uuid: str
    display_name: str
    functionality_type: str
    is_active: bool
    connections: int
    created_at: str
    updated_at: str
    description: str = ""
    endpoints: tuple[str, ...] = ()
    is_critical: bool = False
    properties: dict[str, Any] = msgspec.field(default_factory=dict)
    version: str = ""
    connected_since: str = ""


class TokenView(View, frozen=True, kw_only=True):
    """A registration token, never its plain value. `revoke_at` is set while a rotation lets it live on."""

    id: str
    status: str
    created_at: str
    revoke_at: str = ""
    revoked_at: str = ""


class IssuedToken(View, frozen=True, kw_only=True):
    """A new registration token; the only time its plain value is shown."""

    id: str
    token: str
    created_at: str
    message: str

    def __repr__(self) -> str:
        return f"IssuedToken(id={self.id!r})"


class ArtifactView(View, frozen=True, kw_only=True):
    """An API or other artifact. `document` only where one artifact was asked for."""

    id: str
    kind: str
    handle: str
    display_name: str
    version: str
    origin: str
    created_at: str
    updated_at: str
    project: str = ""
    document: str = ""


class DeploymentView(View, frozen=True, kw_only=True):
    """An artifact on a gateway: what is wanted, what is known of it, and why it failed."""

    artifact_id: str
    artifact: str
    kind: str
    origin: str
    gateway: str
    deployment_id: str
    status: str
    desired: str
    performed_at: str
    updated_at: str
    reason: str = ""


class RecordView(View, frozen=True, kw_only=True):
    """Something that was deployed. `document` only where one record was asked for."""

    id: str
    gateway: str
    status: str
    created_at: str
    document: str = ""


class Deployed(View, frozen=True, kw_only=True):
    """Answer to a deploy: the artifact as stored and its new deployments."""

    artifact: ArtifactView
    deployments: tuple[DeploymentView, ...]


class ApiKeyView(View, frozen=True, kw_only=True):
    """An API key of an artifact, never its plain value."""

    uuid: str
    name: str
    artifact: str
    masked_api_key: str
    status: str
    created_by: str
    created_at: str
    updated_at: str
    expires_at: str = ""
    issuer: str = ""


class IssuedApiKey(View, frozen=True, kw_only=True):
    """A new API key; the only time its plain value is shown."""

    key: ApiKeyView
    api_key: str

    def __repr__(self) -> str:
        return f"IssuedApiKey(name={self.key.name!r})"


class PlanView(View, frozen=True, kw_only=True):
    """A subscription plan. `id` is its handle, `uuid` what gateways know it by."""

    id: str
    uuid: str
    plan_name: str
    stop_on_quota_reach: bool
    status: str
    created_at: str
    updated_at: str
    billing_plan: str = ""
    throttle_limit_count: int | None = None
    throttle_limit_unit: str = ""
    expiry_time: str = ""


class SubscriptionView(View, frozen=True, kw_only=True):
    """A subscription to an API, never its token."""

    id: str
    api: str
    status: str
    created_at: str
    updated_at: str
    plan: str = ""
    application: str = ""
    billing_customer_id: str = ""
    billing_subscription_id: str = ""


class IssuedSubscription(View, frozen=True, kw_only=True):
    """A new subscription; the only time that people are shown its token."""

    subscription: SubscriptionView
    subscription_token: str

    def __repr__(self) -> str:
        return f"IssuedSubscription(id={self.subscription.id!r})"


class ApplicationView(View, frozen=True, kw_only=True):
    """An application and the UUIDs of its active API keys. `id` is its handle."""

    id: str
    uuid: str
    name: str
    type: str
    created_at: str
    updated_at: str
    keys: tuple[str, ...] = ()


class SecretView(View, frozen=True, kw_only=True):
    """A platform secret, never its value. `id` is the handle that documents refer to."""

    id: str
    uuid: str
    name: str
    type: str
    status: str
    created_at: str
    updated_at: str


class EventView(View, frozen=True, kw_only=True):
    """An event of the log. Payloads that carry credentials are left out."""

    seq: int
    gateway: str
    type: str
    action: str
    correlation_id: str
    created_at: str
    payload: Any = None


class Health(View, frozen=True, kw_only=True):
    """The hub itself."""

    status: str
    version: str
    gateways_connected: int
    started_at: str


class Change(View, frozen=True, kw_only=True):
    """One message of the watch: exactly one of the three is set. `removed` names what is gone.

    `synced` ends the initial state; everything after it is a change.
    """

    gateway: GatewayView | None = None
    deployment: DeploymentView | None = None
    removed: str = ""
    synced: bool = False
