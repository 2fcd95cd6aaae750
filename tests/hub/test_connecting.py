"""How gateways connect: order of checks, acknowledgement, presence, heartbeat, capacity, odd messages."""

import asyncio
import contextlib
import json
import logging
import ssl
import uuid
from pathlib import Path

import pytest
import websockets
from hub_lab import DOCUMENT, PATIENCE, Lab, LabMaker, until
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gatewright.hub.config import HubConfig
from gatewright.hub.connections import Connections, GatewayConnection


async def _refused(lab: Lab, headers: dict[str, str]) -> websockets.Response:
    with pytest.raises(InvalidStatus) as refusal:
        await websockets.connect(lab.socket_url, ssl=lab.trust, additional_headers=headers, proxy=None)
    return refusal.value.response


@pytest.mark.conforms("CP-018", "CP-019")
async def test_the_first_message_acknowledges_the_connection_even_when_events_wait(lab: Lab) -> None:
    token = await lab.gateway()
    await lab.client.deploy(DOCUMENT, ["edge"])
    async with lab.peer(token) as first, lab.peer(token) as second:
        gateway = await lab.client.gateway("edge")
        for peer in (first, second):
            assert set(peer.connection_ack) == {"type", "gatewayId", "connectionId", "timestamp"}
            assert peer.connection_ack["type"] == "connection.ack"
            assert peer.connection_ack["gatewayId"] == gateway.uuid
            assert uuid.UUID(peer.connection_ack["connectionId"]).version == 4
            assert (await peer.event())["type"] == "api.deployed"
        assert first.connection_ack["connectionId"] != second.connection_ack["connectionId"]


@pytest.mark.conforms("CP-020")
async def test_without_a_valid_token_the_upgrade_is_refused(lab: Lab) -> None:
    token = await lab.gateway()
    (known,) = await lab.client.tokens("edge")
    await lab.client.revoke_token("edge", known.id)
    for headers in ({}, {"api-key": ""}, {"api-key": "unknown"}, {"api-key": token}, {"api-key": "x" * 5000}):
        response = await _refused(lab, headers)
        assert response.status_code == 401
        assert json.loads(response.body) == {
            "status": "error", "code": "UNAUTHORIZED", "message": "Invalid or expired credentials.",
        }  # fmt: skip


