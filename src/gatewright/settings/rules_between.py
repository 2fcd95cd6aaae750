"""Rules that look at more than one key. Each yields its findings; `rules.py` runs them. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from gatewright.settings.durations import format_duration
from gatewright.settings.router import TLS_VERSIONS, TlsVersions
from gatewright.settings.tree import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule, at the key that should change."""

    key: str
    message: str
    remedy: str = ""


Rule = Callable[[Settings], Iterator[Finding]]


def _xds(settings: Settings) -> Iterator[Finding]:
    if settings.gatewright.xds.client_ca_file and not settings.controller.policy_server.tls.enabled:
        yield Finding(
            "gatewright.xds.client_ca_file",
            "gatewright.xds.client_ca_file needs controller.policy_server.tls.enabled",
            "Enable TLS at the port for routers, or remove the authorities",
        )


def _storage(settings: Settings) -> Iterator[Finding]:
    storage, immutable = settings.controller.storage, settings.immutable_gateway.enabled
    if immutable and storage.type != "sqlite":
        yield Finding(
            "immutable_gateway.enabled",
            f'immutable_gateway.enabled=true requires storage.type=sqlite; got "{storage.type}".',
            "Set controller.storage.type to sqlite, or turn the immutable gateway off",
        )
    if storage.type == "sqlite" and not (storage.sqlite.path or storage.database.path):
        yield Finding(
            "controller.storage.sqlite.path",
            "storage.sqlite.path is required when storage.type is 'sqlite'",
        )
    if storage.type == "postgres":
        yield from _postgres(settings)
    if storage.type == "sqlserver":
        yield from _sqlserver(settings)


def _postgres(settings: Settings) -> Iterator[Finding]:
    postgres, unified = settings.controller.storage.postgres, settings.controller.storage.database
    if unified.driver not in {"", "postgres"}:
        yield Finding(
            "controller.storage.database.driver",
            f"storage.database.driver must be 'postgres' when storage.type is 'postgres', got: {unified.driver}",
        )
    if postgres.dsn.get_secret_value() or unified.dsn.get_secret_value():
        return
    for name in ("host", "database", "user"):
        if not (getattr(postgres, name).strip() or getattr(unified, name).strip()):
            yield Finding(
                f"controller.storage.postgres.{name}",
                f"storage.postgres.{name} is required when storage.type is 'postgres' "
                f"and storage.postgres.dsn is empty",
            )


def _sqlserver(settings: Settings) -> Iterator[Finding]:
    unified = settings.controller.storage.database
    if not unified.dsn.get_secret_value() and not unified.host:
        yield Finding(
            "controller.storage.database.host",
            "storage.database is required when storage.type is 'sqlserver'",
        )
    if unified.driver not in {"", "sqlserver", "mssql"}:
        yield Finding(
            "controller.storage.database.driver",
            f"storage.database.driver must be 'sqlserver' or 'mssql', got: {unified.driver}",
        )
    options = {name.lower(): value for name, value in unified.options.items()}
    if options.get("encrypt", "true").lower() not in {"disable", "false", "true", "strict"}:
        yield Finding(
            "controller.storage.database.options",
            f"storage.database.options.encrypt must be one of: disable, false, true, strict, got: {options['encrypt']}",
            'Quote the value: encrypt = "true"',
        )


def _ports(settings: Settings) -> Iterator[Finding]:
    server, admin, metrics = (
        settings.controller.server,
        settings.controller.admin_server,
        settings.controller.metrics,
    )
    taken = [("server.api_port", server.api_port), ("server.xds_port", server.xds_port)]
    if server.api_port == server.xds_port:
        yield Finding("controller.server.xds_port", "server.xds_port cannot be same as server.api_port")
    if admin.enabled:
        yield from _collisions("admin_server.port", admin.port, taken)
        taken.append(("admin_server.port", admin.port))
    if metrics.enabled:
        yield from _collisions("metrics.port", metrics.port, taken)
    engine = settings.policy_engine
    if engine.admin.enabled and engine.metrics.enabled and engine.admin.port == engine.metrics.port:
        yield Finding(
            "policy_engine.metrics.port",
            "policy_engine.metrics.port cannot be same as policy_engine.admin.port",
        )
    router = settings.router
    if router.https_enabled and router.listener_port == router.https_port:
        yield Finding("router.https_port", "router.https_port cannot be same as router.listener_port")


def _collisions(name: str, port: int, taken: list[tuple[str, int]]) -> Iterator[Finding]:
    for other, number in taken:
        if port == number:
            yield Finding(f"controller.{name}", f"{name} cannot be same as {other}")


