"""`doctor`, `diff` and the end of the certificate, with a hub, a gateway and Envoy as real processes."""

import json
import os
import re
import subprocess
from collections.abc import Iterator

import httpx2
import pytest
import yaml
from envoy_harness import Backend
from gateway_processes import HOST, PROGRAM, Gateway, Hub, rest_api

EDGE = "edge"
PROXIES = {"https_proxy", "http_proxy", "all_proxy", "wss_proxy", "no_proxy"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Hub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture(scope="module")
def edge(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("edge"), hub.over(hub.register(EDGE))) as gateway:
        gateway.wait_for_link()
        yield gateway


def run(edge: Gateway, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command of the program, pointed at the gateway; nothing that it prints may hold a secret."""
    environ = {name: value for name, value in os.environ.items() if name.lower() not in PROXIES}
    environ |= {"GATEWRIGHT_DATA_DIR": str(edge.data_dir), "GATEWRIGHT_PASSWORD": edge.password}
    command = [*PROGRAM, *arguments]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert not [secret for secret in edge.secrets if secret in ran.stdout + ran.stderr]
    return ran


def deploy(hub: Hub, handle: str, port: int) -> None:
    deployed = hub.ask(lambda client: client.deploy(yaml.safe_dump(rest_api(handle, port)), [EDGE]))
    (view,) = hub.ask(lambda client: client.deployments(artifact=deployed.artifact.id, wait=20))
    assert view.status == "DEPLOYED"


def test_doctor_beside_a_running_gateway(edge: Gateway) -> None:
    before = edge.admin.get("/status").json()["controlPlane"]
    ran = run(edge, "doctor", "--config", str(edge.folder / "gateway.toml"), "-o", "json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = {each["step"]: each["state"] for each in json.loads(ran.stdout)["findings"]}
    assert {state for step, state in found.items() if step != "oauth"} == {"ok"}
    after = edge.admin.get("/status").json()["controlPlane"]
    assert (after["state"], after["connectionId"]) == ("connected", before["connectionId"])


def test_the_end_of_the_certificate_is_seen(edge: Gateway) -> None:
    link = edge.admin.get("/status").json()["controlPlane"]
    assert 390 < link["certificateDaysLeft"] < 398
    assert re.search(r"Certificate: +ends in 39\d days", run(edge, "status").stdout)
    metrics = httpx2.get(f"http://{HOST}:{edge.ports['metrics']}/metrics", trust_env=False).text
    name = "gatewright_control_plane_certificate_expiry_timestamp_seconds"
    (value,) = re.findall(rf"^{name} (\S+)$", metrics, re.MULTILINE)
    assert float(value) > 1.7e9


def test_diff_between_control_plane_store_and_envoy(hub: Hub, edge: Gateway, backend: Backend) -> None:
    deploy(hub, "orders", backend.port)
    deploy(hub, "neighbour", backend.port)
    same = run(edge, "diff", "--control-plane")
    assert (same.returncode, same.stdout) == (0, "2 compared, all the same\n"), same.stdout + same.stderr

    changed = rest_api("orders", backend.port)
    changed["spec"]["operations"].append({"method": "PATCH", "path": "/changed-here"})
    assert edge.put(changed).status == 200
    different = run(edge, "diff", "--control-plane")
    assert different.returncode == 2, different.stdout + different.stderr
    assert "orders (RestApi)\n  stored: spec.operations[PATCH /changed-here]\n" in different.stdout
    assert "neighbour" not in different.stdout
    assert run(edge, "diff", "--control-plane", "neighbour").returncode == 0

    unknown = run(edge, "diff", "--control-plane", "nobody")
    assert (unknown.returncode, "no artifact nobody" in unknown.stderr) == (1, True)

    deploy(hub, "orders", backend.port)
    assert run(edge, "diff", "--control-plane").returncode == 0
