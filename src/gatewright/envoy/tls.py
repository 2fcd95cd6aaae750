"""TLS settings that both directions share."""

from envoy.extensions.transport_sockets.tls.v3 import common_pb2

from gatewright.model.gateway import Tls, UpstreamTls

DEFAULT_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "AES128-GCM-SHA256",
    "AES128-SHA",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA",
)
_VERSIONS = {"TLS1_0": "TLSv1_0", "TLS1_1": "TLSv1_1", "TLS1_2": "TLSv1_2", "TLS1_3": "TLSv1_3"}


def tls_parameters(settings: Tls | UpstreamTls) -> common_pb2.TlsParameters:
    """Versions and ciphers; an unknown version name leaves the choice to Envoy, as in the original."""
    protocol = common_pb2.TlsParameters.TlsProtocol
    return common_pb2.TlsParameters(
        tls_minimum_protocol_version=protocol.Value(_VERSIONS.get(settings.minimum_version, "TLS_AUTO")),
        tls_maximum_protocol_version=protocol.Value(_VERSIONS.get(settings.maximum_version, "TLS_AUTO")),
        cipher_suites=settings.ciphers or DEFAULT_CIPHERS,
    )
