"""What the chart renders for the published values and for each topology, and what Kubernetes says to it."""

import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from deploy_chart import CASES, CERT_MANAGER, KUBERNETES, REPOSITORY, Chart, case

from gatewright.settings import check

NAMES = sorted(folder.name for folder in CASES.iterdir())
MONITORING = "monitoring.coreos.com/v1"


@pytest.mark.parametrize("name", NAMES)
def test_rendered_as_reviewed(name: str, chart: Chart, request: pytest.FixtureRequest) -> None:
    """Read the difference as a reviewer: it is what users get."""
    rendered = chart.render(case(name), apis=(CERT_MANAGER,)).text
    file = CASES / name / "rendered.yaml"
    if request.config.getoption("--update-golden"):
        file.write_text(rendered)
    assert file.exists(), f"{file.name} is missing: run pytest tests/deploy --update-golden"
    # As data: versions of helm differ in blank lines.
    assert list(yaml.safe_load_all(rendered)) == list(yaml.safe_load_all(file.read_text())), (
        "run pytest tests/deploy --update-golden and read the difference"
    )


@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_accepts_what_is_rendered(name: str, chart: Chart) -> None:
    """Against the strict schemas: a field that Kubernetes does not know is an error too."""
    checked = 0
    for manifest in chart.render(case(name), apis=(CERT_MANAGER,)).all:
        if manifest["apiVersion"] in {CERT_MANAGER, MONITORING}:
            continue  # custom resources have no schema there
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        checked += 1
    assert checked >= 5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["config.toml", "router.toml"])
def test_the_processes_accept_the_configuration(name: str, key: str, chart: Chart, tmp_path: Path) -> None:
    """No problem and no unknown key in what is rendered, with the variables that the Pod gets."""
    text = chart.render(case(name)).config(key)
    assert tomllib.loads(text)
    file = tmp_path / key
    file.write_text(text)
    report = check([file], {"APIP_GW_CONTROLLER_CONTROLPLANE_TOKEN": "t", "TRAFFIC_LOG_TOKEN": "t"})
    if key == "router.toml":
        report = check([file], {"TRAFFIC_LOG_TOKEN": "t"})
    assert report.problems == ()
    unexpected = [warning for warning in report.warnings if "is not known" in warning]
    assert unexpected == []


@pytest.mark.parametrize("name", NAMES)
def test_pods_run_with_no_rights_at_all(name: str, chart: Chart) -> None:
    for deployment in (item for item in chart.render(case(name)).all if item["kind"] == "Deployment"):
        pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_lint(chart: Chart) -> None:
    for name in NAMES:
        said = chart.run("lint", "--strict", "--kube-version", KUBERNETES, "--values", str(case(name)), _chart())
        assert "0 chart(s) failed" in said


def test_the_versions_are_those_of_the_program() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nappVersion: {project}\n" in Path(_chart(), "Chart.yaml").read_text()


def _chart() -> str:
    return str(REPOSITORY / "deploy" / "helm" / "gateway")
