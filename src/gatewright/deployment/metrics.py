"""Metrics of the write path and of the rollout; those of the original under its names."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

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
SNAPSHOT_SIZE = Gauge(
    "gateway_controller_snapshot_size",
    "Resources that routers get, by type.",
    ["resource_type"],
    registry=REGISTRY,
)
TRANSLATION_ERRORS = Counter(
    "gateway_controller_translation_errors",
    "Versions of artifacts that do not compile, by error code.",
    ["error_type"],
    registry=REGISTRY,
)
ROUTES_PER_API = Histogram(
    "gateway_controller_routes_per_api",
    "Routes of each API that was compiled.",
    buckets=(1, 5, 10, 25, 50, 100, 250),
    registry=REGISTRY,
)
_GENERATIONS = Counter(
    "gateway_controller_snapshot_generation",
    "Renderings of what routers get: of artifacts, credentials, or what belongs to the gateway itself.",
    ["type", "status", "trigger"],
    registry=REGISTRY,
)
_GENERATION_SECONDS = Histogram(
    "gateway_controller_snapshot_generation_duration_seconds",
    "Time of a successful rendering; only what a change touches is rendered.",
    ["type"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)


@contextmanager
def snapshot_generation(kind: str, trigger: str = "change") -> Iterator[None]:
    """Count one rendering and its time. `kind`: artifacts, credentials, gateway. `trigger`: start or change."""
    started = perf_counter()
    status = "error"
    try:
        yield
        status = "success"
    finally:
        _GENERATIONS.labels(kind, status, trigger).inc()
        if status == "success":
            _GENERATION_SECONDS.labels(kind).observe(perf_counter() - started)
