"""The events of the catalogue: a type name, a payload struct, and which of its ids must not be empty.

Rules about values (key names, expiry in the past, unknown plans) belong to the handlers. What the original drops
without looking further, wrong types and empty ids, is refused here.
"""

from typing import ClassVar, Final

import msgspec

from gatewright.wire.codec import Sparse, convert
from gatewright.wire.envelope import Envelope
from gatewright.wire.failures import Undecodable, WireFault
from gatewright.wire.kinds import NAMES, ArtifactKind
from gatewright.wire.times import Timestamp

API_DEPLOYED: Final = "api.deployed"
API_UNDEPLOYED: Final = "api.undeployed"
API_DELETED: Final = "api.deleted"
API_KEY_CREATED: Final = "apikey.created"
API_KEY_UPDATED: Final = "apikey.updated"
API_KEY_REVOKED: Final = "apikey.revoked"
APPLICATION_UPDATED: Final = "application.updated"
SUBSCRIPTION_CREATED: Final = "subscription.created"
SUBSCRIPTION_UPDATED: Final = "subscription.updated"
SUBSCRIPTION_DELETED: Final = "subscription.deleted"
PLAN_CREATED: Final = "subscriptionPlan.created"
PLAN_UPDATED: Final = "subscriptionPlan.updated"
PLAN_DELETED: Final = "subscriptionPlan.deleted"

SECRET_PREFIXES: Final = ("apikey.", "subscription.", "websub.hmacsecret.")
"""Events of these types carry credentials: never log their payload."""


class DeploymentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`<kind>.deployed` and `<kind>.undeployed`, for every kind alike.

    `deployment_id` may be empty (a processing error that is acknowledged as failed); `performed_at` is None when the
    event had no time.
    """

    kind: ArtifactKind
    artifact_id: str
    deployed: bool
    deployment_id: str = ""
    performed_at: Timestamp | None = None


class DeletionEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`<kind>.deleted`. Never acknowledged, always applies."""

    kind: ArtifactKind
    artifact_id: str


class _ArtifactPayload(Sparse, frozen=True, kw_only=True):
    """The three spellings of the id member; the kind says which one counts."""

    api_id: str = ""
    provider_id: str = ""
    proxy_id: str = ""
    deployment_id: str = ""
    performed_at: Timestamp | None = None


class ExpiresIn(Sparse, frozen=True, kw_only=True):
    """A relative expiry. Units: seconds, minutes, hours, days, weeks, months (of 30 days)."""

    duration: int = 0
    unit: str = ""


class ApiKeyCreated(Sparse, frozen=True, kw_only=True):
    """`apikey.created`. `api_key_hashes` is a JSON object inside a string: algorithm → lower-case hex."""

    REQUIRED: ClassVar = ("api_id", "api_key_hashes")

    uuid: str = ""
    api_id: str = ""
    name: str = ""
    api_key_hashes: str = ""
    masked_api_key: str = ""
    external_ref_id: str | None = None
    expires_at: str | None = None
    expires_in: ExpiresIn | None = None
    issuer: str | None = None
    created_at: str = ""
    updated_at: str = ""


class ApiKeyUpdated(Sparse, frozen=True, kw_only=True):
    """`apikey.updated`."""

    REQUIRED: ClassVar = ("api_id", "key_name", "api_key_hashes")

    api_id: str = ""
    key_name: str = ""
    api_key_hashes: str = ""
    masked_api_key: str = ""
    external_ref_id: str | None = None
    expires_at: str | None = None
    expires_in: ExpiresIn | None = None
    issuer: str | None = None
    updated_at: str = ""


class ApiKeyRevoked(Sparse, frozen=True, kw_only=True):
    """`apikey.revoked`."""

    REQUIRED: ClassVar = ("api_id", "key_name")

    api_id: str = ""
    key_name: str = ""


class KeyMapping(Sparse, frozen=True, kw_only=True):
    """One key of an application."""

    api_key_uuid: str = ""


