"""Requests that fail while the API they go to is changed again and again."""

import asyncio

from bench import documents
from bench.plan import Plan
from bench.rows import Row, row
from bench.site import Site
from bench.slices import load

EDITED = "edited"
_PAUSE_S = 0.02


async def measure(site: Site, plan: Plan) -> list[Row]:
    """Edits through the management API change operations and upstream in turns, so clusters come and go as well."""
    gateway = site.gateways["few"]
    async with gateway.management() as management:
        await management.served(await management.create(_version(site, 0)))
        target = site.target("few")
        target = type(target)(target.port, documents.path(EDITED), target.envoy_pid)
        async with load(target, connections=plan.connections) as running:
            began = asyncio.get_running_loop().time()
            for number in range(1, plan.edits + 1):
                await management.served(await management.replace(EDITED, _version(site, number)))
                await asyncio.sleep(_PAUSE_S)
            seconds = asyncio.get_running_loop().time() - began
            counted = await running.finish()
        await management.delete(EDITED)
    return [
        row(f"requests failed during {plan.edits} edits under load", counted["failed"], "requests", most=0),
        row("requests answered meanwhile", counted["requests"], "requests"),
        row("edits meanwhile", plan.edits / seconds, "edits/s", digits=1),
    ]


def _version(site: Site, number: int) -> bytes:
    """Every version differs from the one before in its operations, every second one in its upstream."""
    return documents.rest_api(EDITED, site.upstream(number // 2 % 7), operations=8 if number % 2 else 5)
