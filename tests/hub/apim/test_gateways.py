"""Platform gateways of a stand-in API Manager: registration, tokens, the socket."""

import hashlib
import uuid

import pytest

from gatewright.hub.apim.client import ApiManagerClientError
from gatewright.hub.apim.config import read_connects
from gatewright.hub.problems import HubStartError
from support.apim import anonymous, connected, running, until


async def test_the_well_known_document(apim):
    async with anonymous(apim) as http:
        answer = await http.get("/internal/gateway/.well-known")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"gatewayPath": "internal/data/v1", "controlPlane": {"type": "APIM", "version": "4.7.0"}}


@pytest.mark.conforms("AP-090")
async def test_a_token_is_told_once_and_ends_when_it_is_regenerated(apim):
    made = await apim.client.register_gateway("prod-gateway")
    token = made["registrationToken"]
    assert len(token) == 80
    assert made["isActive"] is False
    shown = [await apim.client.gateway(made["id"]), *await apim.client.gateways()]
    assert [each["name"] for each in shown] == ["prod-gateway", "prod-gateway"]
    assert not any("registrationToken" in each or token in str(each) for each in shown)
    successor = await apim.client.regenerate_token(made["id"])
    async with connected(apim, token, greeted=False) as gateway:
        assert await gateway.closed() == (4401, "Invalid or expired API key")
    async with connected(apim, successor) as gateway:
        assert gateway.ack["type"] == "connection.ack"
        assert gateway.ack["gatewayId"] == made["id"]


async def test_the_secret_alone_is_accepted_and_a_foreign_id_is_not(apim):
    token = (await apim.client.register_gateway("edge"))["registrationToken"]
    other = (await apim.client.register_gateway("other"))["registrationToken"]
    secret = token.partition(".")[2]
    async with connected(apim, secret) as gateway:
        assert gateway.ack["type"] == "connection.ack"
    for wrong in (f"{other.partition('.')[0]}.{secret}", "x" * 129, "nonsense"):
        async with connected(apim, wrong, greeted=False) as gateway:
            assert await gateway.closed() == (4401, "Invalid or expired API key")
    async with connected(apim, None, greeted=False) as gateway:
        assert await gateway.closed() == (4401, "API key is required. Provide 'api-key' header.")


@pytest.mark.conforms("AP-091")
async def test_is_active_follows_the_socket(apim):
    made = await apim.client.register_gateway("edge")

    async def active() -> bool:
        return (await apim.client.gateway(made["id"]))["isActive"]

    assert not await active()
    async with connected(apim, made["registrationToken"]):
        assert await active()
    assert not await active()


async def test_a_newer_connection_replaces_the_older(apim):
    token = (await apim.client.register_gateway("edge"))["registrationToken"]
    async with connected(apim, token) as first, connected(apim, token):
        code, _reason = await first.closed()
        assert code == 1000


async def test_pings_are_empty_and_come_by_themselves(tmp_path):
    async with running(tmp_path / "apim", ping_interval=0.05) as apim:
        token = (await apim.client.register_gateway("edge"))["registrationToken"]
        async with connected(apim, token) as gateway:
            pinged: list[bytes] = []
            original = gateway.socket.protocol.recv_frame

            def seen(frame):
                if frame.opcode == 0x9:
                    pinged.append(bytes(frame.data))
                original(frame)

            gateway.socket.protocol.recv_frame = seen
            await apim.client.gateways()
            while len(pinged) < 2:
                await apim.client.gateways()
    assert set(pinged) == {b""}


async def test_what_a_registration_must_not_say(apim):
    for wrong in (
        {"name": "ab", "displayName": "x", "vhost": "https://gw"},
        {"name": "Upper", "displayName": "x", "vhost": "https://gw"},
        {"name": "edge", "displayName": "", "vhost": "https://gw"},
        {"name": "edge", "displayName": "x", "vhost": ""},
        {"name": "edge", "displayName": "x", "vhost": "https://gw", "permissions": {"permissionType": "SOME"}},
    ):
        with pytest.raises(ApiManagerClientError) as refused:
            await apim.client.call("POST", "/api/am/admin/v4/gateways", json=wrong)
        assert refused.value.status == 400
    await apim.client.register_gateway("edge")
    with pytest.raises(ApiManagerClientError) as refused:
        await apim.client.register_gateway("edge")
    assert refused.value.status == 409


