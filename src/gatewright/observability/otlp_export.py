"""Sends spans to a collector over OTLP/gRPC, with the messages that come with Envoy's protocol files.

Those are of an earlier release of OTLP, in which a scope was called an instrumentation library; on the wire both are
the same. The exporter of OpenTelemetry brings files of the same names, and two packages cannot own one file.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final
from urllib.parse import unquote

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

HEADERS_VARIABLE: Final = "OTEL_EXPORTER_OTLP_HEADERS"
CERTIFICATE_VARIABLE: Final = "OTEL_EXPORTER_OTLP_CERTIFICATE"
_METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class GrpcSpanExporter(SpanExporter):
    """One call per batch, without a second try: what cannot be sent in time is dropped."""

    def __init__(self, endpoint: str, *, insecure: bool, timeout: float) -> None:
        """`endpoint` is host:port, with or without a scheme; `timeout` in seconds. Raises OSError (certificate)."""
        target = endpoint.partition("://")[2] or endpoint
        self._timeout = timeout
        self._metadata = _headers(os.environ.get(HEADERS_VARIABLE, ""))
        self._channel = grpc.insecure_channel(target) if insecure else grpc.secure_channel(target, _credentials())
        self._call = self._channel.unary_unary(
            _METHOD,
            request_serializer=trace_service_pb2.ExportTraceServiceRequest.SerializeToString,
            response_deserializer=trace_service_pb2.ExportTraceServiceResponse.FromString,
        )
        self._closed = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Called by the thread of the processor."""
        if self._closed.is_set():
            return SpanExportResult.FAILURE
        try:
            self._call(_request(spans), timeout=self._timeout, metadata=self._metadata)
        except (grpc.RpcError, ValueError):
            # ValueError: the channel was closed meanwhile.
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """End what is under way."""
        if not self._closed.is_set():
            self._closed.set()
            self._channel.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        del timeout_millis
        return True


def _request(spans: Sequence[ReadableSpan]) -> Any:  # noqa: ANN401 - the generated messages have no types
    request = trace_service_pb2.ExportTraceServiceRequest()
    for _, group in groupby(spans, key=lambda span: id(span.resource)):
        members = list(group)
        into = request.resource_spans.add()
        into.resource.attributes.extend(_attributes(members[0].resource.attributes))
        scope = into.instrumentation_library_spans.add()
        if members[0].instrumentation_scope is not None:
            scope.instrumentation_library.name = members[0].instrumentation_scope.name
        scope.spans.extend(_span(span) for span in members)
    return request


def _span(span: ReadableSpan) -> Any:  # noqa: ANN401
    context = span.get_span_context()
    if context is None:
        raise ValueError("a span without a context cannot be sent")
    sent = trace_pb2.Span(
        trace_id=context.trace_id.to_bytes(16, "big"),
        span_id=context.span_id.to_bytes(8, "big"),
        name=span.name,
        kind=trace_pb2.Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=span.start_time or 0,
        end_time_unix_nano=span.end_time or 0,
        attributes=_attributes(span.attributes or {}),
    )
    for link in span.links:
        sent.links.append(
            trace_pb2.Span.Link(
                trace_id=link.context.trace_id.to_bytes(16, "big"),
                span_id=link.context.span_id.to_bytes(8, "big"),
                attributes=_attributes(link.attributes or {}),
            )
        )
    if span.parent is not None:
        sent.parent_span_id = span.parent.span_id.to_bytes(8, "big")
    if span.status.status_code is not StatusCode.UNSET:
        sent.status.code = span.status.status_code.value
        sent.status.message = span.status.description or ""
    return sent


def _attributes(values: Mapping[str, Any]) -> list[Any]:
    return [common_pb2.KeyValue(key=name, value=_value(value)) for name, value in values.items()]


def _value(value: object) -> Any:  # noqa: ANN401
    match value:
        case bool():
            return common_pb2.AnyValue(bool_value=value)
        case int():
            return common_pb2.AnyValue(int_value=value)
        case float():
            return common_pb2.AnyValue(double_value=value)
        case list() | tuple():
            return common_pb2.AnyValue(array_value=common_pb2.ArrayValue(values=[_value(item) for item in value]))
        case _:
            return common_pb2.AnyValue(string_value=str(value))


def _headers(given: str) -> tuple[tuple[str, str | bytes], ...]:
    """`name=value` pairs, separated by commas, percent-encoded."""
    pairs = (pair.partition("=") for pair in given.split(",") if "=" in pair)
    return tuple((name.strip().lower(), unquote(value.strip())) for name, _, value in pairs if name.strip())


def _credentials() -> grpc.ChannelCredentials:
    file = os.environ.get(CERTIFICATE_VARIABLE, "")
    if not file:
        return grpc.ssl_channel_credentials()
    with open(file, "rb") as certificate:  # noqa: PTH123 - a name of the standard's variable
        return grpc.ssl_channel_credentials(certificate.read())
