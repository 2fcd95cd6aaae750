"""Subscription plans through the management API."""

import re
from uuid import UUID

import pytest


@pytest.fixture
def make_plan(admin):
    async def make(name="Silver", **members):
        response = await admin.post("/subscription-plans", json={"planName": name, **members})
        assert response.status_code == 201, response.text
        return response.json()

    return make


async def refusal(awaited):
    response = await awaited
    return response.status_code, response.json()["message"]


@pytest.mark.conforms("MG-134")
async def test_a_name_is_enough(make_plan):
    plan = await make_plan("  Bronze ")
    assert UUID(plan["id"]).version == 4
    assert plan["gatewayId"] == "platform-gateway-id"
    assert (plan["planName"], plan["stopOnQuotaReach"], plan["status"]) == ("Bronze", True, "ACTIVE")
    assert set(plan) == {
        "id", "planName", "stopOnQuotaReach", "gatewayId", "status", "createdAt", "updatedAt",
    }  # fmt: skip


async def test_everything_comes_back(make_plan, admin):
    members = {
        "billingPlan": "premium",
        "stopOnQuotaReach": False,
        "throttleLimitCount": 600,
        "throttleLimitUnit": "Min",
        "expiryTime": "2020-01-01T02:00:00+02:00",
        "status": "INACTIVE",
    }
    plan = await make_plan(**members)
    wanted = {**members, "expiryTime": "2020-01-01T00:00:00Z"}
    assert {name: plan[name] for name in members} == wanted
    assert (await admin.get(f"/subscription-plans/{plan['id']}")).json() == plan


@pytest.mark.conforms("MG-135")
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"throttleLimitCount": 5}, "throttleLimitCount and throttleLimitUnit must be provided together"),
        ({"throttleLimitUnit": "Min"}, "throttleLimitCount and throttleLimitUnit must be provided together"),
        (
            {"throttleLimitCount": 5, "throttleLimitUnit": "minutes"},
            "throttleLimitUnit must be one of: Day, Hour, Min, Month",
        ),
        (
            {"throttleLimitCount": 5, "throttleLimitUnit": "min"},
            "throttleLimitUnit must be one of: Day, Hour, Min, Month",
        ),
        ({"throttleLimitCount": 0, "throttleLimitUnit": "Min"}, "throttleLimitCount must be positive"),
        ({"throttleLimitCount": -1, "throttleLimitUnit": "Min"}, "throttleLimitCount must be positive"),
        ({"status": "active"}, "invalid status: active"),
        ({"planName": "  "}, "planName is required"),
        ({"planName": None}, "planName is required"),
        ({"planName": "x" * 256}, "planName must not exceed 255 characters"),
    ],
)
async def test_rules(admin, members, message):
    body = {"planName": "Gold", **members}
    assert await refusal(admin.post("/subscription-plans", json=body)) == (400, message)
    assert (await admin.get("/subscription-plans")).json()["count"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"Gold"',
        b'{"planName": 5}',
        b'{"planName": "x", "throttleLimitCount": "5"}',
        b'{"planName": "x", "throttleLimitCount": 99999999999999999999}',
        b'{"planName": "x", "throttleLimitCount": 5.5}',
        b'{"planName": "x", "stopOnQuotaReach": "true"}',
        b'{"planName": "x", "expiryTime": "tomorrow"}',
        b'{"planName": "x", "expiryTime": "2027-01-01T00:00:00"}',
        b'{"planName": "x", "expiryTime": "9999-12-31T23:59:59-12:00"}',
        b'{"planName": "x", "expiryTime": "0001-01-01T00:00:00+12:00"}',
        b'{"planName": "\\ud800"}',
        b"{" * 5000,
    ],
)
async def test_unreadable_bodies(admin, body):
    post = admin.post("/subscription-plans", content=body, headers={"content-type": "application/json"})
    assert await refusal(post) == (400, "Invalid request body")


async def test_yaml_and_other_spellings_of_names(admin):
    body = "PLANNAME: Gold\nthrottlelimitcount: 5\nthrottleLimitUnit: Day\nunknown: [1]\n"
    response = await admin.post(
        "/subscription-plans", content=body, headers={"content-type": "application/yaml; charset=utf-8"}
    )
    assert response.status_code == 201
    assert (response.json()["planName"], response.json()["throttleLimitCount"]) == ("Gold", 5)


