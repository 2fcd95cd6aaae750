"""Makes the modules of these tests importable, and starts clusters."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def _importable(name: str, path: Path) -> None:
    """Folders of tests are no packages and must not be on the import path."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


_importable("documentation_pages", HERE.parent / "docs" / "pages.py")
_importable("envoy_certificates", HERE.parent / "envoy" / "certificates.py")
for _name in ("tools", "chart", "network", "api_manager", "images"):
    _importable(f"deploy_{_name}", HERE.parent / "deploy" / f"{_name}.py")
for _name in ("programs", "machine", "servers", "node", "operators", "load"):
    _importable(f"kubernetes_{_name}", HERE / f"{_name}.py")

import deploy_images as images  # noqa: E402 - needs the lines above
import deploy_tools as tools  # noqa: E402
import kubernetes_programs as programs  # noqa: E402
from deploy_chart import Chart  # noqa: E402
from deploy_network import Network, why_not  # noqa: E402
from kubernetes_machine import why_not as why_no_machine  # noqa: E402
from kubernetes_servers import ControlPlane  # noqa: E402


def _demand(names: tuple[str, ...]) -> None:
    missing = programs.missing(names)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; scripts/install-kubernetes-tools.sh builds them")


@pytest.fixture(scope="session")
def chart() -> Chart:
    """The chart, and a real helm."""
    helm = tools.find("helm")
    if helm is None:
        pytest.skip("helm is not installed: scripts/install-tools.sh installs it, with Go")
    return Chart(helm)


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server and its controllers, without a node: Pods are made and wait."""
    _demand(programs.SERVERS)
    with ControlPlane(tmp_path_factory.mktemp("kubernetes")) as started:
        yield started


@pytest.fixture(scope="session")
def for_a_node(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What Pods need: programs, rights, and the images as podman names them."""
    _demand(programs.SERVERS + programs.NODE)
    missing = images.missing_tools()
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; scripts/install-tools.sh installs them")
    reason = why_not() or why_no_machine(tmp_path_factory.mktemp("probe"))
    if reason:
        pytest.skip(reason)
    try:
        return images.build()
    except images.NotBuilt as error:
        if "debootstrap" in str(error):
            pytest.skip(f"no base image: {error}")
        raise


@pytest.fixture
def apart(for_a_node: dict[str, str]) -> Iterator[Network]:
    """The network of the cluster and of what it talks to."""
    assert for_a_node
    with Network() as made:
        yield made