class ApplicationUpdated(Sparse, frozen=True, kw_only=True):
    """`application.updated`: `mappings` is the complete set of the application's keys."""

    REQUIRED: ClassVar = ("application_id", "application_uuid", "application_name", "application_type")

    application_id: str = ""
    application_uuid: str = ""
    application_name: str = ""
    application_type: str = ""
    mappings: tuple[KeyMapping, ...] = ()


class SubscriptionCreated(Sparse, frozen=True, kw_only=True):
    """`subscription.created`. The token is the plain one; only its hash may be stored."""

    REQUIRED: ClassVar = ("api_id", "subscription_id", "subscription_token")

    api_id: str = ""
    subscription_id: str = ""
    application_id: str = ""
    subscription_token: str = ""
    subscription_plan_id: str = ""
    status: str = ""
    billing_customer_id: str = ""
    billing_subscription_id: str = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(subscription_id={self.subscription_id!r})"


class SubscriptionUpdated(Sparse, frozen=True, kw_only=True):
    """`subscription.updated`: an empty token keeps the token, an empty plan or application clears it."""

    REQUIRED: ClassVar = ("subscription_id",)

    api_id: str = ""
    subscription_id: str = ""
    application_id: str = ""
    subscription_token: str = ""
    subscription_plan_id: str = ""
    status: str = ""
    billing_customer_id: str = ""
    billing_subscription_id: str = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(subscription_id={self.subscription_id!r})"


class SubscriptionDeleted(Sparse, frozen=True, kw_only=True):
    """`subscription.deleted`."""

    REQUIRED: ClassVar = ("subscription_id",)

    api_id: str = ""
    subscription_id: str = ""
    subscription_token: str = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(subscription_id={self.subscription_id!r})"


class PlanCreated(Sparse, frozen=True, kw_only=True):
    """`subscriptionPlan.created`."""

    REQUIRED: ClassVar = ("plan_id", "plan_name")

    plan_id: str = ""
    handle: str = ""
    plan_name: str = ""
    billing_plan: str = ""
    stop_on_quota_reach: bool = False
    throttle_limit_count: int | None = None
    throttle_limit_unit: str = ""
    expiry_time: Timestamp | None = None
    status: str = ""


class PlanUpdated(Sparse, frozen=True, kw_only=True):
    """`subscriptionPlan.updated`: name and status only when not empty, the rest overwritten or cleared."""

    REQUIRED: ClassVar = ("plan_id",)

    plan_id: str = ""
    handle: str = ""
    plan_name: str = ""
    billing_plan: str = ""
    stop_on_quota_reach: bool = False
    throttle_limit_count: int | None = None
    throttle_limit_unit: str = ""
    expiry_time: Timestamp | None = None
    status: str = ""


class PlanDeleted(Sparse, frozen=True, kw_only=True):
    """`subscriptionPlan.deleted`."""

    REQUIRED: ClassVar = ("plan_id",)

    plan_id: str = ""
    handle: str = ""
    plan_name: str = ""


class HmacSecretChanged(Sparse, frozen=True, kw_only=True):
    """`websub.hmacsecret.*`: whatever happened, the complete set is fetched again."""

    REQUIRED: ClassVar = ("artifact_uuid",)

    artifact_uuid: str = ""
    secret_name: str = ""


OtherPayload = (
    ApiKeyCreated
    | ApiKeyUpdated
    | ApiKeyRevoked
    | ApplicationUpdated
    | SubscriptionCreated
    | SubscriptionUpdated
    | SubscriptionDeleted
    | PlanCreated
    | PlanUpdated
    | PlanDeleted
    | HmacSecretChanged
)
Payload = DeploymentEvent | DeletionEvent | OtherPayload

