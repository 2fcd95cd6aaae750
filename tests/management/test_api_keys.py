"""API keys of a REST API through the application, over a real store."""

import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest
import yaml

KEYS = "/rest-apis/orders/api-keys"
PLAIN = "pa-0f9e8d7c6b5a49382716050403020100ffee"


@pytest.fixture
async def api(post, rest_api):
    assert (await post(rest_api())).status_code == 201


@pytest.fixture
def hashes(deployments):
    """What the store holds of the keys' values."""

    async def read():
        row = await deployments.get("RestApi", "orders")
        return [key.key_hash for key in await deployments.keys_of(row.uuid)]

    return read


def digest(plain):
    return hashlib.sha256(plain.encode()).hexdigest()


pytestmark = pytest.mark.usefixtures("api")


@pytest.mark.conforms("MG-118", "MG-132")
async def test_a_generated_key(admin, hashes):
    response = await admin.post(KEYS, json={"name": "till-7"})
    assert response.status_code == 201
    body = response.json()
    key = body["apiKey"]
    assert re.fullmatch(r"apip_[0-9a-f]{64}", key["apiKey"])
    assert datetime.now(UTC) - datetime.fromisoformat(key["createdAt"]) < timedelta(minutes=1)
    del key["createdAt"]
    assert body == {
        "apiKey": {
            "apiId": "orders",
            "apiKey": key["apiKey"],
            "createdBy": "Admin",
            "expiresAt": None,
            "name": "till-7",
            "source": "local",
            "status": "active",
        },
        "message": "API key generated successfully",
        "remainingApiKeyQuota": 9,
        "status": "success",
    }
    assert await hashes() == [digest(key["apiKey"])]


@pytest.mark.conforms("MG-119")
async def test_a_key_from_elsewhere(admin, hashes):
    request = {"name": "partner-a", "apiKey": f"  {PLAIN} ", "externalRefId": "crm-771", "issuer": "portal"}
    response = await admin.post(KEYS, json=request)
    assert response.status_code == 201
    body = response.json()
    assert (body["message"], body["apiKey"]["source"]) == ("API key registered successfully", "external")
    assert "apiKey" not in body["apiKey"]
    assert "externalRefId" not in body["apiKey"]
    assert await hashes() == [digest(PLAIN)]


@pytest.mark.conforms("MG-120")
async def test_the_list(admin):
    assert (await admin.get(KEYS)).json() == {"apiKeys": None, "status": "success", "totalCount": 0}
    plain = (await admin.post(KEYS, json={"name": "one"})).json()["apiKey"]["apiKey"]
    await admin.post(KEYS, json={"name": "two", "apiKey": PLAIN, "externalRefId": "crm-771"})
    body = (await admin.get(KEYS)).json()
    assert (body["status"], body["totalCount"]) == ("success", 2)
    newest, oldest = body["apiKeys"]
    assert (newest["name"], newest["apiKey"], newest["externalRefId"]) == ("two", "***0ffee", "crm-771")
    assert (oldest["name"], oldest["apiKey"], oldest["expiresAt"]) == ("one", f"***{plain[-5:]}", None)
    assert "externalRefId" not in oldest


@pytest.mark.conforms("MG-121")
async def test_names(admin):
    assert (await admin.post(KEYS, json={"name": " my-api-key_v1 "})).json()["apiKey"]["name"] == "my-api-key_v1"
    made = (await admin.post(KEYS, json={})).json()["apiKey"]["name"]
    assert made.startswith("orders-key-")


@pytest.mark.parametrize("name", ["ab", "x" * 64, "Upper", "a--b", "-a-b", "a b", "\u0430bc", "a\0b"])
async def test_names_that_are_refused(admin, name):
    response = await admin.post(KEYS, json={"name": name})
    assert response.status_code == 400
    assert response.json()["message"].startswith("failed to generate API key: invalid name: API key name ")


@pytest.mark.conforms("MG-122")
async def test_the_same_name_again_replaces_the_key(admin, hashes):
    first = (await admin.post(KEYS, json={"name": "till-7"})).json()["apiKey"]["apiKey"]
    again = await admin.post(KEYS, json={"name": "till-7"})
    assert again.status_code == 201
    second = again.json()["apiKey"]["apiKey"]
    assert first != second
    assert (await admin.get(KEYS)).json()["totalCount"] == 1
    assert await hashes() == [digest(second)]


@pytest.mark.conforms("MG-123")
async def test_a_value_that_is_taken(admin):
    await admin.post(KEYS, json={"name": "one", "apiKey": PLAIN})
    response = await admin.post(KEYS, json={"name": "two", "apiKey": PLAIN})
    assert (response.status_code, response.json()["message"]) == (
        409,
        "failed to save API key to database: configuration already exists: API key value already exists",
    )


