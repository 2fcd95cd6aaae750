"""Traces of changes over OTLP/gRPC, with the OpenTelemetry SDK. Imported only when tracing is switched on.

Spans wait in a bounded queue and are sent by a thread of the SDK; when the collector is away or slow they are dropped
and counted, and nothing else notices. A burst gives up whole traces first, so that those that are sent are complete.
Headers for the collector come from the standard variable `OTEL_EXPORTER_OTLP_HEADERS`, further resource attributes from
`OTEL_RESOURCE_ATTRIBUTES`.
"""

import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, Span, Status, StatusCode, set_span_in_context

from gatewright.observability.otlp_export import GrpcSpanExporter
from gatewright.observability.otlp_queue import BoundedProcessor
from gatewright.observability.trace_metrics import UNTRACED
from gatewright.observability.tracing import Step, Value, trace_id

QUEUE: Final = 2048
"""Spans that wait to be sent, at least; more are dropped."""

MOST_OPEN: Final = 5_000
MOST_RUNS: Final = 100
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
    """A trace that has not ended. `stored`: it ends when the routers have the change.

    `held`: steps of what may turn out to be no change at all; None when it is one.
    """

    span: Span
    since: float
    stored: bool = False
    held: list[Step] | None = None


class OtlpRecorder:
    """See `tracing.Recorder`. Belongs to one event loop."""

    def __init__(self, config: OtlpConfig) -> None:
        self._ids = _Ids()
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._runs: OrderedDict[str, Span] = OrderedDict()
        self._exporter = GrpcSpanExporter(config.endpoint, insecure=config.insecure, timeout=_TIMEOUT)
        self._processor = BoundedProcessor(
            self._exporter,
            limit=max(QUEUE, 4 * config.max_batch),
            delay=config.batch_timeout,
            max_batch=config.max_batch,
        )
        named = {
            "service.name": config.service_name,
            "service.version": config.service_version,
            "host.name": socket.gethostname(),
        }
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
        self._end(correlation_id, "overtaken")
        self._begin(correlation_id, name, started, attributes)

    def begin_run(self, run_id: str, name: str, started: int, attributes: dict[str, Value]) -> None:
        """See Recorder."""
        while len(self._runs) >= MOST_RUNS:
            self.finish(next(iter(self._runs)), "unfinished", failed=True, attributes={})
        self._runs[run_id] = self._root(run_id, name, started, attributes, ())

    def consider(self, correlation_id: str, name: str, started: int, attributes: dict[str, Value], run_id: str) -> bool:
        """See Recorder."""
        if correlation_id in self._open:
            return False
        run = self._runs.get(run_id)
        links = (Link(run.get_span_context(), {"relation": "part of"}),) if run is not None else ()
        self._begin(correlation_id, name, started, attributes, links=links, held=[])
        return True

    def join(self, correlation_id: str, name: str, started: int, attributes: dict[str, Value]) -> None:
        """See Recorder."""
        if correlation_id not in self._open and not self._is_crowded():
            self._begin(correlation_id, name, started, attributes, stored=True)

    def record(self, correlation_id: str, step: Step) -> None:
        """See Recorder. Steps of what has ended, or was never begun here, are left out."""
        opened = self._open.get(correlation_id)
        if opened is None:
            run = self._runs.get(correlation_id)
            if run is not None:
                self._child(run, step)
        elif opened.held is None:
            self._child(opened.span, step)
        else:
            opened.held.append(step)

    def stored(self, correlation_id: str) -> None:
        """See Recorder."""
        opened = self._open.get(correlation_id)
        if opened is not None:
            opened.stored = True
            self._confirm(correlation_id, opened)

    def settle(self, correlation_id: str, outcome: str, *, failed: bool) -> None:
        """See Recorder."""
        opened = self._open.get(correlation_id)
        if opened is None:
            return
        if opened.stored:
            opened.span.set_attribute("answer", outcome)
            return
        if failed:
            self._confirm(correlation_id, opened)
        self._end(correlation_id, outcome, failed=failed)

    def finish(self, correlation_id: str, outcome: str, *, failed: bool, attributes: dict[str, Value]) -> None:
        """See Recorder."""
        run = self._runs.pop(correlation_id, None)
        if run is not None:
            run.set_attributes(attributes)
            _end(run, outcome, failed=failed)
            return
        opened = self._open.get(correlation_id)
        if opened is not None:
            opened.span.set_attributes(attributes)
            self._confirm(correlation_id, opened)
            self._end(correlation_id, outcome, failed=failed)

    def close(self) -> None:
        """Send what is left, within `GOODBYE` seconds. Blocks; call it in a thread."""
        for correlation_id in (*self._open, *self._runs):
            self.finish(correlation_id, "unfinished", failed=False, attributes={})
        farewell = threading.Thread(target=self._processor.shutdown, name="traces-farewell", daemon=True)
        farewell.start()
        farewell.join(GOODBYE)
        if farewell.is_alive():
            # Nobody answers: this ends the attempt that is under way.
            self._exporter.shutdown()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _begin(
        self,
        correlation_id: str,
        name: str,
        started: int,
        attributes: dict[str, Value],
        *,
        links: tuple[Link, ...] = (),
        stored: bool = False,
        held: list[Step] | None = None,
    ) -> None:
        self._sweep()
        span = self._root(correlation_id, name, started, attributes, links)
        self._open[correlation_id] = _Open(span, time.monotonic(), stored, held)

    def _root(
        self, correlation_id: str, name: str, started: int, attributes: dict[str, Value], links: tuple[Link, ...]
    ) -> Span:
        self._ids.next_trace = int(trace_id(correlation_id), 16)
        told = {**attributes, "correlation_id": correlation_id}
        return self._tracer.start_span(name, attributes=told, links=links, start_time=started)

    def _child(self, parent: Span, step: Step) -> None:
        context = set_span_in_context(parent)
        span = self._tracer.start_span(step.name, context=context, attributes=step.attributes, start_time=step.started)
        if step.error:
            span.set_status(Status(StatusCode.ERROR, step.error))
        span.end(end_time=max(step.started, step.ended))

    def _confirm(self, correlation_id: str, opened: _Open) -> None:
        """It is a change: what was held back of it is told, if there is room for all that follows."""
        if opened.held is None:
            return
        if self._is_crowded():
            del self._open[correlation_id]
            return
        held, opened.held = opened.held, None
        for step in held:
            self._child(opened.span, step)

    def _end(self, correlation_id: str, outcome: str, *, failed: bool = False) -> None:
        """The trace of a change ends; of what turned out to be none nothing is sent."""
        opened = self._open.pop(correlation_id, None)
        if opened is not None and opened.held is None:
            _end(opened.span, outcome, failed=failed)

    def _is_crowded(self) -> bool:
        """Whether so much waits to be sent that another trace of many would not arrive whole."""
        crowded = self._processor.waiting > self._processor.limit // 2
        if crowded:
            UNTRACED.inc()
        return crowded

    def _sweep(self) -> None:
        """What nobody will end, because something newer took its place, ends here."""
        now = time.monotonic()
        while self._open:
            correlation_id, oldest = next(iter(self._open.items()))
            if len(self._open) < MOST_OPEN and now - oldest.since < LONGEST:
                return
            self._end(correlation_id, "unfinished")


def _end(span: Span, outcome: str, *, failed: bool) -> None:
    span.set_attribute("outcome", outcome)
    if failed:
        span.set_status(Status(StatusCode.ERROR, outcome))
    span.end()


class _Ids(IdGenerator):
    """Trace ids that were chosen, span ids at random."""

    def __init__(self) -> None:
        self.next_trace = 0
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        return self.next_trace or self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        return self._random.generate_span_id()
