"""The shell against a control plane that does everything wrong, over real sockets and real TLS."""

import asyncio
import json

import pytest
from controlplane_hostile import ACK, PING, PONG, TEXT, WEBSOCKET
from controlplane_lab import make_settings, until
from pydantic import SecretStr

from gatewright.controlplane import plane as planes

BASE = "/api/internal/v1"
DEPLOYED = {"apiId": "a-1", "deploymentId": "d-1", "performedAt": "2026-08-01T10:15:30.123Z"}


def state(plane) -> str:
    return plane.status().state


async def connected(plane):
    await until(lambda: state(plane) == "connected")


@pytest.mark.conforms("CP-003", "CP-006", "CP-010", "CP-012", "AP-009", "AP-014")
async def test_discovery_then_the_upgrade_with_the_token_and_nothing_else(site, hostile, hostile_settings):
    async with site.linked(hostile_settings()) as plane:
        await connected(plane)
        asked = hostile.requests[0]
        assert (asked.method, asked.path) == ("GET", "/internal/gateway/.well-known")
        assert "api-key" not in asked.headers
        upgrade = hostile.upgrades[0]
        assert upgrade.path == BASE + WEBSOCKET
        assert upgrade.headers["api-key"] == "a-token-of-the-test"
        assert upgrade.headers["host"] == hostile.host
        for absent in ("authorization", "sec-websocket-extensions", "sec-websocket-protocol", "origin"):
            assert absent not in upgrade.headers
        assert plane.status().mode == "cloud"


@pytest.mark.parametrize("path", ["internal/data/v1", "/internal/data/v1/", " internal/data/v1 "])
@pytest.mark.conforms("CP-004", "CP-005", "CP-009", "CP-117", "CP-148", "AP-010", "AP-011", "AP-024")
async def test_an_on_prem_control_plane(site, hostile, hostile_settings, path):
    body = {"gatewayPath": path, "controlPlane": {"type": "APIM"}}
    hostile.answers["GET", "/internal/gateway/.well-known"] = (200, body)
    hostile.answers["GET", "/internal/data/v1/apis/api-keys"] = (200, [])
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().last_reconcile)
        assert hostile.upgrades[0].path == "/internal/data/v1" + WEBSOCKET
        assert plane.status().mode == "on_prem"
        paths = {request.path for request in hostile.requests}
        assert paths == {"/internal/gateway/.well-known", "/internal/data/v1/apis/api-keys"}


@pytest.mark.conforms("CP-007", "AP-013")
async def test_a_discovered_path_is_not_asked_for_again_and_survives_a_restart(site, hostile, hostile_settings):
    well_known = ("GET", "/internal/gateway/.well-known")
    hostile.answers[well_known] = (200, {"gatewayPath": "p"})
    hostile.answers["GET", "/p/apis/api-keys"] = (200, [])
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        peer.abort()
        await hostile.peer()
        await connected(plane)
        assert len(hostile.asked("/.well-known")) == 1
    hostile.answers[well_known] = (500, b"")
    async with site.linked(hostile_settings()) as plane:
        await connected(plane)
        assert hostile.upgrades[-1].path == "/p" + WEBSOCKET


async def _never(_request):
    await asyncio.Event().wait()


@pytest.mark.parametrize("answer", [(404, b""), (500, b""), (200, b"<html>"), (200, {"gatewayPath": " / "}), _never])
@pytest.mark.conforms("CP-006", "AP-012")
async def test_any_other_answer_means_cloud(site, hostile, hostile_settings, answer, monkeypatch):
    monkeypatch.setattr("gatewright.wire.paths.DISCOVERY_TIMEOUT", 0.2)
    hostile.answers["GET", "/internal/gateway/.well-known"] = answer
    async with site.linked(hostile_settings()) as plane:
        await connected(plane)
        assert hostile.upgrades[0].path == BASE + WEBSOCKET


@pytest.mark.conforms("CP-001", "AP-002")
async def test_without_a_token_no_socket_is_opened(site, hostile):
    async with site.linked(make_settings(hostile.host, "")) as plane:
        await asyncio.sleep(0.05)
        assert state(plane) == "disconnected"
        assert not hostile.requests
        assert not hostile.upgrades
        assert "token" in plane.status().advice
        assert "error" in await plane.sync()


