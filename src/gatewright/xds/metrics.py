"""Metrics of the delivery to routers, under the original's names."""

from prometheus_client import Counter, Gauge

from gatewright.observability.metrics import REGISTRY

CLIENTS = Gauge("gateway_controller_xds_clients_connected", "Connected routers.", registry=REGISTRY)
ANSWERS = Counter(
    "gateway_controller_xds_snapshot_ack",
    "Answers of routers about single resources.",
    ["status"],
    registry=REGISTRY,
)
REQUESTS = Counter(
    "gateway_controller_xds_stream_requests",
    "Messages on the streams of routers.",
    ["operation"],
    registry=REGISTRY,
)