def _controlplane(settings: Settings) -> Iterator[Finding]:
    link = settings.controller.controlplane
    if not link.host:
        if link.token.get_secret_value():
            yield Finding(
                "controller.controlplane.host",
                "controlplane.host is required when controlplane.token is set",
            )
        return
    if link.reconnect_initial > link.reconnect_max:
        yield Finding(
            "controller.controlplane.reconnect_initial",
            f"controlplane.reconnect_initial ({format_duration(link.reconnect_initial)}) must be <= "
            f"controlplane.reconnect_max ({format_duration(link.reconnect_max)})",
        )
    files = settings.gatewright.controlplane
    if bool(files.client_certificate_file) != bool(files.client_key_file):
        yield Finding(
            "gatewright.controlplane.client_key_file",
            "gatewright.controlplane.client_certificate_file and client_key_file must be set together",
        )


def _access_logs(settings: Settings) -> Iterator[Finding]:
    logs = settings.router.access_logs
    if not logs.enabled:
        return
    if logs.format not in {"json", "text"}:
        yield Finding(
            "router.access_logs.format",
            f"router.access_logs.format must be either 'json' or 'text', got: {logs.format}",
        )
    if logs.format == "json" and not logs.json_fields:
        yield Finding(
            "router.access_logs.json_fields",
            "router.access_logs.json_fields must be configured when format is 'json'",
        )
    if logs.format == "text" and not logs.text_format:
        yield Finding(
            "router.access_logs.text_format",
            "router.access_logs.text_format must be configured when format is 'text'",
        )


def _tls(settings: Settings) -> Iterator[Finding]:
    router = settings.router
    upstream = router.upstream.tls
    yield from _tls_side("upstream.tls", upstream)
    if not upstream.trusted_cert_path and not upstream.disable_ssl_verification:
        yield Finding(
            "router.upstream.tls.trusted_cert_path",
            "router.upstream.tls.trusted_cert_path is required when SSL verification is enabled",
        )
    if router.https_enabled:
        yield from _tls_side("downstream_tls", router.downstream_tls)
        for name in ("cert_path", "key_path"):
            if not getattr(router.downstream_tls, name):
                yield Finding(
                    f"router.downstream_tls.{name}",
                    f"router.downstream_tls.{name} is required when HTTPS is enabled",
                )


def _tls_side(side: str, tls: TlsVersions) -> Iterator[Finding]:
    low, high = tls.minimum_protocol_version, tls.maximum_protocol_version
    if low in TLS_VERSIONS and high in TLS_VERSIONS and TLS_VERSIONS.index(low) > TLS_VERSIONS.index(high):
        yield Finding(
            f"router.{side}.minimum_protocol_version",
            f"router.{side}.minimum_protocol_version ({low}) cannot be greater than maximum_protocol_version ({high})",
        )
    if any(char in tls.ciphers for char in ";|"):
        yield Finding(
            f"router.{side}.ciphers",
            f"router.{side}.ciphers contains invalid characters (use comma-separated values)",
        )
    elif tls.ciphers and not tls.ciphers.strip():
        yield Finding(f"router.{side}.ciphers", f"router.{side}.ciphers cannot be empty or whitespace")


def _policy_engine(settings: Settings) -> Iterator[Finding]:
    engine = settings.router.policy_engine
    if engine.mode == "tcp":
        if not engine.host:
            yield Finding("router.policy_engine.host", "router.policy_engine.host is required when mode is tcp")
        if not 1 <= engine.port <= 65535:
            yield Finding(
                "router.policy_engine.port",
                f"router.policy_engine.port must be between 1 and 65535, got: {engine.port}",
            )
    elif engine.tls.enabled:
        yield Finding(
            "router.policy_engine.tls.enabled",
            "router.policy_engine.tls cannot be enabled when using Unix domain socket mode",
        )
    if engine.tls.enabled and bool(engine.tls.cert_path) != bool(engine.tls.key_path):
        yield Finding(
            "router.policy_engine.tls.key_path",
            "router.policy_engine.tls.cert_path and key_path must be set together",
        )
    if settings.policy_engine.admin.enabled and not settings.policy_engine.admin.allowed_ips:
        yield Finding(
            "policy_engine.admin.allowed_ips",
            "policy_engine.admin.allowed_ips cannot be empty when admin is enabled",
        )