@pytest.mark.conforms("MG-124")
async def test_the_eleventh_key_of_a_user(admin, signed_in):
    for number in range(10):
        body = (await admin.post(KEYS, json={})).json()
        assert body["remainingApiKeyQuota"] == 9 - number
    response = await admin.post(KEYS, json={})
    assert response.status_code == 400
    assert response.json()["message"] == ("API key limit exceeded: user has 10 active keys, maximum allowed is 10")
    assert (await signed_in("carl").post(KEYS, json={})).status_code == 201


@pytest.mark.conforms("MG-125")
async def test_expiry(admin):
    body = (await admin.post(KEYS, json={"expiresIn": {"unit": "months", "duration": 1}})).json()["apiKey"]
    lifetime = datetime.fromisoformat(body["expiresAt"]) - datetime.fromisoformat(body["createdAt"])
    assert lifetime == timedelta(days=30)
    both = {"expiresAt": "2099-01-01T00:00:00+01:00", "expiresIn": {"unit": "days", "duration": 1}}
    assert (await admin.post(KEYS, json=both)).json()["apiKey"]["expiresAt"] == "2098-12-31T23:00:00Z"
    past = await admin.post(KEYS, json={"expiresAt": "2020-01-01T00:00:00Z"})
    assert past.status_code == 400
    assert "expiration time must be in the future" in past.json()["message"]


@pytest.mark.parametrize(
    "request_body",
    [
        {"expiresIn": {"unit": "years", "duration": 1}},
        {"expiresIn": {"unit": "days", "duration": 10**18}},
        {"expiresIn": {"unit": "days", "duration": -1}},
        {"expiresIn": {"unit": "days"}},
        {"expiresIn": {"unit": "days", "duration": "1"}},
        {"expiresIn": 7},
        {"expiresAt": "tomorrow"},
        {"expiresAt": "2099-01-01T00:00:00"},
        {"expiresAt": 4070908800},
        {"name": 7},
        {"apiKey": ["x"]},
    ],
)
async def test_requests_that_make_no_sense(admin, request_body):
    response = await admin.post(KEYS, json=request_body)
    assert response.status_code == 400, response.text
    assert response.json()["message"]
    assert (await admin.get(KEYS)).json()["totalCount"] == 0


@pytest.mark.conforms("MG-035")
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json; charset=utf-8", b'{"name":"till-7"}'),
        ("Application/JSON", b'{"NAME":"till-7","displayName":"ignored"}'),
        ("", b'{"name":"till-7"}'),
        ("application/yaml; charset=utf-8", yaml.safe_dump({"name": "till-7"}).encode()),
        ("text/yaml", b"name: till-7"),
        ("application/x-yaml", b"name: till-7"),
    ],
)
async def test_content_types(admin, content_type, body):
    response = await admin.post(KEYS, content=body, headers={"content-type": content_type})
    assert (response.status_code, response.json()["apiKey"]["name"]) == (201, "till-7")
    assert "displayName" not in response.json()["apiKey"]


@pytest.mark.conforms("MG-036")
async def test_regenerating_needs_a_body(admin):
    await admin.post(KEYS, json={"name": "till-7"})
    for body in (b"", b"   ", b"{", b"[]", b"7"):
        response = await admin.post(f"{KEYS}/till-7/regenerate", content=body)
        assert response.status_code == 400
        assert response.json()["message"].startswith("Invalid request body: ")
    assert (await admin.post(f"{KEYS}/till-7/regenerate", content=b"{}")).status_code == 200


@pytest.mark.conforms("MG-126")
async def test_updates_need_a_value_and_an_external_key(admin, hashes):
    await admin.post(KEYS, json={"name": "local-key"})
    await admin.post(KEYS, json={"name": "partner-a", "apiKey": PLAIN})
    for body in ({}, {"name": "partner-a"}, {"apiKey": "   "}):
        response = await admin.put(f"{KEYS}/partner-a", json=body)
        assert (response.status_code, response.json()["message"]) == (400, "apiKey is required")
    local = await admin.put(f"{KEYS}/local-key", json={"apiKey": PLAIN + "2"})
    assert local.status_code == 400
    assert "updates are only allowed for externally generated API keys" in local.json()["message"]
    assert len(await hashes()) == 2


async def test_an_update(admin, hashes):
    first = {"name": "partner-a", "apiKey": PLAIN, "externalRefId": "r", "expiresAt": "2099-01-01T00:00:00Z"}
    await admin.post(KEYS, json=first)
    response = await admin.put(f"{KEYS}/partner-a", json={"apiKey": PLAIN + "-new-1"})
    assert response.status_code == 200
    body = response.json()
    assert (body["message"], body["status"]) == ("API key updated successfully", "success")
    assert "remainingApiKeyQuota" not in body
    assert (body["apiKey"]["apiKey"], body["apiKey"]["expiresAt"]) == ("***new-1", None)
    assert "externalRefId" not in (await admin.get(KEYS)).json()["apiKeys"][0]
    assert await hashes() == [digest(PLAIN + "-new-1")]
    mismatch = await admin.put(f"{KEYS}/partner-a", json={"name": "other", "apiKey": PLAIN})
    assert mismatch.status_code == 400
    assert "must match the key name in URL 'partner-a'" in mismatch.json()["message"]
    await admin.post(KEYS, json={"name": "partner-b", "apiKey": PLAIN + "b"})
    taken = await admin.put(f"{KEYS}/partner-a", json={"apiKey": PLAIN + "b"})
    assert taken.status_code == 409
    assert taken.json()["message"].startswith("failed to update API key in database: ")


