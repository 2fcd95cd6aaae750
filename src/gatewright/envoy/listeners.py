"""Listeners and the secrets they and the clusters refer to.

Certificates travel as secrets of their own: a new certificate changes no listener, so no connection is drained for it.
Source: data-plane reference, section 2.
"""

from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from google.protobuf import any_pb2

from gatewright.envoy.clusters import CA_BUNDLE_SECRET
from gatewright.envoy.connection_manager import connection_manager, over_ads
from gatewright.envoy.forms import Form
from gatewright.envoy.resource import Resource, packed, resource
from gatewright.envoy.tls import tls_parameters
from gatewright.model.gateway import Gateway, Listener, Tls

_HCM = "envoy.filters.network.http_connection_manager"
_TLS_SOCKET = "envoy.transport_sockets.tls"


def render_listeners(gateway: Gateway, form: Form) -> list[Resource]:
    """All listeners; those with TLS need `render_secrets` beside them."""
    manager = packed(connection_manager(gateway, form))
    return [_listener(listener, manager, gateway) for listener in gateway.listeners]


def render_secrets(gateway: Gateway) -> list[Resource]:
    """Certificates of the listeners, and the authorities that upstreams are checked against when some are custom."""
    secrets = [_certificate(listener.name, listener.tls) for listener in gateway.listeners if listener.tls is not None]
    if gateway.upstream_tls.custom_ca:
        bundle = common_pb2.CertificateValidationContext()
        bundle.trusted_ca.inline_string = gateway.upstream_tls.custom_ca
        secrets.append(resource(secret_pb2.Secret(name=CA_BUNDLE_SECRET, validation_context=bundle)))
    return secrets


def certificate_name(listener_name: str) -> str:
    """Name of the secret with a listener's certificate."""
    return f"{listener_name}_certificate"


def _listener(listener: Listener, manager: any_pb2.Any, gateway: Gateway) -> Resource:
    chain = listener_components_pb2.FilterChain(
        filters=[listener_components_pb2.Filter(name=_HCM, typed_config=manager)]
    )
    if listener.tls is not None:
        chain.transport_socket.CopyFrom(_tls(listener.name, listener.tls))
    rendered = listener_pb2.Listener(
        name=listener.name,
        address=address_pb2.Address(
            socket_address=address_pb2.SocketAddress(address=listener.address, port_value=listener.port)
        ),
        filter_chains=[chain],
    )
    rendered.per_connection_buffer_limit_bytes.value = gateway.connection_buffer_bytes
    return resource(rendered)


def _tls(listener_name: str, settings: Tls) -> base_pb2.TransportSocket:
    """No client certificate is asked for, one certificate for all names."""
    common = tls_pb2.CommonTlsContext(
        tls_params=tls_parameters(settings),
        alpn_protocols=["h2", "http/1.1"],
        tls_certificate_sds_secret_configs=[
            secret_pb2.SdsSecretConfig(name=certificate_name(listener_name), sds_config=over_ads())
        ],
    )
    context = tls_pb2.DownstreamTlsContext(common_tls_context=common)
    return base_pb2.TransportSocket(name=_TLS_SOCKET, typed_config=packed(context))


def _certificate(listener_name: str, settings: Tls) -> Resource:
    certificate = common_pb2.TlsCertificate()
    certificate.certificate_chain.inline_string = settings.certificate_chain
    certificate.private_key.inline_string = settings.private_key
    return resource(secret_pb2.Secret(name=certificate_name(listener_name), tls_certificate=certificate))
