"""Metrics of the link: some under the original's names, the rest under our own. Labels come from bounded sets."""

from prometheus_client import Counter, Gauge, Histogram

from gatewright.observability.metrics import REGISTRY

_LATENCY = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 50.0)

STATE = Gauge(
    "gateway_controller_control_plane_connection_state",
    "1 for the present state of the link, 0 for the others.",
    ["state"],
    registry=REGISTRY,
)
RECONNECTIONS = Counter(
    "gateway_controller_control_plane_reconnections", "Connections after the first one.", registry=REGISTRY
)
SENT = Counter(
    "gateway_controller_control_plane_events_sent",
    "Messages to the control plane.",
    ["event_type", "status"],
    registry=REGISTRY,
)
MESSAGE_SECONDS = Histogram(
    "gateway_controller_control_plane_message_latency_seconds",
    "Time from the arrival of an event until it is stored.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    registry=REGISTRY,
)
FAILURES = Counter(
    "gatewright_control_plane_failures", "Failed attempts and lost connections.", ["code"], registry=REGISTRY
)
EVENTS = Counter(
    "gatewright_control_plane_events", "Events by type and outcome.", ["event_type", "outcome"], registry=REGISTRY
)
WAITING = Gauge("gatewright_control_plane_queue_depth", "Events that wait to be handled.", registry=REGISTRY)
SERVED_SECONDS = Histogram(
    "gatewright_control_plane_event_to_served_seconds",
    "Time from the arrival of a deployment until its acknowledgement.",
    buckets=_LATENCY,
    registry=REGISTRY,
)
RECONCILES = Counter("gatewright_control_plane_reconciles", "Reconciles.", ["outcome"], registry=REGISTRY)
RECONCILE_SECONDS = Histogram(
    "gatewright_control_plane_reconcile_seconds",
    "Duration of a reconcile.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0),
    registry=REGISTRY,
)
DRIFT = Gauge(
    "gatewright_control_plane_drift",
    "Differences that the last reconcile found, by what they were.",
    ["difference"],
    registry=REGISTRY,
)
PUSHES = Counter(
    "gatewright_control_plane_pushes", "Artifacts sent to the control plane.", ["outcome"], registry=REGISTRY
)
PENDING = Gauge("gatewright_control_plane_pushes_pending", "Artifacts that wait to be sent.", registry=REGISTRY)
CERTIFICATE_END = Gauge(
    "gatewright_control_plane_certificate_expiry_timestamp_seconds",
    "When the control plane's certificate ends.",
    registry=REGISTRY,
)
