"""Two hundred gateways lose the control plane at the same moment, and return: not as one, and without a loss."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import envoy_certificates
import fault_line
import pytest
import yaml
from bench.fleet import Fleet, Member, peak
from fault_line import Faults, Line
from gateway_processes import Hub, rest_api

from gatewright.controlplane.config import LinkConfig
from gatewright.hub.client import HubClient

SIZE = 200
PATIENCE = 120.0


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    made = Hub(tmp_path / "hub")
    yield made.start()
    # What a thread has started ends with the thread, at the latest with the event loop.
    if made.is_running:
        made.kill()


@pytest.fixture
def tokens(hub: Hub) -> dict[str, str]:
    """Of every gateway, by handle."""

    async def register(client: HubClient) -> dict[str, str]:
        gate = asyncio.Semaphore(8)

        async def one(handle: str) -> tuple[str, str]:
            async with gate:
                await client.register(handle)
                return handle, (await client.issue_token(handle)).token

        return dict(await asyncio.gather(*(one(f"edge-{number}") for number in range(SIZE))))

    return hub.ask(register)


@pytest.fixture
async def line(hub: Hub, tmp_path: Path) -> AsyncIterator[tuple[Line, Path]]:
    authority = envoy_certificates.Authority("authority of the line")
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(authority.pem)
    trusted = ssl.create_default_context(cafile=str(hub.ca_file))
    server = authority.server(tmp_path, fault_line.HOST)
    async with Line(server, trusted, port=0, target=hub.port, faults=Faults(0)) as made:
        yield made, ca_file


@pytest.mark.parametrize(
    ("outage", "initial", "maximum", "share"),
    [
        pytest.param(3.0, 0.2, 4.0, 0.7, id="short"),
        pytest.param(60.0, 1.0, 300.0, 0.15, id="a-minute", marks=pytest.mark.long),
    ],
)
@pytest.mark.conforms("CP-145")
async def test_two_hundred_gateways_lose_the_hub_and_return(
    hub: Hub,
    tokens: dict[str, str],
    line: tuple[Line, Path],
    outage: float,
    initial: float,
    maximum: float,
    share: float,
) -> None:
    """`share`: of all gateways, how many may come within one second."""
    between, ca_file = line
    config = LinkConfig(
        host=f"{fault_line.HOST}:{between.port}",
        ca_file=str(ca_file),
        reconnect_initial=initial,
        reconnect_max=maximum,
    )
    loop = asyncio.get_running_loop()
    async with Fleet(tokens.values(), config) as fleet:
        by_handle = dict(zip(tokens, fleet.members, strict=True))

        between.faults.on("down")
        lost = loop.time()
        await fleet.unlinked(PATIENCE)
        # Meanwhile work goes on at the control plane, and it is restarted without a goodbye.
        name = f"orders-{outage:g}"
        wanted = await _work(hub, name, list(tokens))
        await asyncio.to_thread(hub.kill)
        await asyncio.to_thread(hub.start)
        await asyncio.sleep(max(0.0, lost + outage - loop.time()))
        between.faults.off("down")
        back = loop.time()

        # The longest wait of a machine that has been failing for so long, and the handshakes of all of them.
        await fleet.linked(maximum + PATIENCE)
        await _seen(by_handle, wanted)
        attempts = fleet.attempts_since(back)

    # Nobody was refused: not by a limit of rate or number, not by a queue that overflowed.
    assert fleet.refusals_since(back) == []
    # The last waits are spread over a time about as long as the outage.
    most = peak(attempts, 1.0)
    print(f"{SIZE} gateways came back within {attempts[-1] - back:.1f} s, at most {most} in one second")
    assert most <= SIZE * share


async def _work(hub: Hub, name: str, gateways: list[str]) -> dict[str, set[str]]:
    """Two deployments and a key; the deployment ids by gateway."""
    wanted: dict[str, set[str]] = {gateway: set() for gateway in gateways}
    async with HubClient.from_data_dir(hub.data_dir, port=hub.port) as client:
        for version in (1, 2):
            document = yaml.safe_dump(rest_api(name, 9, base=f"/v{version}"))
            for view in (await client.deploy(document, gateways)).deployments:
                wanted[view.gateway].add(view.deployment_id)
        await client.create_key(name, "visitor")
    return wanted


async def _seen(members: dict[str, Member], wanted: dict[str, set[str]]) -> None:
    """Every gateway is told of every change that was made while it was away."""

    def missing() -> dict[str, Any]:
        found = {}
        for handle, member in members.items():
            told = {event["payload"].get("deploymentId") for event in member.events}
            keys = [event for event in member.events if event["type"] == "apikey.created"]
            if not wanted[handle] <= told or not keys:
                found[handle] = wanted[handle] - told
        return found

    async with asyncio.timeout(PATIENCE):
        while missing():  # noqa: ASYNC110 - what is waited for shows in what they have seen only
            await asyncio.sleep(0.05)