async def test_name_and_vhost_of_a_gateway_stay(apim):
    made = await apim.client.register_gateway("edge")
    path = f"/api/am/admin/v4/gateways/{made['id']}"
    changed = (await apim.client.call("PUT", path, json={"displayName": "Edge", "description": "d"})).json()
    assert (changed["displayName"], changed["description"], changed["name"]) == ("Edge", "d", "edge")
    for wrong in ({"displayName": "Edge", "name": "edges"}, {"displayName": "Edge", "vhost": "https://else"}):
        with pytest.raises(ApiManagerClientError) as refused:
            await apim.client.call("PUT", path, json=wrong)
        assert refused.value.status == 400


async def test_a_forgotten_gateway_is_thrown_out(apim):
    made = await apim.client.register_gateway("edge")
    async with connected(apim, made["registrationToken"]) as gateway:
        await apim.client.delete_gateway(made["id"])
        assert (await gateway.closed())[0] == 1000
    assert await apim.client.gateways() == []


async def test_internal_calls_need_the_token_and_complain_in_plain_text(apim):
    token = (await apim.client.register_gateway("edge"))["registrationToken"]
    async with anonymous(apim) as http:
        for path in ("/apis/x", "/deployments", "/apis/api-keys", "/subscription-plans"):
            missing = await http.get(f"/internal/data/v1{path}")
            assert (missing.status_code, missing.text) == (401, "Missing api-key header")
            wrong = await http.get(f"/internal/data/v1{path}", headers={"api-key": "wrong"})
            assert (wrong.status_code, wrong.text) == (401, "Invalid api-key")
        http.headers["api-key"] = token
        unknown = await http.get("/internal/data/v1/apis/x", headers={"accept": "application/zip"})
        assert (unknown.status_code, unknown.content) == (404, b"")
        assert (await http.get("/internal/data/v1/deployments?since=nonsense")).json() == {"deployments": []}
        assert (await http.get("/internal/data/v1/apis/api-keys")).json() == []
        assert (await http.get("/internal/data/v1/subscription-plans")).json() == []


async def test_a_gateway_of_the_configuration_is_made_when_it_connects(tmp_path):
    token = "0198c0de-0000-7000-8000-000000000001.a-secret-of-your-own"
    file = tmp_path / "deployment.toml"
    file.write_text(
        f'[[apim.platform_gateway.connect]]\nregistration_token = "{token}"\nurl = "https://gw:8443"\nname = "edge"\n'
    )
    connects = read_connects(file)
    assert token not in repr(connects)
    for _ in range(2):
        async with running(tmp_path / "apim", connects=connects) as apim:
            async with connected(apim, token) as gateway:
                digest = hashlib.md5(f"platform-gateway-connect:{token.partition('.')[0]}".encode()).digest()
                assert gateway.ack["gatewayId"] == str(uuid.UUID(bytes=digest, version=3))
                [made] = await apim.client.gateways()
                assert (made["name"], made["vhost"], made["isActive"]) == ("edge", "https://gw:8443", True)
            async with connected(apim, f"{token}x", greeted=False) as gateway:
                assert (await gateway.closed())[0] == 4401
    for wrong in ('registration_token = "no-dot"\nurl = "https://gw"', 'url = "https://gw"', "registration_token = 1"):
        file.write_text(f"[[apim.platform_gateway.connect]]\n{wrong}\n")
        with pytest.raises(HubStartError) as refused:
            read_connects(file)
        assert refused.value.code == "HUB_CONNECTS_UNREADABLE"


async def test_the_end_of_a_connection_is_recorded(apim):
    token = (await apim.client.register_gateway("edge"))["registrationToken"]
    async with connected(apim, token) as gateway:
        await gateway.socket.close(1000, "Gateway shutting down")
    [request] = apim.requests("/ws/gateways/connect")
    await until(lambda: request.status)
    assert (request.method, request.status) == ("WEBSOCKET", 1000)
    assert request.body == {"closedBy": "gateway", "reason": "Gateway shutting down"}
    assert request.headers["api-key"] == f"{token.partition('.')[0]}.****"


async def test_a_restart_loses_nothing(tmp_path):
    async with running(tmp_path / "apim") as apim:
        made = await apim.client.register_gateway("edge")
        client = await apim.client.register_client("gateway-controller")
        bearer = await apim.client.sign_in()
    async with running(tmp_path / "apim") as apim:
        assert [each["id"] for each in await apim.client.gateways()] == [made["id"]]
        assert await apim.client.register_client("gateway-controller") == client
        async with anonymous(apim) as http:
            headers = {"authorization": f"Bearer {bearer}"}
            assert (await http.get("/api/am/admin/v4/gateways", headers=headers)).status_code == 200
        async with connected(apim, made["registrationToken"]) as gateway:
            assert gateway.ack["gatewayId"] == made["id"]
