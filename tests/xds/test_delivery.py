"""Who has accepted what, and callers who wait for it."""

import asyncio

from xds_client import cluster, scope

from gatewright.envoy.resource import CLUSTER, LISTENER, ROUTES, SCOPE, SECRET, Resource
from gatewright.xds.delivery import Delivery, Settlement
from gatewright.xds.keys import ResourceKey, key_of
from gatewright.xds.outcomes import Accepted, Node, Outcome, Refused, Report
from gatewright.xds.snapshot import Snapshot

WAIT_S = 5.0


class Rig:
    def __init__(self, *routers: str) -> None:
        self.snapshot = Snapshot()
        self.delivery = Delivery(self.snapshot)
        for router in routers:
            self.delivery.connected(router, Node(id=router), "peer")

    def put(self, *resources: Resource, remove: tuple[ResourceKey, ...] = ()) -> dict[ResourceKey, str | None]:
        return self.snapshot.apply(resources, remove).versions

    def accept(self, router: str, *resources: Resource) -> None:
        self.say(router, *(Accepted(key_of(r), r.version) for r in resources))

    def say(self, router: str, *outcomes: Outcome) -> None:
        self.delivery.outcomes(router, outcomes)

    async def waiting(self, versions: dict[ResourceKey, str | None]) -> "asyncio.Task[Settlement]":
        task = asyncio.create_task(self.delivery.settled(versions, WAIT_S))
        await asyncio.sleep(0)
        return task


async def test_without_routers_it_is_stored_at_once() -> None:
    rig = Rig()

    assert await rig.delivery.settled(rig.put(cluster("c")), WAIT_S) == Settlement("stored")


async def test_it_is_served_when_all_routers_have_accepted_everything() -> None:
    rig = Rig("one", "two")
    resources = [cluster("c"), scope("s", ["c"])]
    task = await rig.waiting(rig.put(*resources))

    rig.accept("one", *resources)
    rig.accept("two", resources[0])
    await asyncio.sleep(0.01)
    early = task.done()
    rig.accept("two", resources[1])

    assert not early
    settlement = await task
    assert settlement.state == "served"
    assert [verdict.router for verdict in settlement.routers] == ["one", "two"]


async def test_one_refusal_settles_it_with_the_words() -> None:
    rig = Rig("one", "two")
    bad = scope("s", ["c"])
    task = await rig.waiting(rig.put(bad))

    rig.say("two", Refused(key_of(bad), bad.version, "missing ]: ["))

    settlement = await task
    assert (settlement.state, settlement.reason) == ("refused", "missing ]: [")
    assert rig.delivery.refusals(key_of(bad)).keys() == {"two"}


async def test_who_does_not_answer_in_time_is_named() -> None:
    rig = Rig("one")

    settlement = await rig.delivery.settled(rig.put(scope("s", ["c"])), 0.01)

    assert settlement.state == "timeout"
    assert settlement.reason == "one: no answer yet about ScopedRouteConfiguration s"


async def test_a_router_that_goes_is_not_waited_for_and_one_that_comes_neither() -> None:
    rig = Rig("one", "two")
    resource = scope("s", ["c"])
    task = await rig.waiting(rig.put(resource))
    rig.accept("one", resource)

    rig.delivery.connected("three", Node(id="three"), "peer")
    rig.delivery.disconnected("two")

    settlement = await task
    assert settlement.state == "served"
    assert [verdict.router for verdict in settlement.routers] == ["one"]


async def test_when_the_last_router_goes_it_is_stored() -> None:
    rig = Rig("one")
    task = await rig.waiting(rig.put(scope("s", ["c"])))

    rig.delivery.disconnected("one")

    assert (await task).state == "stored"


async def test_a_newer_version_counts_for_the_one_that_it_replaced() -> None:
    rig = Rig("one")
    task = await rig.waiting(rig.put(scope("s", ["c"], "1")))
    newer = scope("s", ["c"], "2")
    rig.put(newer)

    rig.accept("one", newer)

    assert (await task).state == "served"


async def test_a_removal_is_settled_when_it_is_gone_and_clusters_are_not_waited_for() -> None:
    rig = Rig("one")
    resource = scope("s", ["c"])
    rig.put(resource)
    rig.accept("one", resource)
    task = await rig.waiting(rig.put(remove=(key_of(resource), (CLUSTER, "c"))))
    early = task.done()

    rig.say("one", Accepted(key_of(resource), None))

    assert not early
    assert (await task).state == "served"


async def test_what_no_router_asks_for_is_not_waited_for() -> None:
    rig = Rig("one")
    versions = rig.put(Resource(SECRET, "s", "v", b""), Resource(ROUTES, "r", "v", b""))

    assert (await rig.delivery.settled(versions, WAIT_S)).state == "served"


async def test_a_refusal_is_forgotten_when_the_version_works_after_all() -> None:
    rig = Rig("one")
    resource = Resource(LISTENER, "l", "v", b"")
    rig.put(resource)
    rig.say("one", Refused(key_of(resource), "v", "in use"))
    rig.accept("one", resource)

    state = rig.delivery.routers()[0]

    assert (state.accepted, state.refused) == (1, ())
    assert state.last_refusal == "Listener l: in use"


async def test_the_version_before_stays_accepted_beside_a_refusal() -> None:
    rig = Rig("one")
    first, second = scope("s", ["c"], "1"), scope("s", ["c"], "2")
    rig.put(first)
    rig.accept("one", first)
    rig.put(second)
    rig.say("one", Refused(key_of(second), second.version, "no"), Accepted(key_of(first), first.version))
    refused = rig.delivery.verdicts({key_of(second): second.version})[0]

    rig.put(first)
    again = rig.delivery.verdicts({key_of(first): first.version})[0]

    assert (refused.state, refused.reason) == ("refused", "no")
    assert again.state == "accepted"


async def test_a_relay_counts_only_with_an_envoy_and_starts_anew_with_a_new_one() -> None:
    rig = Rig()
    resource = scope("s", ["c"])
    versions = rig.put(resource)
    rig.delivery.connected("relay", Node(id="relay", relay=True), "peer")
    without = await rig.delivery.settled(versions, WAIT_S)
    rig.delivery.reported("relay", Report(envoy=True, outcomes=(Accepted(key_of(resource), resource.version),)))
    with_envoy = await rig.delivery.settled(versions, WAIT_S)

    rig.delivery.reported("relay", Report(envoy=True, fresh=True))

    assert (without.state, with_envoy.state) == ("stored", "served")
    assert rig.delivery.verdicts(versions)[0].state == "pending"


async def test_words_about_unknown_routers_are_ignored() -> None:
    rig = Rig()

    rig.say("nobody", Accepted((SCOPE, "s"), "v"))
    rig.delivery.reported("nobody", Report(envoy=True))
    rig.delivery.disconnected("nobody")

    assert rig.delivery.routers() == []
