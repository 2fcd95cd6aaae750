"""Settings → the model's `Gateway`: listeners with their certificates, defaults of routes and hosts."""

import ssl
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from gatewright.deployment.certificates import InvalidCertificate, certificates_in
from gatewright.model.gateway import (
    AccessLog,
    EscapedSlashes,
    Gateway,
    Listener,
    RequestTracing,
    ServerHeader,
    Tls,
    UpstreamTls,
    VirtualHosts,
)
from gatewright.model.upstreams import Endpoint
from gatewright.observability.logging import get_logger
from gatewright.settings.tree import Settings

OTHER_BUNDLES = ("/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
OTLP_PORT = 4317
PEM_ENDINGS = frozenset({".pem", ".crt", ".cer", ".cert"})
LARGEST_PEM_CHARACTERS = 1024 * 1024
_log = get_logger(__name__)


class CertificateUnreadable(Exception):
    """A configured certificate cannot be read. The text says what to do."""


def gateway_of(settings: Settings, self_signed: Callable[[], tuple[str, str]]) -> Gateway:
    """What all routers get. `self_signed` gives (certificate, key) in PEM where no certificate file exists.

    Raises CertificateUnreadable.
    """
    router = settings.router
    listener = router.http_listener
    timeouts = router.upstream.timeouts
    return Gateway(
        listeners=_listeners(settings, self_signed),
        vhosts=VirtualHosts(
            main=router.vhosts.main.default,
            sandbox=router.vhosts.sandbox.default,
            main_domains=tuple(router.vhosts.main.domains),
            sandbox_domains=tuple(router.vhosts.sandbox.domains),
        ),
        upstream_tls=_upstream_tls(settings),
        access_log=_access_log(settings),
        tracing=_tracing(settings),
        server_header=listener.server_header_value,
        server_header_transformation=cast("ServerHeader", listener.server_header_transformation),
        normalize_path=not listener.disable_path_normalization,
        escaped_slashes=cast("EscapedSlashes", listener.path_with_escaped_slashes_action),
        request_timeout_ms=_ms(listener.timeouts.request_timeout),
        request_headers_timeout_ms=_ms(listener.timeouts.request_headers_timeout),
        stream_idle_timeout_ms=_ms(listener.timeouts.stream_idle_timeout),
        idle_timeout_ms=_ms(listener.timeouts.idle_timeout),
        route_timeout_ms=timeouts.route_timeout_ms,
        route_idle_timeout_ms=timeouts.route_idle_timeout_ms,
        connect_timeout_ms=timeouts.connect_timeout_ms,
        connection_buffer_bytes=listener.per_connection_buffer_limit_bytes,
        regex_program_limit=settings.gatewright.envoy.re2_max_program_size,
        native_policies=settings.gatewright.native_policies,
        api_key_issuer=settings.api_key.issuer,
    )


def _listeners(settings: Settings, self_signed: Callable[[], tuple[str, str]]) -> tuple[Listener, ...]:
    router = settings.router
    address = settings.gatewright.bind.router
    plain = Listener(f"listener_http_{router.listener_port}", address, router.listener_port)
    if not router.https_enabled:
        return (plain,)
    certificate, key = _certificate(settings, self_signed)
    downstream = router.downstream_tls
    tls = Tls(
        certificate_chain=certificate,
        private_key=key,
        minimum_version=downstream.minimum_protocol_version,
        maximum_version=downstream.maximum_protocol_version,
        ciphers=tuple(name.strip() for name in downstream.ciphers.split(",") if name.strip()),
    )
    return (plain, Listener(f"listener_https_{router.https_port}", address, router.https_port, tls))


def _upstream_tls(settings: Settings) -> UpstreamTls:
    tls = settings.router.upstream.tls
    return UpstreamTls(
        trusted_ca_file=_trusted_bundle(tls.trusted_cert_path),
        custom_ca=_custom_authorities(Path(tls.custom_certs_path)),
        verify_certificate=not tls.disable_ssl_verification,
        verify_host_name=tls.verify_host_name,
        minimum_version=tls.minimum_protocol_version,
        maximum_version=tls.maximum_protocol_version,
        ciphers=tuple(name.strip() for name in tls.ciphers.split(",") if name.strip()),
    )


def _trusted_bundle(configured: str) -> str:
    """The configured bundle, else where other distributions keep theirs. Envoy names it when it is missing."""
    for candidate in (configured, ssl.get_default_verify_paths().cafile, *OTHER_BUNDLES):
        if candidate and Path(candidate).is_file():
            return candidate
    return configured


def _custom_authorities(directory: Path) -> str:
    """The certificates of all PEM files below the folder, in order of their names. Raises CertificateUnreadable.

    A file without usable certificates is left out: Envoy would refuse all authorities for its sake.
    """
    usable: list[str] = []
    try:
        for file in _pem_files(directory):
            try:
                usable.append(certificates_in(_bounded_text(file)))
            except InvalidCertificate as problem:
                _tell_left_out(str(file), str(problem))
    except OSError as error:
        raise CertificateUnreadable(
            f"a certificate in router.upstream.tls.custom_certs_path ({directory}) cannot be read: {error}"
        ) from error
    return "".join(usable)


def _bounded_text(file: Path) -> str:
    """Raises OSError, and InvalidCertificate when the file is too large to be one."""
    with file.open(encoding="ascii", errors="replace") as opened:
        content = opened.read(LARGEST_PEM_CHARACTERS + 1)
    if len(content) > LARGEST_PEM_CHARACTERS:
        raise InvalidCertificate(f"the file is larger than {LARGEST_PEM_CHARACTERS} bytes")
    return content


@lru_cache(maxsize=256)
def _tell_left_out(file: str, why: str) -> None:
    """Once for each file and reason: the folder is read every few seconds."""
    _log.warning("a file of router.upstream.tls.custom_certs_path is left out", file=file, why=why)


def _pem_files(directory: Path) -> list[Path]:
    """Without the folders in which Kubernetes keeps the versions of a mounted Secret."""
    found = (file for file in directory.rglob("*") if file.suffix in PEM_ENDINGS and file.is_file())
    return sorted(
        file for file in found if not any(part.startswith("..") for part in file.relative_to(directory).parts)
    )


def _access_log(settings: Settings) -> AccessLog | None:
    logs = settings.router.access_logs
    if not logs.enabled:
        return None
    return AccessLog(
        format="json" if logs.format == "json" else "text",
        text_format=logs.text_format,
        json_fields=dict(logs.json_fields),
    )


def _tracing(settings: Settings) -> RequestTracing | None:
    wanted = settings.tracing
    if not wanted.enabled:
        return None
    host, _, port = wanted.endpoint.rpartition(":")
    return RequestTracing(
        collector=Endpoint((host or wanted.endpoint).strip("[]"), int(port) if host and port.isdigit() else OTLP_PORT),
        tls=not wanted.insecure,
        service_name=settings.router.tracing_service_name or "envoy-gateway",
        sampling_percent=wanted.sampling_rate * 100,
        resource_attributes={"service.version": wanted.service_version, **wanted.resource_attributes},
    )


def _certificate(settings: Settings, self_signed: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    names = settings.router.downstream_tls
    certificate, key = Path(names.cert_path), Path(names.key_path)
    if not certificate.exists() and not key.exists():
        return self_signed()
    try:
        pair = certificate.read_text(encoding="ascii"), key.read_text(encoding="ascii")
        _check_pair(*pair)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateUnreadable(
            f"the certificate of the HTTPS listener cannot be used: {error}. Set router.downstream_tls.cert_path and "
            "key_path to PEM files that belong together and that this user may read, or router.https_enabled = false"
        ) from error
    return pair


def _check_pair(certificate: str, key: str) -> None:
    """Raises ValueError and others of the library: half of a pair may have been renewed."""
    public = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    if public != serialization.load_pem_private_key(key.encode(), None).public_key():
        raise ValueError("the key does not belong to the certificate")


def _ms(value: timedelta) -> int:
    return round(value.total_seconds() * 1000)
