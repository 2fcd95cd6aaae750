"""The page about Kubernetes, followed on a real cluster of one node; API Manager and database are outside of it."""

import base64
import contextlib
import http.client
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
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
from envoy_certificates import Authority
from kubernetes_load import Load
from kubernetes_machine import Machine
from kubernetes_node import Node
from kubernetes_operators import Certificates, register
from kubernetes_programs import FOLDER
from kubernetes_servers import ControlPlane, Failed

from postgres_server.server import PASSWORD

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "install-kubernetes.md").read_text()
NAMESPACE = "ap-gateway"
NAME = "prod-gateway"
APIM = "apim.example.com"
IMAGES = {part: f"registry.example.com/gatewright/{part}:{images.VERSION}" for part in images.TARGETS}
UPGRADE = ("--namespace", NAMESPACE, "--reuse-values", "--wait")
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
        """What the page takes for granted: a gateway that the control plane knows, and who signed its certificate."""
        folder = self.reader.folder
        gateway = self.apim.ask(lambda client: client.register_gateway(NAME))
        (folder / "gateway.token").write_text(gateway["registrationToken"])
        (folder / "company-ca.pem").write_text(self.apim.authority)
        (folder / "small.yaml").write_text(SMALL)
        self.reader.replaced = {
            # The name is one of the cluster; the reader is outside.
            "register apim.example.com:9443": "register localhost:9443 --ca-file company-ca.pem",
            "--values values.yaml": "--values values.yaml --values authority.yaml --values small.yaml",
        }

    def kubectl(self, *words: str) -> str:
        return self.plane.kubectl(*words, namespace=NAMESPACE)

    def type(self, *words: str) -> None:
        """A command that is not on the page, where the page's are given."""
        self.reader.follow(f"```sh\n{shlex.join(words)}\n```\n")

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
        for name in ("node", "logs/etcd"):
            stack.callback(shutil.rmtree, state / name, ignore_errors=True)
        machine = stack.enter_context(Machine(apart, state))
        plane = stack.enter_context(ControlPlane(state, machine))
        node = stack.enter_context(Node(plane, machine, {APIM: GATEWAY}))
        node.load({for_a_node[part]: name for part, name in IMAGES.items()}, tmp_path)
        apim = ApiManager(apart, tmp_path, APIM)
        stack.callback(apim.stop)
        path = f"{Path(sys.executable).parent}:{FOLDER}:{Path(helm).parent}:/usr/local/bin:/usr/bin:/bin"
        environ = {"KUBECONFIG": str(plane.kubeconfig()), "GATEWRIGHT_APIM_PASSWORD": "admin", "PATH": path}
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
    for component in ("controller", "gateway-runtime"):
        with no_loss(cluster, component):
            _restart(cluster, component)
    assert "Administrator" not in cluster.kubectl("logs", "deploy/ap-gateway-controller"), "the volume has been kept"
    cluster.make("later")
    together = ("--set", "gateway.allInOne.enabled=true")
    cluster.type("helm", "upgrade", "ap-gateway", "deploy/helm/gateway", *UPGRADE, *together)
    for name in ("down", "up", "later"):
        cluster.serves(f"/{name}/items")
    cluster.follow("Change and upgrade", "Remove")
    assert "kind: Deployment" in (cluster.reader.folder / "rendered.yaml").read_text()
    cluster.follow("Remove", "Tried")
    kinds = "pods,deployments,services,networkpolicies,persistentvolumeclaims"
    cluster.plane.until(lambda: not cluster.plane.get(kinds, namespace=NAMESPACE)["items"], "everything is gone")