_OTHERS: Final[dict[str, type[OtherPayload]]] = {
    API_KEY_CREATED: ApiKeyCreated,
    API_KEY_UPDATED: ApiKeyUpdated,
    API_KEY_REVOKED: ApiKeyRevoked,
    APPLICATION_UPDATED: ApplicationUpdated,
    SUBSCRIPTION_CREATED: SubscriptionCreated,
    SUBSCRIPTION_UPDATED: SubscriptionUpdated,
    SUBSCRIPTION_DELETED: SubscriptionDeleted,
    PLAN_CREATED: PlanCreated,
    PLAN_UPDATED: PlanUpdated,
    PLAN_DELETED: PlanDeleted,
    "websub.hmacsecret.created": HmacSecretChanged,
    "websub.hmacsecret.updated": HmacSecretChanged,
    "websub.hmacsecret.deleted": HmacSecretChanged,
}
_LIFECYCLE: Final[dict[str, tuple[ArtifactKind, str]]] = {
    f"{names.event}.{change}": (kind, change)
    for kind, names in NAMES.items()
    if names.event
    for change in ("deployed", "undeployed", "deleted")
}
_ID_MEMBERS: Final = {
    ArtifactKind.LLM_PROVIDER: "provider_id",
    ArtifactKind.LLM_PROXY: "proxy_id",
    ArtifactKind.MCP: "proxy_id",
}

EVENT_TYPES: Final = frozenset(_OTHERS) | frozenset(_LIFECYCLE)
"""Every type of the catalogue apart from `connection.ack`; compared case-sensitively."""


def decode_payload(envelope: Envelope) -> Payload | Undecodable:
    """The typed payload of an event: UNKNOWN_TYPE, WRONG_SHAPE or MISSING_ID when there is none to act on."""
    lifecycle = _LIFECYCLE.get(envelope.type)
    if lifecycle is not None:
        return _decode_lifecycle(envelope, *lifecycle)
    struct = _OTHERS.get(envelope.type)
    if struct is None:
        return Undecodable(WireFault.UNKNOWN_TYPE, "unknown event type", "$.type", envelope.type)
    payload = convert(_object(envelope.payload), struct, envelope.type)
    if isinstance(payload, Undecodable):
        return payload
    for name in struct.REQUIRED:
        if not getattr(payload, name):
            return _missing(envelope.type, name)
    return payload


def lifecycle_payload(event: DeploymentEvent | DeletionEvent) -> dict[str, object]:
    """The wire form of a deployment or deletion event's payload."""
    payload: dict[str, object] = {_wire_name(_id_member(event.kind)): event.artifact_id}
    if isinstance(event, DeploymentEvent):
        payload["deploymentId"] = event.deployment_id
        if event.performed_at is not None:
            payload["performedAt"] = event.performed_at
    return payload


def lifecycle_type(event: DeploymentEvent | DeletionEvent) -> str:
    """The event type, for example `api.deployed`."""
    change = "deleted" if isinstance(event, DeletionEvent) else "deployed" if event.deployed else "undeployed"
    return f"{NAMES[event.kind].event}.{change}"


def carries_secret(kind: str) -> bool:
    """True for event types whose payload must not be logged."""
    return kind.startswith(SECRET_PREFIXES)


def _decode_lifecycle(envelope: Envelope, kind: ArtifactKind, change: str) -> Payload | Undecodable:
    payload = convert(_object(envelope.payload), _ArtifactPayload, envelope.type)
    if isinstance(payload, Undecodable):
        return payload
    artifact_id: str = getattr(payload, _id_member(kind))
    if not artifact_id:
        return _missing(envelope.type, _id_member(kind))
    if change == "deleted":
        return DeletionEvent(kind=kind, artifact_id=artifact_id)
    at = payload.performed_at
    return DeploymentEvent(
        kind=kind,
        artifact_id=artifact_id,
        deployed=change == "deployed",
        deployment_id=payload.deployment_id,
        performed_at=None if at is None or at.is_zero else at,
    )


def _object(payload: object) -> object:
    """An absent payload is an empty one: the ids then decide."""
    return {} if payload is None else payload


def _missing(kind: str, name: str) -> Undecodable:
    wire_name = _wire_name(name)
    return Undecodable(WireFault.MISSING_ID, f"{wire_name} is missing or empty", f"$.payload.{wire_name}", kind)


def _id_member(kind: ArtifactKind) -> str:
    return _ID_MEMBERS.get(kind, "api_id")


def _wire_name(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)
