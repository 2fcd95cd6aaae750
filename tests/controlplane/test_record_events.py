"""Events of plans, subscriptions, applications, and of kinds that refer to one another, over a real socket."""

import asyncio
import hashlib
import json
import sqlite3

import pytest
from controlplane_lab import rest_api, until
from pydantic import SecretStr

from gatewright.deployment import Caller, KeyRequest
from gatewright.store import changes
from gatewright.wire.archives import write_batch, write_definition

BASE = "/api/internal/v1"
AT = "2026-08-01T10:15:30.123Z"
LATER = "2026-08-01T10:16:30.123Z"
LATEST = "2026-08-01T10:17:30.123Z"
CANARY = "sub-token-canary-51ce"


def zipped(document) -> bytes:
    return write_definition("api-a.yaml", json.dumps(document).encode())


def document(kind, handle, **spec):
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": kind,
        "metadata": {"name": handle},
        "spec": {"displayName": handle, "version": "v1.0", **spec},
    }


def provider(handle="acme", url="https://llm.example"):
    access = {"mode": "allow_all"}
    return document("LlmProvider", handle, template="acme-llm", upstream={"url": url}, accessControl=access)


def proxy(handle="helpdesk"):
    return document("LlmProxy", handle, provider={"id": "acme"})


class Talk:
    """A linked gateway and the other end of its socket."""

    def __init__(self, site, hostile, plane, peer) -> None:
        self.site, self.hostile, self.plane, self.peer = site, hostile, plane, peer
        self.records = site.deployments.subscriptions
        self.marks = 0

    async def send(self, kind: str, payload: dict) -> str:
        """Send an event; its outcome."""
        self.marks += 1
        correlation = f"c-{self.marks}"
        self.peer.event(kind, payload, correlation)

        def outcome():
            # Its acknowledgement bears the same id, and may be there already.
            events = self.plane.status().events
            found = [entry for entry in events if (entry.correlation_id, entry.what) == (correlation, kind)]
            return found and found[-1].outcome

        await until(outcome)
        return outcome()

    def define(self, collection: str, artifact: str, content) -> None:
        self.hostile.answers["GET", f"{BASE}/{collection}/{artifact}"] = (200, zipped(content))


@pytest.fixture
async def talk(site, hostile, hostile_settings):
    await site.deployments.create(
        "LlmProviderTemplate", document("LlmProviderTemplate", "acme-llm"), correlation_id="c", actor="admin"
    )
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await until(lambda: plane.status().last_reconcile)
        yield Talk(site, hostile, plane, peer)


def plan(uuid="p1", name="Gold", **more):
    return {"planId": uuid, "handle": "gold", "planName": name, "status": "ACTIVE", **more}


def subscription(uuid="s1", *, token=CANARY, **more):
    return {"apiId": "a", "subscriptionId": uuid, "subscriptionToken": token, "status": "ACTIVE", **more}


@pytest.mark.conforms("CP-085", "CP-086", "CP-087")
async def test_plans_come_change_and_go(talk):
    limited = plan(throttleLimitCount=10, throttleLimitUnit="hour", expiryTime="2027-01-01T00:00:00Z")
    assert await talk.send("subscriptionPlan.created", limited) == "applied"
    row = await talk.records.plan("p1")
    assert (row.name, row.limit_count, row.limit_unit, row.origin) == ("Gold", 10, "hour", "control_plane")
    assert row.expires_at.year == 2027
    assert await talk.send("subscriptionPlan.created", plan(name="Golden", throttleLimitCount=9)) == "applied"
    assert await talk.send("subscriptionPlan.updated", {"planId": "p1", "throttleLimitUnit": "day"}) == "applied"
    row = await talk.records.plan("p1")
    assert (row.name, row.limit_count, row.status) == ("Golden", None, "ACTIVE")
    talk.peer.event("subscriptionPlan.created", {"planId": "p2"})
    assert await talk.send("subscriptionPlan.updated", plan("unknown")) == "unknown"
    assert [each.uuid for each in await talk.records.plans()] == ["p1"]
    assert await talk.send("subscriptionPlan.deleted", {"planId": "p1"}) == "applied"
    assert await talk.send("subscriptionPlan.deleted", {"planId": "p1"}) == "unknown"
    assert await talk.records.plans() == []
    assert talk.peer.frames.empty()


