"""Traces of requests: Envoy's OpenTelemetry tracer, and the collector's cluster. Reference: data plane, section 35.

On purpose other than the original: the address of a request is traced without its query string, which may hold a key.
"""

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2, grpc_service_pb2, protocol_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.config.trace.v3 import http_tracer_pb2, opentelemetry_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.tracers.opentelemetry.resource_detectors.v3 import (
    environment_resource_detector_pb2,
    static_config_resource_detector_pb2,
)
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.tracing.v3 import custom_tag_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from gatewright.envoy.clusters import cluster_of
from gatewright.envoy.resource import Resource, duration, packed, resource
from gatewright.model.gateway import Gateway, RequestTracing
from gatewright.model.routes import Route
from gatewright.model.upstreams import Upstream

COLLECTOR = "otel_collector"
_TRACER = "envoy.tracers.opentelemetry"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_DETECTORS = "envoy.tracers.opentelemetry.resource_detectors"
_SEND_TIMEOUT_MS = 250
_CONNECT_TIMEOUT_MS = 5_000


def render_collector(gateway: Gateway) -> list[Resource]:
    """The cluster that spans go to; none when requests are not traced."""
    settings = gateway.tracing
    if settings is None:
        return []
    upstream = Upstream(COLLECTOR, (settings.collector,), settings.tls, _CONNECT_TIMEOUT_MS)
    cluster: cluster_pb2.Cluster = cluster_of(upstream, gateway)
    options = http_protocol_options_pb2.HttpProtocolOptions()
    options.explicit_http_config.http2_protocol_options.CopyFrom(protocol_pb2.Http2ProtocolOptions())
    cluster.typed_extension_protocol_options[_HTTP].CopyFrom(packed(options))
    return [resource(cluster)]


def tracing_of(gateway: Gateway) -> "hcm_pb2.HttpConnectionManager.Tracing | None":
    """For the connection manager."""
    settings = gateway.tracing
    if settings is None:
        return None
    tracer = opentelemetry_pb2.OpenTelemetryConfig(
        grpc_service=grpc_service_pb2.GrpcService(
            envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=COLLECTOR),
            timeout=duration(_SEND_TIMEOUT_MS),
        ),
        service_name=settings.service_name,
        resource_detectors=_detectors(settings),
    )
    return hcm_pb2.HttpConnectionManager.Tracing(
        provider=http_tracer_pb2.Tracing.Http(name=_TRACER, typed_config=packed(tracer)),
        random_sampling=percent_pb2.Percent(value=settings.sampling_percent),
        spawn_upstream_span=wrappers_pb2.BoolValue(value=True),
        custom_tags=[
            _tag("peer.service", "%UPSTREAM_HOST_NAME_WITHOUT_PORT%"),
            _tag("http.url", "%REQ(:SCHEME)%://%REQ(:AUTHORITY)%%PATH(NQ:ORIG)%"),
        ],
    )


def route_tracing(route: Route, gateway: Gateway) -> "route_components_pb2.Tracing | None":
    """What a route adds: its path template. A route's settings stand in for all others, the sampling included."""
    settings = gateway.tracing
    if settings is None:
        return None
    share = percent_pb2.FractionalPercent(
        numerator=round(settings.sampling_percent * 10_000), denominator=percent_pb2.FractionalPercent.MILLION
    )
    literal = custom_tag_pb2.CustomTag.Literal(value=_template(route))
    tag = custom_tag_pb2.CustomTag(tag="http.route", literal=literal)
    return route_components_pb2.Tracing(random_sampling=share, custom_tags=[tag])


def _template(route: Route) -> str:
    """The path as the document has it: the middle of the route's name (`GET|/orders/items/{id}|host`)."""
    return route.name.split("|", 2)[1] if route.name.count("|") >= 2 else route.path.value or "/"


def _tag(name: str, value: str) -> custom_tag_pb2.CustomTag:
    return custom_tag_pb2.CustomTag(tag=name, value=value)


def _detectors(settings: RequestTracing) -> list[extension_pb2.TypedExtensionConfig]:
    """The environment of the router, then what is configured, which wins."""
    environment = environment_resource_detector_pb2.EnvironmentResourceDetectorConfig()
    static = static_config_resource_detector_pb2.StaticConfigResourceDetectorConfig()
    static.attributes.update(settings.resource_attributes)
    return [
        extension_pb2.TypedExtensionConfig(name=f"{_DETECTORS}.environment", typed_config=packed(environment)),
        extension_pb2.TypedExtensionConfig(name=f"{_DETECTORS}.static_config", typed_config=packed(static)),
    ]
