"""Subscriptions and plans, from the management API to Envoy's answers."""

import time

import pytest
from envoy_harness import Backend, Reply
from gateway_processes import KEY_POLICY, Answer, Gateway, rest_api

POLICY = {"name": "subscription-validation", "version": "v1"}
REQUIRED = "Subscription required for this API"


@pytest.fixture(scope="module")
def api(gateway: Gateway, backend: Backend) -> str:
    """An API that wants subscribers."""
    gateway.deploy(rest_api("subscribed", backend.port, policies=[POLICY]))
    return "subscribed"


def made(gateway: Gateway, collection: str, **body: object) -> str:
    answer = Answer(gateway.management.post(f"/{collection}", json=body))
    assert answer.status == 201, answer.json
    gateway.served(answer)
    return str(answer.json["id"])


def ask(gateway: Gateway, token: str = "", api: str = "subscribed") -> Reply:
    return gateway.get(f"/{api}/items", headers=[("Subscription-Key", token)] if token else [])


@pytest.mark.conforms("DP-115", "DP-116", "DP-118")
def test_a_subscription_opens_its_api_until_it_is_revoked(gateway: Gateway, api: str) -> None:
    token = "canary-subscription-token"
    gateway.secrets.add(token)
    assert [ask(gateway).status, ask(gateway, token).status] == [403, 403]
    uuid = made(gateway, "subscriptions", apiId=api, subscriptionToken=token)
    passed = ask(gateway, token)
    assert passed.status == 200
    assert "subscription-key" not in passed.json["headers"]
    begun = time.monotonic()
    gateway.served(Answer(gateway.management.put(f"/subscriptions/{uuid}", json={"status": "REVOKED"})))
    revoked = ask(gateway, token)
    assert time.monotonic() - begun < 1
    assert (revoked.status, revoked.json["message"]) == (403, REQUIRED)
    gateway.served(Answer(gateway.management.put(f"/subscriptions/{uuid}", json={"status": "ACTIVE"})))
    assert ask(gateway, token).status == 200
    gateway.served(Answer(gateway.management.delete(f"/subscriptions/{uuid}")))
    assert ask(gateway, token).status == 403


@pytest.mark.conforms("DP-120", "PO-042")
def test_a_plan_limits_and_its_counter_outlives_a_redeployment(gateway: Gateway, backend: Backend) -> None:
    document = rest_api("metered", backend.port, policies=[POLICY])
    gateway.deploy(document)
    plan = made(gateway, "subscription-plans", planName="Three", throttleLimitCount=3, throttleLimitUnit="Day")
    made(gateway, "subscriptions", apiId="metered", subscriptionToken="metered-token", subscriptionPlanId=plan)
    free = made(gateway, "subscriptions", apiId="metered", subscriptionToken="free-token")
    assert [ask(gateway, "metered-token", "metered").status for _ in range(2)] == [200, 200]
    gateway.replace(rest_api("metered", backend.port, policies=[POLICY], displayName="Metered anew"))
    assert [ask(gateway, "metered-token", "metered").status for _ in range(2)] == [200, 429]
    over = ask(gateway, "metered-token", "metered")
    assert over.json["message"] == "Subscription quota exceeded: 3 requests per Day"
    assert int(over.headers["retry-after"]) > 86_000
    assert ask(gateway, "free-token", "metered").status == 200
    gateway.served(Answer(gateway.management.delete(f"/subscriptions/{free}")))
    assert ask(gateway, "free-token", "metered").status == 403
    # A plan that does not stop any more takes the API back into Envoy.
    gateway.served(Answer(gateway.management.put(f"/subscription-plans/{plan}", json={"stopOnQuotaReach": False})))
    assert ask(gateway, "metered-token", "metered").status == 200


def test_keys_and_subscriptions_together(gateway: Gateway, backend: Backend) -> None:
    gateway.deploy(rest_api("guarded", backend.port, policies=[KEY_POLICY, POLICY]))
    made(gateway, "subscriptions", apiId="guarded", subscriptionToken="guarded-token")
    key = gateway.create_key("guarded", "visitor")

    def status(**headers: str) -> int:
        sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return gateway.get("/guarded/items", headers=sent).status

    assert status() == 401
    assert status(Subscription_Key="guarded-token") == 401
    assert status(API_Key=key) == 403
    assert status(API_Key=key, Subscription_Key="guarded-token") == 200


@pytest.mark.conforms("DP-123")
def test_a_restart_begins_the_counting_anew_and_keeps_the_subscriptions(gateway: Gateway, backend: Backend) -> None:
    gateway.deploy(rest_api("counted", backend.port, policies=[POLICY]))
    plan = made(gateway, "subscription-plans", planName="One", throttleLimitCount=1, throttleLimitUnit="Month")
    made(gateway, "subscriptions", apiId="counted", subscriptionToken="counted-token", subscriptionPlanId=plan)
    assert [ask(gateway, "counted-token", "counted").status for _ in range(2)] == [200, 429]
    gateway.stop()
    gateway.start()
    assert [ask(gateway, "counted-token", "counted").status for _ in range(2)] == [200, 429]
