"""The compose file: what compose says to it, what it runs with, and its processes running for real."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deploy_compose as compose
import jsonschema
import pytest
import yaml
from deploy_chart import REPOSITORY
from deploy_images import VERSION
from deploy_network import GATEWAY, Network
from deploy_tools import CACHE

from gatewright.settings import check
from postgres_server.server import PASSWORD

OURS = ("hub", "register", "gateway-controller", "gateway-runtime")
GIVEN = {"POSTGRES_PASSWORD": "a-password"}
PORTS_OF_THE_ORIGINAL = {"9090:9090", "9094:9092", "9011:9091", "8080:8080", "8443:8443"}


def test_the_specification_of_compose_accepts_it() -> None:
    schema = CACHE.parent / "compose-spec.json"
    if not schema.exists():
        pytest.skip("the schema of compose is not here: scripts/install-tools.sh fetches it, with Go")
    jsonschema.validate(yaml.safe_load(compose.FILE.read_text()), json.loads(schema.read_text()))


def test_services_have_no_rights_and_fixed_images() -> None:
    found = compose.services(GIVEN)
    for name in OURS:
        service = found[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["image"].partition(":")[2] == VERSION
    for name in set(found) - set(OURS):
        assert ":" in found[name]["image"].rpartition("/")[2], "an image without a version"


def test_ports_are_those_of_the_original_and_only_traffic_is_open() -> None:
    published = [str(port) for service in compose.services(GIVEN).values() for port in service.get("ports", ())]
    local = {port.removeprefix("127.0.0.1:") for port in published if port.startswith("127.0.0.1:")}
    assert {port.removeprefix("127.0.0.1:") for port in published} >= PORTS_OF_THE_ORIGINAL
    assert {port for port in published if not port.startswith("127.")} == {"8080:8080", "8443:8443"}
    assert local == {"9090:9090", "9094:9092", "9011:9091", "9243:9243"}


def test_a_password_is_asked_for() -> None:
    with pytest.raises(AssertionError, match=r"set it in \.env"):
        compose.services({})
    example = (compose.FOLDER / "example.env").read_text()
    assert "\nPOSTGRES_PASSWORD=\n" in example


@pytest.mark.parametrize("name", ["config.toml", "router.toml"])
def test_the_configuration_is_good(name: str, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "token").write_text("t\n")
    text = (compose.FOLDER / name).read_text()
    assert tomllib.loads(text)
    file = tmp_path / name
    file.write_text(text.replace("/secrets/gateway-controller", str(secrets)))
    report = check([file], {"APIP_CONFIG_FILE_SOURCE_ALLOWLIST": str(secrets)})
    assert (report.problems, report.warnings) == ((), ())


def test_the_image_build_reaches_all_that_it_copies() -> None:
    """What the Containerfile copies is there, and not hidden from the build."""
    wanted = [
        line.split()[1:-1]
        for line in (REPOSITORY / "deploy" / "image" / "Containerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
    ]
    shown = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for path in (path for paths in wanted for path in paths):
        assert (REPOSITORY / path).exists()
        assert any(path == entry or path.startswith(f"{entry}/") for entry in shown), path


@pytest.fixture
def composed(built: dict[str, str], tmp_path: Path, postgres_server: Any) -> Iterator[compose.Composed]:
    assert built
    postgres_server.execute("DROP DATABASE IF EXISTS gateway WITH (FORCE)")
    postgres_server.execute("CREATE DATABASE gateway")
    with Network() as network, network.forwarding(5432, ("127.0.0.1", postgres_server.port)):
        hosts = {"postgres": GATEWAY, "redis": GATEWAY}
        with compose.Composed(network, tmp_path, {"POSTGRES_PASSWORD": PASSWORD}, hosts) as running:
            yield running


@pytest.mark.long
def test_everything_comes_up_is_connected_and_serves(composed: compose.Composed) -> None:
    for name in OURS:
        composed.start(name)
    status = composed.execute("hub", "gatewright", "hub", "gateways", "--data-dir", "/app/data", "-o", "json")
    (gateway,) = json.loads(status)
    assert (gateway["id"], gateway["connections"]) == ("prod-gateway", 1)
    document = {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "RestApi",
        "metadata": {"name": "here"},
        "spec": {
            "displayName": "here",
            "version": "v1.0",
            "context": "/here",
            "upstream": {"main": {"url": "http://redis:1"}},
            "operations": [{"method": "GET", "path": "/items"}],
        },
    }
    deploy = ("gatewright", "hub", "deploy", "--data-dir", "/app/data", "--gateway", "prod-gateway", "-f", "-")
    composed.execute("hub", *deploy, given=json.dumps(document))
    # The router has the route: it goes on to the upstream, where nobody is.
    assert composed.status("gateway-runtime", 8080, "/here/items") == 503
    assert composed.status("gateway-runtime", 8080, "/elsewhere") == 404


@pytest.mark.long
def test_registering_again_keeps_the_token(composed: compose.Composed) -> None:
    tokens = []
    composed.start("hub")
    for _ in range(2):
        composed.start("register")
        composed.stop("register")
        tokens.append((composed.volume("credentials") / "token").read_text())
    assert tokens[0]
    assert tokens[0] == tokens[1]
