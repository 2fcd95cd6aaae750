"""Plans, subscriptions, applications and secrets: announced, listed, sealed, and there again after a restart."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hub_lab import DOCUMENT, Lab, LabMaker, Peer, TurnableClock

from gatewright.hub.client import HubClientError
from gatewright.hub.problems import HubStartError
from gatewright.hub.store import Store
from gatewright.hub.vault import Vault

REF = "orders-v1.0"
WITH_SECRET = (
    DOCUMENT.replace("/items", '/items/{{ secret \\"backend-key\\" }}')
    .replace("path: /items/", "path: '/items/")
    .replace("}} }", "}}' }")
)
KINDS = (
    ("LlmProvider", "llm-providers", "llm-provider", "llmprovider", "providerId"),
    ("LlmProxy", "llm-proxies", "llm-proxy", "llmproxy", "proxyId"),
    ("Mcp", "mcp-proxies", "mcp-proxy", "mcpproxy", "proxyId"),
)  # fmt: skip


def document(kind: str) -> str:
    spec: dict[str, Any] = {"displayName": kind, "version": "v1.0", "context": f"/{kind.lower()}"}
    if kind == "LlmProxy":
        spec["provider"] = {"id": "llmprovider-1"}
    else:
        spec["upstream"] = {"url": "https://model.internal"}
    if kind == "LlmProvider":
        spec.update(template="openai", accessControl={"mode": "allow_all"})
    metadata = {"name": f"{kind.lower()}-1"}
    return json.dumps(
        {"apiVersion": "gateway.api-platform.wso2.com/v1", "kind": kind, "metadata": metadata, "spec": spec}
    )


async def refusal(call: Any) -> str:
    with pytest.raises(HubClientError) as refused:
        await call
    return refused.value.code


async def types(peer: Peer, count: int) -> list[str]:
    return [(await peer.event())["type"] for _ in range(count)]


async def test_the_other_kinds_are_deployed_listed_and_deleted(lab: Lab) -> None:
    token = await lab.gateway()
    async with lab.peer(token) as peer:
        for kind, collection, entry, event_name, member in KINDS:
            lab.clock.advance(1)
            deployed = await lab.client.deploy(document(kind), ["edge"])
            event = await peer.event()
            assert event["type"] == f"{event_name}.deployed"
            assert event["payload"][member] == deployed.artifact.id
            answer = await peer.rest.get(f"/{collection}/{deployed.artifact.id}")
            name = f"{entry}-{deployed.artifact.id}"
            assert answer.headers["content-disposition"] == f'attachment; filename="{name}.zip"'
            assert f"{name}.yaml".encode() in answer.content
            issued = await lab.client.create_key(deployed.artifact.handle, "some-key")
            assert (await peer.event())["payload"]["apiId"] == deployed.artifact.id
            if kind != "Mcp":
                (row,) = (await peer.rest.get(f"/{collection}/api-keys")).json()
                assert row["uuid"] == issued.key.uuid
        await lab.client.deploy(DOCUMENT, ["edge"])
        await peer.event()
        rows = (await peer.rest.get("/deployments")).json()["deployments"]
        assert [row["kind"] for row in rows] == ["RestApi", "LlmProvider", "LlmProxy", "Mcp"]
        assert await refusal(lab.client.delete_artifact("llmprovider-1")) == "ARTIFACT_IN_USE"
        await lab.client.undeploy("llmproxy-1")
        assert (await peer.event())["type"] == "llmproxy.undeployed"
        proxy = await lab.client.artifact("llmproxy-1")
        nothing = (await peer.rest.get(f"/llm-proxies/{proxy.id}")).json()["description"]
        assert nothing == "No active deployment found for this LLM proxy on this gateway"
        for handle in ("llmproxy-1", "llmprovider-1", "mcp-1"):
            await lab.client.delete_artifact(handle)
        assert await types(peer, 3) == ["llmproxy.deleted", "llmprovider.deleted", "mcpproxy.deleted"]
    bare = {"kind": "LlmProvider", "metadata": {"name": "x"}, "spec": {"displayName": "X", "version": "v1"}}
    with pytest.raises(HubClientError, match=r"spec.template: .*spec.upstream: "):
        await lab.client.deploy(json.dumps(bare))


async def test_plans_are_told_to_every_gateway(lab: Lab) -> None:
    tokens = [await lab.gateway("one"), await lab.gateway("two")]
    async with lab.peer(tokens[0]) as first, lab.peer(tokens[1]) as second:
        plan = await lab.client.create_plan(
            "Gold", throttleLimitCount=100, throttleLimitUnit="hour", expiryTime="2099-01-01T00:00:00Z"
        )
        for peer in (first, second):
            event = await peer.event()
            assert event["type"] == "subscriptionPlan.created"
            payload = event["payload"]
            assert (payload["planId"], payload["handle"], payload["planName"]) == (plan.uuid, "gold", "Gold")
            assert (payload["throttleLimitCount"], payload["stopOnQuotaReach"]) == (100, True)
            (row,) = (await peer.rest.get("/subscription-plans")).json()
            assert (row["id"], row["throttleLimitUnit"], row["status"]) == (plan.uuid, "hour", "ACTIVE")
            assert row["expiryTime"] == "2099-01-01T00:00:00Z"
            assert row["etag"]
        assert await refusal(lab.client.create_plan("Gold")) == "PLAN_EXISTS"
        assert await refusal(lab.client.create_plan("", throttleLimitCount=0)) == "VALIDATION_FAILED"
        await lab.client.change_plan("gold", "Gold", stopOnQuotaReach=False)
        event = await first.event()
        assert event["type"] == "subscriptionPlan.updated"
        assert "throttleLimitCount" not in event["payload"]
        await lab.client.delete_plan("gold")
        assert (await first.event())["type"] == "subscriptionPlan.deleted"
        assert (await first.rest.get("/subscription-plans")).json() == []


async def test_subscriptions_go_to_the_gateways_of_their_api_with_the_plain_token(lab: Lab) -> None:
    token, far_token = await lab.gateway(), await lab.gateway("far")
    plan = await lab.client.create_plan("Gold")
    artifact = (await lab.client.deploy(DOCUMENT, ["edge"])).artifact
    async with lab.peer(token) as peer, lab.peer(far_token) as far:
        await types(peer, 2)
        issued = await lab.client.create_subscription(REF, plan="gold")
        made = issued.subscription
        event = await peer.event()
        assert event["type"] == "subscription.created"
        assert event["payload"] == {
            "apiId": artifact.id, "subscriptionId": made.id, "subscriptionToken": issued.subscription_token,
            "subscriptionPlanId": plan.uuid, "status": "ACTIVE",
        }  # fmt: skip
        (row,) = (await peer.rest.get(f"/apis/{artifact.id}/subscriptions")).json()
        assert (row["id"], row["subscriptionToken"]) == (made.id, issued.subscription_token)
        assert (await far.rest.get(f"/apis/{artifact.id}/subscriptions")).status_code == 403
        assert await refusal(lab.client.delete_plan("gold")) == "PLAN_IN_USE"
        assert await refusal(lab.client.create_subscription(REF, token="short")) == "VALIDATION_FAILED"
        again = lab.client.create_subscription(REF, token=issued.subscription_token)
        assert await refusal(again) == "SUBSCRIPTION_EXISTS"
        changed = await lab.client.change_subscription(made.id, plan="", status="INACTIVE")
        assert (changed.plan, changed.status) == ("", "INACTIVE")
        payload = (await peer.event())["payload"]
        assert payload == {"apiId": artifact.id, "subscriptionId": made.id, "status": "INACTIVE"}
        # A gateway that gets the API later is told what was made before.
        await lab.client.deploy_again(REF, ["far"])
        assert await types(far, 3) == ["subscriptionPlan.created", "api.deployed", "subscription.created"]
        await lab.client.delete_subscription(made.id)
        assert (await peer.event())["payload"] == {"apiId": artifact.id, "subscriptionId": made.id}
        assert (await peer.rest.get(f"/apis/{artifact.id}/subscriptions")).json() == []
    files = b"".join(path.read_bytes() for path in lab.hub.config.data_dir.iterdir())
    assert issued.subscription_token.encode() not in files
    assert issued.subscription_token not in repr(issued)


async def test_applications_map_keys_and_gateways_are_told_the_whole_set(lab: Lab) -> None:
    token = await lab.gateway()
    await lab.client.deploy(DOCUMENT, ["edge"])
    keys = [(await lab.client.create_key(REF, name)).key.uuid for name in ("key-one", "key-two")]
    async with lab.peer(token) as peer:
        await types(peer, 3)
        application = await lab.client.create_application("Mobile app", keys=keys[:1])
        event = await peer.event()
        assert event["type"] == "application.updated"
        assert event["payload"] == {
            "applicationId": "mobile-app", "applicationUuid": application.uuid, "applicationName": "Mobile app",
            "applicationType": "web", "mappings": [{"apiKeyUuid": keys[0]}],
        }  # fmt: skip
        await lab.client.change_application("mobile-app", "Mobile", keys=keys)
        assert (await peer.event())["payload"]["mappings"] == [{"apiKeyUuid": key} for key in sorted(keys)]
        await lab.client.change_application("mobile-app", "Mobile")
        assert (await peer.event())["payload"]["mappings"] == []
        await lab.client.change_application("mobile-app", "Mobile", keys=keys)
        await peer.event()
        await lab.client.deploy_again(REF, ["edge"])
        told = ["api.deployed", "apikey.created", "apikey.created", "application.updated"]
        assert await types(peer, 4) == told
        assert await refusal(lab.client.create_application("Other", keys=["unknown"])) == "VALIDATION_FAILED"
        await lab.client.delete_application("mobile-app")
        assert (await peer.event())["payload"]["mappings"] == []
    assert await lab.client.applications() == []


@pytest.mark.conforms("CP-110")
async def test_secrets_are_told_only_to_gateways_that_run_what_refers_to_them(lab: Lab) -> None:
    token, far_token = await lab.gateway(), await lab.gateway("far")
    await lab.client.create_secret("backend-key", "canary-value")
    await lab.client.create_secret("unused", "canary-unused")
    async with lab.rest(token) as rest, lab.rest(far_token) as far:
        assert (await rest.get("/secrets/backend-key/value")).status_code == 404
        await lab.client.deploy(WITH_SECRET, ["edge"])
        (plain,) = (await rest.get("/secrets?includeValues=true")).json()["list"]
        assert (plain["handle"], plain["value"], plain["status"]) == ("backend-key", "canary-value", "ACTIVE")
        (row,) = (await rest.get("/secrets")).json()["list"]
        assert "value" not in row
        assert (await rest.get("/secrets/backend-key/value")).json() == {"value": "canary-value"}
        missing = await far.get("/secrets/backend-key/value")
        assert (missing.status_code, missing.json()["description"]) == (404, "Secret not found")
        assert (await rest.get("/secrets/unused/value")).status_code == 404
        assert (await far.get("/secrets")).json() == {"list": [], "count": 0}
        assert await refusal(lab.client.delete_secret("backend-key")) == "SECRET_IN_USE"
        await lab.client.change_secret("backend-key", "canary-changed")
        (after,) = (await rest.get("/secrets", params={"updatedAfter": row["updatedAt"]})).json()["list"]
        assert after["hash"] != row["hash"]
        await lab.client.undeploy(REF)
        assert (await rest.get("/secrets/backend-key/value")).status_code == 404
        await lab.client.delete_secret("backend-key")
    files = b"".join(path.read_bytes() for path in lab.hub.config.data_dir.iterdir())
    assert b"canary" not in files
    assert (lab.hub.config.data_dir / "secrets.key").stat().st_mode & 0o777 == 0o600


async def test_a_deprecated_secret_is_listed_and_told_to_nobody(make_lab: LabMaker, tmp_path: Path) -> None:
    clock = TurnableClock()
    async with make_lab(clock) as lab:
        token = await lab.gateway()
        await lab.client.create_secret("backend-key", "canary-value", name="Backend")
        await lab.client.deploy(WITH_SECRET, ["edge"])
        async with lab.rest(token) as rest:
            (before,) = (await rest.get("/secrets")).json()["list"]
            assert (await lab.client.modify_secret("backend-key", status="DEPRECATED")).status == "DEPRECATED"
            (bulk,) = (await rest.get("/secrets?includeValues=true")).json()["list"]
            changed = {**before, "status": "DEPRECATED", "updatedAt": bulk["updatedAt"]}
            assert bulk == changed, "no value, and the same hash"
            later = await rest.get("/secrets", params={"updatedAfter": before["updatedAt"]})
            assert later.json()["list"] == [changed]
            refused = await rest.get("/secrets/backend-key/value")
            assert (refused.status_code, refused.json()["description"]) == (500, "Failed to decrypt secret")
        assert await refusal(lab.client.modify_secret("backend-key", status="GONE")) == "VALIDATION_FAILED"
        assert await refusal(lab.client.modify_secret("backend-key", value="")) == "VALIDATION_FAILED"
        assert await refusal(lab.client.modify_secret("backend-key", type="")) == "VALIDATION_FAILED"
        assert await refusal(lab.client.modify_secret("unknown", status="ACTIVE")) == "SECRET_NOT_FOUND"
        assert await refusal(lab.client.delete_secret("backend-key")) == "SECRET_IN_USE"
        assert (await lab.client.change_secret("backend-key", "canary-other", name="Backend")).status == "DEPRECATED"
    async with make_lab(clock) as lab, lab.rest(token) as rest:
        assert [(each.name, each.status) for each in await lab.client.secrets()] == [("Backend", "DEPRECATED")]
        assert (await rest.get("/secrets/backend-key/value")).status_code == 500
        await lab.client.modify_secret("backend-key", status="ACTIVE", value="canary-third")
        assert (await rest.get("/secrets/backend-key/value")).json() == {"value": "canary-third"}


async def test_a_secret_that_cannot_be_decrypted_costs_no_other(make_lab: LabMaker, tmp_path: Path) -> None:
    async with make_lab() as lab:
        token = await lab.gateway()
        both = WITH_SECRET.replace("orders.internal", 'orders.internal/{{ secret \\"other\\" }}')
        await lab.client.create_secret("backend-key", "canary-value")
        await lab.client.create_secret("other", "canary-other")
        await lab.client.deploy(both, ["edge"])
    with sqlite3.connect(tmp_path / "hub" / "hub.db") as damaged:
        damaged.execute("UPDATE secrets SET sealed = 'sealed:' WHERE handle = 'other'")
    damaged.close()
    async with make_lab() as lab, lab.rest(token) as rest:
        listed = (await rest.get("/secrets?includeValues=true")).json()["list"]
        values = [(row["handle"], row.get("value")) for row in listed]
        assert values == [("backend-key", "canary-value"), ("other", None)]
        assert (await rest.get("/secrets/other/value")).status_code == 500


async def test_a_key_for_named_gateways_reaches_nobody_else(lab: Lab) -> None:
    here, there = await lab.gateway("here"), await lab.gateway("there")
    await lab.client.deploy(DOCUMENT, ["here", "there"])
    async with lab.peer(here) as near, lab.peer(there) as far:
        await near.event()
        await far.event()
        await lab.client.create_key(REF, "some-key", gateways=["here"])
        assert (await near.event())["type"] == "apikey.created"
        assert (await far.rest.get("/apis/api-keys")).json() == []
        await lab.client.deploy_again(REF, ["there"])
        await lab.client.create_plan("Next")
        assert await types(far, 2) == ["api.deployed", "subscriptionPlan.created"]
    assert await refusal(lab.client.create_key(REF, "odd-key", gateways=["nowhere"])) == "GATEWAY_NOT_FOUND"


async def test_nothing_is_lost_by_a_restart(make_lab: LabMaker, tmp_path: Path) -> None:
    clock = TurnableClock()
    async with make_lab(clock) as lab:
        token = await lab.gateway()
        await lab.client.create_plan("Gold")
        await lab.client.create_secret("backend-key", "canary-value")
        artifact = (await lab.client.deploy(WITH_SECRET, ["edge"])).artifact
        issued = await lab.client.create_subscription(REF, plan="gold")
        key = (await lab.client.create_key(REF)).key
        await lab.client.create_application("App", keys=[key.uuid])
        before = [await lab.client.plans(), await lab.client.subscriptions(), await lab.client.applications()]
    async with make_lab(clock) as lab:
        assert [await lab.client.plans(), await lab.client.subscriptions(), await lab.client.applications()] == before
        async with lab.peer(token) as peer:
            assert await types(peer, 2) == ["subscriptionPlan.created", "api.deployed"]
            assert (await peer.event())["payload"]["subscriptionToken"] == issued.subscription_token
            (row,) = (await peer.rest.get(f"/apis/{artifact.id}/subscriptions")).json()
            assert row["subscriptionToken"] == issued.subscription_token
            assert (await peer.rest.get("/secrets/backend-key/value")).json() == {"value": "canary-value"}
    (tmp_path / "hub" / "secrets.key").write_bytes(bytes(32))
    with pytest.raises(HubStartError, match="another key") as refused:
        async with make_lab(clock):
            pass
    assert refused.value.code == "HUB_KEY_UNUSABLE"


async def test_a_database_of_the_first_schema_is_brought_up_to_date(make_lab: LabMaker, tmp_path: Path) -> None:
    async with make_lab() as lab:
        token = await lab.gateway()
        await lab.client.deploy(WITH_SECRET, ["edge"])
        await lab.client.create_key(REF, "some-key")
    with sqlite3.connect(tmp_path / "hub" / "hub.db") as earlier:
        for table in ("secret_references", "secrets", "subscriptions", "application_keys", "applications", "plans"):
            earlier.execute(f"DROP TABLE {table}")
        earlier.execute("ALTER TABLE api_keys DROP COLUMN targets")
        earlier.execute("DELETE FROM meta WHERE key = 'vault_check'")
        earlier.execute("PRAGMA user_version = 1")
    earlier.close()
    async with make_lab() as lab, lab.rest(token) as rest:
        await lab.client.create_secret("backend-key", "canary-value")
        assert (await rest.get("/secrets/backend-key/value")).json() == {"value": "canary-value"}
        assert [row["name"] for row in (await rest.get("/apis/api-keys")).json()] == ["some-key"]


async def test_a_database_of_the_second_schema_is_brought_up_to_date(make_lab: LabMaker, tmp_path: Path) -> None:
    async with make_lab() as lab:
        await lab.client.create_secret("backend-key", "canary-value")
    with sqlite3.connect(tmp_path / "hub" / "hub.db") as earlier:
        earlier.execute("ALTER TABLE secrets DROP COLUMN status")
        earlier.execute("PRAGMA user_version = 2")
    earlier.close()
    for _ in range(2):
        async with make_lab() as lab:
            assert [each.status for each in await lab.client.secrets()] == ["ACTIVE"]


async def test_a_vault_binds_values_to_their_place(tmp_path: Path) -> None:
    vault = Vault(bytes(32))
    store = Store(tmp_path / "hub.db", TurnableClock(), vault, lambda _events: None)
    await store.open()
    await asyncio.gather(store.close())
    sealed = vault.seal("plain", "here")
    assert vault.unseal(sealed, "here") == "plain"
    for broken, purpose in ((sealed, "there"), (sealed[:-4], "here"), ("sealed:", "here")):
        with pytest.raises(Exception, match=purpose):
            vault.unseal(broken, purpose)
