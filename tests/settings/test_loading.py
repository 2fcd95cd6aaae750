"""From files to settings: layers, types, tokens, sources, and all mistakes at once."""

import logging
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from gatewright.observability.redaction import mask_secrets
from gatewright.settings import Loaded, SettingsError, load, load_values
from gatewright.settings.problems import INTERPOLATION, NO_FILE, SYNTAX, TYPE, VALUE
from gatewright.settings.tree import Settings

Load = Callable[..., Loaded]


@pytest.fixture
def given(tmp_path: Path) -> Load:
    """Load TOML texts in the given order."""

    def run(*texts: str, **environ: str) -> Loaded:
        paths = []
        for number, text in enumerate(texts):
            paths.append(tmp_path / f"{number}.toml")
            paths[-1].write_text(text, encoding="utf-8")
        return load(paths, environ)

    return run


def messages(caught: pytest.ExceptionInfo[SettingsError]) -> list[str]:
    return [problem.message for problem in caught.value.problems]


def test_an_empty_file_gives_all_defaults(given: Load) -> None:
    settings = given("").settings
    assert settings == Settings()
    controller = settings.controller
    ports = (controller.server.api_port, controller.admin_server.port, controller.server.xds_port)
    assert (*ports, controller.policy_server.port) == (9090, 9092, 18000, 18001)


def test_no_file_at_all_gives_all_defaults() -> None:
    assert load([], {}).settings == Settings()


def test_certificates_of_the_control_plane_are_verified_by_default(given: Load) -> None:
    assert given("").settings.controller.controlplane.insecure_skip_verify is False


@pytest.mark.conforms("OP-004")
def test_later_files_win_tables_merge_lists_are_replaced(given: Load) -> None:
    settings = given(
        """
        [controller.server]
        api_port = 1000
        xds_port = 1001
        [controller.admin_server]
        allowed_ips = ["1.1.1.1", "2.2.2.2"]
        """,
        """
        [controller.server]
        api_port = 2000
        [controller.admin_server]
        allowed_ips = ["3.3.3.3"]
        """,
    ).settings.controller
    assert (settings.server.api_port, settings.server.xds_port) == (2000, 1001)
    assert settings.admin_server.allowed_ips == ("3.3.3.3",)


@pytest.mark.conforms("OP-005")
def test_unknown_keys_are_ignored_with_a_warning(given: Load, tmp_path: Path) -> None:
    loaded = given(
        """
        nothing_like_it = 1
        [controler.server]
        api_port = 1
        [controller.server]
        port = 9095
        [[controller.auth.basic.users]]
        username = "a"
        password = "b"
        role = ["admin"]
        """,
    )
    assert loaded.settings.controller.server.api_port == 9090
    source, users = tmp_path / "0.toml", "controller.auth.basic.users"
    assert [warning.removeprefix(f"{source}: key ") for warning in loaded.warnings] == [
        '"nothing_like_it" is not known and is ignored',
        '"controler" is not known and is ignored; did you mean "controller"?',
        '"controller.server.port" is not known and is ignored; did you mean "controller.server.api_port"?',
        f'"{users}[0].role" is not known and is ignored; did you mean "{users}[].roles"?',
    ]


def test_names_match_in_any_case(given: Load) -> None:
    assert given("[Controller.SERVER]\nAPI_Port = 1").settings.controller.server.api_port == 1


@pytest.mark.conforms("OP-006")
def test_durations(given: Load) -> None:
    settings = given('[controller.controlplane]\nreconnect_initial = "1m30s"\nreconnect_max = "0.5h"').settings
    assert settings.controller.controlplane.reconnect_initial == timedelta(seconds=90)
    assert settings.controller.controlplane.reconnect_max == timedelta(minutes=30)
    assert given('[controller.controlplane]\nreconnect_initial = "1s"')
    day = given('[controller.controlplane]\npolling_interval = "1d"').settings
    assert day.controller.controlplane.polling_interval == timedelta(days=1)
    with pytest.raises(SettingsError) as caught:
        given('[controller.controlplane]\nreconnect_initial = "15"')
    assert 'time: missing unit in duration "15"' in messages(caught)[0]


