"""Metrics of the write path and of the rollout."""

from prometheus_client import Counter, Gauge, Histogram

from gatewright.observability.metrics import REGISTRY

CHANGES = Counter(
    "gatewright_changes",
    "Changes carried to the snapshot, by kind and action.",
    ["kind", "action"],
    registry=REGISTRY,
)
COMPILE_SECONDS = Histogram(
    "gatewright_compile_seconds",
    "Time to compile one artifact.",
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0),
    registry=REGISTRY,
)
ROLL_SECONDS = Histogram(
    "gatewright_rollout_seconds",
    "Time from the commit of a change until it is in the snapshot.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
    registry=REGISTRY,
)
QUARANTINED = Gauge(
    "gatewright_quarantined_artifacts",
    "Artifacts whose newest version does not serve, because it does not compile or was refused.",
    registry=REGISTRY,
)
FEED_LAG = Gauge(
    "gatewright_feed_lag_seconds",
    "Age of the oldest change that is not in the snapshot yet; 0 when there is none.",
    registry=REGISTRY,
)
