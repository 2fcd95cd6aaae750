"""Settings → the model's `Gateway`: listeners with their certificates, defaults of routes and hosts."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import cast

from gatewright.model.gateway import EscapedSlashes, Gateway, Listener, ServerHeader, Tls, VirtualHosts
from gatewright.settings.tree import Settings


class ListenerCertificateUnreadable(Exception):
    """The certificate of the HTTPS listener is named but cannot be read. The text says what to do."""


def gateway_of(settings: Settings, self_signed: Callable[[], tuple[str, str]]) -> Gateway:
    """What all routers get. `self_signed` gives (certificate, key) in PEM where no certificate file exists.

    Raises ListenerCertificateUnreadable.
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


def _certificate(settings: Settings, self_signed: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    names = settings.router.downstream_tls
    certificate, key = Path(names.cert_path), Path(names.key_path)
    if not certificate.exists() and not key.exists():
        return self_signed()
    try:
        return certificate.read_text(encoding="ascii"), key.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ListenerCertificateUnreadable(
            f"the certificate of the HTTPS listener cannot be read: {error}. Set router.downstream_tls.cert_path and "
            "key_path to PEM files that this user may read, or router.https_enabled = false"
        ) from error


def _ms(value: timedelta) -> int:
    return round(value.total_seconds() * 1000)
