"""`router.*`: what Envoy is told. Reference: section 1.7; access-log defaults: section 7.4. Pure data."""

from datetime import timedelta
from typing import Annotated

from gatewright.settings.kinds import (
    Bool,
    Duration,
    Int,
    Port,
    Section,
    Str,
    StrList,
    StrMap,
    at_most_ms,
    between,
    key,
    not_blank,
    one_of,
    table,
    up_to,
    zero_means,
)

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256,ECDHE-RSA-AES128-GCM-SHA256,ECDHE-ECDSA-AES128-SHA,ECDHE-RSA-AES128-SHA,"
    "AES128-GCM-SHA256,AES128-SHA,ECDHE-ECDSA-AES256-GCM-SHA384,ECDHE-RSA-AES256-GCM-SHA384,"
    "ECDHE-ECDSA-AES256-SHA,ECDHE-RSA-AES256-SHA,AES256-GCM-SHA384,AES256-SHA"
)
TLS_VERSIONS = ("TLS1_0", "TLS1_1", "TLS1_2", "TLS1_3")

ACCESS_LOG_FIELDS = {
    "t": "%START_TIME%",
    "meth": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "proto": "%PROTOCOL%",
    "respCd": "%RESPONSE_CODE%",
    "respFlg": "%RESPONSE_FLAGS%",
    "bytesRx": "%BYTES_RECEIVED%",
    "bytesTx": "%BYTES_SENT%",
    "dur": "%DURATION%",
    "upSvcT": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "xff": "%REQ(X-FORWARDED-FOR)%",
    "ua": "%REQ(USER-AGENT)%",
    "reqId": "%REQ(X-REQUEST-ID)%",
    "host": "%REQ(:AUTHORITY)%",
    "upHost": "%UPSTREAM_HOST%",
    "upProto": "%UPSTREAM_PROTOCOL%",
    "upPath": "%REQ(:PATH)%",
    "respCdDtl": "%RESPONSE_CODE_DETAILS%",
    "connTrmDtl": "%CONNECTION_TERMINATION_DETAILS%",
    "reqTxDur": "%REQUEST_TX_DURATION%",
    "respTxDur": "%RESPONSE_TX_DURATION%",
    "reqDur": "%REQUEST_DURATION%",
    "respDur": "%RESPONSE_DURATION%",
}
ACCESS_LOG_TEXT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %REQ(:PATH)% '
    "%UPSTREAM_PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% "
    "%CONNECTION_TERMINATION_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %REQUEST_TX_DURATION% "
    "%RESPONSE_TX_DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% "
    '"%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n'
)

_DAY = timedelta(hours=24)
_LUA = "./lua/request_transformation.lua"
_MILLIS = at_most_ms(3_600_000)
_ENGINE_MILLIS = at_most_ms(60_000)
_MIB = 1_048_576


class LuaScript(Section):
    """A script of the original."""

    script_path: Str = key(_LUA, "Original: path of the script.")


class Lua(Section):
    """Scripts of the original; no meaning here."""

    request_transformation: LuaScript = table(LuaScript)


class AccessLogs(Section):
    """One line per request, written by Envoy."""

    enabled: Bool = key(True, "Write access logs.")
    format: Str = key("text", "json or text.")
    json_fields: StrMap = key(ACCESS_LOG_FIELDS, "Fields of a JSON line, added to the default ones.")
    text_format: Str = key(ACCESS_LOG_TEXT, "Form of a text line, in Envoy's format language.")


class TlsVersions(Section):
    """What both directions of TLS have in common."""

    minimum_protocol_version: Annotated[Str, one_of(*TLS_VERSIONS)] = key("TLS1_2", "Lowest accepted version.")
    maximum_protocol_version: Annotated[Str, one_of(*TLS_VERSIONS)] = key("TLS1_3", "Highest accepted version.")
    ciphers: Str = key(CIPHERS, "Cipher suites up to TLS 1.2, comma separated.")


class DownstreamTls(TlsVersions):
    """TLS towards clients."""

    cert_path: Str = key("./listener-certs/default-listener.crt", "Certificate file, read by the controller.")
    key_path: Str = key("./listener-certs/default-listener.key", "Private key file, read by the controller.")


class UpstreamTls(TlsVersions):
    """TLS towards back ends."""

    trusted_cert_path: Str = key("/etc/ssl/certs/ca-certificates.crt", "Bundle of trusted authorities.")
    custom_certs_path: Str = key("./certificates", "Folder of further authorities.")
    verify_host_name: Bool = key(True, "The certificate must name the host.")
    disable_ssl_verification: Bool = key(False, "Accept any certificate of a back end.")


class UpstreamTimeouts(Section):
    """Time limits towards back ends, milliseconds."""

    route_timeout_ms: Annotated[Int, _MILLIS] = key(60_000, "Whole request (ms).")
    route_idle_timeout_ms: Annotated[Int, _MILLIS] = key(300_000, "Stream without traffic (ms).")
    connect_timeout_ms: Annotated[Int, _MILLIS] = key(5_000, "Connecting (ms).")


class Upstream(Section):
    """Back ends."""

    tls: UpstreamTls = table(UpstreamTls)
    timeouts: UpstreamTimeouts = table(UpstreamTimeouts)