@pytest.mark.conforms("MG-127")
async def test_what_is_not_there(admin):
    value = {"apiKey": PLAIN}
    assert (await admin.put(f"{KEYS}/none", json=value)).json() == {
        "message": (
            "configuration not found: API key 'none' not found for API 'orders' and no api_key value provided to"
            " create one"
        ),
        "status": "error",
    }
    assert (await admin.put(f"{KEYS}/none", json=value)).status_code == 404
    again = await admin.post(f"{KEYS}/none/regenerate", json={})
    assert (again.status_code, again.json()["message"]) == (
        404,
        "configuration not found: API key 'none' not found for API 'orders'",
    )
    lost = "/rest-apis/lost/api-keys"
    for response in (
        await admin.post(lost, json={}),
        await admin.get(lost),
        await admin.put(f"{lost}/a", json=value),
        await admin.post(f"{lost}/a/regenerate", json={}),
        await admin.delete(f"{lost}/a"),
    ):
        assert (response.status_code, response.json()["message"]) == (
            404,
            "configuration not found: API configuration handle 'lost' not found",
        )


@pytest.mark.conforms("MG-128")
async def test_regenerating(admin, hashes):
    first = await admin.post(KEYS, json={"name": "till-7", "expiresAt": "2099-01-01T00:00:00Z"})
    old = first.json()["apiKey"]["apiKey"]
    response = await admin.post(f"{KEYS}/till-7/regenerate", json={})
    assert response.status_code == 200
    body = response.json()
    assert (body["message"], body["remainingApiKeyQuota"]) == ("API key generated successfully", 9)
    key = body["apiKey"]
    assert re.fullmatch(r"apip_[0-9a-f]{64}", key["apiKey"])
    assert key["apiKey"] != old
    assert (key["expiresAt"], key["source"]) == ("2099-01-01T00:00:00Z", "local")
    assert await hashes() == [digest(key["apiKey"])]
    await admin.post(KEYS, json={"name": "partner-a", "apiKey": PLAIN})
    external = await admin.post(f"{KEYS}/partner-a/regenerate", json={"expiresIn": {"unit": "days", "duration": 1}})
    assert external.json()["apiKey"]["source"] == "external"
    assert external.json()["apiKey"]["expiresAt"] is not None


@pytest.mark.conforms("MG-129")
async def test_only_the_creator_changes_a_key_but_an_admin_revokes_it(admin, signed_in):
    carl = signed_in("carl")
    await carl.post(KEYS, json={"name": "carls", "apiKey": PLAIN})
    for other in (admin, signed_in("clara")):
        assert (await other.put(f"{KEYS}/carls", json={"apiKey": PLAIN + "2"})).status_code == 403
        assert (await other.post(f"{KEYS}/carls/regenerate", json={})).status_code == 403
    denied = await signed_in("clara").delete(f"{KEYS}/carls")
    assert (denied.status_code, denied.json()["message"]) == (403, "API key revocation failed for API: 'orders'")
    assert (await carl.get(KEYS)).json()["totalCount"] == 1
    assert (await admin.delete(f"{KEYS}/carls")).status_code == 200
    assert (await carl.get(KEYS)).json()["totalCount"] == 0


@pytest.mark.conforms("MG-130")
async def test_revoking_twice(admin):
    await admin.post(KEYS, json={"name": "till-7"})
    for _ in range(2):
        response = await admin.delete(f"{KEYS}/till-7")
        assert (response.status_code, response.json()) == (
            200,
            {"message": "API key revoked successfully", "status": "success"},
        )
    assert (await admin.get(KEYS)).json()["totalCount"] == 0


@pytest.mark.conforms("MG-131")
async def test_who_sees_which_keys(admin, signed_in):
    for user in ("carl", "clara", "Admin"):
        await signed_in(user).post(KEYS, json={"name": f"of-{user.lower()}"})

    async def seen(user):
        return {key["name"] for key in (await signed_in(user).get(KEYS)).json()["apiKeys"]}

    assert await seen("carl") == {"of-carl"}
    assert await seen("Admin") == await seen("Boss") == {"of-carl", "of-clara", "of-admin"}


@pytest.mark.conforms("MG-073")
async def test_keys_end_with_their_api(admin, post, rest_api):
    await admin.post(KEYS, json={"name": "till-7"})
    await admin.delete("/rest-apis/orders")
    await post(rest_api())
    assert (await admin.get(KEYS)).json()["totalCount"] == 0


async def test_a_key_name_with_a_slash_is_one_segment(admin):
    assert (await admin.delete(f"{KEYS}/a%2Fregenerate")).status_code == 200
    assert (await admin.get(f"{KEYS}/till-7")).status_code == 405
