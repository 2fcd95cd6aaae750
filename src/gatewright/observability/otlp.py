"""Traces of changes over OTLP/gRPC, with the OpenTelemetry SDK. Imported only when tracing is switched on.

Spans wait in the SDK's bounded queue and are sent by its thread; when the collector is away or slow they are dropped,
and nothing else notices. Headers for the collector come from the standard variable `OTEL_EXPORTER_OTLP_HEADERS`,
further resource attributes from `OTEL_RESOURCE_ATTRIBUTES`.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context

from gatewright.observability.otlp_export import GrpcSpanExporter
from gatewright.observability.tracing import Step, Value, trace_id

QUEUE: Final = 2048
"""Spans that wait to be sent, at least; more are dropped."""

MOST_OPEN: Final = 5_000
LONGEST: Final = 120.0
"""Seconds after which a trace ends although its change was not heard of again (a newer one took its place)."""

GOODBYE: Final = 2.0
"""Seconds that the end of the process may take for what has not been sent."""

_TIMEOUT: Final = 10


class OtlpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where to, and as whom. `endpoint` is host:port; `batch_timeout` in seconds."""

    endpoint: str
    insecure: bool = True
    service_name: str = "gateway-controller"
    service_version: str = ""
    batch_timeout: float = 1.0
    max_batch: int = 512
    resource_attributes: Mapping[str, str] = {}


class _Open(msgspec.Struct, eq=False):
    """A trace that has not ended. `stored`: it ends when the routers have the change."""

    span: Span
    since: float
    stored: bool = False


class OtlpRecorder:
    """See `tracing.Recorder`. Belongs to one event loop."""

    def __init__(self, config: OtlpConfig) -> None:
        self._ids = _Ids()
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._exporter = GrpcSpanExporter(config.endpoint, insecure=config.insecure, timeout=_TIMEOUT)
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=max(QUEUE, 4 * config.max_batch),
            schedule_delay_millis=max(1.0, config.batch_timeout * 1000),
            max_export_batch_size=config.max_batch,
        )
        named = {"service.name": config.service_name, "service.version": config.service_version}
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({**named, **config.resource_attributes}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("gatewright")

    def begin(self, correlation_id: str, name: str, started: int, attributes: dict[str, Value]) -> None:
        """See Recorder. A correlation id that is used again begins another span of the same trace."""
        self.finish(correlation_id, "overtaken", failed=False)
        self._sweep()
        self._ids.next_trace = int(trace_id(correlation_id), 16)
        told = {**attributes, "correlation_id": correlation_id}
        span = self._tracer.start_span(name, attributes=told, start_time=started)
        self._open[correlation_id] = _Open(span, time.monotonic())

    def record(self, correlation_id: str, step: Step) -> None:
        """See Recorder. Steps of what has ended, or was never begun here, are left out."""
        opened = self._open.get(correlation_id)
        if opened is None:
            return
        parent = set_span_in_context(opened.span)
        span = self._tracer.start_span(step.name, context=parent, attributes=step.attributes, start_time=step.started)
        if step.error:
            span.set_status(Status(StatusCode.ERROR, step.error))
        span.end(end_time=max(step.started, step.ended))

    def stored(self, correlation_id: str) -> None:
        """See Recorder."""
        opened = self._open.get(correlation_id)
        if opened is not None:
            opened.stored = True

    def settle(self, correlation_id: str, outcome: str, *, failed: bool) -> None:
        """See Recorder."""
        opened = self._open.get(correlation_id)
        if opened is None:
            return
        if opened.stored:
            opened.span.set_attribute("answer", outcome)
        else:
            self.finish(correlation_id, outcome, failed=failed)

    def finish(self, correlation_id: str, outcome: str, *, failed: bool) -> None:
        """See Recorder."""
        opened = self._open.pop(correlation_id, None)
        if opened is None:
            return
        opened.span.set_attribute("outcome", outcome)
        if failed:
            opened.span.set_status(Status(StatusCode.ERROR, outcome))
        opened.span.end()

    def close(self) -> None:
        """Send what is left, within `GOODBYE` seconds. Blocks; call it in a thread."""
        for correlation_id in list(self._open):
            self.finish(correlation_id, "unfinished", failed=False)
        farewell = threading.Thread(target=self._processor.shutdown, name="traces-farewell", daemon=True)
        farewell.start()
        farewell.join(GOODBYE)
        if farewell.is_alive():
            # Nobody answers: this ends the attempt that is under way.
            self._exporter.shutdown()

    def _sweep(self) -> None:
        """What nobody will end, because something newer took its place, ends here."""
        now = time.monotonic()
        while self._open:
            correlation_id, oldest = next(iter(self._open.items()))
            if len(self._open) < MOST_OPEN and now - oldest.since < LONGEST:
                return
            self.finish(correlation_id, "unfinished", failed=False)


class _Ids(IdGenerator):
    """Trace ids that were chosen, span ids at random."""

    def __init__(self) -> None:
        self.next_trace = 0
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        return self.next_trace or self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        return self._random.generate_span_id()
