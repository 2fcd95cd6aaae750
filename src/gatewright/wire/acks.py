"""The two acknowledgements: of a connection (control plane → gateway) and of a deployment (gateway → control plane)."""

from typing import Final

from gatewright.wire.codec import Sparse, Wire, convert, decode, encode
from gatewright.wire.envelope import Envelope
from gatewright.wire.failures import Undecodable, WireFault
from gatewright.wire.times import ZERO_TIME, Timestamp

CONNECTION_ACK: Final = "connection.ack"
DEPLOYMENT_ACK: Final = "deployment.ack"

ACTION_DEPLOY: Final = "deploy"
ACTION_UNDEPLOY: Final = "undeploy"
STATUS_SUCCESS: Final = "success"
STATUS_FAILED: Final = "failed"

PROCESSING_ERROR: Final = "GATEWAY_PROCESSING_ERROR"
DEPLOYMENT_ID_MISMATCH: Final = "DEPLOYMENT_ID_MISMATCH"
DEPLOYMENT_TIMEOUT: Final = "DEPLOYMENT_TIMEOUT"
"""Only the control plane uses this one, when no acknowledgement came in time."""


class ConnectionAck(Wire, frozen=True, kw_only=True):
    """First message of every connection. Empty ids are accepted."""

    type: str = CONNECTION_ACK
    gateway_id: str = ""
    connection_id: str = ""
    timestamp: str = ""


class DeploymentAck(Sparse, frozen=True, kw_only=True):
    """Outcome of one deploy or undeploy event.

    `artifact_id` is the id as the event had it; `performed_at` repeats the event's time with precision and offset,
    `ZERO_TIME` when it had none. `error_code` only when failed.
    """

    deployment_id: str = ""
    artifact_id: str = ""
    resource_type: str = ""
    action: str = ""
    status: str = ""
    performed_at: Timestamp = ZERO_TIME
    error_code: str = ""


def decode_connection_ack(message: str | bytes) -> ConnectionAck | Undecodable:
    """Read the first message of a connection; anything but a `connection.ack` is UNKNOWN_TYPE."""
    ack = decode(message, ConnectionAck, CONNECTION_ACK)
    if isinstance(ack, Undecodable):
        return ack
    kind = decode(message, _Typed, CONNECTION_ACK)
    if isinstance(kind, Undecodable) or kind.type != CONNECTION_ACK:
        reason = "expected connection.ack message, got another type"
        return Undecodable(WireFault.UNKNOWN_TYPE, reason, "$.type", CONNECTION_ACK)
    return ack


class _Typed(Sparse, frozen=True, kw_only=True):
    type: str = ""


def encode_connection_ack(gateway_id: str, connection_id: str, at: Timestamp) -> str:
    """The first message a server sends."""
    ack = ConnectionAck(gateway_id=gateway_id, connection_id=connection_id, timestamp=at.seconds_text())
    return encode(ack).decode()


def encode_deployment_ack(ack: DeploymentAck) -> str:
    """The text frame of a deployment acknowledgement; all members but `errorCode` are always present."""
    payload: dict[str, object] = {
        "deploymentId": ack.deployment_id,
        "artifactId": ack.artifact_id,
        "resourceType": ack.resource_type,
        "action": ack.action,
        "status": ack.status,
        "performedAt": ack.performed_at,
    }
    if ack.error_code:
        payload["errorCode"] = ack.error_code
    return encode({"type": DEPLOYMENT_ACK, "payload": payload}).decode()


def decode_deployment_ack(envelope: Envelope) -> DeploymentAck | Undecodable:
    """Read the payload of a `deployment.ack`; artifact and deployment id must not be empty."""
    ack = convert({} if envelope.payload is None else envelope.payload, DeploymentAck, DEPLOYMENT_ACK)
    if isinstance(ack, Undecodable):
        return ack
    for member, value in (("artifactId", ack.artifact_id), ("deploymentId", ack.deployment_id)):
        if not value:
            where = f"$.payload.{member}"
            return Undecodable(WireFault.MISSING_ID, f"{member} is missing or empty", where, DEPLOYMENT_ACK)
    return ack
