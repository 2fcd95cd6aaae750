"""What became of traces of changes."""

from prometheus_client import Counter

from gatewright.observability.metrics import REGISTRY

SPANS = Counter(
    "gatewright_trace_spans",
    "Spans of changes: sent, failed (the collector did not take them), dropped (too many waited).",
    ["outcome"],
    registry=REGISTRY,
)
UNTRACED = Counter(
    "gatewright_untraced_changes",
    "Changes of a reconcile or of another controller without a trace, because too many spans waited.",
    registry=REGISTRY,
)
for _outcome in ("sent", "failed", "dropped"):
    SPANS.labels(_outcome)
