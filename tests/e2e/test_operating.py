"""What operators look at and rely on: first start, health, dumps, metrics, access log, both listeners."""

import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from envoy_harness import Backend, call
from gateway_processes import HOST, USER, Gateway, leaks, rest_api, until

ACCESS_FIELDS = {
    "t", "meth", "path", "proto", "respCd", "respFlg", "bytesRx", "bytesTx", "dur", "upSvcT", "xff", "ua", "reqId",
    "host", "upHost", "upProto", "upPath", "respCdDtl", "connTrmDtl", "reqTxDur", "respTxDur", "reqDur", "respDur",
}  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """No dump, JSON access lines."""
    over = {
        "controller": {"admin_server": {"config_dump": {"enabled": False}}},
        "router": {"access_logs": {"format": "json"}},
    }
    with Gateway(tmp_path_factory.mktemp("plain"), over) as gateway:
        yield gateway


@pytest.mark.conforms("OP-073", "DP-001", "DP-002")
def test_ready_before_anything_is_deployed(plain: Gateway) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for path, said in (("ready", {"status": "ready"}), ("healthy", {"status": "healthy"})):
        answer = plain.get(f"/_gateway-health/{path}")
        assert (answer.status, answer.json) == (200, said)
    answer = call(plain.ports["https"], "/_gateway-health/healthy", tls=context)
    assert (answer.status, answer.json) == (200, {"status": "healthy"})


@pytest.mark.conforms("OP-071")
def test_health_of_the_controller(plain: Gateway) -> None:
    base = f"http://{HOST}:{plain.ports['admin']}"
    for path, deprecated in (("/api/admin/v1/health", False), ("/health", True)):
        answer = httpx2.get(base + path, trust_env=False)
        assert (answer.status_code, answer.json()["status"]) == (200, "healthy")
        assert ("deprecation" in answer.headers) == deprecated


@pytest.mark.conforms("OP-072", "MG-160", "MG-163")
def test_dumps_are_guarded(plain: Gateway, gateway: Gateway, backend: Backend) -> None:
    base = f"http://{HOST}:{plain.ports['admin']}/api/admin/v1"
    for path in ("/config_dump", "/xds_sync_status"):
        assert httpx2.get(base + path, trust_env=False).status_code == 401
    assert plain.admin.get("/config_dump").status_code == 404
    assert gateway.admin.get("/config_dump").status_code == 200
    before = plain.admin.get("/xds_sync_status").json()
    assert before["component"] == "gateway-controller"
    plain.deploy(rest_api("counted", backend.port))
    after = plain.admin.get("/xds_sync_status").json()
    assert int(after["policy_chain_version"]) > int(before["policy_chain_version"])
    plain.remove("counted")


def test_a_dump_names_what_is_there_without_credentials(gateway: Gateway, backend: Backend) -> None:
    document = rest_api("dumped", backend.port)
    secret = "canary-upstream-5b1c"
    document["spec"]["upstream"]["main"]["auth"] = {"type": "api-key", "header": "x-key", "value": secret}
    answer = gateway.post(document)
    dump = gateway.admin.get("/config_dump").text
    assert secret not in dump
    if answer.status == 201:
        assert "dumped" in dump
        gateway.remove("dumped")
    assert secret not in gateway.process.log


@pytest.mark.conforms("DP-143", "DP-144", "OP-079")
def test_every_request_has_an_access_line(plain: Gateway, backend: Backend) -> None:
    plain.deploy(rest_api("logged", backend.port, context="/logged", base="/deep"))
    for path in ("/logged/items?q=1", "/nobody/here", "/_gateway-health/ready?probe=7"):
        plain.get(path)

    def line(path: str) -> dict[str, Any]:
        found = plain.process.wait_for_words(path, 10)
        fields: dict[str, Any] = json.loads(found[found.index("{") :])
        return fields

    assert line("/logged/items?q=1")["respCd"] == 200
    assert line("/nobody/here")["respCd"] == 404
    assert line("/_gateway-health/ready?probe=7")["respCd"] == 200
    assert set(line("/logged/items?q=1")) == ACCESS_FIELDS
    assert line("/logged/items?q=1")["upPath"] == "/deep/items?q=1"
    plain.remove("logged")


def test_metrics(plain: Gateway) -> None:
    base = f"http://{HOST}:{plain.ports['metrics']}"
    assert httpx2.get(f"{base}/health", trust_env=False).text == "OK"
    text = httpx2.get(f"{base}/metrics", trust_env=False).text
    for name in ("up", "info", "api_operations_total", "apis_total", "http_requests_total", "concurrent_requests"):
        assert re.search(rf"^gateway_controller_{name}\b", text, re.MULTILINE), name
    assert plain.password not in text


@pytest.mark.conforms("OP-080")
def test_old_paths_say_that_they_are_old(plain: Gateway) -> None:
    old = httpx2.get(
        f"http://{HOST}:{plain.ports['management']}/rest-apis",
        auth=httpx2.BasicAuth(USER, plain.password), trust_env=False,
    )  # fmt: skip
    assert (old.status_code, old.headers["deprecation"]) == (200, "true")


def test_tls_from_clients(plain: Gateway, backend: Backend) -> None:
    """The certificate that was made at the first start; the same one after a restart."""
    plain.deploy(rest_api("encrypted", backend.port))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    seen = set()
    for _ in range(2):
        seen.add(ssl.get_server_certificate((HOST, plain.ports["https"])))
        with httpx2.Client(verify=context, trust_env=False, http2=False) as client:
            assert client.get(f"https://{HOST}:{plain.ports['https']}/encrypted/items").status_code == 200
        plain.stop()
        plain.start()
    assert len(seen) == 1
    plain.remove("encrypted")


@pytest.mark.conforms("MG-025")
def test_the_first_start_makes_an_administrator_and_shows_the_password_once(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    del gateway.configuration["controller"]["auth"]
    gateway.secrets.clear()
    process = gateway.launch()
    until(lambda: process.said("password  "), "the password is shown")
    password = re.findall(r"password +(\S+)", process.log)[0]
    gateway.wait_for_router()
    gateway.admin.auth = gateway.management.auth = httpx2.BasicAuth(USER, password)
    assert gateway.management.get("/rest-apis").status_code == 200
    bare = httpx2.get(str(gateway.management.base_url) + "rest-apis", trust_env=False)
    assert bare.status_code == 401
    gateway.stop()
    gateway.secrets.add(password)
    again = gateway.launch()
    gateway.wait_for_router()
    assert gateway.management.get("/rest-apis").status_code == 200
    assert not again.said("password")
    gateway.close()
    assert leaks(tmp_path, {password}) == []


@pytest.mark.conforms("OP-018")
def test_a_host_without_a_token_starts_unconnected(tmp_path: Path) -> None:
    over = {"controller": {"controlplane": {"host": f"{HOST}:1"}}}
    with Gateway(tmp_path, over) as gateway:
        link = gateway.link
        assert link["state"] != "connected"
        assert "token" in json.dumps(link)
        assert gateway.get("/_gateway-health/ready").status == 200
