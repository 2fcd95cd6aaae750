"""What a client sees on the wire, from a real server."""

import uuid

import httpx2
import pytest

from gatewright.management import mux

BASE = "/api/management/v1"
NEW_HEADERS = ("deprecation", "link", "warning")


@pytest.mark.conforms("MG-001", "MG-004")
async def test_a_list_at_the_prefixed_path(remote):
    response = await remote.get(f"{BASE}/rest-apis")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"apis": [], "count": 0, "status": "success"}
    assert not [name for name in NEW_HEADERS if name in response.headers]


@pytest.mark.conforms("MG-002", "MG-003")
async def test_a_path_without_prefix_works_and_says_where_to_go(remote):
    response = await remote.get("/rest-apis?version=v1.0")
    assert response.status_code == 200
    assert response.headers["deprecation"] == "true"
    assert response.headers["link"] == f'<{BASE}/rest-apis>; rel="successor-version"'
    assert response.headers["warning"] == f'299 - "Deprecated API: migrate to {BASE} prefix"'


@pytest.mark.conforms("MG-005")
async def test_a_refusal_at_a_path_without_prefix_says_so_too(remote):
    response = await remote.get("/rest-apis", auth=None, headers={"authorization": ""})
    assert response.status_code == 401
    assert all(name in response.headers for name in NEW_HEADERS)
    missing = await remote.get("/rest-apis/none")
    assert (missing.status_code, missing.headers["link"]) == (404, f'<{BASE}/rest-apis/none>; rel="successor-version"')


@pytest.mark.conforms("MG-006", "MG-008", "MG-009", "MG-011", "MG-169")
@pytest.mark.parametrize(
    "path",
    [f"{BASE}/nope", f"{BASE}/rest-apis/", "/health", f"{BASE}/health", f"{BASE}/policies", "/policies", BASE, "/"],
)
async def test_unknown_paths(remote, path):
    response = await remote.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == "404 page not found\n"
    assert uuid.UUID(response.headers["x-correlation-id"]).version == 4
    assert not [name for name in NEW_HEADERS if name in response.headers]


@pytest.mark.conforms("MG-007")
@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "DELETE", "PROPFIND"])
async def test_a_method_that_the_path_does_not_have(remote, method):
    response = await remote.request(method, f"{BASE}/rest-apis")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, POST"
    assert (response.headers["content-type"], response.text) == ("text/plain; charset=utf-8", "Method Not Allowed\n")


@pytest.mark.conforms("MG-010")
@pytest.mark.parametrize("path", [f"{BASE}/rest-apis", f"{BASE}/nope", "/rest-apis"])
async def test_a_correlation_id_is_echoed_or_made(remote, path):
    given = await remote.get(path, headers={"x-correlation-id": "trace me 7"})
    assert given.headers["x-correlation-id"] == "trace me 7"
    for headers in ({}, {"x-correlation-id": ""}):
        made = await remote.get(path, headers=headers)
        assert uuid.UUID(made.headers["x-correlation-id"]).version == 4
    refused = await remote.patch(path)
    assert uuid.UUID(refused.headers["x-correlation-id"]).version == 4


async def test_a_correlation_id_of_endless_length_is_replaced(remote):
    given = await remote.get(f"{BASE}/rest-apis", headers={"x-correlation-id": "x" * 10_000})
    assert uuid.UUID(given.headers["x-correlation-id"])


@pytest.mark.conforms("MG-012")
async def test_pages_are_not_known(remote, rest_api):
    for handle in ("a", "b", "c"):
        await remote.post(f"{BASE}/rest-apis", json=rest_api(handle))
    complete = await remote.get(f"{BASE}/rest-apis")
    assert complete.json()["count"] == 3
    assert (await remote.get(f"{BASE}/rest-apis?limit=1&offset=5&limit=2")).json() == complete.json()


