"""Many gateways lose the hub for a minute and come back: how many of them at the same time."""

import asyncio
import shutil
from pathlib import Path

from bench.caller import NotAnswered
from bench.fleet import Fleet, peak
from bench.gateway import PROGRAM
from bench.plan import Plan
from bench.ports import HOST, free_port
from bench.rows import Row, row
from bench.site import Site
from gatewright.controlplane.config import LinkConfig
from gatewright.demo.children import Child
from gatewright.hub.client import CA_FILE, HubClient, HubClientError

SHARE = 0.1
"""Of all gateways, how many may come within one second."""

_START_S = 30.0
_STOP_S = 10.0
_LONGEST_S = 60.0
"""`reconnect_max` of the fleet. With the default of five minutes nobody wants to wait for the last one."""

_PATIENCE_S = _LONGEST_S + 60.0


async def measure(site: Site, plan: Plan) -> list[Row]:
    """A hub of its own is stopped and started again."""
    if not plan.fleet:
        return []
    children = site.children
    data_dir, port = site.folder / "storm", free_port()
    child = children.start("storm", _command(data_dir, port), _STOP_S)
    await _answers(child, data_dir, port)
    async with HubClient.from_data_dir(data_dir, port=port, host=HOST) as hub:
        tokens = [await _registered(hub, f"edge-{number}") for number in range(plan.fleet)]
    config = LinkConfig(host=f"{HOST}:{port}", ca_file=str(data_dir / CA_FILE), reconnect_max=_LONGEST_S)
    loop = asyncio.get_running_loop()
    async with Fleet(tokens, config) as fleet:
        await children.stop(child)
        await asyncio.sleep(plan.outage_s)
        child = children.start("storm", _command(data_dir, port), _STOP_S)
        back = loop.time()
        await fleet.linked(_PATIENCE_S)
        took = loop.time() - back
        attempts, refusals = fleet.attempts_since(back), fleet.refusals_since(back)
    await children.stop(child)
    shutil.rmtree(data_dir)
    what = f"{plan.fleet} gateways after {plan.outage_s:g} s without the hub"
    return [
        row(f"{what}: most connects in one second", peak(attempts, 1.0), "connects", most=plan.fleet * SHARE),
        row(f"{what}: refused", len(refusals), "connects", most=0),
        row(f"{what}: until all are back", took, "s", digits=1),
    ]


def _command(data_dir: Path, port: int) -> tuple[str, ...]:
    return (*PROGRAM, "hub", "start", "--host", HOST, "--port", str(port), "--data-dir", str(data_dir))


async def _answers(child: Child, data_dir: Path, port: int) -> None:
    deadline = asyncio.get_running_loop().time() + _START_S
    while True:
        child.check()
        try:
            async with HubClient.from_data_dir(data_dir, port=port, host=HOST) as hub:
                await hub.health()
        except HubClientError:
            if asyncio.get_running_loop().time() > deadline:
                raise NotAnswered("the hub of the fleet does not start") from None
            await asyncio.sleep(0.05)
        else:
            return


async def _registered(hub: HubClient, handle: str) -> str:
    """A gateway's token."""
    await hub.register(handle)
    return (await hub.issue_token(handle)).token
