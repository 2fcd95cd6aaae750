"""The page about Kubernetes, followed on a real cluster of one node; API Manager and database are outside of it."""

import base64
import contextlib
import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deploy_images as images
import deploy_tools as tools
import pytest
import yaml
from deploy_api_manager import ApiManager, publisher_api, rest_api, until
from deploy_network import GATEWAY, Network
from documentation_pages import Reader
from kubernetes_load import Load
from kubernetes_machine import Machine
from kubernetes_node import Node
from kubernetes_operators import Certificates, register
from kubernetes_programs import FOLDER
from kubernetes_servers import ControlPlane

from postgres_server.server import PASSWORD

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "install-kubernetes.md").read_text()
NAMESPACE = "ap-gateway"
NAME = "prod-gateway"
APIM = "apim.example.com"
IMAGES = {part: f"registry.example.com/gatewright/{part}:{images.VERSION}" for part in images.TARGETS}
# A node with two cores: what Pods ask for is less than what the chart proposes, the rest is the page's.
SMALL = """
gateway:
  controller: {deployment: {resources: {requests: {cpu: 50m}}}}
  gatewayRuntime: {deployment: {resources: {requests: {cpu: 50m, memory: 256Mi}}}}
"""


@dataclass
class Cluster:
    """With somebody before it who reads the page."""

    plane: ControlPlane
    node: Node
    network: Network
    apim: ApiManager
    backend: str
    reader: Reader

    def follow(self, title: str, until: str) -> None:
        """The page from one headline to before another one."""
        part = PAGE[PAGE.index(f"## {title}") : PAGE.index(f"## {until}")]
        self.reader.follow(part)

    def prepare(self) -> None:
        """What the page takes for granted: a gateway known to the control plane, and an OAuth2 client."""
        folder = self.reader.folder
        gateway = self.apim.ask(lambda client: client.register_gateway(NAME))
        (folder / "gateway.token").write_text(gateway["registrationToken"])
        (folder / "company-ca.pem").write_text(self.apim.authority)
        (folder / "small.yaml").write_text(SMALL)
        oauth = self.apim.ask(lambda client: client.register_client("gateway-controller"))
        self.reader.replaced = {
            "=CLIENT_ID": f"={oauth['clientId']}",
            "=CLIENT_SECRET": f"={oauth['clientSecret']}",
            "--values values.yaml": "--values values.yaml --values authority.yaml --values small.yaml",
        }

    def kubectl(self, *words: str) -> str:
        return self.plane.kubectl(*words, namespace=NAMESPACE)

    def service(self, component: str) -> str:
        """The address of a Service."""
        found: str = self.plane.get("service", f"{NAMESPACE}-{component}", namespace=NAMESPACE)["spec"]["clusterIP"]
        return found

    def balanced(self) -> str:
        """The address under which clients outside the cluster find the routers."""
        status = self.plane.get("service", f"{NAMESPACE}-gateway-runtime", namespace=NAMESPACE)["status"]
        found: str = status["loadBalancer"]["ingress"][0]["ip"]
        return found

    def ask(self, address: str, port: int, path: str, method: str = "GET", **options: Any) -> tuple[int, str]:
        def request() -> tuple[int, str]:
            connection = http.client.HTTPConnection(address, port, timeout=30)
            with contextlib.closing(connection):
                connection.request(method, path, **options)
                response = connection.getresponse()
                return response.status, response.read().decode()

        return self.network.inside(request)

    def serves(self, path: str) -> None:
        def answers() -> bool:
            with contextlib.suppress(OSError):
                return self.ask(self.balanced(), 8080, path)[0] == 200
            return False

        until(answers, f"{path} is served")

    def make(self, name: str) -> None:
        """An API at the gateway, as the administrator whose password the last start has printed."""
        password = re.findall(r"password +(\S+)", self.reader.printed)[-1]
        credentials = base64.b64encode(f"admin:{password}".encode()).decode()
        headers = {"authorization": f"Basic {credentials}", "content-type": "application/yaml"}
        body = yaml.safe_dump(rest_api(name, self.backend))
        path = "/api/management/v1/rest-apis"
        status, text = self.ask(self.service("controller"), 9090, path, "POST", body=body, headers=headers)
        assert status == 201, text

    def push(self, name: str) -> None:
        """An API at the control plane, deployed to the gateway."""
        made = self.apim.ask(lambda client: client.create_api(publisher_api(name, self.backend)))
        revision = self.apim.ask(lambda client: client.create_revision(made["id"]))
        self.apim.ask(lambda client: client.deploy(made["id"], revision, [NAME]))

    def state(self) -> str:
        """For the report of a failure."""
        told = [self.kubectl("get", "all,pvc,events", "-o", "wide")]
        for pod in self.plane.get("pods", namespace=NAMESPACE)["items"]:
            name = pod["metadata"]["name"]
            told += [self.kubectl("describe", "pod", name), self.kubectl("logs", name, "--all-containers", "--tail=40")]
        return "\n".join(told)


