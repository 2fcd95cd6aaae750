"""Sockets and servers."""

import asyncio
import contextlib
import socket

import httpx2
import pytest
from starlette.responses import Response

from gatewright.management.ports import CannotBind, HttpServer, PortInUse, bind


async def hello(scope, receive, send):
    await Response(b"hello")(scope, receive, send)


def test_a_port_that_is_taken_is_told_before_anything_starts():
    with bind("127.0.0.1", 0, "the first") as first:
        port = first.getsockname()[1]
        with pytest.raises(PortInUse) as refused:
            bind("127.0.0.1", port, "the management API")
    assert str(refused.value).startswith(
        f"the management API cannot listen on 127.0.0.1:{port}: Address already in use"
    )
    assert "set another port" in str(refused.value)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-name.invalid"])
def test_an_address_that_this_machine_does_not_have(host):
    with pytest.raises(CannotBind) as refused:
        bind(host, 0, "the admin API")
    assert not isinstance(refused.value, PortInUse)
    assert str(refused.value).startswith(f"the admin API cannot listen on {host}:0: ")


def test_an_ipv6_address():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as problem:
        pytest.skip(f"this machine has no IPv6: {problem}")
    with bind("::1", 0, "x") as bound:
        assert bound.family == socket.AF_INET6


async def test_connections_wait_for_a_server_that_is_starting():
    bound = bind("127.0.0.1", 0, "x")
    async with httpx2.AsyncClient(trust_env=False) as client:
        early = asyncio.create_task(client.get(f"http://127.0.0.1:{bound.getsockname()[1]}/"))
        await asyncio.sleep(0.05)
        server = HttpServer(hello, bound, shutdown_timeout_s=1)
        await server.start()
        assert (await early).text == "hello"
    await server.stop()


async def test_a_stopped_server_frees_its_port_and_finishes_what_runs():
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(scope, receive, send):
        entered.set()
        await release.wait()
        await hello(scope, receive, send)

    server = HttpServer(slow, bind("127.0.0.1", 0, "x"), shutdown_timeout_s=5)
    await server.start()
    port = server.port
    async with httpx2.AsyncClient(trust_env=False) as client:
        running = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/"))
        await entered.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0.05)
        release.set()
        assert (await running).text == "hello"
    await stopping
    bind("127.0.0.1", port, "the next").close()


async def test_a_request_that_never_ends_does_not_keep_a_server_from_stopping():
    entered = asyncio.Event()

    async def endless(scope, receive, send):
        entered.set()
        await asyncio.Event().wait()

    server = HttpServer(endless, bind("127.0.0.1", 0, "x"), shutdown_timeout_s=1)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await entered.wait()
    async with asyncio.timeout(10):
        await server.stop()
    writer.close()
    del reader


async def test_a_connection_that_is_not_done_in_time_is_ended_with_the_server():
    """Its application takes no notice; neither the client nor the socket is left hanging."""
    entered, release = asyncio.Event(), asyncio.Event()

    async def stubborn(scope, receive, send):
        entered.set()
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    server = HttpServer(stubborn, bind("127.0.0.1", 0, "the test"), shutdown_timeout_s=1)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    async with asyncio.timeout(60):
        await entered.wait()
        await server.stop()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    release.set()
    writer.close()
