"""Subscriptions through the management API."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from gatewright.store import artifacts
from gatewright.store.rows import ArtifactRow

TOKEN = "tok-8f1e-44aa-9d10"


@pytest.fixture
def api(post, rest_api):
    async def make(handle="orders", **spec):
        response = await post(rest_api(handle, **spec))
        assert response.status_code == 201, response.text
        return handle

    return make


@pytest.fixture
def subscribe(admin):
    async def make(api_id="orders", token=TOKEN, **members):
        return await admin.post("/subscriptions", json={"apiId": api_id, "subscriptionToken": token, **members})

    return make


@pytest.fixture
def make_plan(admin):
    async def make(name, **members):
        return (await admin.post("/subscription-plans", json={"planName": name, **members})).json()["id"]

    return make


def refusal(response):
    return response.status_code, response.json()["message"]


@pytest.mark.conforms("MG-140")
async def test_the_token_is_shown_once(api, subscribe, admin, make_plan):
    await api()
    plan = await make_plan("Gold")
    made = await subscribe(
        token=f"  {TOKEN} ",
        applicationId="pos-app",
        subscriptionPlanId=plan,
        billingCustomerId="cus",
        billingSubscriptionId="sub",
    )
    assert made.status_code == 201
    body = made.json()
    assert (UUID(body["id"]).version, body["subscriptionToken"]) == (4, TOKEN)
    assert UUID(body["apiId"])
    assert body["gatewayId"] == "platform-gateway-id"
    assert body["status"] == "ACTIVE"
    del body["subscriptionToken"]
    assert (await admin.get(f"/subscriptions/{body['id']}")).json() == body
    assert (await admin.get("/subscriptions")).json() == {"count": 1, "subscriptions": [body]}
    assert body["applicationId"] == "pos-app"
    assert (body["subscriptionPlanId"], body["billingCustomerId"], body["billingSubscriptionId"]) == (
        plan, "cus", "sub",
    )  # fmt: skip


async def test_no_token_is_in_the_database_file(api, subscribe, store):
    await api()
    assert (await subscribe()).status_code == 201
    content = b"".join(path.read_bytes() for path in store.path.parent.iterdir() if path.is_file())
    assert TOKEN.encode() not in content


async def test_absent_members_are_left_out_and_the_uuid_works_too(api, subscribe):
    await api()
    by_handle = (await subscribe(applicationId="", subscriptionPlanId="")).json()
    assert set(by_handle) == {
        "id", "apiId", "gatewayId", "status", "createdAt", "updatedAt", "subscriptionToken",
    }  # fmt: skip
    by_uuid = await subscribe(by_handle["apiId"], token="other")
    assert by_uuid.json()["apiId"] == by_handle["apiId"]


@pytest.mark.conforms("MG-141")
async def test_what_is_missing_is_named(api, subscribe, admin):
    await api()
    assert refusal(await subscribe("  ")) == (400, "apiId is required")
    assert refusal(await admin.post("/subscriptions", json={"subscriptionToken": "t"})) == (400, "apiId is required")
    assert refusal(await subscribe(token=" ")) == (400, "subscriptionToken is required")
    assert refusal(await admin.post("/subscriptions", json={"apiId": "orders"})) == (
        400,
        "subscriptionToken is required",
    )
    assert refusal(await subscribe("nowhere")) == (404, "RestAPI with identifier 'nowhere' not found")


@pytest.mark.conforms("MG-142")
async def test_the_plan_must_be_there_active_and_offered(api, subscribe, admin, make_plan):
    await api(subscriptionPlans=["bronze", "GOLD"])
    await api("free")
    gold, silver, old = await make_plan("Gold"), await make_plan("Silver"), await make_plan("Bronze", status="INACTIVE")

    async def with_plan(plan, api_id="orders", **members):
        return await subscribe(api_id, token=f"with {plan}", subscriptionPlanId=plan, **members)

    assert refusal(await with_plan("nothing")) == (400, "Subscription plan not found or not enabled")
    assert refusal(await with_plan(old)) == (400, "Subscription plan is not active")
    assert refusal(await with_plan(silver, status="wrong")) == (
        400,
        'Subscription plan "Silver" is not enabled for this API',
    )
    assert refusal(await with_plan(gold, status="wrong")) == (400, "invalid status: wrong")
    assert (await with_plan(gold)).status_code == 201
    assert (await with_plan(silver, "free")).status_code == 201
    assert (await subscribe(token="without a plan")).status_code == 201


@pytest.mark.conforms("MG-143")
async def test_a_token_is_unique_for_an_api(api, subscribe):
    await api()
    await api("bills")
    assert (await subscribe()).status_code == 201
    assert refusal(await subscribe(applicationId="other")) == (409, "Application already subscribed to this API")
    assert (await subscribe("bills")).status_code == 201


@pytest.mark.conforms("MG-144")
async def test_only_the_status_changes(api, subscribe, admin):
    await api()
    made = (await subscribe(applicationId="till")).json()
    path = f"/subscriptions/{made['id']}"
    changed = await admin.put(path, json={"status": "INACTIVE", "applicationId": "other", "apiId": 5})
    assert changed.status_code == 200
    assert (changed.json()["status"], changed.json()["applicationId"]) == ("INACTIVE", "till")
    assert "subscriptionToken" not in changed.json()
    assert (await admin.put(path, json={"status": "REVOKED"})).json()["status"] == "REVOKED"
    assert (await admin.put(path, json={"status": "ACTIVE"})).json()["status"] == "ACTIVE"
    untouched = await admin.put(path, json={})
    assert (untouched.status_code, untouched.json()["status"]) == (200, "ACTIVE")
    assert datetime.fromisoformat(untouched.json()["updatedAt"]) > datetime.fromisoformat(made["updatedAt"])
    assert refusal(await admin.put(path, json={"status": "active"})) == (400, "invalid status: active")
    assert refusal(await admin.put(path, content=b"{")) == (400, "Invalid request body")
    assert refusal(await admin.put("/subscriptions/none", content=b"{")) == (404, "Subscription not found")


@pytest.mark.conforms("MG-145")
async def test_deleting(api, subscribe, admin):
    await api()
    path = f"/subscriptions/{(await subscribe()).json()['id']}"
    deleted = await admin.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert refusal(await admin.delete(path)) == (404, "Subscription not found")
    assert refusal(await admin.get(path)) == (404, "Subscription not found")
    assert (await subscribe()).status_code == 201


@pytest.mark.conforms("MG-146")
async def test_filters(api, subscribe, admin):
    await api()
    await api("bills")
    first = (await subscribe(applicationId="a")).json()
    await subscribe("bills", applicationId="a", status="INACTIVE")
    await subscribe(token="second", applicationId="b")

    async def count(**query):
        listed = (await admin.get("/subscriptions", params=query)).json()
        assert listed["count"] == len(listed["subscriptions"])
        return listed["count"]

    assert await count() == 3
    assert await count(apiId="orders") == 2
    assert await count(apiId=first["apiId"]) == 2
    assert await count(apiId="orders", applicationId="a") == 1
    assert await count(applicationId="a") == 2
    assert await count(status="INACTIVE") == 1
    assert await count(status="none") == 0
    unknown = await admin.get("/subscriptions", params={"apiId": "nowhere"})
    assert refusal(unknown) == (404, "RestAPI with identifier 'nowhere' not found")
    assert await count(limit="1") == 3


@pytest.mark.conforms("MG-073")
async def test_they_go_with_their_api(api, subscribe, admin):
    await api()
    await api("bills")
    await subscribe()
    await subscribe("bills")
    key = {"name": "till", "apiKey": "a key of a partner, 36 characters long"}
    assert (await admin.post("/rest-apis/orders/api-keys", json=key)).status_code == 201
    assert (await admin.delete("/rest-apis/orders")).status_code == 200
    listed = (await admin.get("/subscriptions")).json()
    assert listed["count"] == 1
    await api()
    assert (await admin.get("/subscriptions", params={"apiId": "orders"})).json()["count"] == 0
    assert (await admin.get("/rest-apis/orders/api-keys")).json()["totalCount"] == 0


async def test_another_kind_is_no_rest_api(subscribe, deployments, store):
    now = datetime.now(UTC)
    row = ArtifactRow(
        uuid="u-1", kind="Mcp", handle="tools", display_name="tools", version="v1", document={}, created_at=now,
        updated_at=now,
    )  # fmt: skip
    await store.write(lambda connection: artifacts.add(connection, store.gateway_id, row))
    assert refusal(await subscribe("u-1")) == (400, "Configuration with identifier 'u-1' is not a REST API")
    assert refusal(await subscribe("tools")) == (404, "RestAPI with identifier 'tools' not found")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"apiId": 5}', b'{"apiId": "orders", "subscriptionToken": 5}'])
async def test_unreadable_bodies(admin, body):
    response = await admin.post("/subscriptions", content=body, headers={"content-type": "application/json"})
    assert refusal(response) == (400, "Invalid request body")


async def test_tokens_and_ids_have_limits(api, subscribe):
    await api()
    assert refusal(await subscribe(token="x" * 2049)) == (400, "subscriptionToken must not exceed 2048 bytes")
    assert refusal(await subscribe(applicationId="x" * 256)) == (400, "applicationId must not exceed 255 characters")
    assert (await subscribe(token="x" * 2048)).status_code == 201


@pytest.mark.parametrize("user", ["dev", "carl"])
async def test_only_administrators(signed_in, user):
    client = signed_in(user)
    assert (await client.get("/subscriptions")).status_code == 403
    assert (await client.delete("/subscriptions/x")).status_code == 403


async def test_a_database_out_of_reach_is_said_clearly(admin, store, subscribe):
    await store.close()
    for answer in (
        await admin.get("/subscriptions"),
        await subscribe(),
        await admin.get("/subscriptions/x"),
        await admin.put("/subscriptions/x", json={}),
        await admin.delete("/subscriptions/x"),
    ):
        assert answer.status_code == 503
        assert answer.json()["message"].startswith("Failed to ")
