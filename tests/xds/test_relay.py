"""A router's own copy: what it offers Envoy, what it keeps, what it tells its controller. Real gRPC, no Envoy."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from xds_client import cluster, listener, scope

from gatewright.envoy.resource import CLUSTER, LISTENER, SCOPE, Resource
from gatewright.xds.controller_link import ControllerLink
from gatewright.xds.delivery import Delivery
from gatewright.xds.disk import LastGood, read
from gatewright.xds.keys import key_of
from gatewright.xds.local_source import LocalSource
from gatewright.xds.outcomes import Accepted, Node, Refused
from gatewright.xds.relay import Relay
from gatewright.xds.server import AdsServer
from gatewright.xds.snapshot import Snapshot

NODE = Node(id="router-1", cluster="gateway-cluster", relay=True, build="1.40.0")
ENVOY = Node(id="router-1")
TIMEOUT_S = 10.0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


class Envoy:
    """Plays the Envoy beside a relay: says what it accepts and refuses, through the relay's observer side."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.name = "envoy"

    def connect(self) -> None:
        self.relay.connected(self.name, ENVOY, "unix:")

    def disconnect(self) -> None:
        self.relay.disconnected(self.name)

    def accept(self, *resources: Resource) -> None:
        self.relay.outcomes(self.name, [Accepted(key_of(r), r.version) for r in resources])

    def accept_all(self) -> None:
        self.accept(*self.relay.snapshot)

    def refuse(self, resource: Resource, reason: str = "no") -> None:
        self.relay.outcomes(self.name, [Refused(key_of(resource), resource.version, reason)])


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Relay]:
    made = Relay(LastGood(tmp_path / "snapshot", interval_s=0.0))
    await made.start(tmp_path / "xds.sock")
    yield made
    await made.stop()


def connected(relay: Relay) -> Envoy:
    envoy = Envoy(relay)
    envoy.connect()
    return envoy


def names(relay: Relay) -> set[str]:
    return {resource.name for resource in relay.snapshot}


async def test_the_socket_belongs_to_its_owner_only(relay: Relay, tmp_path: Path) -> None:
    assert (tmp_path / "xds.sock").stat().st_mode & 0o777 == 0o600


async def test_a_refused_version_is_put_aside_and_the_last_good_one_offered_again(relay: Relay) -> None:
    envoy = connected(relay)
    good, bad = scope("s", ["c"]), scope("s", ["c"], bad=True)
    relay.absorb([cluster("c"), good], [])
    envoy.accept_all()
    relay.absorb([bad], [])

    envoy.refuse(bad)

    assert relay.snapshot.get((SCOPE, "s")) == good
    assert relay.versions(SCOPE) == {"s": bad.version}
    assert relay.refusals() == [Refused((SCOPE, "s"), bad.version, "no")]


async def test_a_refused_first_version_is_not_offered_to_the_next_envoy(relay: Relay) -> None:
    envoy = connected(relay)
    bad = scope("s", ["c"], bad=True)
    relay.absorb([cluster("c"), bad], [])

    envoy.refuse(bad)

    assert relay.snapshot.get((SCOPE, "s")) is None
    assert relay.versions(SCOPE) == {"s": bad.version}


async def test_a_scope_refused_for_its_cluster_is_tried_again_when_that_changes(relay: Relay) -> None:
    envoy = connected(relay)
    broken, routes = cluster("c", bad=True), scope("s", ["c"])
    relay.absorb([broken, routes], [])
    envoy.refuse(broken)
    envoy.refuse(routes, "its cluster c was refused: no")
    aside = relay.snapshot.get((SCOPE, "s"))

    relay.absorb([cluster("c", "fixed")], [])

    assert aside is None
    assert relay.snapshot.get((SCOPE, "s")) == routes


async def test_a_port_in_use_is_not_put_aside_because_it_may_become_free(relay: Relay) -> None:
    envoy = connected(relay)
    taken = listener("l")
    relay.absorb([taken], [])

    envoy.refuse(taken, "cannot bind '0.0.0.0:80': Address already in use")

    assert relay.snapshot.get((LISTENER, "l")) == taken


async def test_a_cluster_stays_as_long_as_the_last_good_version_needs_it(relay: Relay) -> None:
    envoy = connected(relay)
    relay.absorb([cluster("old"), scope("s", ["old"])], [])
    envoy.accept_all()
    second = scope("s", ["new"])

    relay.absorb([cluster("new"), second], [(CLUSTER, "old")])
    waiting = relay.snapshot.get((CLUSTER, "old")) is not None
    envoy.accept(second)

    assert waiting
    assert relay.snapshot.get((CLUSTER, "old")) is None


async def test_only_what_has_worked_is_kept_on_disk(relay: Relay, tmp_path: Path) -> None:
    envoy = connected(relay)
    first, second, unproved = scope("s", ["c"]), scope("s", ["c"], "2"), scope("t", ["c"])
    relay.absorb([cluster("c"), first, listener("l")], [])
    envoy.accept_all()
    relay.absorb([second, unproved], [])

    kept = {key_of(r): r for r in relay.good()}

    assert kept[SCOPE, "s"] == first
    assert (SCOPE, "t") not in kept
    envoy.accept(second, unproved)
    await relay.stop()
    assert {r.name for r in read(tmp_path / "snapshot")} == {"c", "s", "t", "l"}


