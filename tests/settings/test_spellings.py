"""Every spelling of the control-plane page, in Helm values and in the environment, and what it resolves to.

One row per row of the published table (S: values, E: environment) and per published test vector (V).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gatewright.settings import Loaded, load, load_values
from gatewright.settings.documents import Document
from gatewright.settings.durations import format_duration
from gatewright.settings.environment import overlay_environment
from gatewright.settings.resolving import as_raw
from gatewright.settings.schema import canonical, canonical_names, keys

LINK = "controller.controlplane"
P = "APIP_GW_"
E1 = f"{P}CONTROLLER_CONTROLPLANE_APIM__OAUTH2__CLIENT__ID"
E2 = f"{P}CONTROLLER_CONTROLPLANE_APIM__OAUTH2__CLIENT__SECRET"
E3 = f"{P}CONTROLLER__CONTROLPLANE__APIM_OAUTH2__CLIENT_ID"
E4 = f"{P}CONTROLLER__CONTROLPLANE__APIM_OAUTH2__CLIENT_SECRET"
E5 = f"{P}CONTROLLER__CONTROLPLANE__APIM_OAUTH2__USERNAME"
E6 = f"{P}CONTROLLER__CONTROLPLANE__APIM_OAUTH2__PASSWORD"
E7_USER = f"{P}CONTROLLER_CONTROLPLANE_APIM__OAUTH2__USERNAME"
E7_PASSWORD = f"{P}CONTROLLER_CONTROLPLANE_APIM__OAUTH2__PASSWORD"
E8_ID = f"{P}CONTROLLER_CONTROLPLANE_APIM_OAUTH2_CLIENT_ID"
E8_SECRET = f"{P}CONTROLLER_CONTROLPLANE_APIM_OAUTH2_CLIENT_SECRET"
HOST = {f"{P}CONTROLLER_CONTROLPLANE_HOST": "h"}


@dataclass(frozen=True)
class Row:
    """One row: what the user writes, and the values that must come out."""

    name: str
    expect: Mapping[str, object]
    values: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    toml: str = ""
    warns: str = ""


def config(**controller: Any) -> dict[str, Any]:
    return {"gateway": {"config": {"controller": controller}}}


def chart(**control_plane: Any) -> dict[str, Any]:
    return {"gateway": {"controller": {"controlPlane": control_plane}}}


VALUES = [
    Row("S1 fallback", {f"{LINK}.gateway_name": "prod-gateway"}, config(gateway_name="prod-gateway")),
    Row(
        "S1 never wins",
        {f"{LINK}.gateway_name": "right"},
        config(gateway_name="prod-gateway", controlplane={"gateway_name": "right"}),
    ),
    Row("S2", {"controller.server.gateway_id": "g"}, config(server={"gateway_id": "g"})),
    Row("S3", {f"{LINK}.insecure_skip_verify": True}, config(controlplane={"insecure_skip_verify": True})),
    Row(
        "S4",
        {f"{LINK}.reconnect_initial": "1s", f"{LINK}.reconnect_max": "5m0s", f"{LINK}.polling_interval": "15m0s"},
        config(controlplane={"reconnect_initial": "1s", "reconnect_max": "5m", "polling_interval": "15m"}),
    ),
    Row("S5", {f"{LINK}.sync_batch_size": 50}, config(controlplane={"sync_batch_size": 50})),
    Row("S6", {f"{LINK}.gateway_name": "prod-gateway"}, config(controlplane={"gateway_name": "prod-gateway"})),
    Row(
        "S7",
        {f"{LINK}.host": "apim-wso2am.example.com:9443"},
        chart(host="apim-wso2am.example.com:9443"),
    ),
    Row("S7 explicit port", {f"{LINK}.host": "apim.example.com:8443"}, chart(host="apim.example.com", port=8443)),
    Row("S7 host has a port", {f"{LINK}.host": "h:9443"}, chart(host="h:9443", port=8443)),
    Row(
        "S7 chart 1.0 environment",
        {f"{LINK}.host": "h:9443"},
        environ={f"{P}CONTROLPLANE_HOST": "h:9443", f"{P}CONTROLPLANE_PORT": "8443"},
    ),
    Row("S8 no port value", {f"{LINK}.host": "apim.example.com"}, chart(host="apim.example.com")),
    Row(
        "S8 chart default in the environment",
        {f"{LINK}.host": "apim.example.com"},
        environ={f"{P}CONTROLPLANE_HOST": "apim.example.com", f"{P}CONTROLPLANE_PORT": "8443"},
        warns=f"{P}CONTROLPLANE_PORT=8443 is not added",
    ),
    Row(
        "S8 another port in the environment",
        {f"{LINK}.host": "apim.example.com:9443"},
        environ={f"{P}CONTROLPLANE_HOST": "apim.example.com", f"{P}CONTROLPLANE_PORT": "9443"},
    ),
    Row(
        "S9 secret of 1.0 and 1.1",
        {f"{LINK}.token": "tok"},
        chart(host="h:9443", token={"secretName": "gateway-cp-token", "key": "token"}),
        {f"{P}GATEWAY_REGISTRATION_TOKEN": "tok"},
    ),
    Row(
        "S9 secret of 1.2",
        {f"{LINK}.token": "tok"},
        chart(host="h:9443", token={"secretName": "gateway-cp-token", "key": "token"}),
        {f"{P}CONTROLLER_CONTROLPLANE_TOKEN": "tok"},
    ),
    Row("S9 literal", {f"{LINK}.token": "tok"}, chart(host="h", token={"value": "tok"})),
    Row(
        "S10",
        {f"{LINK}.apim_oauth2_client_id": "id", f"{LINK}.apim_oauth2_client_secret": "sec"},
        {
            "gateway": {
                "controller": {
                    "deployment": {"extraEnvFrom": [{"secretRef": {"name": "apim-oauth-client-secret-secret"}}]},
                },
            },
        },
        {E1: "id", E2: "sec"},
    ),
    Row(
        "S11 stops the platform push only",
        {f"{LINK}.pushes_to_platform": False, f"{LINK}.pushes_to_apim": True},
        config(controlplane={"deployment_push_enabled": False}),
    ),
    Row(
        "S11 the new key wins",
        {f"{LINK}.pushes_to_platform": True, f"{LINK}.pushes_to_apim": True},
        config(controlplane={"deployment_push_enabled": False, "deployment_sync_enabled": True}),
    ),
    Row(
        "S11 the new key stops both",
        {f"{LINK}.pushes_to_platform": False, f"{LINK}.pushes_to_apim": False},
        config(controlplane={"deployment_push_enabled": True, "deployment_sync_enabled": False}),
    ),
    Row("S11 neither", {f"{LINK}.pushes_to_platform": True, f"{LINK}.pushes_to_apim": True}),
]

OAUTH = {f"{LINK}.apim_oauth2_client_id": "id", f"{LINK}.apim_oauth2_client_secret": "sec"}
ROPC = {f"{LINK}.apim_oauth2_username": "u", f"{LINK}.apim_oauth2_password": "p"}

ENVIRONMENT = [
    Row("E1 E2", OAUTH, environ={E1: "id", E2: "sec"}),
    Row("E3 E4", OAUTH, environ={E3: "id", E4: "sec"}),
    Row("E5 E6", ROPC, environ={E5: "u", E6: "p"}),
    Row("E7", ROPC, environ={E7_USER: "u", E7_PASSWORD: "p"}),
    Row("E8", OAUTH, environ={E8_ID: "id", E8_SECRET: "sec"}),
    Row(
        "E9",
        {f"{LINK}.host": "h:1", f"{LINK}.token": "t"},
        environ={f"{P}CONTROLPLANE_HOST": "h:1", f"{P}GATEWAY_REGISTRATION_TOKEN": "t"},
    ),
    Row("E10", {f"{LINK}.host": "h:1"}, environ={f"{P}CONTROLLER__CONTROLPLANE__HOST": "h:1"}),
    Row(
        "E11",
        {
            f"{LINK}.host": "h",
            f"{LINK}.token": "t",
            f"{LINK}.gateway_name": "n",
            f"{LINK}.insecure_skip_verify": True,
            f"{LINK}.deployment_sync_enabled": False,
        },
        environ={
            f"{P}CONTROLLER_CONTROLPLANE_HOST": "h",
            f"{P}CONTROLLER_CONTROLPLANE_TOKEN": "t",
            f"{P}CONTROLLER_CONTROLPLANE_GATEWAY_NAME": "n",
            f"{P}CONTROLLER_CONTROLPLANE_INSECURE_SKIP_VERIFY": "true",
            f"{P}CONTROLLER_CONTROLPLANE_DEPLOYMENT_SYNC_ENABLED": "false",
        },
    ),
]

ALGORITHM = [
    Row(
        "2 short names",
        {
            f"{LINK}.reconnect_initial": "2s",
            f"{LINK}.reconnect_max": "3m0s",
            f"{LINK}.polling_interval": "4m0s",
            f"{LINK}.insecure_skip_verify": True,
        },
        environ={
            f"{P}RECONNECT_INITIAL": "2s",
            f"{P}RECONNECT_MAX": "3m",
            f"{P}POLLING_INTERVAL": "4m",
            f"{P}INSECURE_SKIP_VERIFY": "1",
        },
    ),
    Row(
        "2 push enabled of 1.1",
        {f"{LINK}.pushes_to_platform": False, f"{LINK}.pushes_to_apim": True},
        environ={f"{P}CONTROLLER_CONTROLPLANE_DEPLOYMENT_PUSH_ENABLED": "false"},
    ),
    Row("2 gateway name fallback", {f"{LINK}.gateway_name": "n"}, environ={f"{P}CONTROLLER_GATEWAY_NAME": "n"}),
    Row(
        "2 development mode of 1.1",
        {"gatewright.generate_encryption_keys": True},
        environ={f"{P}DEVELOPMENT_MODE": "TRue"},
    ),
    Row(
        "2 any other word is no development mode",
        {"gatewright.generate_encryption_keys": None},
        environ={f"{P}DEVELOPMENT_MODE": "yes"},
    ),
    Row(
        "2 immutable gateway",
        {"immutable_gateway.enabled": True},
        environ={f"{P}IMMUTABLE_GATEWAY_ENABLED": "true"},
    ),
    Row(
        "2 first basic user",
        {
            "controller.auth.basic.users": [
                {"username": "root", "password": "$2y$10$x", "password_hashed": True, "roles": ["admin"]},
            ],
        },
        environ={
            f"{P}CONTROLLER_AUTH_BASIC_ADMIN_USERNAME": "root",
            f"{P}CONTROLLER_AUTH_BASIC_ADMIN_PASSWORD_HASH": "$2y$10$x",
        },
    ),
    Row(
        "2 first basic user, others stay",
        {
            "controller.auth.basic.users": [
                {"username": "root", "password": "$2y$10$x", "password_hashed": True, "roles": ["admin"]},
                {"username": "dev", "password": "d", "password_hashed": False, "roles": ["developer"]},
            ],
        },
        environ={
            f"{P}CONTROLLER_AUTH_BASIC_ADMIN_USERNAME": "root",
            f"{P}CONTROLLER_AUTH_BASIC_ADMIN_PASSWORD_HASH": "$2y$10$x",
        },
        toml="""
            [[controller.auth.basic.users]]
            username = "admin"
            password = "admin"
            [[controller.auth.basic.users]]
            username = "dev"
            password = "d"
            roles = ["developer"]
        """,
    ),
    Row(
        "3 underscores collapse, any case", {f"{LINK}.host": "h"}, environ={f"{P}_controller___ControlPlane_HOST_": "h"}
    ),
    Row(
        "5 the spelling of 1.2 wins",
        {f"{LINK}.apim_oauth2_client_id": "new"},
        environ={E8_ID: "new", E1: "old", E3: "other"},
        warns=f"{E8_ID}, {E1}, {E3} give different values for {LINK}.apim_oauth2_client_id; {E8_ID} is used",
    ),
    Row(
        "5 then that of 1.1",
        {f"{LINK}.apim_oauth2_client_id": "old"},
        environ={E3: "other", E1: "old"},
        warns=f"{E1}, {E3} give different values",
    ),
    Row(
        "5 long before short",
        {f"{LINK}.host": "long"},
        environ={f"{P}CONTROLPLANE_HOST": "short", f"{P}CONTROLLER_CONTROLPLANE_HOST": "long"},
        warns="give different values",
    ),
    Row(
        "5 short before other",
        {f"{LINK}.host": "short"},
        environ={f"{P}CONTROLPLANE_HOST": "short", f"{P}CONTROLLER__CONTROLPLANE__HOST": "other"},
        warns="give different values",
    ),
    Row(
        "5 ties by name",
        {f"{LINK}.host": "a"},
        environ={f"{P}CONTROLLER__CONTROLPLANE_HOST": "a", f"{P}CONTROLLER__CONTROLPLANE__HOST": "b"},
        warns="give different values",
    ),
    Row(
        "6 port joins the host of a file",
        {f"{LINK}.host": "filehost:9443"},
        environ={f"{P}CONTROLPLANE_PORT": "9443"},
        toml='[controller.controlplane]\nhost = "filehost"',
    ),
    Row("6 port without host", {f"{LINK}.host": ""}, environ={f"{P}CONTROLPLANE_PORT": "9443"}),
    Row(
        "6 address in brackets",
        {f"{LINK}.host": "[::1]:9443"},
        environ={f"{P}CONTROLPLANE_HOST": "[::1]", f"{P}CONTROLPLANE_PORT": "9443"},
    ),
    Row(
        "7 environment wins over the file",
        {f"{LINK}.host": "env"},
        environ={f"{P}CONTROLPLANE_HOST": "env"},
        toml='[controller.controlplane]\nhost = "file"',
    ),
    Row(
        "7 service links are not settings",
        {"controller.metrics.port": 9091, "controller.server.api_port": 9090, f"{LINK}.host": ""},
        environ={
            f"{P}CONTROLLER_METRICS_PORT": "tcp://10.0.0.1:9091",
            f"{P}CONTROLLER_SERVER_API_PORT": "udp://10.0.0.1:1",
            f"{P}CONTROLPLANE_PORT": "sctp://10.0.0.1:1",
            f"{P}CONTROLLER_PORT": "tcp://10.0.0.1:9090",
            f"{P}CONTROLLER_SERVICE_HOST": "10.0.0.1",
            f"{P}CONTROLLER_SERVICE_PORT": "9090",
            f"{P}CONTROLLER_SERVICE_PORT_REST": "9090",
            f"{P}CONTROLLER_PORT_9090_TCP_ADDR": "10.0.0.1",
        },
    ),
    Row(
        "8 list",
        {"controller.admin_server.allowed_ips": ["1.2.3.4"]},
        environ={f"{P}CONTROLLER_ADMIN_SERVER_ALLOWED_IPS": "1.2.3.4"},
    ),
    Row(
        "8 list with commas",
        {"controller.admin_server.allowed_ips": ["1.2.3.4", "5.6.7.8"]},
        environ={f"{P}CONTROLLER_ADMIN_SERVER_ALLOWED_IPS": "1.2.3.4, 5.6.7.8"},
    ),
    Row(
        "8 conversions",
        {
            "controller.server.api_port": 16,
            "controller.server.shutdown_timeout": "1m30s",
            "router.https_enabled": False,
        },
        environ={
            f"{P}CONTROLLER_SERVER_API__PORT": "0x10",
            f"{P}CONTROLLER_SERVER_SHUTDOWN_TIMEOUT": "1m30s",
            f"{P}ROUTER_HTTPS_ENABLED": "F",
        },
    ),
]


def file(line: str) -> str:
    return f"[controller.controlplane]\n{line}\n"


VECTORS = [
    Row("V1", {f"{LINK}.apim_oauth2_client_id": "abc"}, environ={E1: "abc"}, toml=file('apim_oauth2_client_id = ""')),
    Row("V2", {f"{LINK}.apim_oauth2_client_id": "abc"}, environ={E3: "abc"}),
    Row(
        "V3",
        ROPC,
        environ={E5: "u", E6: "p"},
        toml=file('apim_oauth2_username = ""\napim_oauth2_password = ""'),
    ),
    Row("V4", {f"{LINK}.apim_oauth2_client_id": "lit"}, environ={E1: ""}, toml=file('apim_oauth2_client_id = "lit"')),
    Row(
        "V5",
        {f"{LINK}.apim_oauth2_client_id": "abc"},
        environ={E1: "abc"},
        toml=file('apim_oauth2_client_id = "your-client-id"'),
    ),
    Row(
        "V6",
        {f"{LINK}.token": "t"},
        environ={f"{P}GATEWAY_REGISTRATION_TOKEN": "t", **HOST},
        toml=file("""token = '{{ env "APIP_GW_CONTROLLER_CONTROLPLANE_TOKEN" "" }}'"""),
    ),
    Row(
        "V7",
        {f"{LINK}.host": "h:9443"},
        environ={f"{P}CONTROLPLANE_HOST": "h:9443", f"{P}CONTROLPLANE_PORT": "8443"},
        toml=file('host = ""'),
    ),
    Row(
        "V8",
        {"controller.server.gateway_id": "g1"},
        environ={f"{P}CONTROLLER_SERVER_GATEWAY_ID": "g1"},
        toml="""[controller.server]
            gateway_id = '{{ env "APIP_GW_CONTROLLER_SERVER_GATEWAY_ID" "platform-gateway-id" }}'""",
    ),
    Row("V9", {"controller.server.gateway_id": "g1"}, environ={f"{P}CONTROLLER_SERVER_GATEWAY__ID": "g1"}),
    Row(
        "V10",
        {"policy_engine.logging.level": "debug"},
        environ={f"{P}POLICY_ENGINE_LOGGING_LEVEL": "debug"},
    ),
    Row(
        "V11",
        {"controller.server.gateway_id": "platform-gateway-id"},
        environ={f"{P}UNKNOWN_THING": "x"},
        warns=f"environment variable {P}UNKNOWN_THING is not known and is ignored",
    ),
]


def resolve(row: Row, folder: Path) -> Loaded:
    environ = dict(row.environ)
    if any(name.endswith("token") for name in row.expect) and not row.values and not row.toml:
        environ = {**HOST, **environ} if not any("HOST" in name for name in environ) else environ
    if row.values:
        return load_values(row.values, environ)
    path = folder / "config.toml"
    path.write_text(row.toml, encoding="utf-8")
    return load([path], environ)


def effective(loaded: Loaded, key: str) -> object:
    value: Any = loaded.settings
    for name in key.split("."):
        value = getattr(value, name)
    raw = as_raw(value)
    return format_duration(raw) if hasattr(raw, "total_seconds") else raw


def check_row(row: Row, folder: Path) -> None:
    loaded = resolve(row, folder)
    assert {key: effective(loaded, key) for key in row.expect} == dict(row.expect)
    if row.warns:
        assert any(row.warns in warning for warning in loaded.warnings), loaded.warnings
    else:
        assert loaded.warnings == ()


def rows(table: list[Row]) -> Any:
    return pytest.mark.parametrize("row", table, ids=[row.name for row in table])


@rows(VALUES)
def test_values(row: Row, tmp_path: Path) -> None:
    check_row(row, tmp_path)


@pytest.mark.conforms("OP-028", "OP-029", "OP-031", "OP-032", "OP-033")
@rows(ENVIRONMENT)
def test_environment(row: Row, tmp_path: Path) -> None:
    check_row(row, tmp_path)


@pytest.mark.conforms("OP-034", "OP-037")
@rows([*ALGORITHM, *VECTORS])
def test_algorithm_and_vectors(row: Row, tmp_path: Path) -> None:
    check_row(row, tmp_path)


@pytest.mark.conforms("OP-030")
@pytest.mark.parametrize("names", [(E5, E6), (E7_USER, E7_PASSWORD)])
def test_password_grant_and_old_push_switch(names: tuple[str, str]) -> None:
    user, password = names
    loaded = load_values(config(controlplane={"deployment_push_enabled": False}), {user: "u", password: "p"})
    link = loaded.settings.controller.controlplane
    assert (link.apim_oauth2_username, link.apim_oauth2_password.get_secret_value()) == ("u", "p")
    assert link.pushes_to_apim


@pytest.mark.conforms("OP-035")
def test_unknown_and_service_link_names_change_nothing() -> None:
    plain = load([], {}).settings
    loaded = load(
        [],
        {
            f"{P}CONTROLER_SERVER_API_PORT": "1",
            f"{P}CONTROLLER_SERVICE_PORT": "1",
            f"{P}CONTROLLER_METRICS_PORT_9091_TCP": "tcp://1.2.3.4:9091",
        },
    )
    assert loaded.settings == plain
    (warning,) = loaded.warnings
    assert f"{P}CONTROLER_SERVER_API_PORT is not known" in warning
    assert warning.endswith(f"did you mean {P}CONTROLLER_SERVER_API_PORT?")


@pytest.mark.conforms("OP-036")
def test_conflict_warning_never_prints_values() -> None:
    loaded = load([], {**HOST, f"{P}CONTROLLER_CONTROLPLANE_TOKEN": "alpha", f"{P}GATEWAY_REGISTRATION_TOKEN": "beta"})
    (warning,) = loaded.warnings
    assert "CONTROLPLANE_TOKEN" in warning
    assert "GATEWAY_REGISTRATION_TOKEN" in warning
    assert "alpha" not in warning
    assert "beta" not in warning


def test_equal_values_under_several_names_are_no_conflict() -> None:
    loaded = load([], {**HOST, f"{P}CONTROLLER_CONTROLPLANE_TOKEN": "same", f"{P}GATEWAY_REGISTRATION_TOKEN": "same"})
    assert loaded.warnings == ()


def test_no_two_keys_share_an_environment_name() -> None:
    settable = [info for info in keys() if info.from_environment]
    assert len({canonical(info.path) for info in settable}) == len(settable) == len(canonical_names())


@pytest.mark.parametrize("info", [info for info in keys() if info.from_environment], ids=lambda info: info.path)
def test_every_key_has_both_spellings(info: Any) -> None:
    double = P + info.path.replace("_", "__").replace(".", "_").upper()
    for name in (info.variable, double):
        document = Document()
        assert overlay_environment(document, {name: "x"}) == []
        assert document.get(info.path) in ("x", ["x"])
        assert document.source_of(info.path) == name


def test_sources_of_the_first_user(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("""
        [[controller.auth.basic.users]]
        username = "admin"
        password = "admin"
        [[controller.auth.basic.users]]
        username = "dev"
        password = "d"
    """)
    variable = f"{P}CONTROLLER_AUTH_BASIC_ADMIN_PASSWORD_HASH"
    sources = load([path], {variable: "$2y$10$x"}).sources
    users = "controller.auth.basic.users"
    assert sources[f"{users}[0].username"] == str(path)
    assert sources[f"{users}[0].password"] == variable
    assert sources[f"{users}[0].password_hashed"] == variable
    assert sources[f"{users}[1].password"] == str(path)


def test_strict_uses_the_environment_through_tokens_only(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        """
        [controller.controlplane]
        host = '{{ env "APIP_GW_CONTROLLER_CONTROLPLANE_HOST" "" }}'
        gateway_name = "file"
        """,
    )
    environ = {
        f"{P}CONTROLLER_CONTROLPLANE_HOST": "h:1",
        f"{P}CONTROLLER_CONTROLPLANE_GATEWAY_NAME": "env",
        f"{P}NO_SUCH_KEY": "x",
    }
    loaded = load([path], environ, strict=True)
    assert loaded.settings.controller.controlplane.host == "h:1"
    assert loaded.settings.controller.controlplane.gateway_name == "file"
    assert loaded.warnings == ()


def test_placeholder_of_the_sample_file_counts_as_unset(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(file('apim_oauth2_client_id = "your-client-id"\napim_oauth2_client_secret = "your-client-secret"'))
    loaded = load([path], {})
    assert loaded.settings.controller.controlplane.apim_oauth2_client_id == ""
    assert len(loaded.warnings) == 2


def test_a_scheme_before_the_host_is_left_out() -> None:
    loaded = load([], {f"{P}CONTROLPLANE_HOST": "https://cp.example.com:9443/path"})
    assert loaded.settings.controller.controlplane.host == "cp.example.com:9443"
    assert "must be host or host:port" in loaded.warnings[0]


def test_variables_of_the_runtime_image_reach_envoy() -> None:
    loaded = load(
        [],
        {
            "ROUTER_CONCURRENCY": "2",
            "LOG_LEVEL": "verbose",
            "ROUTER_XDS_PORT": "tcp://10.0.0.1:18000",
            "GATEWAY_CONTROLLER_HOST": "controller",
            f"{P}ROUTER_RE2_MAX_PROGRAM_SIZE": "500",
        },
    )
    own = loaded.settings.gatewright
    assert (own.envoy.concurrency, own.envoy.log_level, own.envoy.re2_max_program_size) == (2, "warning", 500)
    assert (own.remote_controller.host, own.remote_controller.xds_port) == ("controller", 0)
    assert loaded.warnings == ()
