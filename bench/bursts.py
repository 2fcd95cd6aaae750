"""A thousand deployments at once, over a link on which every request takes 50 ms."""

import time
from contextlib import closing

from bench import documents
from bench.caller import Caller
from bench.edge import ROUND_TRIP_MS, edge, linked
from bench.plan import Plan
from bench.rows import Row, row
from bench.site import Site

ALL_SERVE_S = 20.0
_GATEWAY = "burst"


async def measure(site: Site, plan: Plan) -> list[Row]:
    """The events arrive all at once; from then until every API has answered. Several APIs have the same upstream."""
    names = [f"burst-{number}" for number in range(plan.burst)]
    async with edge(site, _GATEWAY) as there:
        before = await linked(there.gateway)
        with there.closed():
            await site.at_once(
                site.hub.deploy(documents.rest_api(name, site.upstream(number)), [_GATEWAY])
                for number, name in enumerate(names)
            )
        began = time.perf_counter()
        with closing(Caller(there.gateway.ports.http)) as caller:
            for name in names:
                served = await caller.until(200, documents.path(name), pause_s=0.005)
        after = await linked(there.gateway, idle=True)
    what = f"burst of {plan.burst} deployments with {ROUND_TRIP_MS:g} ms on every request"
    return [
        row(f"{what}: until all serve", served - began, "s", most=ALL_SERVE_S, digits=2),
        row("connections lost in it", after["reconnects"] - before["reconnects"], "connections", most=0),
    ]
