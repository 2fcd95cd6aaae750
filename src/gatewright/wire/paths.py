"""Where everything is: hosts, bases, paths, header names, media types, close codes and the fixed limits in time.

Paths below the REST base are functions where they hold an id. Ids are percent-encoded, which leaves the UUIDs and
handles of a well-behaved peer as they are and keeps a hostile one from reaching another endpoint.
"""

from typing import Final
from urllib.parse import quote, urlencode

from gatewright.wire.kinds import NAMES, ArtifactKind

WELL_KNOWN: Final = "/internal/gateway/.well-known"
CLOUD_BASE: Final = "/api/internal/v1"
"""Base path of REST and WebSocket when the well-known document names none."""
WEBSOCKET: Final = "/ws/gateways/connect"

DEPLOYMENTS: Final = "/deployments"
FETCH_BATCH: Final = "/deployments/fetch-batch"
ARTIFACTS_EXIST: Final = "/artifacts/exists"
IMPORT_ARTIFACTS: Final = "/artifacts/import-gateway-artifacts"
SUBSCRIPTION_PLANS: Final = "/subscription-plans"
SECRETS: Final = "/secrets"

TOKEN_HEADER: Final = "api-key"  # noqa: S105 - the name of a header

ZIP_TYPE: Final = "application/zip"
JSON_TYPE: Final = "application/json"
BATCH_TYPE: Final = "application/x-tar+gzip"
"""Must be sent exactly like this; Platform API compares the whole header value."""

CLOSE_NORMAL: Final = 1000
CLOSE_UNAUTHENTICATED: Final = 4401
"""API Manager closes with it after the upgrade when the token is missing or wrong."""
REASON_SHUTDOWN: Final = "Gateway shutting down"
REASON_CLOSED: Final = "Client closing connection"
REASON_SERVER_NORMAL: Final = "normal closure"
REASON_SERVER_SHUTDOWN: Final = "server shutdown"

PERMANENT_STATUSES: Final = frozenset({401, 403, 404, 409, 422})
"""Answers that the original takes as final, at the upgrade and at the manifest."""

DISCOVERY_TIMEOUT: Final = 5.0
HANDSHAKE_TIMEOUT: Final = 10.0
ACK_TIMEOUT: Final = 5.0
HEARTBEAT_TIMEOUT: Final = 35.0
HEARTBEAT_CHECK: Final = 5.0
REST_TIMEOUT: Final = 30.0
"""Seconds, all of them."""

MAX_EVENT_BYTES: Final = 1_048_576
"""Largest serialised envelope that a control plane publishes."""


def websocket_url(host: str, gateway_path: str = "") -> str:
    """The socket's URL. `host` may carry a port; `gateway_path` is the normalised discovered path, empty for cloud."""
    return f"wss://{host}{gateway_path or CLOUD_BASE}{WEBSOCKET}"


def rest_base(host: str, gateway_path: str = "") -> str:
    """The base URL of every REST call."""
    return f"https://{host}{gateway_path or CLOUD_BASE}"


def well_known_url(host: str) -> str:
    """Where discovery asks."""
    return f"https://{host}{WELL_KNOWN}"


def definition(kind: ArtifactKind, artifact_id: str) -> str:
    """Download of one artifact's current definition. ValueError for a kind that has none (templates)."""
    return f"/{_collection(kind)}/{_segment(artifact_id)}"


def api_keys(kind: ArtifactKind, issuer: str = "") -> str:
    """List of the API keys of all artifacts of a kind, restricted to `issuer` unless empty."""
    query = f"?{urlencode({'issuer': issuer})}" if issuer else ""
    return f"/{_collection(kind)}/api-keys{query}"


def subscriptions(api_id: str) -> str:
    """Subscriptions of one API."""
    return f"/apis/{_segment(api_id)}/subscriptions"


def secrets(*, include_values: bool = False) -> str:
    """List of the secrets that deployed artifacts refer to."""
    return f"{SECRETS}?includeValues=true" if include_values else SECRETS


def secret_value(handle: str) -> str:
    """The plain value of one secret."""
    return f"{SECRETS}/{_segment(handle)}/value"


def manifest(gateway_id: str) -> str:
    """Where the manifest of the gateway (UUID from the connection's ack) goes."""
    return f"/gateways/{_segment(gateway_id)}/manifest"


def hmac_secrets(artifact_id: str) -> str:
    """HMAC secrets of one WebSub API."""
    return f"/websub-apis/{_segment(artifact_id)}/secrets"


def _collection(kind: ArtifactKind) -> str:
    collection = NAMES[kind].collection
    if not collection:
        raise ValueError(f"the protocol has no collection of kind {kind.value}")
    return collection


def _segment(value: str) -> str:
    encoded = quote(value, safe="")
    # Dots survive quoting, and a segment of dots only would be resolved away by clients and proxies.
    return encoded.replace(".", "%2E") if not encoded.strip(".") else encoded
