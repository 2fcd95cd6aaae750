"""Clients that are slow, too large or no clients at all, on the wire."""

import asyncio
import socket

import httpx2
import pytest

from gatewright.management import ports, protocol, requests

BASE = "/api/management/v1"
LIST = b"GET /api/management/v1/rest-apis HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def impatient(monkeypatch):
    """A server that waits a quarter of a second for a head."""
    monkeypatch.setattr(protocol.BoundedProtocol, "head_timeout_s", 0.25)


@pytest.mark.usefixtures("impatient")
async def test_a_connection_that_says_nothing_is_closed(port, raw):
    async with asyncio.timeout(5):
        assert await raw(port) == b""


@pytest.mark.usefixtures("impatient")
async def test_a_head_that_never_ends_is_answered_and_closed(port, raw):
    async with asyncio.timeout(5):
        answer = await raw(port, LIST, *[b"X-A: b\r\n"] * 8, pause=0.1)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b'"status":"error"' in answer


@pytest.mark.usefixtures("impatient")
async def test_slow_clients_do_not_hold_up_others(port, remote):
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
    for _, writer in slow:
        writer.write(LIST)
    assert (await remote.get(f"{BASE}/rest-apis")).status_code == 200
    for reader, writer in slow:
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()


@pytest.mark.usefixtures("impatient")
async def test_the_second_head_of_a_connection_has_the_same_bound(port, raw):
    async with asyncio.timeout(5):
        answer = await raw(port, LIST + b"\r\n", LIST, b"X-A: b\r\n", b"X-A: b\r\n", b"X-A: b\r\n", pause=0.1)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"HTTP/1.1 408 " in answer


@pytest.mark.usefixtures("impatient")
async def test_a_request_that_takes_long_to_answer_is_not_cut_off(serve, raw):
    async def slow(scope, receive, send):
        await asyncio.sleep(0.6)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with serve(slow) as port:
        answer = await raw(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 204 ")


@pytest.mark.usefixtures("impatient")
async def test_the_rest_of_a_refused_body_is_not_waited_for(port, raw):
    async with asyncio.timeout(5):
        answer = await raw(port, b"POST /rest-apis HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_body_that_never_ends(monkeypatch, port, raw, remote):
    monkeypatch.setattr(requests, "BODY_TIMEOUT_S", 0.25)
    credentials = httpx2.BasicAuth("Admin", "Admin-pass")._auth_header
    head = f"POST /rest-apis HTTP/1.1\r\nHost: x\r\nAuthorization: {credentials}\r\nContent-Length: 100\r\n"
    slow = asyncio.create_task(raw(port, f"{head}Connection: close\r\n\r\nkind: ".encode()))
    assert (await remote.get("/rest-apis")).status_code == 200
    async with asyncio.timeout(5):
        answer = await slow
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"request body did not arrive within 0.25 seconds" in answer


async def test_a_client_that_goes_away_in_the_middle_of_its_body(port, remote, caplog):
    credentials = httpx2.BasicAuth("Admin", "Admin-pass")._auth_header
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /rest-apis HTTP/1.1\r\nHost: x\r\nAuthorization: {credentials}\r\nContent-Length: 100\r\n\r\nkind"
    writer.write(head.encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await remote.get("/rest-apis")).json()["count"] == 0
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad\0Name: x\r\n\r\n",
    ],
    ids=["tls", "length", "lengths", "host", "byte", "blank", "nul"],
)
async def test_what_is_no_request_gets_one_clear_answer(port, raw, remote, garbage):
    async with asyncio.timeout(5):
        answer = await raw(port, garbage)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b'{"message":"Invalid HTTP request received.","status":"error"}\n')
    assert (await remote.get("/rest-apis")).status_code == 200


@pytest.mark.parametrize(
    "flood",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 2_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200_000 + b"\r\n",
        b"GET /" + b"a" * 2_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["one-header", "many-headers", "path"],
)
async def test_a_flood_of_headers_gets_one_clear_answer(port, raw, remote, flood):
    async with asyncio.timeout(5):
        answer = await raw(port, flood)
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert answer.endswith(b'{"message":"the head of the request is too large","status":"error"}\n')
    assert (await remote.get("/rest-apis")).status_code == 200


async def test_a_body_that_breaks_off_into_garbage(port, raw, remote, caplog):
    credentials = httpx2.BasicAuth("Admin", "Admin-pass")._auth_header
    head = f"POST /rest-apis HTTP/1.1\r\nHost: x\r\nAuthorization: {credentials}\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with asyncio.timeout(5):
        answer = await raw(port, head.encode(), b"4\r\nkind\r\nZZ\r\n", pause=0.1)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert (await remote.get("/rest-apis")).json()["count"] == 0
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_many_short_headers_are_just_ignored(remote):
    headers = [(f"x-{number}", "y") for number in range(2000)]
    assert (await remote.get("/rest-apis", headers=headers)).status_code == 200


async def test_more_connections_than_the_bound_are_turned_away(monkeypatch, serve, app, raw):
    for module in (protocol, ports):
        monkeypatch.setattr(module, "MOST_CONNECTIONS", 5)
    async with serve(app) as port:
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(7)]
        try:
            async with asyncio.timeout(5):
                assert (await raw(port, LIST + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 503 ")
            held += [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
            held[-1].settimeout(5)
            assert await asyncio.to_thread(held[-1].recv, 1) == b"", "closed unread"
        finally:
            for each in held:
                each.close()