def test_several_controllers_lose_no_request(cluster: Cluster, postgres_server: Any) -> None:
    """On PostgreSQL, with routers that scale: Pods are replaced, one after the other, and clients do not notice."""
    postgres_server.execute("CREATE DATABASE gateway")
    register(cluster.plane)
    _database(cluster.plane)
    authority = Authority()
    (cluster.reader.folder / "database.password").write_text(PASSWORD)
    (cluster.reader.folder / "database-ca.pem").write_text(authority.pem)
    both = "--values production.yaml --values database-authority.yaml"
    cluster.reader.replaced = {**cluster.reader.replaced, "--values production.yaml": both}
    with (
        cluster.network.forwarding(5432, ("127.0.0.1", postgres_server.port)),
        _certified(postgres_server, authority),
        Certificates(cluster.plane),
    ):
        cluster.follow("Secrets", "Install")
        cluster.follow("Several controllers", "Change and upgrade")
        [line] = [line for line in PAGE.splitlines() if "grep -A 2 Administrator" in line]
        cluster.reader.follow(f"```sh\n{line}\n```\n")  # of whichever controller has started first
        cluster.push("down")
        cluster.make("up")
        for name in ("down", "up"):
            cluster.serves(f"/{name}/items")
        until(lambda: _ready(cluster, "gateway-runtime") >= 2, "the autoscaler wants two routers, and has them")
        for component in ("controller", "gateway-runtime"):
            with no_loss(cluster, component):
                _restart(cluster, component)
        with no_loss(cluster, "both, by an upgrade"):
            change = ("--set", "gateway.config.router.upstream.timeouts.route_timeout_ms=59000")
            cluster.type("helm", "upgrade", "ap-gateway", "deploy/helm/gateway", *UPGRADE, *change)
        with no_loss(cluster, "each router, by eviction"):
            first, second = (pod["metadata"]["name"] for pod in _pods(cluster, "gateway-runtime"))
            _evict(cluster, first)
            with pytest.raises(Failed, match="disruption budget"):
                _evict(cluster, second)
            cluster.kubectl("rollout", "status", "deploy/ap-gateway-gateway-runtime")
            cluster.plane.until(lambda: _evicted(cluster, second), "the other one may go too")
            cluster.kubectl("rollout", "status", "deploy/ap-gateway-gateway-runtime")


@contextlib.contextmanager
def no_loss(cluster: Cluster, what: str) -> Iterator[None]:
    """Pods are replaced while clients ask for an API that does not change; ends when the old ones have ended."""
    with Load(cluster.network, cluster.balanced(), 8080, "/up/items") as load:
        yield
        cluster.plane.until(lambda: not _ending(cluster), "the old Pods have ended")
    print(f"{what}: {load.answered} answered, {len(load.failed)} failed")
    assert load.answered > 100
    assert not load.failed


def _restart(cluster: Cluster, component: str) -> None:
    cluster.kubectl("rollout", "restart", f"deploy/ap-gateway-{component}")
    cluster.kubectl("rollout", "status", f"deploy/ap-gateway-{component}")


def _pods(cluster: Cluster, component: str) -> list[Any]:
    label = f"app.kubernetes.io/component={component}"
    found: list[Any] = cluster.plane.get("pods", "-l", label, namespace=NAMESPACE)["items"]
    return found


def _evict(cluster: Cluster, pod: str) -> None:
    """As a drain of its node does it. Raises Failed when the disruption budget does not allow it."""
    wish = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    cluster.plane.kubectl("create", "--raw", path, "-f", "-", document=wish)


def _evicted(cluster: Cluster, pod: str) -> bool:
    with contextlib.suppress(Failed):
        _evict(cluster, pod)
        return True
    return False


def _ending(cluster: Cluster) -> bool:
    return any(
        "deletionTimestamp" in pod["metadata"] for pod in cluster.plane.get("pods", namespace=NAMESPACE)["items"]
    )


@contextlib.contextmanager
def _certified(server: Any, authority: Authority) -> Iterator[None]:
    """The database has a certificate for its name in the cluster."""
    files = [server.folder / "server.crt", server.folder / "server.key"]
    before = [file.read_text() for file in files]

    def use(contents: Iterable[str]) -> None:
        for file, content in zip(files, contents, strict=True):
            file.write_text(content)  # owner and mode stay
        server.execute("SELECT pg_reload_conf()")

    use(authority.issue("postgres.databases.svc"))
    try:
        yield
    finally:
        use(before)


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
