"""What is measured, in this order."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from bench import (
    bursts,
    catching_up,
    deploying,
    edits,
    failing_over,
    growth,
    revoking,
    starting,
    storm,
    syncing,
    throughput,
)
from bench.plan import Plan
from bench.rows import Row
from bench.site import Site


class Section(msgspec.Struct, frozen=True):
    """A part of a run. `gateways`: those that must be there and filled."""

    name: str
    title: str
    measure: Callable[[Site, Plan], Awaitable[list[Row]]]
    gateways: tuple[str, ...] = ()


SECTIONS: Final = (
    Section("starting", "Start from the database, memory", starting.measure, ("few", "many")),
    Section("throughput", "Throughput", throughput.measure, ("few", "many")),
    Section("deploying", "Deployments from the hub", deploying.measure, ("few", "thousand", "many", "most")),
    Section("edits", "Edits under load", edits.measure, ("few",)),
    Section("syncing", "Reconciling with the hub", syncing.measure, ("thousand", "most")),
    Section("bursts", "A burst of deployments over a long way", bursts.measure),
    Section("revoking", "Revocations at two routers", revoking.measure),
    Section("catching-up", "APIs made while an API Manager is away", catching_up.measure),
    Section("growth", "Memory after many events", growth.measure, ("few",)),
    Section("failing-over", "Processes of a fleet die in turn", failing_over.measure),
    Section("storm", "Many gateways lose a hub and come back", storm.measure),
)
