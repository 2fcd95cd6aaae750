"""The same cases against the native form of a policy in Envoy and its Python behaviour in the engine: they agree."""

import asyncio
import hashlib
import json
import socket
import time

import httpx2
import pytest
import pytest_asyncio

from gatewright.artifacts.restapi import RestApi
from gatewright.compile import compile_restapi
from gatewright.engine.feed import Feed
from gatewright.engine.server import Engine
from gatewright.envoy import ScopeIndex, render_all
from gatewright.model.credentials import ApiKeyCredential
from gatewright.model.gateway import Gateway, Listener
from gatewright.policies.registry import installed
from gatewright.router.router import Router, RouterConfig
from gatewright.xds.delivery import Delivery
from gatewright.xds.local_source import LocalSource
from gatewright.xds.snapshot import Snapshot

REJECTION = {"error": "Unauthorized", "message": "Valid API key required"}
GOOD = "apip_" + "a" * 64
LONG = "k" * 512


def credential(api_id, key, **more):
    return ApiKeyCredential(
        api_id=api_id, name=key[:8], key_id=key[:8], key_hash=hashlib.sha256(key.encode()).hexdigest(), **more
    )


CREDENTIALS = {
    "api-1": [
        credential("api-1", GOOD),
        credential("api-1", LONG),
        credential("api-1", "expired-key", expires_at=1.0),
        credential("api-1", "future-key", expires_at=time.time() + 3600),
        credential("api-1", "clé-ünïcode"),
    ],
    "api-2": [credential("api-2", "other-api-key")],
}


def document(handle, context, policies, operations):
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "RestApi",
        "metadata": {"name": handle},
        "spec": {
            "displayName": handle,
            "version": "v1",
            "context": context,
            "upstream": {"main": {"url": "http://127.0.0.1:BACKEND"}},
            "policies": policies,
            "operations": operations,
        },
    }


def key_auth(**params):
    return {"name": "api-key-auth", "version": "v1", "params": {"key": "API-Key", "in": "header", **params}}


def conditional(condition):
    return {**key_auth(), "executionCondition": condition}


async def echo(reader, writer):
    """Answer every request with the headers it had."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").split("\r\n")[1:-2]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = json.dumps(headers).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["native", "engine"])
async def gateway(request, tmp_path_factory):
    backend = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = backend.sockets[0].getsockname()[1]
    model = Gateway(listeners=(Listener("http", "127.0.0.1", free_port()),), native_policies=request.param == "native")
    index = ScopeIndex()
    documents = {
        "api-1": document("one", "/one", [key_auth()], [{"method": "GET", "path": "/x"}]),
        "api-2": document(
            "two", "/two", [], [
                {"method": "GET", "path": "/open"},
                {"method": "GET", "path": "/closed", "policies": [key_auth(key="X-Other", valuePrefix="Bearer")]},
                {"method": "GET", "path": "/maybe", "policies": [conditional("'x-strict' in request.Headers")]},
                {"method": "GET", "path": "/broken", "policies": [conditional("request.Headers['nope'][0] == 'x'")]},
                {"method": "GET", "path": "/text", "policies": [conditional("request.Method")]},
            ],
        ),
    }  # fmt: skip
    for api_id, doc in documents.items():
        text = json.loads(json.dumps(doc).replace("BACKEND", str(port)))
        api = RestApi.from_document(text)
        compiled = compile_restapi(api, api_id=api_id, gateway=model, catalogue=installed().catalogue)
        index.apply(api_id, compiled)
    snapshot = Snapshot()
    snapshot.apply(render_all(index, credentials=CREDENTIALS, gateway=model))
    directory = tmp_path_factory.mktemp("router")
    engine = Engine(directory / "engine.sock")
    await engine.start()
    router = Router(
        RouterConfig(state_dir=directory, concurrency=1, drain_time_s=0, engine_socket=directory / "engine.sock"),
        LocalSource(snapshot, Delivery(snapshot)),
    )
    await router.start()
    feed = Feed(router.snapshot, engine.credentials)
    assert await router.wait_ready(30), router.status()
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{model.listeners[0].port}") as client:
        yield client
    feed.close()
    await router.stop()
    await engine.stop()
    backend.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("path", "header", "value"),
    [
        ("/one/x", "API-Key", GOOD),
        ("/one/x", "api-key", GOOD),
        ("/one/x", "API-Key", LONG),
        ("/one/x", "API-Key", "future-key"),
        ("/one/x", "API-Key", "clé-ünïcode".encode()),
        ("/two/closed", "X-Other", "Bearer other-api-key"),
        ("/two/closed", "X-Other", "bEaReR other-api-key"),
    ],
)
@pytest.mark.conforms("PO-011", "PO-012")
async def test_a_valid_key_passes_and_its_header_stays_here(gateway, path, header, value):
    response = await gateway.get(path, headers={header: value})
    assert response.status_code == 200
    seen = response.json()
    assert header.lower() not in seen
    assert not [name for name in seen if name.startswith("x-gatewright")]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/one/x", {}),
        ("/one/x", {"API-Key": ""}),
        ("/one/x", {"API-Key": "wrong"}),
        ("/one/x", {"API-Key": "other-api-key"}),
        ("/one/x", {"API-Key": "expired-key"}),
        ("/one/x", {"API-Key": LONG + "k"}),
        ("/one/x", {"Authorization": GOOD}),
        ("/one/x", {"x-gatewright-credential": f"api-1:{hashlib.sha256(GOOD.encode()).hexdigest()}"}),
        ("/one/x?API-Key=" + GOOD, {}),
        ("/two/closed", {"X-Other": "other-api-key"}),
        ("/two/closed", {"X-Other": "Basic other-api-key"}),
        ("/two/closed", {"X-Other": "Bearer"}),
        ("/two/closed", {"API-Key": "other-api-key"}),
    ],
)
@pytest.mark.conforms("PO-008", "PO-010")
async def test_everything_else_is_the_same_401(gateway, path, headers):
    response = await gateway.get(path, headers=headers)
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/json"
    assert response.json() == REJECTION
    assert "www-authenticate" not in response.headers


async def test_a_route_without_the_policy_is_left_alone(gateway):
    response = await gateway.get("/two/open", headers={"X-Other": "anything"})
    assert response.status_code == 200
    assert response.json()["x-other"] == "anything"


async def test_an_upstream_header_cannot_be_forged(gateway):
    response = await gateway.get("/two/open", headers={"x-gatewright-credential": "api-2:x"})
    assert "x-gatewright-credential" not in response.json()


async def test_of_several_values_the_first_counts(gateway):
    first = await gateway.get("/one/x", headers=[("API-Key", GOOD), ("API-Key", "wrong")])
    second = await gateway.get("/one/x", headers=[("API-Key", "wrong"), ("API-Key", GOOD)])
    assert (first.status_code, second.status_code) == (200, 401)


async def test_a_false_condition_skips_the_policy(gateway):
    without = await gateway.get("/two/maybe")
    strict = await gateway.get("/two/maybe", headers={"x-strict": "1"})
    keyed = await gateway.get("/two/maybe", headers={"x-strict": "1", "API-Key": "other-api-key"})
    assert (without.status_code, strict.status_code, keyed.status_code) == (200, 401, 200)


@pytest.mark.parametrize("path", ["/two/broken", "/two/text"])
@pytest.mark.conforms("PO-006")
async def test_a_condition_that_decides_nothing_is_an_internal_error(gateway, path):
    response = await gateway.get(path)
    assert response.status_code == 500
    assert response.json()["error"] == "Internal Server Error"
    assert response.json()["error_id"] == response.headers["x-error-id"]
