"""Spans on their way to the thread that sends them: a bounded number, and what does not fit is counted.

The queue of the SDK is bounded too, but drops without telling anybody, and the oldest first, which are the beginnings
of traces that are then sent without them.
"""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from gatewright.observability.trace_metrics import SPANS


class BoundedProcessor(SpanProcessor):
    """Belongs to one event loop, except for the thread that sends."""

    def __init__(self, exporter: SpanExporter, *, limit: int, delay: float, max_batch: int) -> None:
        """`limit` spans wait at most, those that are being sent among them; `delay` in seconds."""
        self.limit = limit
        self._given = 0
        self._exporter = _Counting(exporter)
        self._batches = BatchSpanProcessor(
            self._exporter,
            max_queue_size=limit,
            schedule_delay_millis=max(1.0, delay * 1000),
            max_export_batch_size=max_batch,
        )

    @property
    def waiting(self) -> int:
        """Spans that have not been sent, and not failed either."""
        return self._given - self._exporter.taken

    def on_end(self, span: ReadableSpan) -> None:
        """Take one."""
        if self.waiting >= self.limit:
            SPANS.labels("dropped").inc()
            return
        self._given += 1
        self._batches.on_end(span)

    def shutdown(self) -> None:
        """Send what is left. Blocks as long as the exporter does."""
        self._batches.shutdown()  # type: ignore[no-untyped-call]


class _Counting(SpanExporter):
    """Counts what another one has done with. Only the sending thread writes `taken`."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Called by the sending thread."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self.taken += len(spans)
            SPANS.labels("sent" if result is SpanExportResult.SUCCESS else "failed").inc(len(spans))
        return result

    def shutdown(self) -> None:
        """Pass it on."""
        self._exporter.shutdown()