@pytest.mark.conforms("MG-136")
async def test_names_are_unique_and_exact(make_plan, admin):
    await make_plan("Gold")
    again = await refusal(admin.post("/subscription-plans", json={"planName": "Gold"}))
    assert again == (409, "Subscription plan already exists")
    other = await make_plan("gold")
    renamed = await refusal(admin.put(f"/subscription-plans/{other['id']}", json={"planName": " Gold "}))
    assert renamed == (409, "Subscription plan already exists")


@pytest.mark.conforms("MG-137")
async def test_an_update_leaves_what_it_does_not_name(make_plan, admin):
    plan = await make_plan(throttleLimitCount=600, throttleLimitUnit="Min", stopOnQuotaReach=False, billingPlan="b")
    path = f"/subscription-plans/{plan['id']}"
    changed = await admin.put(path, json={"status": "INACTIVE"})
    assert changed.status_code == 200
    assert {**changed.json(), "updatedAt": ""} == {**plan, "status": "INACTIVE", "updatedAt": ""}
    assert await refusal(admin.put(path, json={"status": "active"})) == (400, "invalid status: active")
    assert await refusal(admin.put(path, json={"planName": " "})) == (400, "planName cannot be empty")
    assert await refusal(admin.put(path, json={"throttleLimitCount": 3})) == (
        400,
        "throttleLimitCount and throttleLimitUnit must be provided together",
    )
    assert await refusal(admin.put(path, content=b"{")) == (400, "Invalid request body")
    renamed = await admin.put(path, json={"planName": "Silver", "billingPlan": ""})
    assert renamed.status_code == 200
    assert "billingPlan" not in renamed.json()


@pytest.mark.conforms("MG-138")
async def test_deleting(make_plan, admin, post, rest_api):
    plan, used = await make_plan("Gold"), await make_plan("Silver")
    deleted = await admin.delete(f"/subscription-plans/{plan['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    for request in (admin.delete, admin.get):
        missing = await refusal(request(f"/subscription-plans/{plan['id']}"))
        assert missing == (404, "Subscription plan not found")
    missing = await refusal(admin.put(f"/subscription-plans/{plan['id']}", content=b"{"))
    assert missing == (404, "Subscription plan not found")

    await post(rest_api())
    made = await admin.post(
        "/subscriptions", json={"apiId": "orders", "subscriptionToken": "t", "subscriptionPlanId": used["id"]}
    )
    status, message = await refusal(admin.delete(f"/subscription-plans/{used['id']}"))
    assert (status, message) == (409, "Failed to delete subscription plan: 1 subscription refers to it")
    assert (await admin.get(f"/subscription-plans/{used['id']}")).status_code == 200
    await admin.delete(f"/subscriptions/{made.json()['id']}")
    assert (await admin.delete(f"/subscription-plans/{used['id']}")).status_code == 204


@pytest.mark.conforms("MG-139")
async def test_the_list(make_plan, admin):
    assert (await admin.get("/subscription-plans")).json() == {"count": 0, "subscriptionPlans": []}
    plans = [await make_plan(name) for name in ("one", "two", "three")]
    listed = (await admin.get("/subscription-plans")).json()
    assert listed == {"count": 3, "subscriptionPlans": plans[::-1]}


@pytest.mark.parametrize("user", ["dev", "carl"])
async def test_only_administrators(signed_in, user):
    client = signed_in(user)
    for request in (client.get("/subscription-plans"), client.post("/subscription-plans", json={"planName": "x"})):
        assert (await request).status_code == 403


async def test_a_database_out_of_reach_is_said_clearly(admin, store):
    await store.close()
    for answer in (
        await admin.get("/subscription-plans"),
        await admin.post("/subscription-plans", json={"planName": "x"}),
        await admin.put("/subscription-plans/x", json={}),
        await admin.delete("/subscription-plans/x"),
    ):
        assert answer.status_code == 503
        assert re.match(r"Failed to \w+ subscription plans?: ", answer.json()["message"])
