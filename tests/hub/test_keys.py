"""API keys: plain once, hashes everywhere else, announced to the gateways of their artifact."""

import hashlib
import json
import re
from datetime import datetime

import pytest
from hub_lab import DOCUMENT, Lab

from gatewright.hub.client import HubClientError

REF = "orders-v1.0"


async def test_a_key_is_shown_once_and_travels_as_a_hash(lab: Lab) -> None:
    token = await lab.gateway()
    artifact = (await lab.client.deploy(DOCUMENT, ["edge"])).artifact
    async with lab.peer(token) as peer:
        await peer.event()
        issued = await lab.client.create_key(REF, "orders-key", expires_at="2099-01-01T00:00:00Z", issuer="portal")
        event = await peer.event()
        listed = (await peer.rest.get("/apis/api-keys")).json()
        assert [row["name"] for row in (await peer.rest.get("/apis/api-keys?issuer=portal")).json()] == ["orders-key"]
        assert (await peer.rest.get("/apis/api-keys?issuer=other")).json() == []
    assert re.fullmatch(r"apip_[0-9a-f]{64}", issued.api_key)
    digest = hashlib.sha256(issued.api_key.encode()).hexdigest()
    assert issued.api_key not in json.dumps(event)
    assert event["type"] == "apikey.created"
    assert event["userId"] == "hub/orders-key"
    payload = event["payload"]
    assert json.loads(payload["apiKeyHashes"]) == {"sha256": digest}
    assert (payload["apiId"], payload["name"], payload["issuer"]) == (artifact.id, "orders-key", "portal")
    assert payload["expiresAt"] == "2099-01-01T00:00:00Z"
    assert payload["maskedApiKey"] == f"apip_****{issued.api_key[-4:]}"
    assert listed[0]["apiKeyHashes"] == {"sha256": digest}
    assert listed[0]["uuid"] == payload["uuid"]
    assert (listed[0]["source"], listed[0]["status"]) == ("external", "active")
    files = b"".join(path.read_bytes() for path in lab.hub.config.data_dir.iterdir())
    assert issued.api_key.encode() not in files
    assert issued.api_key not in repr(issued)


async def test_a_revocation_is_announced_and_may_be_repeated(lab: Lab) -> None:
    token = await lab.gateway()
    artifact = (await lab.client.deploy(DOCUMENT, ["edge"])).artifact
    async with lab.peer(token) as peer:
        await peer.event()
        await lab.client.create_key(REF, "orders-key")
        created = await peer.event()
        for _ in range(2):
            await lab.client.revoke_key(REF, "orders-key")
            event = await peer.event()
            assert event["type"] == "apikey.revoked"
            assert event["payload"] == {"apiId": artifact.id, "keyName": "orders-key"}
            assert event["userId"] == created["userId"]
        (row,) = (await peer.rest.get("/apis/api-keys")).json()
        assert row["status"] == "revoked"
        again = await lab.client.create_key(REF, "orders-key")
        assert (await peer.event())["payload"]["uuid"] == again.key.uuid
    (kept,) = await lab.client.keys(REF)
    assert (kept.uuid, kept.status) == (again.key.uuid, "active")


@pytest.mark.conforms("CP-146")
async def test_each_deployment_is_followed_by_the_active_keys_that_have_not_expired(lab: Lab) -> None:
    token = await lab.gateway()
    await lab.client.deploy(DOCUMENT)
    await lab.client.create_key(REF, "good-key")
    await lab.client.create_key(REF, "revoked-key")
    await lab.client.revoke_key(REF, "revoked-key")
    await lab.client.create_key(REF, "expired-key", expires_at="2098-01-01T00:00:00Z")
    lab.clock.now_ns = int(4.1e18)
    async with lab.peer(token) as peer:
        for deploy in (lab.client.deploy_again(REF, ["edge"]), lab.client.deploy(DOCUMENT, ["edge"])):
            await deploy
            assert (await peer.event())["type"] == "api.deployed"
            created = await peer.event()
            assert (created["type"], created["payload"]["name"]) == ("apikey.created", "good-key")
        await lab.client.undeploy(REF)
        assert (await peer.event())["type"] == "api.undeployed"