@pytest.mark.conforms("CP-082", "CP-083", "CP-084", "CP-087")
async def test_subscriptions_come_change_and_go(talk, caplog, capsys):
    full = subscription(applicationId="app", subscriptionPlanId="p1")
    assert await talk.send("subscription.created", full) == "applied"
    row = await talk.records.get("s1")
    digest = hashlib.sha256(CANARY.encode()).hexdigest()
    assert (row.api_id, row.token_hash, row.application_id, row.plan_id) == ("a", digest, "app", "p1")
    change = {"subscriptionId": "s1", "subscriptionToken": "", "status": "INACTIVE"}
    assert await talk.send("subscription.updated", change) == "applied"
    row = await talk.records.get("s1")
    assert (row.api_id, row.token_hash, row.application_id, row.plan_id) == ("a", digest, None, None)
    assert row.status == "INACTIVE"
    assert await talk.send("subscription.updated", subscription("unknown")) == "unknown"
    assert await talk.send("subscription.created", subscription("s2", token="other", status="ODD")) == "refused"
    talk.peer.event("subscription.created", subscription("s3", token=""))
    assert await talk.send("subscription.deleted", {"subscriptionId": "s1"}) == "applied"
    assert await talk.send("subscription.deleted", {"subscriptionId": "s1"}) == "unknown"
    assert await talk.records.list() == []
    assert talk.peer.frames.empty()
    seen = caplog.text + "".join(capsys.readouterr()) + str(talk.plane.describe())
    assert CANARY not in seen
    assert digest not in seen


async def test_a_subscription_of_a_gateway_made_api_is_found_by_the_control_planes_id(talk):
    stored = await talk.site.deployments.create("RestApi", rest_api("own"), correlation_id="c", actor="admin")
    await talk.site.deployments.mark_pushed(stored.row.uuid, "success", "cp-own")
    assert await talk.send("subscription.created", {**subscription(), "apiId": "cp-own"}) == "applied"
    assert (await talk.records.get("s1")).api_id == stored.row.uuid


@pytest.mark.conforms("CP-080", "CP-081", "CP-087")
async def test_applications_replace_their_keys(talk):
    event = {"applicationId": "mobile", "applicationUuid": "u1", "applicationName": "Mobile", "applicationType": "web"}
    mapped = {**event, "mappings": [{"apiKeyUuid": "k1"}, {"apiKeyUuid": "k2"}, {"apiKeyUuid": ""}]}
    assert await talk.send("application.updated", mapped) == "applied"
    assert sorted(await talk.records.keys_of_application("u1")) == ["k1", "k2"]
    for member in event:
        talk.peer.event("application.updated", {**event, member: "", "mappings": []})

    def dropped():
        return [entry.outcome for entry in talk.plane.status().events].count("irregular") == len(event)

    await until(dropped)
    assert sorted(await talk.records.keys_of_application("u1")) == ["k1", "k2"]
    assert await talk.send("application.updated", {**event, "mappings": [{"apiKeyUuid": "k2"}]}) == "applied"
    assert await talk.records.keys_of_application("u1") == ["k2"]
    assert await talk.send("application.updated", {**event, "mappings": []}) == "applied"
    assert await talk.records.application("u1") is None
    assert talk.peer.frames.empty()


@pytest.mark.parametrize(
    "ending", [("subscription.deleted", {}), ("subscription.updated", {"status": "REVOKED", "subscriptionToken": ""})]
)
async def test_the_end_of_a_subscription_does_not_wait_for_deployments(talk, ending):
    assert await talk.send("subscription.created", subscription()) == "applied"
    release = asyncio.Event()

    async def stuck(_request):
        await release.wait()
        return 200, write_batch({})

    talk.hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = stuck
    for number in range(600):
        talk.hostile.answers["GET", f"{BASE}/apis/x{number}"] = stuck
        talk.peer.event("api.deployed", {"apiId": f"x{number}", "deploymentId": f"d{number}", "performedAt": AT})
    kind, more = ending
    assert await talk.send(kind, {"subscriptionId": "s1", "apiId": "a", **more}) == "applied"
    row = await talk.records.get("s1")
    assert row is None or row.status == "REVOKED"
    assert talk.plane.status().waiting > 0
    release.set()