async def test_a_relay_serves_from_disk_without_a_controller(relay: Relay, tmp_path: Path) -> None:
    envoy = connected(relay)
    resources = [cluster("c"), scope("s", ["c"]), listener("l")]
    relay.absorb(resources, [])
    envoy.accept_all()
    await relay.stop()

    again = Relay(LastGood(tmp_path / "snapshot"))
    await again.start(tmp_path / "xds.sock")

    assert sorted(again.snapshot, key=key_of) == sorted(resources, key=key_of)
    assert again.snapshot.loaded
    await again.stop()


async def test_without_disk_and_controller_a_relay_answers_nothing(relay: Relay) -> None:
    assert not relay.snapshot.loaded


def crash(envoy: Envoy, relay: Relay) -> Envoy:
    envoy.disconnect()
    relay.envoy_crashed("killed by SIGSEGV")
    return connected(relay)


async def test_a_version_that_crashes_envoy_is_found_and_put_aside(relay: Relay) -> None:
    envoy = connected(relay)
    start = [cluster("c"), listener("l"), scope("a", ["c"])]
    relay.absorb(start, [])
    envoy.accept_all()
    poison, fine, new = scope("a", ["c"], "poison"), scope("b", ["c"]), cluster("n")
    relay.absorb([poison, fine, new], [])

    envoy = crash(envoy, relay)
    first = set(relay.snapshot)
    envoy.accept_all()
    on_trial = relay.snapshot.get((SCOPE, "a"))
    envoy = crash(envoy, relay)
    envoy.accept_all()
    envoy.accept_all()

    assert first == {*start, new}
    assert on_trial == poison
    assert set(relay.snapshot) == {*start, new, fine}
    assert [(r.key, r.reason) for r in relay.refusals()] == [
        ((SCOPE, "a"), "Envoy crashed when it was given this version: killed by SIGSEGV")
    ]
    assert relay.versions(SCOPE) == {"a": poison.version, "b": fine.version}


async def test_a_cluster_that_crashes_envoy_is_found_when_nothing_else_is_left(relay: Relay) -> None:
    envoy = connected(relay)
    poison = cluster("c")
    relay.absorb([poison], [])

    envoy = crash(envoy, relay)
    on_trial = relay.snapshot.get((CLUSTER, "c"))
    crash(envoy, relay)

    assert on_trial == poison
    assert relay.snapshot.get((CLUSTER, "c")) is None
    assert [r.key for r in relay.refusals()] == [(CLUSTER, "c")]


async def test_a_crash_with_nothing_new_on_offer_blames_nobody(relay: Relay) -> None:
    envoy = connected(relay)
    resources = [cluster("c"), scope("a", ["c"])]
    relay.absorb(resources, [])
    envoy.accept_all()

    crash(envoy, relay)

    assert set(relay.snapshot) == set(resources)
    assert relay.refusals() == []


async def test_what_waits_on_probation_follows_the_controller(relay: Relay) -> None:
    envoy = connected(relay)
    relay.absorb([cluster("c"), listener("l")], [])
    envoy.accept_all()
    relay.absorb([scope("a", ["c"]), scope("b", ["c"]), scope("d", ["c"])], [])
    envoy.disconnect()
    relay.envoy_crashed("killed by SIGABRT")
    newer = scope("b", ["c"], "newer")

    relay.absorb([newer], [(SCOPE, "d")])
    envoy = connected(relay)
    for _ in range(4):
        envoy.accept_all()

    assert set(relay.snapshot.of_type(SCOPE).values()) == {scope("a", ["c"]), newer}


class Controller:
    """The far side of a link."""

    def __init__(self, *resources: Resource) -> None:
        self.snapshot = Snapshot()
        if resources:
            self.snapshot.apply(resources)
        self.delivery = Delivery(self.snapshot)
        self.server = AdsServer(self.snapshot, self.delivery)

    async def start(self, port: int = 0) -> int:
        return await self.server.start(f"127.0.0.1:{port}")


@pytest.fixture
async def controller() -> AsyncIterator[Controller]:
    made = Controller(cluster("c"), scope("s", ["c"]), listener("l"))
    await made.start()
    yield made
    await made.server.stop()


async def linked(relay: Relay, port: int) -> ControllerLink:
    link = ControllerLink([f"127.0.0.1:{port}"], longest_delay_s=0.2)
    link.start(relay, NODE)
    await until(lambda: link.connected)
    return link


async def test_a_relay_gets_everything_and_then_serves(relay: Relay, controller: Controller) -> None:
    link = await linked(relay, controller.server.port)

    assert names(relay) == {"c", "s", "l"}
    assert relay.snapshot.loaded
    await link.stop()


