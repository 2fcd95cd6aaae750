"""Upstreams → clusters.

Source: data-plane reference, sections 8.2 and 9. HTTP/1.1 towards upstreams; no retries, health checks or
circuit-breaker settings: a client would see them.
"""

from ipaddress import ip_address

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2

from gatewright.envoy.resource import Resource, duration, packed, resource
from gatewright.envoy.tls import tls_parameters
from gatewright.model.gateway import Gateway, UpstreamTls
from gatewright.model.upstreams import Endpoint, Upstream

CA_BUNDLE_SECRET = "upstream_ca_bundle"  # noqa: S105 - the name of a resource, not a secret
_TLS_SOCKET = "envoy.transport_sockets.tls"


def render_cluster(upstream: Upstream, gateway: Gateway) -> Resource:
    """The cluster of an upstream."""
    return resource(cluster_of(upstream, gateway))


def cluster_of(upstream: Upstream, gateway: Gateway) -> cluster_pb2.Cluster:
    """The same, before it is packed.

    Names are resolved by DNS; one that does not resolve keeps nothing else waiting.
    """
    literal = all(_is_address(e.host) for e in upstream.endpoints)
    cluster = cluster_pb2.Cluster(
        name=upstream.name,
        type=cluster_pb2.Cluster.STATIC if literal else cluster_pb2.Cluster.STRICT_DNS,
        connect_timeout=duration(upstream.connect_timeout_ms),
        load_assignment=endpoint_pb2.ClusterLoadAssignment(
            cluster_name=upstream.name,
            endpoints=[_locality(upstream)],
        ),
    )
    if not literal:
        cluster.dns_lookup_family = cluster_pb2.Cluster.V4_PREFERRED
        cluster.wait_for_warm_on_init.value = False
    if upstream.tls:
        _use_tls(cluster, upstream, gateway.upstream_tls)
    return cluster


def _locality(upstream: Upstream) -> endpoint_components_pb2.LocalityLbEndpoints:
    return endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=[_endpoint(e) for e in upstream.endpoints])


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _authority(host: str) -> str:
    """The text of a Host header for this endpoint."""
    return f"[{host}]" if ":" in host else host


def _endpoint(endpoint: Endpoint) -> endpoint_components_pb2.LbEndpoint:
    socket = address_pb2.SocketAddress(address=endpoint.host, port_value=endpoint.port)
    rendered = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(
            address=address_pb2.Address(socket_address=socket), hostname=_authority(endpoint.host)
        )
    )
    if endpoint.weight:
        rendered.load_balancing_weight.value = endpoint.weight
    return rendered


def _use_tls(cluster: cluster_pb2.Cluster, upstream: Upstream, settings: UpstreamTls) -> None:
    """One TLS setting for all endpoints where names decide, else one for each host (SNI and names differ)."""
    hosts = list(dict.fromkeys(e.host for e in upstream.endpoints))
    if len(hosts) == 1 or not any(_is_address(h) for h in hosts):
        cluster.transport_socket.CopyFrom(_socket(hosts[0] if len(hosts) == 1 else None, settings))
        return
    for host in hosts:
        match = cluster.transport_socket_matches.add(name=host, transport_socket=_socket(host, settings))
        match.match.update({"host": host})
    for endpoint, rendered in zip(upstream.endpoints, cluster.load_assignment.endpoints[0].lb_endpoints, strict=True):
        rendered.metadata.filter_metadata["envoy.transport_socket_match"].update({"host": endpoint.host})


def _socket(host: str | None, settings: UpstreamTls) -> base_pb2.TransportSocket:
    """TLS to `host`; None takes each endpoint's own name."""
    common = tls_pb2.CommonTlsContext(tls_params=tls_parameters(settings))
    context = tls_pb2.UpstreamTlsContext(common_tls_context=common)
    if host is None:
        context.auto_host_sni = True
    elif not _is_address(host):
        context.sni = host
    if settings.verify_certificate:
        _verify(context, host, settings)
    return base_pb2.TransportSocket(name=_TLS_SOCKET, typed_config=packed(context))


def _verify(context: tls_pb2.UpstreamTlsContext, host: str | None, settings: UpstreamTls) -> None:
    validation = common_pb2.CertificateValidationContext()
    if settings.verify_host_name:
        if host is None or not _is_address(host):
            context.auto_sni_san_validation = True
        else:
            validation.match_typed_subject_alt_names.add(
                san_type=common_pb2.SubjectAltNameMatcher.IP_ADDRESS,
                matcher=string_pb2.StringMatcher(exact=host),
            )
    common = context.common_tls_context
    if settings.custom_ca:
        combined = common.combined_validation_context
        combined.default_validation_context.CopyFrom(validation)
        combined.validation_context_sds_secret_config.CopyFrom(
            secret_pb2.SdsSecretConfig(
                name=CA_BUNDLE_SECRET,
                sds_config=config_source_pb2.ConfigSource(
                    ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.V3
                ),
            )
        )
        return
    validation.trusted_ca.filename = settings.trusted_ca_file
    common.validation_context.CopyFrom(validation)