@pytest.mark.conforms("CP-061")
@pytest.mark.parametrize(
    ("family", "member", "collection", "content"),
    [
        ("llmprovider", "providerId", "llm-providers", provider()),
        (
            "mcpproxy",
            "proxyId",
            "mcp-proxies",
            document("Mcp", "tools", context="/tools", upstream={"url": "http://127.0.0.1:9"}),
        ),
    ],
)
async def test_other_kinds_are_stored_undeployed_and_deleted(talk, family, member, collection, content):
    talk.define(collection, "x", content)
    payload = {member: "x", "deploymentId": "d1", "performedAt": AT}
    talk.peer.event(f"{family}.deployed", payload)
    ack = (await talk.peer.message())["payload"]
    assert (ack["resourceType"], ack["action"], ack["status"]) == (family, "deploy", "success")
    assert (await talk.site.deployments.get_by_id("x")).kind == content["kind"]
    talk.peer.event(f"{family}.undeployed", {**payload, "performedAt": LATER})
    ack = (await talk.peer.message())["payload"]
    assert (ack["resourceType"], ack["action"], ack["status"]) == (family, "undeploy", "success")
    assert await talk.send(f"{family}.deleted", {member: "x"}) == "applied"
    assert await talk.site.deployments.get_by_id("x") is None


async def test_a_proxy_that_comes_before_its_provider_waits_for_it(talk):
    talk.define("llm-proxies", "x", proxy())
    talk.define("llm-providers", "p", provider())
    for_proxy = {"proxyId": "x", "deploymentId": "d1", "performedAt": AT}
    assert await talk.send("llmproxy.deployed", for_proxy) == "postponed"
    talk.peer.event("llmprovider.deployed", {"providerId": "p", "deploymentId": "d2", "performedAt": AT})
    acks = [(await talk.peer.message())["payload"] for _ in range(2)]
    assert {(ack["resourceType"], ack["status"]) for ack in acks} == {
        ("llmprovider", "success"),
        ("llmproxy", "success"),
    }
    assert await talk.site.row("helpdesk", "LlmProxy")


async def test_a_provider_that_never_comes_fails_the_proxy_in_time(talk, monkeypatch):
    monkeypatch.setattr("gatewright.controlplane.handlers.lifecycle.FETCH_PATIENCE", 0.3)
    talk.define("llm-proxies", "x", proxy())
    talk.peer.event("llmproxy.deployed", {"proxyId": "x", "deploymentId": "d1", "performedAt": AT})
    ack = (await talk.peer.message())["payload"]
    assert (ack["status"], ack["errorCode"]) == ("failed", "GATEWAY_PROCESSING_ERROR")


async def test_a_proxy_that_is_deleted_while_it_waits_stays_away(talk):
    talk.define("llm-proxies", "x", proxy())
    talk.define("llm-providers", "p", provider())
    assert await talk.send("llmproxy.deployed", {"proxyId": "x", "deploymentId": "d1", "performedAt": AT})
    await talk.send("llmproxy.deleted", {"proxyId": "x"})
    talk.peer.event("llmprovider.deployed", {"providerId": "p", "deploymentId": "d2", "performedAt": AT})
    assert (await talk.peer.message())["payload"]["resourceType"] == "llmprovider"
    await until(lambda: len(talk.plane._later) == 0)
    assert await talk.site.row("helpdesk", "LlmProxy") is None


async def test_a_proxy_that_is_undeployed_while_it_waits_is_not_deployed_after_all(talk):
    talk.define("llm-proxies", "x", proxy())
    talk.define("llm-providers", "p", provider())
    deployment = {"proxyId": "x", "deploymentId": "d1", "performedAt": AT}
    assert await talk.send("llmproxy.deployed", deployment) == "postponed"
    assert await talk.send("llmproxy.undeployed", {**deployment, "performedAt": LATER}) == "unknown"
    ack = (await talk.peer.message())["payload"]
    assert (ack["action"], ack["status"]) == ("undeploy", "success")
    talk.peer.event("llmprovider.deployed", {"providerId": "p", "deploymentId": "d2", "performedAt": AT})
    assert (await talk.peer.message())["payload"]["resourceType"] == "llmprovider"
    await until(lambda: len(talk.plane._later) == 0)
    assert await talk.site.row("helpdesk", "LlmProxy") is None


