"""`policy_engine.*`: keys of the original's second process. Reference: section 1.9. Pure data."""

from datetime import timedelta
from typing import Annotated

from gatewright.settings.controller import ConfigDump, Pprof
from gatewright.settings.kinds import (
    Bool,
    Int,
    PositiveDuration,
    Section,
    Str,
    StrList,
    at_least,
    between,
    key,
    not_blank,
    one_of,
    positive,
    table,
    zero_means,
)

_TCP = "policy_engine.server.mode is tcp"
_TLS = "policy_engine.xds.tls.enabled"
_PYTHON_TCP = "policy_engine.python_executor.server.mode is tcp"


class EngineServer(Section):
    """Where Envoy calls the engine."""

    mode: Annotated[Str, one_of("uds", "tcp", "")] = key("", "Unix socket (also when empty) or TCP.")
    extproc_port: Annotated[Int, between(1, 65535, _TCP)] = key(9001, "Port, for tcp.")
    max_recv_msg_bytes: Annotated[Int, at_least(0)] = key(0, "Largest message received (bytes); 0: by body limits.")
    max_send_msg_bytes: Annotated[Int, at_least(0)] = key(0, "Largest message sent (bytes); 0: by body limits.")
    max_concurrent_streams: Annotated[Int, zero_means(10_000), at_least(1)] = key(10_000, "Streams per connection.")


class BodyLimit(Section):
    """Bound of a body that a policy reads."""

    max_decompressed_bytes: Annotated[Int, positive()] = key(10_485_760, "Largest body after decompression (bytes).")


class EngineAdmin(Section):
    """Admin port of the router."""

    enabled: Bool = key(True, "Serve the admin port.")
    port: Annotated[Int, between(1, 65535, "policy_engine.admin.enabled")] = key(9002, "Port.")
    allowed_ips: StrList = key(("*",), "Peer addresses that may ask; * allows all.")
    config_dump: ConfigDump = table(ConfigDump)
    pprof: Pprof = table(Pprof)


class EngineMetrics(Section):
    """Metrics port of the router."""

    enabled: Bool = key(False, "Serve metrics.")
    port: Annotated[Int, between(1, 65535, "policy_engine.metrics.enabled")] = key(9003, "Port.")


class ConfigMode(Section):
    """Where the original's engine gets policies from."""

    mode: Annotated[Str, one_of("file", "xds")] = key("xds", "file or xds.")


class FileConfig(Section):
    """Policies from a file."""

    path: Annotated[Str, not_blank("policy_engine.config_mode.mode is file")] = key("", "The file.")


class XdsTls(Section):
    """TLS to the controller; all three files when enabled."""

    enabled: Bool = key(False, "Use TLS.")
    cert_path: Annotated[Str, not_blank(_TLS)] = key("", "Client certificate file.")
    key_path: Annotated[Str, not_blank(_TLS)] = key("", "Client key file.")
    ca_path: Annotated[Str, not_blank(_TLS)] = key("", "Authorities of the controller.")


class Xds(Section):
    """The connection to the controller."""

    connect_timeout: PositiveDuration = key(timedelta(seconds=10), "Longest wait for a connection.")
    request_timeout: PositiveDuration = key(timedelta(seconds=5), "Longest wait for an answer.")
    initial_reconnect_delay: PositiveDuration = key(timedelta(seconds=1), "First delay before a new attempt.")
    max_reconnect_delay: PositiveDuration = key(timedelta(seconds=60), "Longest delay.")
    tls: XdsTls = table(XdsTls)


class EngineLogging(Section):
    """The log of the engine."""

    level: Annotated[Str, one_of("debug", "info", "warn", "error")] = key("info", "Lowest level written.")
    format: Annotated[Str, one_of("json", "text")] = key("text", "Form of the lines.")


class PythonServer(Section):
    """Where the original's Python executor listens."""

    mode: Annotated[Str, one_of("uds", "tcp", "")] = key("", "Unix socket (also when empty) or TCP.")
    host: Annotated[Str, not_blank(_PYTHON_TCP)] = key("localhost", "Host, for tcp.")
    port: Annotated[Int, between(1, 65535, _PYTHON_TCP)] = key(9010, "Port, for tcp.")
    path: Str = key("", "Path of the socket.")


class PythonExecutor(Section):
    """The original's executor of Python policies; here they run in the engine itself."""

    timeout: PositiveDuration = key(timedelta(seconds=30), "Longest run of one policy.")
    server: PythonServer = table(PythonServer)


class PolicyEngine(Section):
    """Everything that the original's policy engine reads."""

    server: EngineServer = table(EngineServer)
    request_body: BodyLimit = table(BodyLimit)
    response_body: BodyLimit = table(BodyLimit)
    admin: EngineAdmin = table(EngineAdmin)
    metrics: EngineMetrics = table(EngineMetrics)
    config_mode: ConfigMode = table(ConfigMode)
    file_config: FileConfig = table(FileConfig)
    xds: Xds = table(Xds)
    logging: EngineLogging = table(EngineLogging)
    python_executor: PythonExecutor = table(PythonExecutor)
    tracing_service_name: Str = key("policy-engine", "Name of the engine in traces.")