class ListenerTimeouts(Section):
    """Time limits towards clients; 0 disables one."""

    request_timeout: Annotated[Duration, up_to(_DAY)] = key(timedelta(0), "Whole request to arrive.")
    request_headers_timeout: Annotated[Duration, up_to(_DAY)] = key(timedelta(0), "Request headers to arrive.")
    stream_idle_timeout: Annotated[Duration, up_to(_DAY)] = key(timedelta(minutes=5), "Stream without traffic.")
    idle_timeout: Annotated[Duration, up_to(_DAY)] = key(timedelta(hours=1), "Connection without streams.")


class HttpListener(Section):
    """The listener's HTTP side."""

    server_header_transformation: Annotated[Str, one_of("APPEND_IF_ABSENT", "OVERWRITE", "PASS_THROUGH")] = key(
        "OVERWRITE",
        "What happens to the server header.",
    )
    server_header_value: Str = key("WSO2 API Platform", "Value of the server header.")
    per_connection_buffer_limit_bytes: Annotated[Int, zero_means(_MIB), between(1, 104_857_600)] = key(
        _MIB,
        "Buffer of one connection (bytes); 0: default.",
    )
    disable_path_normalization: Bool = key(False, "Leave . and .. and double slashes in paths as they are.")
    path_with_escaped_slashes_action: Annotated[
        Str,
        one_of("KEEP_UNCHANGED", "REJECT_REQUEST", "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD"),
    ] = key("KEEP_UNCHANGED", "What happens to %2F and %5C in paths.")
    timeouts: ListenerTimeouts = table(ListenerTimeouts)


class EngineTls(Section):
    """TLS towards a policy engine over TCP."""

    enabled: Bool = key(False, "Use TLS.")
    cert_path: Str = key("", "Client certificate file; together with key_path.")
    key_path: Str = key("", "Client key file.")
    ca_path: Str = key("", "Authorities of the engine.")
    server_name: Str = key("", "Expected name.")
    skip_verify: Bool = key(False, "Accept any certificate.")


class RouterPolicyEngine(Section):
    """How Envoy reaches the policy engine."""

    mode: Annotated[Str, one_of("uds", "tcp", "")] = key("uds", "Unix socket (also when empty) or TCP.")
    host: Str = key("policy-engine", "Host, for tcp.")
    port: Int = key(9001, "Port, for tcp.")
    timeout_ms: Annotated[Int, _ENGINE_MILLIS] = key(60_000, "Longest exchange (ms).")
    message_timeout_ms: Annotated[Int, _ENGINE_MILLIS] = key(60_000, "Longest wait for one answer (ms).")
    tls: EngineTls = table(EngineTls)
    failure_mode_allow: Bool = key(False, "Key of 1.0 and 1.1; ignored.")
    route_cache_action: Str = key("RETAIN", "Key of 1.0 and 1.1; ignored.")
    allow_mode_override: Bool = key(True, "Key of 1.0 and 1.1; ignored.")


class MainVhost(Section):
    """The production host."""

    default: Annotated[Str, not_blank()] = key("*", "Host of APIs that name none.")
    domains: StrList = key((), "Further hosts.")


class SandboxVhost(Section):
    """The sandbox host."""

    default: Annotated[Str, not_blank()] = key("sandbox-*", "Host of sandbox upstreams of APIs that name none.")
    domains: StrList = key((), "Further hosts.")


class Vhosts(Section):
    """Host names."""

    main: MainVhost = table(MainVhost)
    sandbox: SandboxVhost = table(SandboxVhost)


class EventGateway(Section):
    """The WebSub hub of 1.0 and 1.1; ignored."""

    enabled: Bool = key(False, "Key of 1.0 and 1.1; ignored.")
    websub_hub_url: Str = key("http://host.docker.internal", "Key of 1.0 and 1.1; ignored.")
    websub_hub_port: Int = key(9098, "Key of 1.0 and 1.1; ignored.")
    router_host: Str = key("localhost", "Key of 1.0 and 1.1; ignored.")
    websub_hub_listener_port: Int = key(8083, "Key of 1.0 and 1.1; ignored.")
    timeout_seconds: Int = key(30, "Key of 1.0 and 1.1; ignored.")


class Router(Section):
    """The data plane."""

    gateway_host: Str = key("*", "Host names that the gateway answers to.")
    listener_port: Port = key(8080, "HTTP port.")
    https_enabled: Bool = key(True, "Listen for HTTPS too.")
    https_port: Annotated[Int, between(1, 65535, "router.https_enabled")] = key(8443, "HTTPS port.")
    tracing_service_name: Str = key("router", "Name of Envoy in traces.")
    lua: Lua = table(Lua)
    lua_script_path: Str = key(_LUA, "Older name of lua.request_transformation.script_path.")
    access_logs: AccessLogs = table(AccessLogs)
    downstream_tls: DownstreamTls = table(DownstreamTls)
    upstream: Upstream = table(Upstream)
    http_listener: HttpListener = table(HttpListener)
    policy_engine: RouterPolicyEngine = table(RouterPolicyEngine)
    vhosts: Vhosts = table(Vhosts)
    event_gateway: EventGateway = table(EventGateway)