@pytest.mark.conforms("OP-007")
def test_bare_numbers_are_nanoseconds(given: Load) -> None:
    settings = given("[controller.server]\nshutdown_timeout = 15000000000").settings
    assert settings.controller.server.shutdown_timeout == timedelta(seconds=15)


@pytest.mark.conforms("OP-008")
@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("F", False), ("", False)])
def test_booleans_as_text(given: Load, text: str, value: bool) -> None:
    assert given(f'[router]\nhttps_enabled = "{text}"').settings.router.https_enabled is value


@pytest.mark.conforms("OP-009")
def test_a_scalar_is_a_list_of_one(given: Load) -> None:
    settings = given('[controller.admin_server]\nallowed_ips = "1.1.1.1,2.2.2.2"').settings
    assert settings.controller.admin_server.allowed_ips == ("1.1.1.1,2.2.2.2",)


@pytest.mark.conforms("OP-010")
@pytest.mark.parametrize("environ", [{}, {"X": ""}])
def test_a_required_variable_that_is_missing(given: Load, environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        given("""[controller.server]\ngateway_id = '{{ env "X" }}'""", **environ)
    (problem,) = caught.value.problems
    assert problem.code == INTERPOLATION
    assert problem.message == (
        'config interpolation failed at "controller.server.gateway_id": required env var "X" is not found'
    )


@pytest.mark.conforms("OP-011")
@pytest.mark.parametrize(("environ", "value"), [({}, "d"), ({"X": ""}, "d"), ({"X": "x"}, "x")])
def test_a_variable_with_default(given: Load, environ: dict[str, str], value: str) -> None:
    loaded = given("""[controller.server]\ngateway_id = '{{ env "X" "d" }}'""", **environ)
    assert loaded.settings.controller.server.gateway_id == value


@pytest.mark.conforms("OP-012", "OP-014")
def test_files_and_the_allow_list_that_replaces_the_default(given: Load, tmp_path: Path) -> None:
    (tmp_path / "tok").write_text("id\n")
    text = f"""[controller.server]\ngateway_id = '{{{{ file "{tmp_path}/tok" }}}}'"""
    loaded = given(text, APIP_CONFIG_FILE_SOURCE_ALLOWLIST=str(tmp_path))
    assert loaded.settings.controller.server.gateway_id == "id"
    with pytest.raises(SettingsError, match="is not in an allowed source directory"):
        given(text)
    with pytest.raises(SettingsError, match="is not in an allowed source directory"):
        given(
            """[controller.server]\ngateway_id = '{{ file "/secrets/gateway-controller/tok" }}'""",
            APIP_CONFIG_FILE_SOURCE_ALLOWLIST=str(tmp_path),
        )


@pytest.mark.conforms("OP-013")
def test_files_that_may_not_be_read(given: Load, tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (tmp_path / "outside").write_text("x")
    (allowed / "link").symlink_to(tmp_path / "outside")
    (allowed / "big").write_bytes(b"x" * (1024 * 1024 + 1))
    names = [f"{tmp_path}/outside", f"{allowed}/../outside", f"{allowed}/link", f"{allowed}/big"]
    listed = ", ".join(f"""'{{{{ file "{name}" }}}}'""" for name in names)
    with pytest.raises(SettingsError) as caught:
        given(f"[collector]\nignore_path_prefixes = [{listed}]", APIP_CONFIG_FILE_SOURCE_ALLOWLIST=str(allowed))
    at = 'config interpolation failed at "collector.ignore_path_prefixes'
    assert messages(caught) == [
        *(f'{at}[{i}]": file "{names[i]}" is not in an allowed source directory' for i in range(3)),
        f'{at}[3]": file "{names[3]}" exceeds the maximum allowed size',
    ]


@pytest.mark.conforms("OP-015")
def test_a_number_may_be_a_token_in_an_overlay(given: Load) -> None:
    loaded = given(
        "[controller.metrics]\nport = 9095",
        """[controller.metrics]\nport = '{{ env "PORT" "1" }}'""",
        PORT="9096",
    )
    assert loaded.settings.controller.metrics.port == 9096


@pytest.mark.conforms("OP-016")
def test_access_log_fields_add_to_the_default_ones(given: Load) -> None:
    loaded = given('[router.access_logs.json_fields]\nmine = "%X%"\nt = "%Y%"')
    fields = loaded.settings.router.access_logs.json_fields
    assert len(fields) == 24
    assert (fields["mine"], fields["t"], fields["dur"]) == ("%X%", "%Y%", "%DURATION%")
    assert loaded.sources["router.access_logs.json_fields.mine"].endswith("0.toml")
    assert loaded.sources["router.access_logs.json_fields.dur"] == "default"


def test_default_lists_of_tables_are_overlaid_by_index(given: Load) -> None:
    loaded = given('[[controller.encryption.providers]]\ntype = "aesgcm"')
    (provider,) = loaded.settings.controller.encryption.providers
    assert provider.keys[0].version == "aesgcm256-v1"
    loaded = given('[[controller.encryption.providers]]\nkeys = [{file = "a"}, {version = "v0", file = "b"}]')
    first, second = loaded.settings.controller.encryption.providers[0].keys
    assert (first.version, first.file, second.version, second.file) == ("aesgcm256-v1", "a", "v0", "b")


def test_two_required_shapes_of_one_user(given: Load) -> None:
    single = given('[controller.auth.basic.users]\nusername = "a"\npassword = "b"\nroles = "admin"')
    assert single.settings.controller.auth.basic.users[0].roles == ("admin",)


def test_every_value_knows_its_source(given: Load, tmp_path: Path) -> None:
    loaded = given(
        """
        [controller.server]
        gateway_id = '{{ env "ID" "d" }}'
        api_port = 9190
        [[controller.auth.basic.users]]
        username = "a"
        password = "b"
        """,
        "[controller.server]\nxds_port = 19000",
        ID="x",
        APIP_GW_CONTROLPLANE_HOST="h",
    )
    sources = loaded.sources
    assert sources["controller.server.gateway_id"] == f"{tmp_path}/0.toml (ID)"
    assert sources["controller.server.api_port"] == f"{tmp_path}/0.toml"
    assert sources["controller.server.xds_port"] == f"{tmp_path}/1.toml"
    assert sources["controller.auth.basic.users[0].username"] == f"{tmp_path}/0.toml"
    assert sources["controller.controlplane.host"] == "APIP_GW_CONTROLPLANE_HOST"
    assert sources["router.listener_port"] == "default"
    assert (loaded.interpolated.env_refs, loaded.interpolated.fields) == (1, 1)


def test_all_mistakes_are_reported_at_once(given: Load, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        given(
            """
            [controller]
            metrics = 5
            [controller.server]
            api_port = 0
            gateway_id = '{{ env "X" }}'
            [controller.controlplane]
            host = "h"
            sync_batch_size = "many"
            [[controller.auth.basic.users]]
            username = "a"
            password = {a = 1}
            """,
            APIP_GW_CONTROLLER_LOGGING_LEVEL="loud",
        )
    found = {problem.key: problem for problem in caught.value.problems}
    assert {key: problem.code for key, problem in found.items()} == {
        "controller.server.gateway_id": INTERPOLATION,
        "controller.metrics": TYPE,
        "controller.controlplane.sync_batch_size": TYPE,
        "controller.auth.basic.users[0].password": TYPE,
        "controller.server.api_port": VALUE,
        "controller.logging.level": VALUE,
    }
    level = found["controller.logging.level"]
    assert level.source == "APIP_GW_CONTROLLER_LOGGING_LEVEL"
    assert level.message == "logging.level must be one of: debug, info, warn, warning, error, got: loud"
    assert found["controller.server.api_port"].source == f"{tmp_path}/0.toml"
    assert 'expected an integer, got "many"' in found["controller.controlplane.sync_batch_size"].message
    assert all(problem.remedy for problem in found.values())
    assert str(caught.value).count("invalid configuration: ") == 6


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("a = ")
    (tmp_path / "latin.toml").write_bytes(b"a = '\xe4'")
    paths = [tmp_path / "missing.toml", tmp_path, tmp_path / "bad.toml", tmp_path / "latin.toml"]
    with pytest.raises(SettingsError) as caught:
        load(paths, {})
    assert [problem.code for problem in caught.value.problems] == [NO_FILE, NO_FILE, SYNTAX, SYNTAX]
    for path, problem in zip(paths, caught.value.problems, strict=True):
        assert problem.message.startswith(f'failed to load config file "{path}": ')


def test_huge_and_deep_files(tmp_path: Path) -> None:
    (tmp_path / "huge.toml").write_bytes(b"#" * (5 * 1024 * 1024))
    (tmp_path / "deep.toml").write_text("a = " + "[" * 100_000)
    with pytest.raises(SettingsError) as caught:
        load([tmp_path / "huge.toml", tmp_path / "deep.toml"], {})
    assert "larger than" in messages(caught)[0]
    assert "nested too deeply" in messages(caught)[1]


def test_secrets_never_appear_in_errors_and_are_masked_in_the_log(given: Load) -> None:
    secret = "very-secret-password"
    with pytest.raises(SettingsError) as caught:
        given(
            f"""
            [controller.controlplane]
            token = "{secret}"
            apim_oauth2_password = ["{secret}"]
            """,
        )
    assert secret not in str(caught.value)
    assert secret not in mask_secrets(f"log line with {secret}")


def test_a_password_that_is_a_url_is_the_dsn(given: Load) -> None:
    storage = '[controller.storage]\ntype = "postgres"\n[controller.storage.postgres]\n'
    url = "postgres://u:p@h/d"
    settings = given(storage, APIP_GW_CONTROLLER_STORAGE_POSTGRES_PASSWORD=url).settings
    assert settings.controller.storage.postgres.dsn.get_secret_value() == url
    settings = given(
        f'{storage}dsn = "postgres://u@h:5432/d?sslmode=require"',
        APIP_GW_CONTROLLER_STORAGE_POSTGRES_PASSWORD="p/w",
    ).settings
    assert settings.controller.storage.postgres.dsn.get_secret_value() == "postgres://u:p%2Fw@h:5432/d?sslmode=require"


def test_deprecated_analytics_keys_move_to_the_collector_while_analytics_is_on(given: Load) -> None:
    text = '[analytics]\nenabled = {}\nallow_payloads = true\npublishers.moesif.application_id = "x"'
    loaded = given(text.format("true"))
    assert loaded.settings.collector.request_body
    assert loaded.settings.collector.response_body
    assert "analytics.allow_payloads is deprecated" in loaded.warnings[0]
    assert not given(text.format("false")).settings.collector.request_body


def test_helm_values_with_nulls_raw_toml_and_literal_environment() -> None:
    loaded = load_values(
        {
            "gateway": {
                "config": {"controller": {"controlplane": {"gateway_name": None}}, "nonsense": {"a": 1}},
                "config_toml": "[gatewright]\nnative_policies = false",
                "controller": {
                    "metrics": {"enabled": True, "port": 9191},
                    "deployment": {"extraEnv": [{"name": "APIP_GW_CONTROLPLANE_HOST", "value": "h"}]},
                },
            },
        },
        {},
    )
    settings = loaded.settings
    assert settings.controller.controlplane.gateway_name == ""
    assert settings.controller.controlplane.host == "h"
    assert (settings.controller.metrics.enabled, settings.controller.metrics.port) == (True, 9191)
    assert settings.gatewright.native_policies is False
    assert loaded.sources["controller.metrics.port"] == "values: gateway.controller.metrics.port"
    assert len(loaded.warnings) == 1


@pytest.mark.parametrize("values", [{}, {"gateway": None}, {"gateway": {"config": [], "controller": "x"}}])
def test_odd_helm_values_are_survived(values: dict[str, object]) -> None:
    assert load_values(values, {}).settings == Settings()


def test_loading_logs_nothing(given: Load, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        given("[nonsense]\na = 1")
    assert caplog.records == []


def test_importing_the_room_loads_none_of_the_tree() -> None:
    code = (
        "import sys, gatewright.settings\n"
        "assert not {'pydantic', 'structlog'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
