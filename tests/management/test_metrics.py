"""Metrics of the management API and the port that shows them."""

import gzip
import re

import httpx2
import pytest

from gatewright.management.metrics import counting, metrics_app


@pytest.fixture
def samples(serve, deployments):
    """All samples as the port shows them, by name and labels."""

    async def read():
        async with (
            serve(metrics_app(counting(deployments, storage_type="sqlite"))) as port,
            httpx2.AsyncClient(trust_env=False) as client,
        ):
            body = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        return {
            name: float(value)
            for name, value in (line.rsplit(" ", 1) for line in body.splitlines() if not line.startswith("#"))
        }

    return read


@pytest.fixture
def moved(samples):
    """By how much each sample grows while a block runs."""

    async def since(before):
        after = await samples()
        return {name: value - before.get(name, 0.0) for name, value in after.items()}

    return since


@pytest.mark.conforms("MG-166")
async def test_after_an_api_was_created(samples, moved, post, admin, rest_api):
    before = await samples()
    assert before["gateway_controller_up"] == 1
    await post(rest_api())
    after, grown = await samples(), await moved(before)
    label = 'operation="create",status="success",api_type="rest_api"'
    created = [value for name, value in grown.items() if _is(name, "gateway_controller_api_operations_total", label)]
    assert created == [1]
    assert after['gateway_controller_apis_total{api_type="rest_api",status="active"}'] == 1
    await admin.delete("/rest-apis/orders")
    assert (await samples())['gateway_controller_apis_total{api_type="rest_api",status="active"}'] == 0


async def test_refusals_are_counted_by_reason(samples, moved, post, admin, rest_api):
    await post(rest_api())
    before = await samples()
    await admin.post("/rest-apis", content=b"[", headers={"content-type": "application/json"})
    await admin.post("/rest-apis", json=rest_api("b", version="x", context="y"))
    await admin.put("/rest-apis/orders", json=rest_api("other"))
    await admin.put("/rest-apis/orders", json=rest_api(upstream={"main": {"url": "{{ nofunc }}"}}))
    await admin.delete("/rest-apis/none")
    grown = await moved(before)

    def errors(operation, kind):
        name = f'gateway_controller_validation_errors_total{{error_type="{kind}",operation="{operation}"}}'
        return grown[name]

    assert errors("create", "parse_failed") == 1
    assert errors("create", "validation_failed") == 2
    assert errors("update", "handle_mismatch") == 1
    assert errors("update", "render_failed") == 1
    deleted = 'gateway_controller_api_operations_total{api_type="rest_api",operation="delete",status="error"}'
    assert grown[deleted] == 1


async def test_requests_are_counted_by_pattern_whatever_clients_send(samples, moved, admin, signed_in):
    before = await samples()
    await admin.get("/rest-apis/some-name")
    await signed_in("Admin", base="").get("/rest-apis/another")
    await admin.get("/nope/never/heard")
    await admin.request("BREW", "/rest-apis")
    await signed_in(None).get("/rest-apis")
    grown = {name: value for name, value in (await moved(before)).items() if "http_requests_total" in name and value}
    labels = {tuple(re.findall(r'"([^"]*)"', name)): value for name, value in grown.items()}
    assert labels == {
        ("GET /api/management/v1/rest-apis/{id}", "GET", "404"): 1,
        ("GET /rest-apis/{id}", "GET", "404"): 1,
        ("unmatched", "GET", "404"): 1,
        ("unmatched", "OTHER", "405"): 1,
        ("GET /api/management/v1/rest-apis", "GET", "401"): 1,
    }


async def test_the_port(serve, deployments):
    app = metrics_app(counting(deployments, storage_type="sqlite"))
    async with serve(app) as port, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        plain = await client.get("/metrics", headers={"accept-encoding": "identity"})
        assert plain.headers["content-type"].startswith("text/plain; version=")
        assert "content-encoding" not in plain.headers
        async with client.stream("GET", "/metrics", headers={"accept-encoding": "gzip"}) as packed:
            raw = b"".join([part async for part in packed.aiter_raw()])
        assert b"gateway_controller_up 1.0" in gzip.decompress(raw)
        openmetrics = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
        assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
        assert (await client.get("/health")).text == "OK"
        assert (await client.head("/metrics")).status_code == 200
        assert (await client.get("/other")).status_code == 404
        refused = await client.post("/metrics")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


async def test_metrics_are_there_while_the_database_is_not(serve, deployments, store):
    await store.close()
    app = metrics_app(counting(deployments, storage_type="sqlite"))
    async with serve(app) as port, httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/metrics")).status_code == 200


def _is(sample, name, labels):
    found = re.fullmatch(r"([^{]+)\{(.*)\}", sample)
    return bool(found) and found[1] == name and set(found[2].split(",")) == set(labels.split(","))