async def test_a_router_counts_only_while_its_envoy_is_there(relay: Relay, controller: Controller) -> None:
    link = await linked(relay, controller.server.port)
    without = await controller.delivery.settled({(SCOPE, "s"): "x"}, 0.1)
    envoy = connected(relay)
    await until(lambda: controller.delivery.routers()[0].envoy)

    state = controller.delivery.routers()[0]

    assert without.state == "stored"
    assert (state.router, state.node.build, state.pending) == ("router-1", "1.40.0", 3)
    envoy.disconnect()
    await until(lambda: not controller.delivery.routers()[0].envoy)
    await link.stop()


async def test_what_envoy_says_reaches_the_controller_resource_by_resource(
    relay: Relay, controller: Controller
) -> None:
    link = await linked(relay, controller.server.port)
    envoy = connected(relay)
    envoy.accept_all()
    good, bad = scope("good", ["c"]), scope("bad", ["c"], bad=True)
    update = controller.snapshot.apply([good, bad])
    await until(lambda: "bad" in names(relay))

    envoy.refuse(bad, "missing ]: [")
    envoy.accept(good)
    settled = await controller.delivery.settled({key_of(good): good.version}, TIMEOUT_S)
    whole = await controller.delivery.settled(update.versions, TIMEOUT_S)

    assert settled.state == "served"
    assert (whole.state, whole.reason) == ("refused", "missing ]: [")
    await link.stop()


async def test_a_link_that_comes_back_is_sent_only_what_differs(relay: Relay, controller: Controller) -> None:
    link = await linked(relay, controller.server.port)
    connected(relay).accept_all()
    port = controller.server.port
    await controller.server.stop()
    await until(lambda: not link.connected)
    before = link.received

    new = scope("new", ["c"])
    controller.snapshot.apply([new], [(SCOPE, "s")])
    controller.server = AdsServer(controller.snapshot, controller.delivery)
    await controller.start(port)
    await until(lambda: link.connected)

    assert link.received - before == 1
    assert names(relay) == {"c", "l", "new"}
    # What Envoy has accepted before is known to the new connection at once.
    kept = {(LISTENER, "l"): relay.versions(LISTENER)["l"], (CLUSTER, "c"): relay.versions(CLUSTER)["c"]}
    assert (await controller.delivery.settled(kept, TIMEOUT_S)).state == "served"
    await link.stop()


async def test_a_refused_version_is_not_sent_again_after_a_reconnect(relay: Relay, controller: Controller) -> None:
    link = await linked(relay, controller.server.port)
    envoy = connected(relay)
    envoy.accept_all()
    bad = scope("s", ["c"], bad=True)
    controller.snapshot.apply([bad])
    await until(lambda: relay.snapshot.get((SCOPE, "s")) == bad)
    envoy.refuse(bad)
    port = controller.server.port
    await controller.server.stop()
    await until(lambda: not link.connected)
    before = link.received

    controller.server = AdsServer(controller.snapshot, controller.delivery)
    await controller.start(port)
    await until(lambda: link.connected)
    settled = await controller.delivery.settled({(SCOPE, "s"): bad.version}, TIMEOUT_S)

    assert link.received == before
    assert (settled.state, settled.reason) == ("refused", "no")
    await link.stop()


async def test_the_new_connection_of_a_router_replaces_its_old_one(relay: Relay, controller: Controller) -> None:
    first = await linked(relay, controller.server.port)
    second = ControllerLink([f"127.0.0.1:{controller.server.port}"], longest_delay_s=30)
    second.start(relay, NODE)
    await until(lambda: second.connected)

    assert [router.router for router in controller.delivery.routers()] == ["router-1"]
    await first.stop()
    await second.stop()


async def test_a_controller_that_is_away_is_told_once_and_tried_again(relay: Relay, controller: Controller) -> None:
    port = controller.server.port
    await controller.server.stop()
    link = ControllerLink([f"127.0.0.1:{port}"], longest_delay_s=0.1)
    link.start(relay, NODE)
    await until(lambda: link.last_error is not None)
    assert "UNAVAILABLE" in str(link.last_error)

    controller.server = AdsServer(controller.snapshot, controller.delivery)
    await controller.start(port)
    await until(lambda: link.connected)

    assert link.last_error is None
    await link.stop()


async def test_in_one_process_the_relay_shares_the_controllers_objects(relay: Relay) -> None:
    controller = Controller()
    source = LocalSource(controller.snapshot, controller.delivery)
    relay.absorb([scope("stale", ["c"])], [])
    source.start(relay, NODE)
    before = source.connected

    resource = cluster("c")
    controller.snapshot.apply([resource])
    envoy = connected(relay)
    envoy.accept_all()

    assert not before
    assert source.connected
    assert relay.snapshot.get((CLUSTER, "c")) is resource
    assert names(relay) == {"c"}
    assert (await controller.delivery.settled({(CLUSTER, "c"): resource.version}, 1)).state == "served"
    await source.stop()
    assert controller.delivery.routers() == []
