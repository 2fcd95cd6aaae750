"""The commands against real processes: a gateway of its own, and a hub."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from gatewright.cli import connection
from gatewright.demo.ports import HOST, Ports, settled

PROGRAM = (sys.executable, "-m", "gatewright.cli.main")


def _configuration(ports: Ports) -> str:
    bind = "\n".join(f'{name} = "{HOST}"' for name in ("management", "admin", "xds", "router", "router_admin"))
    return (
        f"[controller.server]\napi_port = {ports.management}\nxds_port = {ports.xds}\nshutdown_timeout = '2s'\n"
        f"[controller.admin_server]\nport = {ports.admin}\n"
        f"[router]\nlistener_port = {ports.http}\nhttps_enabled = false\n"
        f"[policy_engine.admin]\nport = {ports.router_admin}\n"
        f"[gatewright.envoy]\nconcurrency = 1\ndrain_time_seconds = 1\n[gatewright.bind]\n{bind}\n"
    )


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """`gatewright up` with everything in one folder, and the password that its first start has printed."""
    folder = tmp_path_factory.mktemp("gateway")
    ports = settled(Ports())
    (folder / "gateway.toml").write_text(_configuration(ports))
    log = folder / "log"
    command = [*PROGRAM, "up", "--config", str(folder / "gateway.toml"), "--data-dir", str(folder / "data")]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait_for(lambda: (folder / "data" / "gatewright.json").exists() and _answers(ports.admin), process, log)
        password = re.search(r"password +(\S+)", log.read_text())
        assert password, log.read_text()
        yield SimpleNamespace(folder=folder, ports=ports, password=password[1], process=process, log=log)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            status = process.wait(30)
        finally:
            process.kill()
    assert status == 0, log.read_text()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _wait_for(probe: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while not probe():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


@pytest.fixture
def here(gateway: SimpleNamespace, run, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The program pointed at that gateway by nothing but its data directory."""
    monkeypatch.setenv(connection.DATA_DIR_VARIABLE, str(gateway.folder / "data"))
    monkeypatch.setenv(connection.PASSWORD_VARIABLE, gateway.password)
    return gateway


def test_an_api_from_document_to_deletion(run, here: SimpleNamespace, tmp_path: Path, api) -> None:
    policies = "policies: [{name: api-key-auth, version: v1, params: {key: API-Key, in: header}}]"
    document = api("shop").replace("  operations:", f"  {policies}\n  operations:")
    (tmp_path / "shop.yaml").write_text(document)

    applied = run("apply", "-f", str(tmp_path), "-o", "json")
    assert applied.code == 0, applied.err
    assert [(row["action"], row["serving"], row["routers"]) for row in applied.json] == [("created", "served", 1)]
    assert _call(here, "/shop/x") == 401

    created = run("keys", "create", "shop", "--name", "till-7", "--expires-in", "30d", "-o", "json")
    assert created.code == 0, created.err
    assert _call(here, "/shop/x", created.json["apiKey"]) == 503  # nobody listens behind it
    listed = run("keys", "list", "shop")
    assert created.json["apiKey"] not in listed.out
    assert "till-7" in listed.out

    assert run("keys", "regenerate", "shop", "till-7").code == 0
    assert _call(here, "/shop/x", created.json["apiKey"]) == 401
    assert run("keys", "revoke", "shop", "till-7").code == 0
    assert run("get", "api-keys", "shop").out == "no keys\n"

    status = run("status")
    assert status.code == 0, status.err
    assert re.search(r"shop +v1\.0 +deployed +served", status.out), status.out
    (artifact,) = run("status", "-o", "json").json["artifacts"]
    assert artifact["serving"]["state"] == "served"

    again = run("apply", "-f", str(tmp_path), "-o", "json")
    assert [(row["action"], row["serving"]) for row in again.json] == [("updated", "served")]
    assert run("delete", "-f", str(tmp_path)).code == 0
    assert run("get", "rest-apis").out == "no REST APIs\n"
    assert run("keys", "list", "shop").code == 6


def test_the_document_of_the_readme(run, here: SimpleNamespace, tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (document,) = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "api.yaml").write_text(document)
    ran = run("apply", "-f", str(tmp_path / "api.yaml"))
    assert ran.code == 0, ran.err
    assert _call(here, "/shop/items") == 401
    key = run("keys", "create", "shop-v1.0", "-o", "json").json["apiKey"]
    assert _call(here, "/shop/items", key) == 503  # nobody listens behind it
    assert run("delete", "-f", str(tmp_path / "api.yaml")).code == 0


def test_a_document_that_is_not_valid(run, here: SimpleNamespace, tmp_path: Path, api) -> None:
    broken = api("bad").replace("context: /bad", "context: bad").replace("method: GET", "method: FETCH")
    (tmp_path / "bad.yaml").write_text(broken)
    ran = run("apply", "-f", str(tmp_path / "bad.yaml"))
    assert ran.code == 1
    assert "bad.yaml: the gateway refused bad" in ran.err
    assert "spec.context" in ran.err
    assert "spec.operations" in ran.err


def test_without_a_control_plane_there_is_nothing_to_reconcile(run, here: SimpleNamespace) -> None:
    ran = run("sync")
    assert ran.code == 1
    assert "controller.controlplane.host" in ran.err


