"""Reconciling with the hub: everything for the first time, and nothing new."""

import time
from statistics import median

from bench.gateway import Refused
from bench.plan import Plan
from bench.rows import Row, row
from bench.site import Site

FIRST_S, UNCHANGED_S = 15.0, 2.0


async def measure(site: Site, plan: Plan) -> list[Row]:
    """The first sync was measured when the gateways were filled: from the process' start to the last API's 200."""
    taken: list[float] = []
    async with site.gateways["most"].administration() as admin:
        for _ in range(plan.reconciles):
            began = time.perf_counter()
            done = await admin.sync()
            taken.append(time.perf_counter() - began)
            if done.get("deployments.unchanged") != plan.most or done.get("problems"):
                raise Refused(f"the reconcile does not find {plan.most} unchanged APIs: {done}")
    return [
        row(
            f"first sync of {plan.thousand} APIs into an empty gateway, its start included",
            site.first_sync["thousand"],
            "s",
            most=FIRST_S,
            digits=2,
        ),
        row(f"the same of {plan.most} APIs", site.first_sync["most"], "s", digits=2),
        row(f"reconcile of {plan.most} unchanged APIs", median(taken), "s", most=UNCHANGED_S),
    ]
