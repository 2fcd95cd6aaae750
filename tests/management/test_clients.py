"""What the known clients of the original do, call by call. Source: management API reference, section 24."""

import base64
import json

import pytest
import yaml

CREDENTIALS = {"authorization": "Basic " + base64.b64encode(b"Admin:Admin-pass").decode()}


@pytest.mark.conforms("MG-170")
async def test_the_command_line_applies_a_file_twice(signed_in, rest_api):
    """Unprefixed paths, `Accept: application/json`, JSON turned into YAML."""
    client = signed_in(None, base="")
    client.headers.update({**CREDENTIALS, "accept": "application/json"})
    body = yaml.safe_dump(rest_api()).encode()
    done = []
    for _ in range(2):
        exists = (await client.get("/rest-apis/orders")).status_code == 200
        method, path = ("PUT", "/rest-apis/orders") if exists else ("POST", "/rest-apis")
        response = await client.request(method, path, content=body, headers={"content-type": "application/x-yaml"})
        told = json.loads(response.text)
        assert told["status"]["id"] == told["metadata"]["name"] == "orders"
        assert {"createdAt", "updatedAt", "state"} <= set(told["status"])
        done.append((method, response.status_code))
    assert done == [("POST", 201), ("PUT", 200)]


async def test_the_command_line_lists_gets_and_deletes(signed_in, rest_api):
    client = signed_in(None, base="")
    client.headers.update(CREDENTIALS)
    for handle in ("orders", "bills"):
        await client.post("/rest-apis", json=rest_api(handle, displayName=handle.title()))
    listed = (await client.get("/rest-apis")).json()
    assert listed["count"] == 2
    for item in listed["apis"]:
        assert item["metadata"]["name"]
        assert {"displayName", "version", "context"} <= set(item["spec"])
        assert {"state", "createdAt"} <= set(item["status"])
    by_name = (await client.get("/rest-apis", params={"name": "Orders", "version": "v1.0"})).json()
    assert by_name["count"] == 1
    handle = by_name["apis"][0]["status"]["id"]
    assert (await client.get(f"/rest-apis/{handle}")).json()["spec"]["displayName"] == "Orders"
    assert (await client.delete(f"/rest-apis/{handle}")).is_success


async def test_the_command_line_manages_keys(signed_in, rest_api):
    client = signed_in(None, base="")
    client.headers.update(CREDENTIALS)
    await client.post("/rest-apis", json=rest_api())
    keys = "/rest-apis/orders/api-keys"
    spec = {"name": "till-7", "displayName": "Till", "expiresIn": {"unit": "days", "duration": 30}}
    assert (await client.post(keys, json=spec)).status_code == 201
    (listed,) = (await client.get(keys)).json()["apiKeys"]
    assert {"name", "apiId", "status", "createdAt", "expiresAt"} <= set(listed)
    without_value = await client.put(f"{keys}/till-7", json={"name": "till-7"})
    assert (without_value.status_code, without_value.json()["message"]) == (400, "apiKey is required")
    assert (await client.post(f"{keys}/till-7/regenerate", json={})).is_success
    assert (await client.delete(f"{keys}/till-7")).is_success


async def test_the_operator_reconciles_an_api(signed_in, rest_api):
    client = signed_in("Admin")

    async def reconcile(document):
        there = (await client.get("/rest-apis/orders")).status_code
        assert there in {200, 404}
        method, path = ("PUT", "/rest-apis/orders") if there == 200 else ("POST", "/rest-apis")
        headers = {"content-type": "application/yaml"}
        return await client.request(method, path, content=yaml.safe_dump(document).encode(), headers=headers)

    assert (await reconcile(rest_api())).status_code == 201
    assert (await reconcile(rest_api(context="/moved"))).status_code == 200
    assert (await reconcile(rest_api(version="x"))).status_code == 400, "terminal: it is not tried again"
    assert (await client.delete("/rest-apis/orders")).status_code == 200
    assert (await client.delete("/rest-apis/orders")).status_code == 404


async def test_the_operator_reconciles_a_key(signed_in, rest_api):
    client = signed_in("Admin")
    await client.post("/rest-apis", json=rest_api())
    keys = "/rest-apis/orders/api-keys"
    assert (await client.get(keys)).json()["apiKeys"] is None
    spec = {"name": "partner-a", "displayName": "Partner", "apiKey": "x" * 40, "issuer": "portal"}
    assert (await client.post(keys, json=spec)).status_code == 201
    assert [key["name"] for key in (await client.get(keys)).json()["apiKeys"]] == ["partner-a"]
    assert (await client.put(f"{keys}/partner-a", json=spec)).status_code == 200
    clash = await client.post(keys, json={**spec, "name": "partner-b"})
    assert clash.status_code == 409, "the operator goes on with PUT"
