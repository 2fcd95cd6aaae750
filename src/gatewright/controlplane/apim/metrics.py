"""Metrics of the sync to API Manager. Labels come from bounded sets."""

from prometheus_client import Counter, Gauge, Histogram

from gatewright.observability.metrics import REGISTRY

SYNCS = Counter("gatewright_apim_syncs", "Turns of APIs towards API Manager.", ["outcome"], registry=REGISTRY)
SECONDS = Histogram(
    "gatewright_apim_sync_seconds",
    "Duration of a turn.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0),
    registry=REGISTRY,
)
APIS = Gauge("gatewright_apim_apis", "APIs made here, by the state of their sync.", ["state"], registry=REGISTRY)
OUT_OF_ORDER = Gauge(
    "gatewright_apim_out_of_order",
    "1 while API Manager itself keeps failing and single tries are made.",
    registry=REGISTRY,
)
TOKENS = Counter("gatewright_apim_token_requests", "Requests for access tokens.", ["outcome"], registry=REGISTRY)
