"""The chart against a real API server: what it refuses or warns about, what is made of it, and what is left of it."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy_chart import CASES, CERT_MANAGER, CHART, RELEASE, Chart, case, nested
from documentation_pages import blocks
from kubernetes_operators import register
from kubernetes_servers import ControlPlane, Failed

pytestmark = pytest.mark.long

PAGE = (Path(__file__).parents[2] / "docs" / "install-kubernetes.md").read_text()
FILES = {block.word: block.content for block in blocks(PAGE) if block.language == "yaml"}
OF_PEOPLE = {"selfsubjectreviews.authentication.k8s.io", "selfsubjectaccessreviews.authorization.k8s.io",
             "selfsubjectrulesreviews.authorization.k8s.io"}  # fmt: skip
"""What everybody may ask: who am I, and what may I do."""
SECRETS = ("gateway-cp-token", "apim-oauth-client-secret-secret", "gateway-database", "gateway-encryption-keys")

Helm = Callable[..., str]


@pytest.fixture(scope="module")
def served(plane: ControlPlane) -> ControlPlane:
    """With the kinds of cert-manager and of the Prometheus operator."""
    register(plane)
    return plane


@pytest.fixture
def namespace(served: ControlPlane) -> Iterator[str]:
    """A new one, in which only what keeps to the `restricted` standard for Pods is let in."""
    name = f"n-{uuid.uuid4().hex[:8]}"
    level = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    served.kubectl("create", "-f", "-", document=_named("v1", "Namespace", name, labels=level))
    for secret in SECRETS:
        served.kubectl("create", "secret", "generic", secret, "--from-literal=token=t", namespace=name)
    yield name
    served.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def helm(served: ControlPlane, chart: Chart, namespace: str) -> Helm:
    """Any command of helm in the namespace. Raises Failed."""

    def run(*words: str) -> str:
        return served.run([chart.helm, "--kubeconfig", str(served.kubeconfig()), "--namespace", namespace, *words])

    return run


@pytest.fixture
def page(tmp_path: Path) -> dict[str, str]:
    """The page's files of values, and where they are."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    return {name: str(tmp_path / name) for name in FILES}


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.iterdir()))
def test_nothing_is_unknown_or_deprecated(chart: Chart, served: ControlPlane, namespace: str, name: str) -> None:
    """Every field is one of the API, by the server's own schemas, and no version is one that goes away."""
    text = chart.render(case(name), apis=(CERT_MANAGER,)).text
    documents = [item for item in yaml.safe_load_all(text) if item]
    for item in documents:
        item["metadata"]["namespace"] = namespace
    listed = {"apiVersion": "v1", "kind": "List", "items": documents}
    told = served.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", document=listed)
    assert told.count("created (server dry run)") == len(documents)
    assert "Warning" not in told


@pytest.mark.parametrize(
    ("values", "together"),
    [
        (("values.yaml",), False),
        (("values.yaml",), True),
        (("values.yaml", "authority.yaml"), False),
        (("values.yaml", "authority.yaml"), True),
        (("values.yaml", "production.yaml"), False),
    ],
)
def test_pods_are_let_in(
    served: ControlPlane, helm: Helm, page: dict[str, str], namespace: str, values: tuple[str, ...], together: bool
) -> None:
    """Of each topology, where Pods must keep to the `restricted` standard; with no token of Kubernetes in them."""
    files = [word for name in values for word in ("--values", page[name])]
    told = helm("install", RELEASE, str(CHART), *files, "--set", f"gateway.allInOne.enabled={str(together).lower()}")
    assert "arning" not in told
    assert "STATUS: deployed" in told
    deployments = _items(served, "deployments", namespace)
    assert len(deployments) == (1 if together else 2)
    for deployment in deployments:
        wanted = deployment["spec"].get("replicas", 1)
        served.until(lambda: _pods(served, namespace, deployment) >= wanted, "its Pods are made")  # noqa: B023
    for pod in _items(served, "pods", namespace):
        kinds = {kind for volume in pod["spec"]["volumes"] for kind in volume if kind != "name"}
        assert "projected" not in kinds, "no token of the service account"
        assert pod["spec"]["serviceAccountName"] == RELEASE


