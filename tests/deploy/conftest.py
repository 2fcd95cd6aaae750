"""Makes `chart.py` importable, and finds `helm`."""

import importlib.util
import sys
from pathlib import Path

import pytest


def _importable(name: str, path: Path) -> None:
    """Folders of tests are no packages and must not be on the import path."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


_importable("deploy_tools", Path(__file__).parent / "tools.py")
for _name in ("chart", "network", "api_manager", "images", "databases", "engine", "pods", "compose"):
    _importable(f"deploy_{_name}", Path(__file__).parent / f"{_name}.py")

_importable("documentation_pages", Path(__file__).parents[1] / "docs" / "pages.py")
_importable("envoy_certificates", Path(__file__).parents[1] / "envoy" / "certificates.py")

import deploy_images as images  # noqa: E402 - needs the lines above
import deploy_network as network  # noqa: E402
import deploy_tools as tools  # noqa: E402
from deploy_chart import Chart  # noqa: E402


@pytest.fixture(scope="session")
def chart() -> Chart:
    """The chart, rendered by a real helm; without one, the test is skipped."""
    helm = tools.find("helm")
    if helm is None:
        pytest.skip("helm is not installed: scripts/install-tools.sh installs it, with Go")
    return Chart(helm)


@pytest.fixture(scope="session")
def built() -> dict[str, str]:
    """The images, as the chart names them."""
    missing = images.missing_tools()
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; scripts/install-tools.sh installs them")
    reason = network.why_not()
    if reason:
        pytest.skip(reason)
    try:
        made = images.build()
    except images.NotBuilt as error:
        if "debootstrap" in str(error):
            pytest.skip(f"no base image: {error}")
        raise
    try:
        images.inside(made["controller"], "true")
    except images.NotBuilt as error:
        pytest.skip(f"podman cannot run containers here: {error}")
    return made