def _vhosts(settings: Settings) -> Iterator[Finding]:
    for name in ("main", "sandbox"):
        for index, domain in enumerate(getattr(settings.router.vhosts, name).domains):
            if not domain.strip():
                path = f"router.vhosts.{name}.domains[{index}]"
                yield Finding(path, f"{path} cannot be empty", "Remove the empty entry")


def _auth(settings: Settings) -> Iterator[Finding]:
    auth = settings.controller.auth
    if auth.basic.enabled:
        for index, user in enumerate(auth.basic.users):
            for name, text in (("username", user.username), ("password", user.password.get_secret_value())):
                if not text.strip():
                    yield Finding(
                        f"controller.auth.basic.users[{index}].{name}",
                        f"auth.basic user #{index + 1} has an empty {name}",
                        "Set APIP_GW_CONTROLLER_AUTH_BASIC_ADMIN_USERNAME and "
                        "APIP_GW_CONTROLLER_AUTH_BASIC_ADMIN_PASSWORD_HASH, write both into the file, or remove "
                        "the user",
                    )
    wild = sorted(role for role, mapped in auth.idp.role_mapping.items() if "*" in mapped)
    if len(wild) > 1:
        yield Finding(
            "controller.auth.idp.role_mapping",
            f"auth.idp.role_mapping: multiple wildcard ('*') mappings detected for roles [{' '.join(wild)}].",
            "Keep the wildcard for one role only",
        )


def _api_key(settings: Settings) -> Iterator[Finding]:
    low, high = settings.api_key.min_key_length, settings.api_key.max_key_length
    if low > high:
        yield Finding(
            "api_key.min_key_length",
            f"api_key.min_key_length ({low}) must not exceed api_key.max_key_length ({high})",
        )


def _observing(settings: Settings) -> Iterator[Finding]:
    if settings.tracing.enabled and not 0 < settings.tracing.sampling_rate <= 1:
        yield Finding(
            "tracing.sampling_rate",
            f"tracing.sampling_rate must be > 0.0 and <= 1.0, got: {settings.tracing.sampling_rate}",
        )
    if settings.analytics.enabled:
        for publisher in settings.analytics.enabled_publishers:
            if publisher != "moesif":
                yield Finding(
                    "analytics.enabled_publishers",
                    f"unknown publisher type in enabled_publishers: {publisher}",
                    "Use moesif, or leave the list empty",
                )


def _traffic_log(settings: Settings) -> Iterator[Finding]:
    log = settings.traffic_logging
    if not log.enabled:
        return
    outputs = [output.strip().lower() for output in log.outputs if output.strip()]
    for output in dict.fromkeys(outputs):
        if output not in {"stdout", "file", "http"}:
            yield Finding("traffic_logging.outputs", f"traffic_logging.outputs: unknown output {output!r}")
        if outputs.count(output) > 1:
            yield Finding("traffic_logging.outputs", f"traffic_logging.outputs: duplicate output {output!r}")
    path = log.file.path
    if "file" in outputs and (not path.startswith("/") or ".." in PurePosixPath(path).parts or "\0" in path):
        yield Finding(
            "traffic_logging.file.path",
            "traffic_logging.file.path must be an absolute path without '..'",
        )
    if "http" in outputs:
        yield from _traffic_http(settings)


def _traffic_http(settings: Settings) -> Iterator[Finding]:
    http = settings.traffic_logging.http
    base = "traffic_logging.http"
    parts = urlsplit(http.endpoint)
    if parts.scheme not in ({"http", "https"} if http.allow_insecure_transport else {"https"}) or not parts.hostname:
        yield Finding(f"{base}.endpoint", f"{base}.endpoint must be an https URL with a host")
    required = {
        "bearer": {"bearer.token": http.auth.bearer.token.get_secret_value()},
        "basic": {
            "basic.username": http.auth.basic.username,
            "basic.password": http.auth.basic.password.get_secret_value(),
        },
        "header": {"header.name": http.auth.header.name, "header.value": http.auth.header.value.get_secret_value()},
    }
    for name, value in required.get(http.auth.type, {}).items():
        if not value:
            yield Finding(
                f"{base}.auth.{name}",
                f"{base}.auth.{name} is required when auth.type is {http.auth.type}",
            )
    if bool(http.tls.cert_file) != bool(http.tls.key_file):
        yield Finding(f"{base}.tls.key_file", f"{base}.tls.cert_file and key_file must be set together")


RULES: tuple[Rule, ...] = (
    _storage,
    _xds,
    _access_logs,
    _ports,
    _controlplane,
    _tls,
    _policy_engine,
    _vhosts,
    _auth,
    _api_key,
    _observing,
    _traffic_log,
)
"""In the order of the original's checks."""