@pytest.mark.conforms("MG-013")
async def test_a_filter_given_twice(remote):
    response = await remote.get(f"{BASE}/rest-apis?version=v1.0&version=v2.0")
    assert (response.status_code, response.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert response.text == (
        "Invalid format for parameter version: multiple values for single value parameter 'version'\n"
    )


async def test_a_malformed_parameter_is_answered_before_credentials_are_looked_at(remote):
    response = await remote.get("/rest-apis?version=1&version=2", auth=None, headers={"authorization": ""})
    assert response.status_code == 400
    assert "deprecation" not in response.headers


@pytest.mark.conforms("MG-014")
async def test_head_is_get_without_the_body(remote, rest_api):
    await remote.post(f"{BASE}/rest-apis", json=rest_api())
    response = await remote.head(f"{BASE}/rest-apis/orders")
    assert (response.status_code, response.content) == (200, b"")
    complete = await remote.get(f"{BASE}/rest-apis/orders")
    assert int(response.headers["content-length"]) == len(complete.content)


@pytest.mark.conforms("MG-015")
async def test_angle_brackets_in_a_document(remote, rest_api):
    document = rest_api()
    document["metadata"]["annotations"] = {"note": "<b> & </b>"}
    response = await remote.post(f"{BASE}/rest-apis", json=document)
    assert response.status_code == 201
    assert b'"note":"\\u003cb\\u003e \\u0026 \\u003c/b\\u003e"' in response.content
    assert response.json()["metadata"]["annotations"]["note"] == "<b> & </b>"


@pytest.mark.parametrize(("sent", "clean"), [("//rest-apis", "/rest-apis"), ("/x/../rest-apis?a=b", "/rest-apis?a=b")])
async def test_paths_with_dots_or_double_slashes_are_redirected_to_the_clean_one(port, raw, sent, clean):
    answer = await raw(port, f"GET {sent} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 301 ")
    assert f"\r\nlocation: {clean}\r\n".encode() in answer


async def test_an_absolute_target_is_the_path_in_it(port, raw):
    answer = await raw(port, b"GET http://gateway:9090/nope HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_an_encoded_slash_stays_in_its_segment(remote):
    response = await remote.get(f"{BASE}/rest-apis/a%2Fb")
    assert (response.status_code, response.json()["message"]) == (404, "RestAPI with handle 'a/b' not found")


@pytest.mark.parametrize("segment", ["%zz", "%", "%ff"])
async def test_a_path_that_is_not_percent_encoded(port, raw, segment):
    answer = await raw(port, f"GET /rest-apis/{segment} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Invalid format for parameter id: " in answer


async def test_no_stack_trace_and_no_server_name_reach_a_client(serve, authenticator, caplog):
    async def broken(call):
        raise RuntimeError("the inside")

    app = mux.Mux("/v1", [mux.Operation("GET", "/x", broken, frozenset())], authenticator)
    async with serve(app) as number, httpx2.AsyncClient(trust_env=False) as client:
        response = await client.get(f"http://127.0.0.1:{number}/v1/x")
    assert response.status_code == 500
    assert response.json() == {"message": "Internal server error", "status": "error"}
    assert "server" not in response.headers
    assert response.headers["x-correlation-id"]


@pytest.mark.conforms("MG-167")
async def test_immutable_mode_refuses_writes_before_it_asks_who_writes(operations, authenticator, signed_in, rest_api):
    frozen = mux.Mux(BASE, operations, authenticator, immutable=True)
    nobody, admin = signed_in(None, target=frozen), signed_in("Admin", target=frozen)
    for client in (nobody, admin):
        response = await client.post("/rest-apis", json=rest_api())
        assert response.status_code == 405
        assert response.json() == {
            "message": "Gateway is in immutable mode. Mutating operations are not allowed.",
            "status": "error",
        }
    assert (await nobody.get("/rest-apis")).status_code == 401
    assert (await admin.get("/rest-apis")).status_code == 200
    assert (await admin.post("/rest-apis/x/api-keys/y/regenerate", json={})).status_code == 405