async def test_a_token_that_comes_later_is_used(site, hostile, monkeypatch):
    monkeypatch.setattr(planes, "TOKEN_CHECK", 0.02)
    given = [SecretStr("")]
    settings = make_settings(hostile.host, "", ca_file=hostile.ca_file)
    async with site.linked(settings, token=lambda: given[0]) as plane:
        await asyncio.sleep(0.1)
        assert (state(plane), hostile.requests, hostile.upgrades) == ("disconnected", [], [])
        given[0] = SecretStr("a-token-of-the-test")
        await until(lambda: state(plane) == "connected")
        assert hostile.upgrades[0].headers["api-key"] == "a-token-of-the-test"


@pytest.mark.conforms("CP-011")
async def test_an_untrusted_certificate_is_a_passing_failure_with_advice(site, hostile, hostile_settings):
    async with site.linked(hostile_settings(ca_file="")) as plane:
        await until(lambda: plane.status().attempts > 2)
        error = plane.status().last_error
        assert error.code == "LINK_UNTRUSTED"
        assert "ca_file" in error.advice
        assert not hostile.upgrades
    async with site.linked(hostile_settings(ca_file="", insecure_skip_verify=True)) as plane:
        await until(lambda: plane.status().last_reconcile)
        assert plane.status().verified is False
        assert not plane.status().last_reconcile.errors


async def test_an_unusable_bundle_says_so(site, hostile_settings, tmp_path):
    (tmp_path / "not.pem").write_text("nothing")
    async with site.linked(hostile_settings(ca_file=tmp_path / "not.pem")) as plane:
        await until(lambda: plane.status().last_error)
        assert plane.status().last_error.code == "LINK_TLS_FILES"


@pytest.mark.parametrize("status", [401, 403, 404, 409, 422])
@pytest.mark.conforms("CP-023", "AP-018")
async def test_a_refused_upgrade_is_visible_and_heals(site, hostile, hostile_settings, status):
    hostile.upgrade = (status, b'{"status":"error","code":"X","message":"go away"}')
    async with site.linked(hostile_settings(reconnect_max=0.05)) as plane:
        await until(lambda: plane.status().last_error and plane.status().last_error.code == "LINK_REFUSED")
        assert "go away" in plane.status().last_error.message
        await until(lambda: plane.status().attempts > 2)
        hostile.upgrade = None
        await connected(plane)


async def test_a_new_token_heals_a_refusal_without_waiting(site, hostile, hostile_settings, monkeypatch):
    monkeypatch.setattr("gatewright.controlplane.connection.TOKEN_CHECK", 0.02)
    hostile.upgrade = (401, b"")
    token = ["old-token-1"]
    settings = hostile_settings(reconnect_max=3600)
    async with site.linked(settings, token=lambda: SecretStr(token[0])) as plane:
        await until(lambda: state(plane) == "refused")
        hostile.upgrade = None
        token[0] = "new-token-2"
        await connected(plane)
        assert hostile.upgrades[-1].headers["api-key"] == "new-token-2"


@pytest.mark.parametrize("status", [400, 429, 500, 503, 301])
@pytest.mark.conforms("CP-024", "AP-019")
async def test_other_answers_to_the_upgrade_are_retried(site, hostile, hostile_settings, status):
    hostile.upgrade = (status, b"")
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: len(hostile.upgrades) > 2)
        hostile.upgrade = None
        await connected(plane)


async def test_nothing_listening_is_retried(site, hostile, hostile_settings):
    settings = hostile_settings()
    await hostile.stop()
    async with site.linked(settings) as plane:
        await until(lambda: plane.status().attempts > 2)
        assert plane.status().last_error.code == "LINK_UNREACHABLE"
        await hostile.start()
        await connected(plane)


@pytest.mark.conforms("CP-015", "CP-029", "AP-016")
async def test_a_wrong_greeting_is_retried(site, hostile, hostile_settings):
    async def greet(peer):
        match len(hostile.upgrades):
            case 1:
                peer.frame(TEXT, '{"type":"error","message":"maximum connection limit reached (1000)"}')
            case 2:
                peer.event("api.deployed", DEPLOYED)
            case 3:
                peer.frame(TEXT, "garbage")
            case 4:
                peer.close(1000, "not now")  # and the TCP connection is left to the other side
            case 5:
                peer.writer.write(b"\x81\x7e")
                peer.abort()
            case 6:
                peer.writer.write(b"HTTP/1.1 200 this is no frame")
            case _:
                peer.frame(TEXT, ACK)

    hostile.on_peer = greet
    async with site.linked(hostile_settings()) as plane:
        await connected(plane)
        assert len(hostile.upgrades) == 7
        assert not hostile.asked("/apis/a-1")


