"""The bad line does what it is told: a fault that never strikes would prove nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import envoy_certificates
import fault_line
import httpx2
import pytest
import websockets
from fault_line import Faults, Line, fault
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

HOST = fault_line.HOST
BODY = b"x" * 1000


class Site:
    """A server that greets, sends what it is told to and notes what it gets; the line before it; a client's trust."""

    def __init__(self, line: Line, trust: ssl.SSLContext) -> None:
        self.line = line
        self.trust = trust
        self.faults = line.faults
        self.got: list[str] = []
        self.peers: list[ServerConnection] = []

    @property
    def base(self) -> str:
        return f"{HOST}:{self.line.port}"

    async def get(self, patience: float = 10.0) -> httpx2.Response:
        async with httpx2.AsyncClient(verify=self.trust, trust_env=False, timeout=patience) as client:
            return await client.get(f"https://{self.base}/thing")

    def connect(self) -> Any:
        return websockets.connect(f"wss://{self.base}/socket", ssl=self.trust, proxy=None, ping_interval=None)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    authority = envoy_certificates.Authority()
    (tmp_path / "ca.pem").write_text(authority.pem)
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    server = authority.server(tmp_path, HOST)
    made: list[Site] = []

    async def greet(connection: ServerConnection) -> None:
        made[0].peers.append(connection)
        await connection.send("hello")
        async for message in connection:
            made[0].got.append(str(message))

    def plain(connection: ServerConnection, request: Request) -> Response | None:
        if request.path != "/thing":
            return None
        response = connection.respond(200, BODY.decode())
        made[0].got.append("GET")
        return response

    async with (
        serve(greet, HOST, 0, ssl=server, process_request=plain, ping_interval=None, compression=None) as listening,
        Line(server, trust, port=0, target=next(iter(listening.sockets)).getsockname()[1], faults=Faults(1)) as line,
    ):
        made.append(Site(line, trust))
        yield made[0]


async def received(socket: Any, count: int) -> list[str]:
    async with asyncio.timeout(10):
        return [await socket.recv() for _ in range(count)]


async def told(site: Site, *messages: str) -> None:
    for message in messages:
        await site.peers[-1].send(message)


async def test_without_faults_it_is_a_good_line(site: Site) -> None:
    assert (await site.get()).content == BODY
    async with site.connect() as socket:
        assert await received(socket, 1) == ["hello"]
        await told(site, *"abc")
        assert await received(socket, 3) == [*"abc"]
        await socket.send("up")
        async with asyncio.timeout(10):
            # Answered after what was sent before it has been read.
            await (await socket.ping())
    assert site.got == ["GET", "up"]
    assert site.faults.hits == {}


@pytest.mark.parametrize(("status", "more"), [(500, {}), (401, {}), (429, {"retry_after": 7})])
async def test_answers_of_its_own(site: Site, status: int, more: dict[str, Any]) -> None:
    async with fault(site.faults, "status", status=status, **more):
        answer = await site.get()
        assert (answer.status_code, answer.headers.get("retry-after")) == (status, "7" if more else None)
        with pytest.raises(websockets.InvalidStatus):
            await site.connect()
    assert site.got == []
    assert (await site.get()).status_code == 200


async def test_a_body_that_ends_early(site: Site) -> None:
    async with fault(site.faults, "truncate"):
        assert len((await site.get()).content) < len(BODY)
    async with fault(site.faults, "truncate", broken=True):
        with pytest.raises(httpx2.TransportError):
            await site.get()


async def test_an_answer_that_is_lost(site: Site) -> None:
    async with fault(site.faults, "lost_answer"):
        with pytest.raises(httpx2.TransportError):
            await site.get()
    assert site.got == ["GET"]


async def test_frames_twice_in_another_order_and_cut(site: Site) -> None:
    async with site.connect() as socket:
        assert await received(socket, 1) == ["hello"]
        async with fault(site.faults, "reorder"):
            await told(site, "a", "b", "c", "d")
            assert await received(socket, 4) == ["b", "a", "d", "c"]
            await told(site, "alone")
            assert await received(socket, 1) == ["alone"]
        async with fault(site.faults, "duplicate"):
            await told(site, "e")
            assert await received(socket, 2) == ["e", "e"]
        async with fault(site.faults, "cut"):
            await told(site, "f" * 1000)
            with pytest.raises(ConnectionClosed):
                await socket.recv()
    async with fault(site.faults, "duplicate"), fault(site.faults, "reorder"), site.connect() as socket:
        assert await received(socket, 1) == ["hello"], "the greeting stays the first, and alone"


async def test_silence(site: Site) -> None:
    async with site.connect() as socket:
        await received(socket, 1)
        async with fault(site.faults, "no_pings"):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await (await site.peers[-1].ping())
            await told(site, "heard")
            assert await received(socket, 1) == ["heard"]
        site.faults.on("half_open")
        await told(site, "late")
        with pytest.raises(httpx2.TimeoutException):
            await site.get(0.2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await socket.recv()
        site.faults.off("half_open")
        assert await received(socket, 1) == ["late"]
        site.faults.on("half_open", reset=True)
        await told(site, "never")
        site.faults.off("half_open")
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_down_and_slow(site: Site) -> None:
    async with site.connect() as socket:
        await received(socket, 1)
        async with fault(site.faults, "down"):
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            with pytest.raises(httpx2.TransportError):
                await site.get()
    async with fault(site.faults, "delay", seconds=0.2):
        assert (await site.get()).status_code == 200
        assert site.faults.hits["delay"] >= 2
