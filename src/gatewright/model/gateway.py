"""What is the same for all APIs of a gateway: listeners, virtual host defaults, router behaviour."""

from typing import Literal

import msgspec

from gatewright.model.upstreams import Endpoint

ServerHeader = Literal["OVERWRITE", "APPEND_IF_ABSENT", "PASS_THROUGH"]
EscapedSlashes = Literal["KEEP_UNCHANGED", "REJECT_REQUEST", "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD"]


class Tls(msgspec.Struct, frozen=True):
    """Certificate of a listener (PEM text), the accepted protocol versions (`TLS1_2`, ...) and ciphers up to TLS 1.2.

    No ciphers means the router's default list.
    """

    certificate_chain: str
    private_key: str
    minimum_version: str = "TLS1_2"
    maximum_version: str = "TLS1_3"
    ciphers: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without the key."""
        return f"Tls({self.minimum_version}..{self.maximum_version})"


class Listener(msgspec.Struct, frozen=True):
    """A socket that accepts client traffic. `tls` None means plain HTTP."""

    name: str
    address: str
    port: int
    tls: Tls | None = None


class VirtualHosts(msgspec.Struct, frozen=True):
    """Names used when an API names none, and the domains that a default name stands for (empty: the name itself)."""

    main: str = "*"
    sandbox: str = "sandbox-*"
    main_domains: tuple[str, ...] = ()
    sandbox_domains: tuple[str, ...] = ()


class UpstreamTls(msgspec.Struct, frozen=True):
    """How HTTPS upstreams are verified. `custom_ca` is PEM text trusted besides the file `trusted_ca_file`.

    `verify_certificate` False accepts any certificate; `verify_host_name` False accepts one made for another host.
    """

    trusted_ca_file: str = "/etc/ssl/certs/ca-certificates.crt"
    custom_ca: str = ""
    verify_certificate: bool = True
    verify_host_name: bool = True
    minimum_version: str = "TLS1_2"
    maximum_version: str = "TLS1_3"
    ciphers: tuple[str, ...] = ()


class AccessLog(msgspec.Struct, frozen=True):
    """One line per request on the router's standard output. Empty `text_format`, `json_fields`: the default."""

    format: Literal["text", "json"] = "text"
    text_format: str = ""
    json_fields: dict[str, str] = {}


class RequestTracing(msgspec.Struct, frozen=True):
    """Spans of requests, sent over OTLP/gRPC to `collector`. `sampling_percent` of the requests, up to 100."""

    collector: Endpoint
    tls: bool = False
    service_name: str = "router"
    sampling_percent: float = 100.0
    resource_attributes: dict[str, str] = {}


class Gateway(msgspec.Struct, frozen=True):
    """Router behaviour shared by all APIs. Times in milliseconds, sizes in bytes."""

    listeners: tuple[Listener, ...]
    vhosts: VirtualHosts = VirtualHosts()
    upstream_tls: UpstreamTls = UpstreamTls()
    access_log: AccessLog | None = None
    tracing: RequestTracing | None = None
    server_header: str = "WSO2 API Platform"
    server_header_transformation: ServerHeader = "OVERWRITE"
    normalize_path: bool = True
    escaped_slashes: EscapedSlashes = "KEEP_UNCHANGED"
    request_timeout_ms: int = 0
    request_headers_timeout_ms: int = 0
    stream_idle_timeout_ms: int = 300_000
    idle_timeout_ms: int = 3_600_000
    route_timeout_ms: int = 60_000
    route_idle_timeout_ms: int = 300_000
    connect_timeout_ms: int = 5_000
    connection_buffer_bytes: int = 1_048_576
    regex_program_limit: int = 400
    native_policies: bool = True
    api_key_issuer: str = ""