@pytest.fixture
def cluster(
    for_a_node: dict[str, str], apart: Network, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    helm = tools.find("helm")
    if helm is None:
        pytest.skip("helm is not installed: scripts/install-tools.sh installs it, with Go")
    folder = tmp_path / "reader"
    folder.mkdir()
    (folder / "deploy").symlink_to(ROOT / "deploy")
    state = tmp_path_factory.mktemp("k")
    with contextlib.ExitStack() as stack:
        machine = stack.enter_context(Machine(apart, state))
        plane = stack.enter_context(ControlPlane(state, machine))
        node = stack.enter_context(Node(plane, machine, {APIM: GATEWAY}))
        node.load({for_a_node[part]: name for part, name in IMAGES.items()}, tmp_path)
        apim = ApiManager(apart, tmp_path, APIM)
        stack.callback(apim.stop)
        path = f"{FOLDER}:{Path(helm).parent}:/usr/local/bin:/usr/bin:/bin"
        environ = {"KUBECONFIG": str(plane.kubeconfig()), "PATH": path}
        within = ("nsenter", f"--net=/run/netns/{apart.name}")
        reader = stack.enter_context(Reader(folder, {}, environ, cluster=True, within=within, patience_s=600))
        made = Cluster(plane, node, apart, apim, stack.enter_context(_backend(apart, tmp_path)), reader)
        made.prepare()
        try:
            yield made
        finally:
            print(made.state()[-30_000:])  # pytest shows it when the test fails
            print(plane.servers.log("kubelet"))


@contextlib.contextmanager
def _backend(network: Network, folder: Path) -> Iterator[str]:
    """A web server on the network; its URL. `/items` is a file."""
    (folder / "web").mkdir()
    (folder / "web" / "items").write_text("from the backend")
    command = network.command(sys.executable, "-m", "http.server", "8000", "--directory", str(folder / "web"))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://{GATEWAY}:8000"
    finally:
        process.terminate()
        process.wait(30)


def test_one_controller(cluster: Cluster) -> None:
    """From the Secrets to the first API in either direction, and away again; every command is the page's."""
    cluster.node.volume("disk", "1Gi")
    cluster.follow("Secrets", "Several controllers")
    assert "restricted" not in cluster.reader.printed, "no warning"
    cluster.push("down")
    cluster.serves("/down/items")
    cluster.make("up")
    cluster.serves("/up/items")
    until(lambda: cluster.apim.ask(lambda client: client.apis("name:up")), "the API made here is known there")
    cluster.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=controller")
    cluster.kubectl("rollout", "status", "deploy/ap-gateway-controller", "--timeout=300s")
    cluster.serves("/up/items")
    cluster.reader.follow("```sh\nkubectl -n ap-gateway logs deploy/ap-gateway-controller > again.log\n```\n")
    assert "Administrator" not in (cluster.reader.folder / "again.log").read_text(), "the volume has been kept"
    cluster.reader.follow(PAGE[PAGE.index("## Remove") :])
    kinds = "pods,deployments,services,networkpolicies,persistentvolumeclaims"
    cluster.plane.until(lambda: not cluster.plane.get(kinds, namespace=NAMESPACE)["items"], "everything is gone")


def test_several_controllers_lose_no_request(cluster: Cluster, postgres_server: Any) -> None:
    """On PostgreSQL, with routers that scale: Pods are replaced, one after the other, and clients do not notice."""
    postgres_server.execute("CREATE DATABASE gateway")
    register(cluster.plane)
    (cluster.reader.folder / "database.password").write_text(PASSWORD)
    _database(cluster.plane)
    replaced = dict(cluster.reader.replaced)
    # The server of the test has a certificate of nobody's.
    cluster.reader.replaced = {**replaced, "sslmode: verify-full": "sslmode: require"}
    with (
        cluster.network.forwarding(5432, ("127.0.0.1", postgres_server.port)),
        Certificates(cluster.plane),
    ):
        cluster.follow("Secrets", "Install")
        cluster.follow("Several controllers", "Change and upgrade")
        cluster.reader.follow(
            "```sh\nfor pod in $(kubectl -n ap-gateway get pods -o name | grep controller); do"
            " kubectl -n ap-gateway logs $pod | grep -A 2 Administrator || true; done\n```\n"
        )
        cluster.push("down")
        cluster.make("up")
        for name in ("down", "up"):
            cluster.serves(f"/{name}/items")
        until(lambda: _ready(cluster, "gateway-runtime") >= 2, "the autoscaler wants two routers, and has them")
        for words in (
            ("controller",),
            ("gateway-runtime",),
            ("helm",),
        ):
            with Load(cluster.network, cluster.balanced(), 8080, "/up/items") as load:
                _replace(cluster, words[0])
            print(f"{words[0]}: {load.answered} answered, {len(load.failed)} failed")
            assert load.answered > 100
            assert not load.failed


def _replace(cluster: Cluster, what: str) -> None:
    if what == "helm":
        script = (
            "helm upgrade ap-gateway deploy/helm/gateway --namespace ap-gateway --reuse-values --wait"
            " --set gateway.config.router.upstream.timeouts.route_timeout_ms=59000"
        )
    else:
        name = f"deploy/ap-gateway-{what}"
        script = f"kubectl -n ap-gateway rollout restart {name}\nkubectl -n ap-gateway rollout status {name}"
    cluster.reader.follow(f"```sh\n{script}\n```\n")
    gone = "pods", "-l", "app.kubernetes.io/instance=ap-gateway"
    cluster.plane.until(
        lambda: (
            not any(
                "deletionTimestamp" in pod["metadata"] for pod in cluster.plane.get(*gone, namespace=NAMESPACE)["items"]
            )
        ),
        "the old Pods have ended",
    )


def _ready(cluster: Cluster, component: str) -> int:
    status = cluster.plane.get("deployment", f"{NAMESPACE}-{component}", namespace=NAMESPACE)["status"]
    return int(status.get("readyReplicas", 0))


def _database(plane: ControlPlane) -> None:
    """The database is outside the cluster, under the name of a Service."""
    plane.kubectl("create", "namespace", "databases")
    service = {"ports": [{"port": 5432}]}
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "postgres-1", "labels": {"kubernetes.io/service-name": "postgres"}},
        "addressType": "IPv4",
        "ports": [{"port": 5432, "name": "", "protocol": "TCP"}],
        "endpoints": [{"addresses": [GATEWAY], "conditions": {"ready": True}}],
    }
    document = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "postgres"}, "spec": service}
    for item in (document, endpoints):
        plane.kubectl("create", "-f", "-", document=json.dumps(item), namespace="databases")