async def test_keys_go_to_the_gateways_of_their_artifact_only(lab: Lab) -> None:
    here, there = await lab.gateway("here"), await lab.gateway("there")
    await lab.client.deploy(DOCUMENT, ["here"])
    async with lab.peer(here) as near, lab.peer(there) as far:
        await near.event()
        await lab.client.create_key(REF, "some-key")
        assert (await near.event())["type"] == "apikey.created"
        await lab.client.delete_artifact(REF)
        assert (await far.event())["type"] == "api.deleted"


async def test_bad_requests_say_everything_that_is_wrong(lab: Lab) -> None:
    await lab.client.deploy(DOCUMENT)
    await lab.client.create_key(REF, "taken-key")
    for arguments, code in (
        ({"name": "No Good"}, "VALIDATION_FAILED"),
        ({"name": "ab"}, "VALIDATION_FAILED"),
        ({"name": "ok-name", "expires_at": "soon"}, "VALIDATION_FAILED"),
        ({"name": "ok-name", "expires_at": "2001-01-01T00:00:00Z"}, "VALIDATION_FAILED"),
        ({"name": "ok-name", "issuer": "x" * 201}, "VALIDATION_FAILED"),
        ({"name": "taken-key"}, "API_KEY_EXISTS"),
    ):
        with pytest.raises(HubClientError) as refusal:
            await lab.client.create_key(REF, **arguments)
        assert refusal.value.code == code
    with pytest.raises(HubClientError, match=r"name: .*; expiresAt: "):
        await lab.client.create_key(REF, "-", expires_at="never")
    with pytest.raises(HubClientError) as missing:
        await lab.client.revoke_key(REF, "unknown-key")
    assert missing.value.code == "API_KEY_NOT_FOUND"
    assert len(await lab.client.keys(REF)) == 1


async def test_a_key_without_a_name_gets_one(lab: Lab) -> None:
    await lab.client.deploy(DOCUMENT)
    issued = await lab.client.create_key(REF)
    assert re.fullmatch(r"key-[0-9a-f]{8}", issued.key.name)


async def test_a_regenerated_key_has_another_value_and_the_same_name(lab: Lab) -> None:
    token = await lab.gateway()
    artifact = (await lab.client.deploy(DOCUMENT, ["edge"])).artifact
    async with lab.peer(token) as peer:
        await peer.event()
        first = await lab.client.create_key(REF, "orders-key", expires_at="2099-01-01T00:00:00Z", issuer="portal")
        created = await peer.event()
        second = await lab.client.regenerate_key(REF, "orders-key")
        event = await peer.event()
        (listed,) = (await peer.rest.get("/apis/api-keys")).json()
        assert second.api_key != first.api_key
        digest = hashlib.sha256(second.api_key.encode()).hexdigest()
        assert event["type"] == "apikey.updated"
        assert event["userId"] == created["userId"]
        payload = event["payload"]
        assert (payload["apiId"], payload["keyName"], payload["issuer"]) == (artifact.id, "orders-key", "portal")
        assert json.loads(payload["apiKeyHashes"]) == {"sha256": digest}
        assert payload["expiresAt"] == "2099-01-01T00:00:00Z"
        assert datetime.fromisoformat(payload["updatedAt"]) > datetime.fromisoformat(created["payload"]["updatedAt"])
        assert (listed["uuid"], listed["apiKeyHashes"]) == (created["payload"]["uuid"], {"sha256": digest})

        third = await lab.client.regenerate_key(REF, "orders-key", expires_at="2098-01-01T00:00:00Z")
        assert third.key.expires_at == "2098-01-01T00:00:00Z"
        await lab.client.revoke_key(REF, "orders-key")
        with pytest.raises(HubClientError, match="has been revoked"):
            await lab.client.regenerate_key(REF, "orders-key")
        with pytest.raises(HubClientError, match="There is no key"):
            await lab.client.regenerate_key(REF, "nobody")