def test_a_wrong_password(run, here: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(connection.PASSWORD_VARIABLE, "wrong")
    assert run("status").code == 4


def test_a_second_gateway_on_the_same_folder(here: SimpleNamespace) -> None:
    before = (here.folder / "data" / "gatewright.json").read_text()
    (here.folder / "other.toml").write_text(_configuration(settled(Ports())))
    command = [*PROGRAM, "up", "--config", str(here.folder / "other.toml"), "--data-dir", str(here.folder / "data")]
    ended = subprocess.run(command, cwd=here.folder, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().split("\n")) <= 3, ended.stderr
    assert (here.folder / "data" / "gatewright.json").read_text() == before


@pytest.fixture
def hub(tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch) -> Iterator["subprocess.Popen[str]"]:
    """A running hub in a folder of its own."""
    folder, log = tmp_path / "hub", tmp_path / "hub.log"
    with log.open("wb") as output:
        command = [*PROGRAM, "hub", "start", "--port", "0", "--data-dir", str(folder)]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    _wait_for((folder / "hub.json").exists, process, log)
    monkeypatch.setenv("GATEWRIGHT_HUB_DATA_DIR", str(folder))
    yield process
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, log.read_text()


def test_a_hub(run, hub: "subprocess.Popen[str]", tmp_path: Path, api) -> None:
    token = tmp_path / "edge.token"
    assert run("hub", "gateways").out.startswith("no gateways")
    registered = run("hub", "register", "edge", "--token-out", str(token), "-o", "json")
    assert registered.code == 0, registered.err
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.read_text().strip() not in registered.out
    assert run("hub", "register", "edge").code == 1
    assert "not connected" in run("hub", "gateways").out

    rotated = run("hub", "token", "rotate", "edge", "--overlap", "5", "-o", "json").json
    assert len(rotated["token"]) == 43
    assert len(run("hub", "token", "list", "edge", "-o", "json").json) == 2
    assert run("hub", "token", "revoke", "edge", rotated["id"]).code == 0

    (tmp_path / "shop.yaml").write_text(api("shop"))
    waited = run("hub", "deploy", "-f", str(tmp_path / "shop.yaml"), "-g", "edge", "--timeout", "0.2")
    assert waited.code == 5
    assert "edge has not answered yet" in waited.err
    assert "DEPLOYING" in run("hub", "deployments", "--api", "shop").out
    assert run("hub", "artifacts", "shop").out == api("shop")

    key = run("hub", "keys", "issue", "shop", "--name", "till-7", "-o", "json").json
    assert key["apiKey"].startswith("apip_")
    assert run("hub", "keys", "list", "shop", "-o", "json").json[0]["name"] == "till-7"
    assert run("hub", "keys", "revoke", "shop", "till-7").code == 0
    assert run("hub", "delete", "shop").code == 0
    assert run("hub", "delete", "shop").code == 6
    assert run("hub", "unregister", "edge").code == 0
    assert run("hub", "gateways", "--admin-token-file", str(tmp_path / "shop.yaml")).code == 4


def test_an_openapi_document_is_converted(run, hub: "subprocess.Popen[str]", tmp_path: Path) -> None:
    (tmp_path / "openapi.yaml").write_text(
        "openapi: 3.0.3\ninfo: {title: Shop, version: 1.2.0}\nservers: [{url: http://127.0.0.1:9}]\n"
        "paths:\n  /items:\n    get: {responses: {}}\n"
    )
    ran = run("hub", "deploy", "-f", str(tmp_path / "openapi.yaml"), "--context", "/other", "--handle", "other")
    assert ran.code == 0, ran.err
    assert "context: /other" in run("hub", "artifacts", "other").out


def test_a_second_hub_and_one_that_is_not_there(run, hub: "subprocess.Popen[str]", tmp_path: Path) -> None:
    second = run("hub", "start", "--port", "0")
    assert second.code == 1
    assert "HUB_DATA_DIR_IN_USE" in second.err
    with socket.create_server((HOST, 0)) as listener:
        busy = run("hub", "start", "--data-dir", str(tmp_path / "x"), "--port", str(listener.getsockname()[1]))
    assert (busy.code, "HUB_PORT_UNAVAILABLE" in busy.err) == (1, True)
    assert run("hub", "gateways", "--hub", "https://127.0.0.1:1").code == 3
    assert run("hub", "gateways", "--hub", "http://127.0.0.1:1").code == 2
    assert run("hub", "gateways", "--data-dir", str(tmp_path / "nothing")).code == 4


def test_ctrl_c_during_a_command_is_130(hub: "subprocess.Popen[str]") -> None:
    command = [*PROGRAM, "hub", "watch"]
    watching = subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert watching.stdout is not None
    assert watching.stdout.readline() == b"-- changes from here on --\n"
    watching.send_signal(signal.SIGINT)
    assert watching.communicate(timeout=30)[1] == b""
    assert watching.returncode == 130


def _call(here: SimpleNamespace, path: str, key: str = "") -> int:
    request = urllib.request.Request(f"http://{HOST}:{here.ports.http}{path}", headers={"API-Key": key} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
