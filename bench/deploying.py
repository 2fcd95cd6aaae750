"""From the hub's deploy call to the first 200 through Envoy, at both gateways in turns."""

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing

from bench import documents
from bench.caller import Caller
from bench.hub_call import HubCall
from bench.plan import Plan
from bench.rows import Row, row
from bench.site import Site

P50_MS, P99_MS = 25.0, 70.0
_PATIENCE_S = 15.0
_WARM_UP = 5
_QUIET_S = 0.05
"""Between two deployments, so that the acknowledgement and the disk of one are not part of the next."""


async def measure(site: Site, plan: Plan) -> list[Row]:
    """Each time a new API with an upstream that the gateway does not know; polled on one kept-alive connection."""
    times: dict[str, list[float]] = {name: [] for name in site.gateways}
    with ExitStack() as stack:
        callers = {
            name: stack.enter_context(closing(Caller(gateway.ports.http))) for name, gateway in site.gateways.items()
        }
        await _repeat(site, plan, callers, times, stack.enter_context(closing(site.hub_call())))
    rows: list[Row] = []
    for name, taken_s in times.items():
        size = site.sizes[name]
        rows.append(row(f"deploy to first 200 at {size} APIs: p50", percentile(taken_s, 50) * 1000, "ms", most=P50_MS))
        rows.append(row(f"deploy to first 200 at {size} APIs: p99", percentile(taken_s, 99) * 1000, "ms", most=P99_MS))
        rows.append(row(f"deploy to first 200 at {size} APIs: slowest of {len(taken_s)}", max(taken_s) * 1000, "ms"))
    return rows


async def _repeat(
    site: Site, plan: Plan, callers: Mapping[str, Caller], times: Mapping[str, list[float]], call: HubCall
) -> None:
    for number in range(plan.deploys + _WARM_UP):
        for name, caller in callers.items():
            taken = await _deploy(site, name, caller, call, number)
            if number >= _WARM_UP:
                times[name].append(taken)


async def _deploy(site: Site, gateway: str, caller: Caller, call: HubCall, number: int) -> float:
    """One deployment; seconds until it served. It is deleted again."""
    name = f"new-{gateway}-{number}"
    document = documents.rest_api(name, site.upstream(number + 2))
    await caller.until(404, documents.path(name))
    async with asyncio.TaskGroup() as tasks:
        seen = tasks.create_task(caller.until(200, documents.path(name), timeout_s=_PATIENCE_S))
        began = tasks.create_task(call.deploy(document, gateway))
    await site.hub.deployments(artifact=name, gateway=gateway, wait=_PATIENCE_S)
    await site.hub.delete_artifact(name)
    await caller.until(404, documents.path(name), timeout_s=_PATIENCE_S)
    await asyncio.sleep(_QUIET_S)
    return seen.result() - began.result()


def percentile(values: Sequence[float], share: int) -> float:
    """The `share`-th of a hundred cut points; of few values, what lies between the nearest two."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]
