"""Start from a database, and memory afterwards."""

import time
from statistics import median

import msgspec

from bench.measuring import cpu, settled
from bench.plan import FEW, Plan
from bench.rows import Row, row
from bench.site import Site

START_S, CONTROLLER_KB, ENVOY_KB = 8.0, 40.0, 90.0


class Memory(msgspec.Struct, frozen=True):
    """Resident memory of a gateway's two processes, bytes."""

    controller: int
    envoy: int


async def measure(site: Site, plan: Plan) -> list[Row]:
    """Stop the gateways and start them again with their databases.

    The router's snapshot is removed before, so that everything comes from the database; once it stays, because that is
    what a real restart has. Memory is read when it has come to rest after such a start, at both sizes.
    """
    cold = [await _restart(site, "many", keep_snapshot=False) for _ in range(plan.starts)]
    cpu_s = cpu(site.gateways["many"].pid), cpu(site.gateways["many"].envoy_pid)
    large = await _memory(site, "many")
    warm = await _restart(site, "many", keep_snapshot=True)
    await _restart(site, "few", keep_snapshot=False)
    small = await _memory(site, "few")
    controller, envoy = _each(large.controller, small.controller, plan), _each(large.envoy, small.envoy, plan)
    return [
        row(f"start with {plan.many} APIs until the last one serves", median(cold), "s", most=START_S, digits=2),
        row("the same with the router's snapshot on disk", warm, "s", digits=2),
        row("CPU time of the gateway's process until then", cpu_s[0], "s", digits=2),
        row("CPU time of Envoy until then", cpu_s[1], "s", digits=2),
        row("memory of the controller per API", controller, "KB", most=CONTROLLER_KB),
        row("memory of Envoy per API", envoy, "KB", most=ENVOY_KB),
        row(f"memory of the controller with {FEW} APIs", small.controller / 1e6, "MB", digits=1),
        row(f"memory of Envoy with {FEW} APIs", small.envoy / 1e6, "MB", digits=1),
    ]


def _each(large: int, small: int, plan: Plan) -> float:
    return (large - small) / (plan.many - FEW) / 1000


async def _restart(site: Site, name: str, *, keep_snapshot: bool) -> float:
    """Seconds from the start of the process to the first 200 of the last API."""
    gateway = site.gateways[name]
    await gateway.stop()
    if not keep_snapshot:
        gateway.forget_snapshot()
    began = time.perf_counter()
    gateway.start()
    await site.until_last_serves(name)
    return time.perf_counter() - began


async def _memory(site: Site, name: str) -> Memory:
    gateway = site.gateways[name]
    return Memory(await settled(gateway.pid), await settled(gateway.envoy_pid))