@pytest.mark.conforms("CP-028")
@pytest.mark.parametrize("how", [1000, 1008, None])
async def test_a_lost_connection_comes_back(site, hostile, hostile_settings, how):
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await connected(plane)
        peer.abort() if how is None else peer.close(how, "bye")
        await hostile.peer()
        await connected(plane)
        assert plane.status().reconnects == 1
        assert plane.status().last_error.code == "LINK_LOST"


@pytest.mark.conforms("CP-154", "AP-017")
async def test_4401_is_a_refusal_and_is_retried(site, hostile, hostile_settings):
    async def greet(peer):
        if len(hostile.upgrades) < 4:
            peer.close(4401, "Invalid or expired API key")
        else:
            peer.frame(TEXT, ACK)

    hostile.on_peer = greet
    seen = []
    async with site.linked(hostile_settings(reconnect_max=0.2)) as plane:
        await until(lambda: seen.append(state(plane)) or seen[-1] == "connected")
        assert "refused" in seen
        assert "Invalid or expired API key" in plane.status().last_error.message


@pytest.mark.conforms("CP-032", "CP-034", "AP-020")
async def test_pings_are_answered_and_none_are_sent(site, hostile, hostile_settings):
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await connected(plane)
        peer.frame(PING, b"payload")
        assert await peer.receive() == (PONG, b"payload")


@pytest.mark.conforms("CP-031", "AP-023")
async def test_stop_says_goodbye(site, hostile, hostile_settings):
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await connected(plane)
    opcode, data = await peer.receive()
    assert opcode == 8
    assert data == b"\x03\xe8Gateway shutting down"


async def test_a_frame_without_end_costs_only_the_connection(site, hostile, hostile_settings, monkeypatch):
    monkeypatch.setattr("gatewright.controlplane.websocket.MAX_FRAME", 10_000)
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await connected(plane)
        peer.frame(TEXT, "x" * 20_000)
        await hostile.peer()
        await connected(plane)


@pytest.mark.conforms("CP-017", "CP-038", "CP-039", "CP-040", "CP-041", "CP-042", "CP-044")
async def test_irregular_messages_are_survived(site, hostile, hostile_settings):
    hostile.answers["GET", f"{BASE}/apis/a-1"] = (404, {"code": 404, "description": "No active deployment"})
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await connected(plane)
        peer.frame(TEXT, "not json")
        peer.frame(TEXT, "[1]")
        peer.frame(TEXT, '{"payload":{}}')
        peer.frame(TEXT, '{"type":7}')
        peer.frame(TEXT, ACK)
        peer.frame(2, json.dumps({"type": "api.deployed", "payload": DEPLOYED}))
        peer.event("no.such.event", {"secret": "value"})
        peer.event("api.deployed", {**DEPLOYED, "apiId": 7})
        peer.event("api.deployed", {**DEPLOYED, "performedAt": "yesterday"})
        peer.event("api.deployed", {**DEPLOYED, "apiId": ""})
        peer.event("websub.deployed", DEPLOYED)
        peer.event("apikey.created", {"apiId": "a-1"})
        peer.event("api.deployed", {**DEPLOYED, "unknown": [1]}, other=2)
        ack = await peer.message()
        assert ack["payload"]["artifactId"] == "a-1"
        assert ack["payload"]["errorCode"] == "GATEWAY_PROCESSING_ERROR"
        assert len(hostile.asked("/apis/a-1")) == 1
        assert state(plane) == "connected"
        assert plane.status().reconnects == 0


async def test_a_proxy_of_the_environment_is_used(site, hostile, hostile_settings, monkeypatch):
    seen = []

    async def proxy(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head.split(b" ")[1].decode())
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", hostile.port)

        async def pump(source, target):
            while data := await source.read(65536):
                target.write(data)
            target.close()

        try:
            await asyncio.gather(pump(reader, other_writer), pump(other_reader, writer), return_exceptions=True)
        finally:
            for each in (writer, other_writer):
                each.transport.abort()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    monkeypatch.setenv("no_proxy", "")
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().last_reconcile)
        assert len(seen) >= 2
        assert set(seen) == {hostile.host}
    server.close()


async def test_the_end_of_the_certificate_is_told(site, hostile_settings):
    async with site.linked(hostile_settings()) as plane:
        await connected(plane)
        assert plane.status().certificate_expires_at is not None
        described = json.loads(json.dumps(plane.describe()))
        assert described["state"] == "connected"
        assert described["gatewayId"] == "gw-1"
