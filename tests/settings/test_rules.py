"""Rules on typed values, with the original's texts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gatewright.settings import Loaded, SettingsError, load
from gatewright.settings.rules import conditions
from gatewright.settings.schema import keys

Complaints = Callable[[str], list[str]]


@pytest.fixture
def complaints(tmp_path: Path) -> Complaints:
    """The messages for one TOML text; an empty list when it is fine."""

    def run(text: str) -> list[str]:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        try:
            load([path], {})
        except SettingsError as error:
            return [problem.message for problem in error.problems]
        return []

    return run


def link(*lines: str) -> str:
    return "\n".join(["[controller.controlplane]", *lines])


@pytest.mark.conforms("OP-017", "CP-002", "AP-001")
def test_token_without_host(complaints: Complaints) -> None:
    assert complaints(link('token = "t"')) == ["controlplane.host is required when controlplane.token is set"]
    assert complaints(link('host = "h"')) == []


@pytest.mark.conforms("OP-019", "AP-003")
def test_reconnect_order(complaints: Complaints) -> None:
    assert complaints(link('host = "h"', 'reconnect_initial = "10m"')) == [
        "controlplane.reconnect_initial (10m0s) must be <= controlplane.reconnect_max (5m0s)",
    ]


@pytest.mark.conforms("OP-020")
def test_link_values_count_only_with_a_host(complaints: Complaints) -> None:
    lines = ("sync_batch_size = 0", 'polling_interval = "0s"', 'reconnect_max = "-1s"', 'reconnect_initial = "-2s"')
    assert complaints(link(*lines)) == []
    assert complaints(link('host = "h"', *lines)) == [
        "controlplane.reconnect_initial must be positive, got: -2s",
        "controlplane.reconnect_max must be positive, got: -1s",
        "controlplane.polling_interval must be positive, got: 0s",
        "controlplane.sync_batch_size must be positive, got: 0",
    ]


@pytest.mark.conforms("OP-021")
@pytest.mark.parametrize("name", ["memory", "SQLite", "Postgres"])
def test_storage_type(complaints: Complaints, name: str) -> None:
    assert complaints(f'[controller.storage]\ntype = "{name}"') == [
        f"storage.type must be one of: sqlite, postgres, sqlserver, got: {name}",
    ]


@pytest.mark.conforms("OP-022")
def test_immutable_gateway_needs_sqlite(complaints: Complaints) -> None:
    text = """
        [immutable_gateway]
        enabled = true
        [controller.storage]
        type = "postgres"
        [controller.storage.postgres]
        dsn = "postgres://h/d"
    """
    assert complaints(text) == ['immutable_gateway.enabled=true requires storage.type=sqlite; got "postgres".']


@pytest.mark.conforms("OP-023")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[controller.admin_server]\nport = 9090", "admin_server.port cannot be same as server.api_port"),
        ("[controller.admin_server]\nport = 18000", "admin_server.port cannot be same as server.xds_port"),
        ("[controller.metrics]\nenabled = true\nport = 9090", "metrics.port cannot be same as server.api_port"),
        ("[controller.metrics]\nenabled = true\nport = 18000", "metrics.port cannot be same as server.xds_port"),
        ("[controller.metrics]\nenabled = true\nport = 9092", "metrics.port cannot be same as admin_server.port"),
        ("[controller.server]\nxds_port = 9090", "server.xds_port cannot be same as server.api_port"),
    ],
)
def test_port_collisions(complaints: Complaints, text: str, expected: str) -> None:
    assert complaints(text) == [expected]


def test_ports_of_what_is_off_do_not_collide(complaints: Complaints) -> None:
    assert complaints("[controller.metrics]\nport = 9090") == []
    assert complaints("[controller.admin_server]\nenabled = false\nport = 9090") == []
    assert complaints("[controller.admin_server]\nenabled = false\nport = 0") == []


@pytest.mark.conforms("OP-024")
def test_tls_versions(complaints: Complaints) -> None:
    lines = 'minimum_protocol_version = "TLS1_3"\nmaximum_protocol_version = "TLS1_2"'
    text = "router.{}.minimum_protocol_version (TLS1_3) cannot be greater than maximum_protocol_version (TLS1_2)"
    assert complaints(f"[router.upstream.tls]\n{lines}") == [text.format("upstream.tls")]
    assert complaints(f"[router.downstream_tls]\n{lines}") == [text.format("downstream_tls")]
    assert complaints(f"[router]\nhttps_enabled = false\n[router.downstream_tls]\n{lines}") == []


@pytest.mark.conforms("OP-025")
def test_ciphers(complaints: Complaints) -> None:
    for side in ("upstream.tls", "downstream_tls"):
        assert complaints(f'[router.{side}]\nciphers = "A;B"') == [
            f"router.{side}.ciphers contains invalid characters (use comma-separated values)",
        ]
        assert complaints(f'[router.{side}]\nciphers = " "') == [f"router.{side}.ciphers cannot be empty or whitespace"]


@pytest.mark.conforms("OP-026")
def test_two_wildcards(complaints: Complaints) -> None:
    assert complaints('[controller.auth.idp.role_mapping]\nb = "*"\na = ["x", "*"]\nc = "y"') == [
        "auth.idp.role_mapping: multiple wildcard ('*') mappings detected for roles [a b].",
    ]
    assert complaints('[controller.auth.idp.role_mapping]\na = "*"\nb = "x"') == []


@pytest.mark.conforms("OP-027")
def test_empty_password(complaints: Complaints, tmp_path: Path) -> None:
    user = '[[controller.auth.basic.users]]\nusername = "a"\npassword = "{}"\n'
    assert complaints(user.format("x") + user.format(" ")) == ["auth.basic user #2 has an empty password"]
    with pytest.raises(SettingsError, match="APIP_GW_CONTROLLER_AUTH_BASIC_ADMIN_PASSWORD_HASH"):
        load([tmp_path / "config.toml"], {})
    assert complaints("[controller.auth.basic]\nenabled = false\n" + user.format("")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[controller.server]\napi_port = 70000", "server.api_port must be between 1 and 65535, got: 70000"),
        ('[controller.server]\ngateway_id = " "', "server.gateway_id is required and cannot be empty"),
        ('[controller.event_hub]\npoll_interval = "0s"', "event_hub.poll_interval must be positive, got: 0s"),
        (
            '[router.access_logs]\nformat = "xml"',
            "router.access_logs.format must be either 'json' or 'text', got: xml",
        ),
        (
            "[router.upstream.timeouts]\nroute_timeout_ms = 3600001",
            "router.upstream.timeouts.route_timeout_ms (3600001) exceeds maximum reasonable timeout of 3600000 ms",
        ),
        (
            "[router.policy_engine]\ntimeout_ms = 60001",
            "router.policy_engine.timeout_ms (60001) exceeds maximum reasonable timeout of 60000 ms",
        ),
        (
            "[router.policy_engine.tls]\nenabled = true",
            "router.policy_engine.tls cannot be enabled when using Unix domain socket mode",
        ),
        (
            "[api_key]\nmin_key_length = 200",
            "api_key.min_key_length (200) must not exceed api_key.max_key_length (128)",
        ),
        (
            '[controller.storage]\ntype = "postgres"\npostgres.host = "h"\npostgres.user = "u"',
            "storage.postgres.database is required when storage.type is 'postgres' and storage.postgres.dsn is empty",
        ),
        ('[controller.storage.sqlite]\npath = ""', "storage.sqlite.path is required when storage.type is 'sqlite'"),
        (
            "[analytics]\nenabled = true\nenabled_publishers = ['x']",
            "unknown publisher type in enabled_publishers: x",
        ),
        (
            "[analytics]\nenabled = true",
            "analytics.publishers.moesif.application_id is required and cannot be empty",
        ),
        ('[router.vhosts.main]\ndomains = ["a", ""]', "router.vhosts.main.domains[1] cannot be empty"),
        (
            "[tracing]\nenabled = true\nsampling_rate = 0",
            "tracing.sampling_rate must be > 0.0 and <= 1.0, got: 0.0",
        ),
        (
            '[traffic_logging]\nenabled = true\noutputs = ["file"]',
            "traffic_logging.file.path must be an absolute path without '..'",
        ),
        (
            '[traffic_logging]\nenabled = true\noutputs = ["http"]\nhttp.endpoint = "http://h/"',
            "traffic_logging.http.endpoint must be an https URL with a host",
        ),
        (
            '[router.http_listener.timeouts]\nidle_timeout = "25h"',
            "router.http_listener.timeouts.idle_timeout must not exceed 24h0m0s, got: 25h0m0s",
        ),
        (
            '[controller.controlplane]\nhost = "h"\n[gatewright.controlplane]\nclient_key_file = "k"',
            "gatewright.controlplane.client_certificate_file and client_key_file must be set together",
        ),
    ],
)
def test_texts(complaints: Complaints, text: str, expected: str) -> None:
    assert complaints(text) == [expected]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("[controller.storage.postgres]\nport = -1", "controller.storage.postgres.port", 5432),
        ("[controller.storage.postgres]\nmax_open_conns = 0", "controller.storage.postgres.max_open_conns", 25),
        ('[controller.storage.postgres]\nsslmode = "VERIFY-CA"', "controller.storage.postgres.sslmode", "verify-ca"),
        ("[api_key]\nmin_key_length = 0", "api_key.min_key_length", 36),
        ('[controller.logging]\nlevel = "WARN"', "controller.logging.level", "WARN"),
        (
            "[router.http_listener]\nper_connection_buffer_limit_bytes = 0",
            "router.http_listener.per_connection_buffer_limit_bytes",
            1048576,
        ),
    ],
)
def test_values_that_stand_for_a_default(tmp_path: Path, text: str, key: str, value: object) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    loaded: Loaded = load([path], {})
    found: object = loaded.settings
    for name in key.split("."):
        found = getattr(found, name)
    assert found == value


def test_every_condition_of_a_constraint_exists() -> None:
    named = {constraint.when for info in keys() for constraint in info.constraints if constraint.when}
    assert named == conditions()
