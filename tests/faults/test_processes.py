"""Processes that die, ports that are taken, directories that are in use. Every test has a gateway of its own state."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from envoy_harness import Backend
from gateway_processes import HOST, KEY_POLICY, Gateway, alive, rest_api, until


@pytest.fixture
def served(gateway: Gateway, backend: Backend) -> Iterator[Gateway]:
    """The module's gateway with a healthy API; started again when a test has killed it."""
    if gateway.process.status is not None:
        gateway.start()
    if not gateway.artifact("healthy"):
        gateway.deploy(rest_api("healthy", backend.port))
    yield gateway
    if gateway.process.status is not None:
        gateway.start()


def test_envoy_killed_comes_back_and_serves(served: Gateway, backend: Backend) -> None:
    before = served.process.envoy()
    lines = served.process.lines_said()
    os.kill(before, signal.SIGKILL)
    until(lambda: not alive(before), "Envoy is dead")
    # The management side goes on while Envoy is away.
    meanwhile = served.post(rest_api("meanwhile", backend.port))
    assert meanwhile.status == 201
    served.wait_for_router()
    assert served.process.envoy() != before
    served.served(meanwhile)
    with served.undisturbed("/healthy/items", "/meanwhile/items") as traffic:
        traffic.proceed(50)
    assert "SIGKILL" in served.process.wait_for_words("Envoy", after=lines) or served.process.said("SIGKILL")
    served.remove("meanwhile")


def test_envoy_killed_again_and_again(served: Gateway) -> None:
    for _ in range(3):
        before = served.process.envoy()
        os.kill(before, signal.SIGKILL)
        until(lambda pid=before: served.process.envoy() != pid, "another Envoy")
        served.wait_for_router()
    assert served.get("/healthy/items").status == 200


@pytest.mark.conforms("MG-168", "DP-114")
def test_the_whole_gateway_killed(served: Gateway, backend: Backend) -> None:
    """No orphan, and everything that was acknowledged is served after the restart, without anybody's help."""
    served.deploy(rest_api("secured", backend.port, policies=[KEY_POLICY]))
    key = served.create_key("secured", "survivor")
    envoy = served.process.envoy()
    # Written, and killed before it can be rolled out everywhere.
    last = [served.post(rest_api(f"last-{number}", backend.port)) for number in range(5)]
    assert {answer.status for answer in last} == {201}
    served.kill()
    until(lambda: not alive(envoy), "Envoy has died with the gateway")
    for name in ("http", "https", "management", "admin", "xds"):
        # The sockets of a killed process close with its last thread, which can be after the first.
        until(lambda name=name: _can_bind(served.ports[name]), f"port {name} is free")
    served.start()
    assert served.get("/secured/items").status == 401
    assert served.get("/secured/items", headers=[("API-Key", key)]).status == 200
    assert {served.get(f"/last-{number}/items").status for number in range(5)} == {200}
    for handle in ("secured", *(f"last-{number}" for number in range(5))):
        served.remove(handle)


def test_killed_while_the_form_of_routing_changes(served: Gateway, backend: Backend) -> None:
    """An API at the root asks for another form; whatever was reached is completed after the restart."""
    root = rest_api("root", backend.port, context="/", operations=[{"method": "GET", "path": "/*"}])
    assert served.post(root).status == 201
    served.kill()
    served.start()
    assert served.get("/whatever").status == 200
    assert served.get("/healthy/items").status == 200
    assert served.delete("root").status == 200
    os.kill(served.process.envoy(), signal.SIGKILL)
    until(lambda: _status(served, "/whatever") == 404, "the API at the root has gone")
    assert served.get("/healthy/items").status == 200


def test_a_clean_stop_and_start(served: Gateway) -> None:
    envoy = served.process.envoy()
    began = time.monotonic()
    served.stop()
    assert time.monotonic() - began < 15
    assert not alive(envoy)
    served.start()
    assert served.get("/healthy/items").status == 200


def test_a_stop_lets_requests_finish(served: Gateway, backend: Backend) -> None:
    answers = []
    request = threading.Thread(target=lambda: answers.append(served.get("/healthy/items?delay=0.7")))
    request.start()
    until(lambda: any("delay=0.7" in seen for seen in backend.requests), "the request is at the backend")
    served.stop()
    request.join(10)
    assert [answer.status for answer in answers] == [200]
    served.start()


def test_ctrl_c(served: Gateway) -> None:
    envoy = served.process.envoy()
    served.process.interrupt()
    assert served.process.wait_for_end() in {0, 130}
    assert not alive(envoy)
    assert "Traceback" not in served.process.log


def test_a_second_gateway_on_the_same_data(served: Gateway) -> None:
    second = Gateway(served.folder / "second")
    second.data_dir = served.data_dir
    second.configuration["controller"]["storage"] = served.configuration["controller"]["storage"]
    second.configuration["controller"]["encryption"] = served.configuration["controller"]["encryption"]
    with served.undisturbed("/healthy/items") as traffic:
        process = second.launch()
        assert process.wait_for_end() == 1
        traffic.proceed()
    assert f"in use by process {served.process.pid}" in process.log
    assert _one_clear_error(process.log)
    assert served.get("/healthy/items").status == 200
    second.close()


@pytest.mark.parametrize("name", ["management", "xds", "http"])
def test_a_port_that_is_taken(tmp_path: Path, name: str) -> None:
    gateway = Gateway(tmp_path)
    try:
        with socket.create_server((HOST, gateway.ports[name])):
            process = gateway.launch()
            assert process.wait_for_end() == 1
        assert f"{HOST}:{gateway.ports[name]}" in process.log
        assert _one_clear_error(process.log)
    finally:
        gateway.close()


def test_a_data_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    gateway = Gateway(tmp_path)
    process = gateway.launch()
    assert process.wait_for_end() == 1
    assert str(tmp_path / "data") in process.log
    assert _one_clear_error(process.log)
    gateway.close()


def test_a_damaged_database(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    gateway.data_dir.mkdir()
    (gateway.data_dir / "gateway.db").write_bytes(b"this is not a database, " * 400)
    process = gateway.launch()
    assert process.wait_for_end() == 1
    assert "gateway.db" in process.log
    assert _one_clear_error(process.log)
    gateway.close()


def _status(gateway: Gateway, path: str) -> int:
    """0 when nobody answers."""
    try:
        return gateway.get(path).status
    except OSError:
        return 0


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _one_clear_error(log: str) -> bool:
    """One line that says what is wrong; no trace."""
    errors = [line for line in log.split("\n") if line.startswith(("gatewright:", "error:"))]
    return len(errors) == 1 and "Traceback" not in log
