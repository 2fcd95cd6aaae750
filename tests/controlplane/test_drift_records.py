"""API keys, subscriptions, plans and secrets compared with the real hub: what differs is told, and nothing else."""

import json
import sqlite3

import pytest
from controlplane_lab import rest_api, until
from pydantic import SecretStr

from gatewright.controlplane import drift
from gatewright.deployment import Caller, KeyRequest


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(drift, "SETTLING", 0.0)


class Everything:
    """A gateway and a hub that agree on an API with a key, a subscription, a plan and a secret."""

    def __init__(self, site, client, plane) -> None:
        self.site, self.client, self.plane = site, client, plane
        self.records = site.deployments.subscriptions

    async def arrive(self) -> None:
        await self.client.create_secret("backend", "canary-of-the-backend")
        await self.client.create_plan("Gold", throttleLimitCount=10, throttleLimitUnit="hour")
        document = rest_api("orders")
        document["spec"]["operations"][0]["policies"] = []
        document["spec"]["upstream"]["main"]["url"] += '/{{ secret "backend" }}'
        await self.client.deploy(json.dumps(document), ["edge"])
        await until(lambda: self.site.row("orders"))
        self.api = (await self.site.row("orders")).uuid
        await self.client.create_key("orders", "till", expires_at="2099-01-01T00:00:00Z")
        self.subscription = (await self.client.create_subscription("orders", plan="gold")).subscription.id
        await until(lambda: self.site.deployments.keys_of(self.api))
        await until(self.records.list)

    async def differences(self, *names: str) -> dict:
        result = await self.plane.drift(names)
        assert "error" not in result, result
        assert result["problems"] == (), result
        assert "canary" not in repr(result)
        self.compared = result["compared"]
        return {
            (each["kind"], each["handle"]): [(found["code"], found.get("field", "")) for found in each["differences"]]
            for each in result["artifacts"]
        }

    def sql(self, statement: str, *values: object) -> None:
        """What no part of the gateway would do."""
        with sqlite3.connect(self.site.store.path) as database:
            assert database.execute(statement, values).rowcount == 1


@pytest.fixture
async def everything(site, client, hub_settings):
    async with site.linked(await hub_settings()) as plane:
        await until(lambda: plane.status().last_reconcile)
        made = Everything(site, client, plane)
        await made.arrive()
        yield made


async def test_what_agrees_is_no_difference(everything):
    assert await everything.differences() == {}
    # The artifact, a key, a subscription, a plan and a secret.
    assert everything.compared == 5
    await everything.site.deployments.create_key(
        "RestApi", "orders", KeyRequest(name="made-here"), caller=Caller("a"), correlation_id="c"
    )
    await everything.client.change_subscription(everything.subscription, status="INACTIVE")
    await everything.client.create_key("orders", "revoked")
    await everything.client.revoke_key("orders", "revoked")
    await until(lambda: everything.plane.status().waiting == 0)

    async def inactive():
        return (await everything.records.list())[0].status == "INACTIVE"

    await until(inactive)
    await everything.plane.reconcile()
    assert await everything.differences() == {}
    assert await everything.differences("orders") == {}
    assert everything.compared == 3


async def test_keys(everything):
    everything.sql("UPDATE api_keys SET api_key = ? WHERE name = 'till'", "0" * 64)
    assert await everything.differences() == {("ApiKey", "orders/till"): [("FIELD", "value")]}
    everything.sql("UPDATE api_keys SET name = 'other' WHERE name = 'till'")
    assert await everything.differences("orders") == {
        ("ApiKey", "orders/till"): [("MISSING", "")],
        ("ApiKey", "orders/other"): [("EXTRA", "")],
    }


async def test_subscriptions_and_plans(everything):
    name = f"orders/{everything.subscription}"
    everything.sql("UPDATE subscriptions SET status = 'REVOKED'")
    everything.sql("UPDATE subscription_plans SET throttle_limit_count = 99")
    assert await everything.differences() == {
        ("Subscription", name): [("STATE", "")],
        ("SubscriptionPlan", "Gold"): [("STATE", "")],
    }
    everything.sql("DELETE FROM subscriptions")
    assert await everything.differences("orders") == {("Subscription", name): [("MISSING", "")]}


async def test_secrets(everything):
    await everything.plane.reconcile()
    assert await everything.differences() == {}
    await everything.client.change_secret("backend", "another-canary-of-the-backend")
    assert await everything.differences() == {("Secret", "backend"): [("FIELD", "value")]}
    await everything.plane.reconcile()
    assert await everything.differences() == {}
    assert everything.site.secrets.value("backend") == SecretStr("another-canary-of-the-backend").get_secret_value()
    await everything.site.secrets.delete("backend")
    assert await everything.differences() == {
        ("Secret", "backend"): [("MISSING", "")],
        # What refers to it can no longer be rendered.
        ("RestApi", "orders"): [("UNUSABLE", "")],
    }


async def test_lists_that_cannot_be_had_are_told(site, hostile, hostile_settings):
    base = "/api/internal/v1"
    await site.deployments.create("RestApi", rest_api("mine"), correlation_id="c", actor="a")
    async with site.linked(hostile_settings(deployment_sync_enabled=False)) as plane:
        await until(lambda: plane.status().last_reconcile)
        hostile.answers["GET", f"{base}/subscription-plans"] = (400, b"{}")
        hostile.answers["GET", f"{base}/secrets"] = (200, b"no json")
        hostile.answers["GET", f"{base}/apis/api-keys"] = (403, b"{}")
        result = await plane.drift()
        assert result["same"] is False
        assert len(result["problems"]) == 3


async def test_on_prem_an_empty_key_list_is_no_difference(site, hostile, hostile_settings, monkeypatch):
    base = "/internal/data/v1"
    hostile.answers["GET", "/internal/gateway/.well-known"] = (200, {"gatewayPath": base.lstrip("/")})
    hostile.answers["GET", f"{base}/apis/api-keys"] = (200, [])
    hostile.answers["GET", f"{base}/deployments"] = (200, {"deployments": []})
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().last_reconcile)
        result = await plane.drift()
        assert result["same"], result
        asked = {request.path for request in hostile.requests}
        assert not [path for path in asked if "secrets" in path or "plans" in path or "subscriptions" in path]
