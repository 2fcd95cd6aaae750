"""The admin API."""

import re
from datetime import UTC, datetime

import pytest

from gatewright.management.admin import Admin, address_guard
from gatewright.management.mux import Mux

BASE = "/api/admin/v1"


class Overview:
    """What a process tells of itself."""

    def __init__(self):
        self.ready = (True, "READY")
        self.version = 41
        self.synced = {"deployed": 2}

    async def status(self):
        return {"controller": {"ready": self.ready[0]}, "artifacts": []}

    def readiness(self):
        return self.ready

    def snapshot_version(self):
        return self.version

    async def sync(self):
        return self.synced


@pytest.fixture
def overview():
    return Overview()


@pytest.fixture
def admin_app(overview, deployments, catalogue, authenticator):
    def make(*, config_dump=True, allowed=("*",)):
        endpoints = Admin(overview, deployments, catalogue, config_dump=config_dump).operations()
        return Mux(BASE, endpoints, authenticator, correlated=False, guard=address_guard(allowed))

    return make


@pytest.fixture
def by(signed_in, admin_app):
    """A client of the admin API by user."""

    def client(user, *, base=BASE, **options):
        return signed_in(user, base=base, target=admin_app(**options))

    return client


@pytest.mark.conforms("MG-158")
@pytest.mark.parametrize("base", [BASE, ""])
async def test_health_needs_nobody(by, base):
    response = await by(None, base=base).get("/health")
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "healthy"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["timestamp"])
    assert ("deprecation" in response.headers) == (base == "")


async def test_there_is_no_correlation_id_here(by):
    assert "x-correlation-id" not in (await by(None).get("/health")).headers


async def test_readiness(by, overview):
    assert (await by(None).get("/ready")).json() == {"ready": True, "reason": "READY"}
    overview.ready = (False, "CONFIGURATION_NOT_LOADED")
    response = await by(None).get("/ready")
    assert (response.status_code, response.json()["reason"]) == (503, "CONFIGURATION_NOT_LOADED")


@pytest.mark.conforms("MG-159")
async def test_the_dump_is_for_admins(by):
    nobody = await by(None, base="").get("/config_dump")
    assert (nobody.status_code, nobody.json()["code"]) == (401, "skip_authz")
    assert (await by("dev", base="").get("/config_dump")).status_code == 403
    response = await by("Admin", base="").get("/config_dump")
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"apis", "policies", "certificates", "statistics", "status", "timestamp", "xds_sync"}
    assert (body["apis"], body["certificates"], body["status"]) == ([], [], "success")
    assert body["xds_sync"] == {"policy_chain_version": "41"}
    assert body["statistics"]["totalPolicies"] == 3
    assert datetime.fromisoformat(body["timestamp"]).tzinfo == UTC


@pytest.mark.conforms("MG-160")
async def test_the_dump_can_be_off(by):
    response = await by("Admin", config_dump=False).get("/config_dump")
    assert (response.status_code, response.text) == (404, "404 page not found\n")
    assert (await by(None, config_dump=False).get("/config_dump")).status_code == 401


@pytest.mark.conforms("MG-161")
async def test_apis_come_and_go_in_the_dump(by, post, admin, rest_api):
    await post(rest_api())
    ((item,),) = [(await by("Admin").get("/config_dump")).json()["apis"]]
    assert item["configuration"]["metadata"]["name"] == "orders"
    assert item["metadata"]["status"] == "deployed"
    assert set(item["metadata"]) == {"createdAt", "updatedAt", "deployedAt", "status"}
    await admin.put("/rest-apis/orders", json=rest_api(deploymentState="undeployed"))
    assert (await by("Admin").get("/config_dump")).json()["apis"][0]["metadata"]["status"] == "undeployed"
    await admin.delete("/rest-apis/orders")
    assert (await by("Admin").get("/config_dump")).json()["apis"] == []


async def test_credentials_of_upstreams_are_not_dumped(by, post, rest_api):
    document = rest_api()
    document["spec"]["upstream"]["main"]["auth"] = {"type": "api-key", "value": "hidden-one"}
    await post(document)
    response = await by("Admin").get("/config_dump")
    assert "hidden-one" not in response.text
    assert response.json()["apis"][0]["configuration"]["spec"]["upstream"]["main"]["auth"] == {
        "type": "api-key",
        "value": "***REDACTED***",
    }


@pytest.mark.conforms("MG-162")
async def test_policies_in_the_dump(by):
    policies = (await by("Admin").get("/config_dump")).json()["policies"]
    assert [(each["name"], each["version"], each["managedBy"]) for each in policies] == [
        ("adder", "v1.4.0", "organization"),
        ("limiter", "v1.0.0", "wso2"),
        ("limiter", "v2.0.3", "wso2"),
    ]


async def test_the_version_of_what_routers_get(by, overview):
    assert (await by("dev").get("/xds_sync_status")).status_code == 403
    body = (await by("Admin").get("/xds_sync_status")).json()
    assert (body["component"], body["policy_chain_version"]) == ("gateway-controller", "41")
    overview.version += 1
    assert (await by("Admin").get("/xds_sync_status")).json()["policy_chain_version"] == "42"


@pytest.mark.conforms("MG-164")
@pytest.mark.parametrize("allowed", [("10.0.0.1",), ("127.0.0.0/8",), ()])
async def test_peers_that_are_not_listed(by, allowed):
    response = await by("Admin", allowed=allowed).get("/config_dump")
    assert (response.status_code, response.text) == (403, "Forbidden\n")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert (await by(None, allowed=allowed).get("/config_dump")).status_code == 401
    assert (await by(None, allowed=allowed).get("/health")).status_code == 200


@pytest.mark.parametrize("allowed", [("*",), ("0.0.0.0/0",), ("10.0.0.1", "127.0.0.1")])
async def test_peers_that_are_listed(by, allowed):
    assert (await by("Admin", allowed=allowed).get("/config_dump")).status_code == 200


@pytest.mark.conforms("MG-165")
@pytest.mark.parametrize("path", ["/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"])
async def test_there_are_no_profiles(by, path):
    assert (await by("Admin", base="").get(path)).status_code == 404


async def test_status_and_sync(by, overview):
    assert (await by("dev").get("/status")).status_code == 403
    assert (await by("Admin").get("/status")).json()["controller"] == {"ready": True}
    assert (await by("Admin").get("/sync")).status_code == 405
    assert (await by("Admin").post("/sync")).json() == {"deployed": 2}
    overview.synced = {"error": "no control plane is configured"}
    response = await by("Admin").post("/sync")
    assert (response.status_code, response.json()["message"]) == (409, "no control plane is configured")


async def test_the_dump_while_the_database_is_away(by, store):
    await store.close()
    response = await by("Admin").get("/config_dump")
    assert response.status_code == 503
    assert "the store is closed" in response.json()["message"]
