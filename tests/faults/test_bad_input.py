"""What clients of the management API may send, by mistake or on purpose: one clear answer, nothing stored."""

import base64
import contextlib
import http.client
import json
import socket
from collections.abc import Iterator

import httpx2
import pytest
from envoy_harness import Backend
from gateway_processes import HOST, Gateway, rest_api

YAML = {"content-type": "application/yaml"}


@pytest.fixture(autouse=True)
def undisturbed(gateway: Gateway, backend: Backend) -> Iterator[None]:
    if not gateway.artifact("healthy"):
        gateway.deploy(rest_api("healthy", backend.port))
    with gateway.undisturbed("/healthy/items"):
        yield


def send(gateway: Gateway, body: bytes, headers: dict[str, str] | None = None) -> httpx2.Response:
    return gateway.management.post("/rest-apis", content=body, headers=headers or YAML)


def stored(gateway: Gateway) -> list[str]:
    return [api["metadata"]["name"] for api in gateway.management.get("/rest-apis").json()["apis"]]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"a: [1", "failed to parse configuration"),
        (b"a: &x [*x]\nb: *x", "failed to parse configuration"),
        (b"", "Configuration validation failed"),
        (b"just text", "failed to parse configuration"),
        (b"\xff\xfe\x00", "failed to parse configuration"),
        (b"a: !!python/object/apply:os.system ['id']", ""),
        (b"[" * 100_000, "failed to parse configuration"),
        (b"a: &a [x,x]\n" + b"".join(b"k%d: &k%d [*a,*a,*a,*a]\n" % (i, i) for i in range(40)), ""),
    ],
)
def test_malformed_yaml(gateway: Gateway, body: bytes, words: str) -> None:
    answer = send(gateway, body)
    assert answer.status_code == 400, answer.text
    told = answer.json()
    assert told["status"] == "error"
    assert words in told["message"]
    assert "Traceback" not in answer.text
    assert stored(gateway) == ["healthy"]


def test_wrong_kind_and_missing_fields_are_told_at_once(gateway: Gateway) -> None:
    answer = send(gateway, b"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {context: no-slash}\n")
    assert answer.status_code == 400
    fields = [error["field"] for error in answer.json()["errors"]]
    assert "kind" in fields
    assert "spec.context" in fields
    assert len(fields) > 3
    assert stored(gateway) == ["healthy"]


def test_unknown_fields_do_no_harm(gateway: Gateway, backend: Backend) -> None:
    document = rest_api("curious", backend.port, colour="red")
    document["extra"] = {"deep": [1, 2, 3]}
    gateway.deploy(document)
    assert gateway.get("/curious/items").status == 200
    gateway.remove("curious")


def test_an_oversized_body(gateway: Gateway) -> None:
    answer = send(gateway, b"a: " + b"x" * (11 * 1024 * 1024))
    assert answer.status_code in {400, 413}
    assert "bytes" in answer.json()["message"]
    assert stored(gateway) == ["healthy"]


def test_a_body_that_never_ends_is_cut_off(gateway: Gateway) -> None:
    """A declared length far above the limit is answered before the body is sent."""
    with socket.create_connection((HOST, gateway.ports["management"]), timeout=10) as client:
        client.sendall(
            b"POST /api/management/v1/rest-apis HTTP/1.1\r\nhost: x\r\ncontent-type: application/yaml\r\n"
            b"authorization: " + _basic(gateway) + b"\r\ncontent-length: 99999999999\r\n\r\na: b\n"
        )
        assert b" 4" in client.recv(65536).split(b"\r\n")[0]


def test_wrong_credentials(gateway: Gateway) -> None:
    base = f"http://{HOST}:{gateway.ports['management']}/api/management/v1"
    with httpx2.Client(trust_env=False, base_url=base) as client:
        nobody = client.get("/rest-apis")
        wrong = client.get("/rest-apis", auth=httpx2.BasicAuth("admin", "guess"))
        odd = client.get("/rest-apis", headers={"authorization": "Basic %%%"})
    assert [nobody.status_code, wrong.status_code, odd.status_code] == [401, 401, 401]
    assert nobody.json()["message"]
    assert "guess" not in gateway.process.log


def test_what_is_no_http_at_all(gateway: Gateway) -> None:
    for port in (gateway.ports["management"], gateway.ports["admin"], gateway.ports["xds"], gateway.ports["http"]):
        with socket.create_connection((HOST, port), timeout=10) as client:
            client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(400) + b"\r\n\r\n")
            client.settimeout(5)
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                client.recv(1024)
    assert gateway.management.get("/rest-apis").status_code == 200
    assert gateway.get("/healthy/items").status == 200


def test_answers_are_json_and_end_the_line(gateway: Gateway) -> None:
    connection = http.client.HTTPConnection(HOST, gateway.ports["management"], timeout=10)
    try:
        connection.request("POST", "/api/management/v1/rest-apis", b"{", {"authorization": _basic(gateway).decode()})
        answer = connection.getresponse()
        assert answer.status == 400
        assert json.loads(answer.read())["status"] == "error"
    finally:
        connection.close()


def _basic(gateway: Gateway) -> bytes:
    return b"Basic " + base64.b64encode(f"admin:{gateway.password}".encode())