async def test_a_refusal_is_an_answer_to_the_upgrade_and_no_error_of_the_server(
    make_lab: LabMaker, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_lab(connects_per_minute=1) as lab:
        token = await lab.gateway()
        with caplog.at_level(logging.INFO):
            assert (await _refused(lab, {"api-key": "wrong"})).status_code == 401
            assert (await _refused(lab, {"api-key": token})).status_code == 429
            # The handler of a connection has ended before its task is gone.
            await lab.hub.stop()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_an_upgrade_where_nothing_is_gets_404(lab: Lab) -> None:
    token = await lab.gateway()
    for path in ("/", "/api/internal/v1/nothing", "/api/hub/v1/nothing", "/internal/data/v1/ws/gateways/connect"):
        with pytest.raises(InvalidStatus) as refusal:
            await websockets.connect(
                f"wss://127.0.0.1:{lab.hub.port}{path}",
                ssl=lab.trust,
                additional_headers={"api-key": token},
                proxy=None,
            )
        assert refusal.value.response.status_code == 404


async def test_a_request_that_is_no_upgrade_is_checked_in_the_same_order(lab: Lab) -> None:
    token = await lab.gateway()
    async with lab.rest("") as stranger, lab.rest(token) as known:
        assert (await stranger.get("/ws/gateways/connect")).status_code == 401
        assert (await known.get("/ws/gateways/connect")).status_code == 400


@pytest.mark.conforms("CP-021")
async def test_attempts_of_one_address_are_limited_in_a_sliding_minute(make_lab: LabMaker) -> None:
    async with make_lab(connects_per_minute=3) as lab:
        token = await lab.gateway()
        for _ in range(3):
            assert (await _refused(lab, {"api-key": "wrong"})).status_code == 401
        response = await _refused(lab, {"api-key": token})
        assert response.status_code == 429
        assert json.loads(response.body)["code"] == "TOO_MANY_REQUESTS"
        lab.clock.advance(61)
        async with lab.peer(token):
            pass


@pytest.mark.conforms("CP-022")
async def test_beyond_the_capacity_a_text_says_so_and_the_connection_ends(make_lab: LabMaker) -> None:
    async with make_lab(max_connections=1) as lab:
        token = await lab.gateway()
        async with lab.peer(token), asyncio.timeout(PATIENCE):
            socket = await websockets.connect(
                lab.socket_url, ssl=lab.trust, additional_headers={"api-key": token}, proxy=None
            )
            assert json.loads(await socket.recv()) == {
                "type": "error", "message": "maximum connection limit reached (1)",
            }  # fmt: skip
            with pytest.raises(ConnectionClosed):
                await socket.recv()

        async def gone() -> bool:
            return not (await lab.client.gateway("edge")).is_active

        await until(gone)
        async with lab.peer(token):
            pass


@pytest.mark.conforms("CP-137", "CP-138")
async def test_presence_follows_the_last_connection_and_all_of_them_hear_everything(lab: Lab) -> None:
    token = await lab.gateway()
    assert not (await lab.client.gateway("edge")).is_active

    async def inactive() -> bool:
        return not (await lab.client.gateway("edge")).is_active

    async def single() -> bool:
        return (await lab.client.gateway("edge")).connections == 1

    async with lab.peer(token) as first:
        async with lab.peer(token) as second:
            assert (await lab.client.gateway("edge")).connections == 2
            await lab.client.deploy(DOCUMENT, ["edge"])
            assert await first.event() == await second.event()
        await until(single)
        assert (await lab.client.gateway("edge")).is_active
        await lab.client.deploy(DOCUMENT, ["edge"])
        assert (await first.event())["type"] == "api.deployed"
    await until(inactive)


async def test_revoking_a_token_closes_what_uses_it_and_nothing_else(lab: Lab) -> None:
    old = await lab.gateway()
    new = await lab.client.issue_token("edge")
    old_id = next(token.id for token in await lab.client.tokens("edge") if token.id != new.id)
    async with lab.peer(old) as ending, lab.peer(new.token) as staying:
        await lab.client.revoke_token("edge", old_id)
        with pytest.raises(ConnectionClosed) as closed:
            await ending.event()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
        assert (await ending.rest.get("/deployments")).status_code == 401
        await lab.client.deploy(DOCUMENT, ["edge"])
        assert (await staying.event())["type"] == "api.deployed"


async def test_deleting_a_gateway_closes_its_connections(lab: Lab) -> None:
    token = await lab.gateway()
    async with lab.peer(token) as peer:
        await lab.client.delete_gateway("edge")
        with pytest.raises(ConnectionClosed):
            await peer.event()
        assert (await peer.rest.get("/deployments")).status_code == 401
    assert await lab.client.gateways() == []


@pytest.mark.conforms("CP-147")
async def test_messages_that_mean_nothing_leave_the_connection_open(lab: Lab) -> None:
    token = await lab.gateway()
    async with lab.peer(token) as peer:
        for text in (
            "", "garbage", "[1,2]", "{}", '{"type":5}', '{"type":"unknown.type","payload":{}}',
            '{"type":"deployment.ack"}', '{"type":"deployment.ack","payload":[]}',
            '{"type":"deployment.ack","payload":{"artifactId":5}}',
            '{"type":"deployment.ack","payload":{"artifactId":"a","deploymentId":"d","performedAt":"never"}}',
            '{"type":"deployment.ack","payload":{"artifactId":"a","deploymentId":"d","status":"odd"}}',
            "[" * 100_000,
        ):  # fmt: skip
            await peer.socket.send(text)
        await peer.socket.send(b"\x00\xff binary")
        await lab.client.deploy(DOCUMENT, ["edge"])
        event = await peer.event()
        await peer.acknowledge(event)
        (row,) = await lab.client.deployments(artifact="orders-v1.0", wait=PATIENCE)
        assert row.status == "DEPLOYED"


async def test_an_oversized_message_ends_the_connection(lab: Lab) -> None:
    token = await lab.gateway()
    async with lab.peer(token) as peer:
        await peer.socket.send("x" * 1_100_000)
        with pytest.raises(ConnectionClosed) as closed:
            await peer.event()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
    async with lab.peer(token):
        pass


@pytest.mark.conforms("CP-035")
async def test_pings_come_at_their_interval(make_lab: LabMaker) -> None:
    async with make_lab(ping_interval=0.05) as lab:
        token = await lab.gateway()
        reader, writer = await _upgraded(lab, token)
        try:
            async with asyncio.timeout(PATIENCE):
                first, second = await _next_ping(reader), await _next_ping(reader)
            assert first != second
        finally:
            await _closed(writer)


def test_the_defaults_are_those_that_gateways_rely_on(tmp_path: Path) -> None:
    config = HubConfig(data_dir=tmp_path)
    assert (config.ping_interval, config.connection_timeout) == (20.0, 30.0)
    assert (config.max_connections, config.connects_per_minute) == (1000, 1000)


@pytest.mark.conforms("CP-036")
async def test_a_gateway_that_does_not_answer_pings_is_closed_at_the_next_one(make_lab: LabMaker) -> None:
    async with make_lab(ping_interval=0.05, connection_timeout=0.12) as lab:
        token = await lab.gateway()
        reader, writer = await _upgraded(lab, token)
        try:
            async with asyncio.timeout(PATIENCE):
                pings = 0
                while True:
                    opcode, payload = await _frame(reader)
                    if opcode == 0x8:
                        break
                    pings += opcode == 0x9
            assert int.from_bytes(payload[:2], "big") == 1000
            assert payload[2:] == b"normal closure"
            assert pings >= 1
        finally:
            await _closed(writer)


async def test_a_gateway_that_answers_pings_stays(make_lab: LabMaker) -> None:
    async with make_lab(ping_interval=0.05, connection_timeout=0.5) as lab:
        token = await lab.gateway()
        async with lab.peer(token) as peer:
            await asyncio.sleep(1.0)
            await lab.client.deploy(DOCUMENT, ["edge"])
            assert (await peer.event())["type"] == "api.deployed"


async def test_stopping_the_hub_says_goodbye(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        token = await lab.gateway()
        async with lab.peer(token) as peer:
            await lab.hub.stop()
            with pytest.raises(ConnectionClosed) as closed:
                await peer.event()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "server shutdown")


async def _upgraded(lab: Lab, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket by hand, for a peer that does not answer pings by itself."""
    context = ssl.create_default_context(cafile=str(lab.hub.ca_file))
    reader, writer = await asyncio.open_connection("127.0.0.1", lab.hub.port, ssl=context)
    writer.write(
        b"GET /api/internal/v1/ws/gateways/connect HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"api-key: " + token.encode() + b"\r\n\r\n"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert b"sec-websocket-extensions" not in head.lower()
    return reader, writer


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2), "big")
    return first & 0x0F, await reader.readexactly(length)


async def _next_ping(reader: asyncio.StreamReader) -> bytes:
    while True:
        opcode, payload = await _frame(reader)
        if opcode == 0x9:
            return payload


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


async def test_a_token_that_ends_during_the_upgrade_opens_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await lab.gateway()
    (known,) = await lab.client.tokens("edge")
    place = Connections.place

    async def placed_late(self: Connections, connection: GatewayConnection) -> bool:
        await lab.client.revoke_token("edge", known.id)
        return await place(self, connection)

    monkeypatch.setattr(Connections, "place", placed_late)
    async with asyncio.timeout(PATIENCE):
        socket = await websockets.connect(
            lab.socket_url, ssl=lab.trust, additional_headers={"api-key": token}, proxy=None
        )
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_the_capacity_holds_when_many_come_at_once(make_lab: LabMaker) -> None:
    async with make_lab(max_connections=3) as lab:
        token = await lab.gateway()

        async def first_message() -> tuple[websockets.ClientConnection, str]:
            socket = await websockets.connect(
                lab.socket_url, ssl=lab.trust, additional_headers={"api-key": token}, proxy=None
            )
            return socket, json.loads(await socket.recv())["type"]

        async with asyncio.timeout(PATIENCE):
            attempts = await asyncio.gather(*(first_message() for _ in range(10)))
        assert sorted(kind for _, kind in attempts) == ["connection.ack"] * 3 + ["error"] * 7
        await asyncio.gather(*(socket.close() for socket, _ in attempts))