async def test_an_undeployment_that_overtakes_its_deployment_is_the_last_word(talk):
    talk.define("llm-providers", "p", provider())
    deployment = {"providerId": "p", "deploymentId": "d1", "performedAt": LATER}
    assert await talk.send("llmprovider.undeployed", deployment) == "unknown"
    assert await talk.send("llmprovider.deployed", {**deployment, "performedAt": AT}) == "stale"
    assert await talk.site.deployments.get_by_id("p") is None
    assert await talk.send("llmprovider.deployed", {**deployment, "performedAt": LATEST}) == "applied"
    assert (await talk.site.deployments.get_by_id("p")).desired_state == "deployed"


@pytest.mark.conforms("CP-060")
async def test_secrets_of_a_deployment_are_fetched_first(talk):
    content = provider(url='https://{{ secret "backend-host" }}.example')
    talk.define("llm-providers", "p", content)
    talk.hostile.answers["GET", f"{BASE}/secrets/backend-host/value"] = (200, {"value": "canary-host"})
    payload = {"providerId": "p", "deploymentId": "d1", "performedAt": AT}
    talk.peer.event("llmprovider.deployed", payload)
    assert (await talk.peer.message())["payload"]["status"] == "success"
    assert talk.site.secrets.value("backend-host") == "canary-host"
    talk.peer.event("llmprovider.deployed", {**payload, "deploymentId": "d2", "performedAt": LATER})
    assert (await talk.peer.message())["payload"]["status"] == "success"
    assert len(talk.hostile.asked("/secrets/backend-host/value")) == 1, "it is known by then"
    await talk.site.secrets.put("local", SecretStr("here"))
    talk.define("llm-providers", "q", provider("second", url='https://{{ secret "local" }}.example'))
    talk.peer.event("llmprovider.deployed", {**payload, "providerId": "q"})
    assert (await talk.peer.message())["payload"]["status"] == "success", "a failed fetch alone fails nothing"


@pytest.mark.conforms("CP-070")
async def test_a_deletion_of_an_unknown_mcp_proxy_does_nothing(talk):
    before = await talk.site.store.read(lambda connection: changes.last_seq(connection, talk.site.store.gateway_id))
    assert await talk.send("mcpproxy.deleted", {"proxyId": "nobody"}) == "unknown"
    after = await talk.site.store.read(lambda connection: changes.last_seq(connection, talk.site.store.gateway_id))
    assert (after, talk.peer.frames.qsize()) == (before, 0)


@pytest.mark.conforms("CP-071")
async def test_an_mcp_proxy_made_here_is_undeployed_by_the_control_planes_id(talk):
    tools = document("Mcp", "tools", context="/tools", upstream={"url": "http://127.0.0.1:9"})
    made = await talk.site.deployments.create("Mcp", tools, correlation_id="c", actor="a")
    await talk.site.deployments.mark_pushed(made.row.uuid, "success", "their-id")
    payload = {"proxyId": "their-id", "deploymentId": "d1", "performedAt": "2099-01-01T00:00:00Z"}
    assert await talk.send("mcpproxy.undeployed", payload) == "applied"
    ack = (await talk.peer.message())["payload"]
    assert (ack["artifactId"], ack["resourceType"], ack["status"]) == ("their-id", "mcpproxy", "success")
    assert (await talk.site.row("tools", "Mcp")).desired_state == "undeployed"


@pytest.mark.conforms("CP-069")
@pytest.mark.parametrize("family", ["api", "llmprovider", "mcpproxy"])
async def test_a_deletion_whose_look_up_fails_deletes_nothing(talk, family):
    stored = await talk.site.deployments.create("RestApi", rest_api("orders"), correlation_id="c", actor="a")
    uuid = stored.row.uuid
    request = KeyRequest(name="till")
    await talk.site.deployments.create_key("RestApi", "orders", request, caller=Caller("a"), correlation_id="c")
    member = {"api": "apiId", "llmprovider": "providerId", "mcpproxy": "proxyId"}[family]
    with sqlite3.connect(talk.site.store.path) as other:
        other.execute("ALTER TABLE artifacts RENAME TO out_of_reach")
    assert await talk.send(f"{family}.deleted", {member: uuid}) == "failed"
    with sqlite3.connect(talk.site.store.path) as other:
        other.execute("ALTER TABLE out_of_reach RENAME TO artifacts")
    await until(lambda: talk.site.deployments.get_by_id(uuid))
    assert [key.name for key in await talk.site.deployments.keys_of(uuid)] == ["till"]
    assert talk.peer.frames.qsize() == 0