def test_the_service_account_may_do_nothing(
    served: ControlPlane, helm: Helm, page: dict[str, str], namespace: str
) -> None:
    """Secrets come to the Pods as files and variables; nobody in them can read Secrets from Kubernetes."""
    helm("install", RELEASE, str(CHART), "--values", page["values.yaml"])
    account = f"--as=system:serviceaccount:{namespace}:{RELEASE}"
    rights = served.kubectl("auth", "can-i", "--list", account, "--no-headers", namespace=namespace)
    resources = {line.split()[0] for line in rights.splitlines() if not line.startswith((" ", "["))}
    assert resources <= OF_PEOPLE
    for verb, what in (
        ("get", "secrets"),
        ("list", "pods"),
        ("create", "pods"),
        ("get", "configmaps"),
        ("watch", "services"),
    ):
        with pytest.raises(Failed, match=r"(?m)^no$"):
            served.kubectl("auth", "can-i", verb, what, account, namespace=namespace)


def test_an_upgrade_to_any_topology_and_back(
    served: ControlPlane, helm: Helm, page: dict[str, str], namespace: str
) -> None:
    """The server takes each change as it is; a rollback too. What is not changed is not rolled."""
    small = ("--values", page["values.yaml"])
    large = (*small, "--values", page["production.yaml"])
    helm("upgrade", "--install", RELEASE, str(CHART), *small)
    before = _generations(served, namespace)
    helm("upgrade", RELEASE, str(CHART), *small)
    assert _generations(served, namespace) == before
    assert _strategy(served, namespace) == "Recreate"
    helm("upgrade", RELEASE, str(CHART), *large)
    assert _strategy(served, namespace) == "RollingUpdate"
    assert not _items(served, "persistentvolumeclaims", namespace), "the database is elsewhere"
    helm("upgrade", RELEASE, str(CHART), *small, "--set", "gateway.allInOne.enabled=true")
    assert _strategy(served, namespace) == "Recreate"
    helm("rollback", RELEASE, "3")
    assert _strategy(served, namespace) == "RollingUpdate"
    helm("rollback", RELEASE, "1")
    assert _strategy(served, namespace) == "Recreate"


def test_a_change_for_controllers_leaves_routers_alone(
    served: ControlPlane, helm: Helm, page: dict[str, str], namespace: str
) -> None:
    """Pods are replaced when what they read has changed, and only then."""
    values = ("--values", page["values.yaml"])
    helm("install", RELEASE, str(CHART), *values)
    before = _generations(served, namespace)
    helm("upgrade", RELEASE, str(CHART), *values, "--set", "gateway.config.controller.controlplane.polling_interval=5m")
    after = _generations(served, namespace)
    assert after["ap-gateway-controller"] > before["ap-gateway-controller"]
    assert after["ap-gateway-gateway-runtime"] == before["ap-gateway-gateway-runtime"]


def test_nothing_is_left(served: ControlPlane, helm: Helm, page: dict[str, str], namespace: str) -> None:
    """After an uninstall: only what was made by hand."""
    files = [word for name in ("values.yaml", "production.yaml") for word in ("--values", page[name])]
    helm("install", RELEASE, str(CHART), *files)
    kinds = "deployments,services,configmaps,secrets,serviceaccounts,networkpolicies,persistentvolumeclaims"
    more = "horizontalpodautoscalers,poddisruptionbudgets,certificates,issuers,servicemonitors,pods,replicasets"
    assert len(_items(served, f"{kinds},{more}", namespace)) > 15
    helm("uninstall", RELEASE)
    own = {*SECRETS, "default", "kube-root-ca.crt"}

    def left() -> set[str]:
        return {item["metadata"]["name"] for item in _items(served, f"{kinds},{more}", namespace)} - own

    served.until(lambda: not left(), "everything of the release is gone")


def test_a_mistake_is_explained_before_anything_is_made(
    served: ControlPlane, helm: Helm, namespace: str, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump(nested("gateway.controller.deployment.replicaCount", 3)))
    with pytest.raises(Failed, match="3 controllers need a database that they share"):
        helm("install", RELEASE, str(CHART), "--values", str(file))
    assert not _items(served, "deployments", namespace)


def _named(version: str, kind: str, name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **metadata}}


def _items(plane: ControlPlane, kinds: str, namespace: str) -> list[Any]:
    found: list[Any] = plane.get(kinds, namespace=namespace)["items"]
    return found


def _generations(plane: ControlPlane, namespace: str) -> dict[str, int]:
    return {
        item["metadata"]["name"]: item["metadata"]["generation"] for item in _items(plane, "deployments", namespace)
    }


def _strategy(plane: ControlPlane, namespace: str) -> str:
    found: str = plane.get("deployment", f"{RELEASE}-controller", namespace=namespace)["spec"]["strategy"]["type"]
    return found


def _pods(plane: ControlPlane, namespace: str, deployment: Any) -> int:
    labels = ",".join(f"{key}={value}" for key, value in deployment["spec"]["selector"]["matchLabels"].items())
    return len(plane.get("pods", "-l", labels, namespace=namespace)["items"])
