"""A real OTLP/gRPC receiver for tests: keeps the spans that it is sent."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2


class Collector:
    """Listens on a free port of the loopback until `stop`."""

    def __init__(self, *, refuse: bool = False) -> None:
        self.refuse = refuse
        self._spans: list[dict[str, Any]] = []
        self._more = threading.Condition()
        self._server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        method = grpc.unary_unary_rpc_method_handler(
            self._export,
            request_deserializer=trace_service_pb2.ExportTraceServiceRequest.FromString,
            response_serializer=trace_service_pb2.ExportTraceServiceResponse.SerializeToString,
        )
        service = "opentelemetry.proto.collector.trace.v1.TraceService"
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.stop(0).wait(5)

    def roots(self, name: str) -> list[dict[str, Any]]:
        """What has come of traces whose root has this name."""
        with self._more:
            return [span for span in self._spans if span["name"] == name and not span["parent"]]

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """What has come of a trace, in the order of its beginnings."""
        with self._more:
            return sorted((s for s in self._spans if s["trace"] == trace_id), key=lambda span: span["start"])

    def whole(self, trace_id: str, timeout: float = 60.0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A trace whose root has come: the root, and the steps below it."""
        deadline = time.monotonic() + timeout
        with self._more:
            while not (roots := [s for s in self._spans if s["trace"] == trace_id and not s["parent"]]):
                if not self._more.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"no trace {trace_id}; there are {sorted({s['trace'] for s in self._spans})}")
        return roots[-1], [span for span in self.trace(trace_id) if span["parent"] == roots[-1]["id"]]

    def _export(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.refuse:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not today")
        with self._more:
            for group in request.resource_spans:
                resource = {each.key: each.value.string_value for each in group.resource.attributes}
                for scope in group.instrumentation_library_spans:
                    self._spans += [_plain(span, resource) for span in scope.spans]
            self._more.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()


def _value(value: Any) -> str | int | float | bool:
    return getattr(value, value.WhichOneof("value"))


def _plain(span: Any, resource: dict[str, str]) -> dict[str, Any]:
    return {
        "trace": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "name": span.name,
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "error": span.status.message,
        "failed": span.status.code == 2,
        "attributes": {each.key: _value(each.value) for each in span.attributes},
        "links": [link.trace_id.hex() for link in span.links],
        "resource": resource,
    }
