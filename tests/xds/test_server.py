"""Real Envoys at the real server: what the machine decides must be what traffic sees."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from xds_rig import (
    Load,
    PlainEnvoy,
    backend,
    bad_cluster,
    bad_scope,
    cluster,
    free_port,
    get,
    listener,
    scope,
    silent_name_server,
    slow_cluster,
)

from gatewright.envoy.resource import Resource
from gatewright.xds.delivery import Delivery
from gatewright.xds.keys import key_of
from gatewright.xds.server import AdsServer, CannotListen
from gatewright.xds.snapshot import Snapshot

TIMEOUT_S = 20.0


class Site:
    """A controller's side, and as many Envoys as wanted."""

    def __init__(self, directory: Path, upstream: int) -> None:
        self.snapshot = Snapshot()
        self.delivery = Delivery(self.snapshot)
        self.server = AdsServer(self.snapshot, self.delivery)
        self.directory = directory
        self.upstream = upstream
        self.envoys: list[PlainEnvoy] = []
        self.port = free_port()

    async def begin(self, *more: Resource) -> None:
        """Serve one listener and one API, `/a`."""
        await self.server.start("127.0.0.1:0")
        self.snapshot.apply([listener(self.port), cluster("c", self.upstream), scope("a", "c", tag="first"), *more])

    async def envoy(self, node: str = "router-node") -> PlainEnvoy:
        envoy = PlainEnvoy(self.directory, self.server.port, node)
        self.envoys.append(envoy)
        await envoy.start()
        return envoy

    async def serving(self) -> None:
        """Wait until Envoy has everything."""
        await until(lambda: bool(self.delivery.routers()))
        everything = {key_of(resource): resource.version for resource in self.snapshot}
        assert (await self.delivery.settled(everything, TIMEOUT_S)).state == "served"
        await until(self._open)

    async def put(self, *resources: Resource, remove: tuple[tuple[str, str], ...] = ()) -> str:
        update = self.snapshot.apply(resources, remove)
        return (await self.delivery.settled(update.versions, TIMEOUT_S)).state

    async def _open(self) -> bool:
        return (await get(self.port, "/a")).status == 200

    async def end(self) -> None:
        for envoy in self.envoys:
            await envoy.stop()
        await self.server.stop()


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for something outside of this process."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.02)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with backend("up") as upstream:
        made = Site(tmp_path, upstream)
        yield made
        await made.end()


async def test_a_change_is_served_when_it_is_called_served(site: Site) -> None:
    await site.begin()
    await site.envoy()
    await site.serving()

    for n in range(10):
        state = await site.put(cluster(f"c{n}", site.upstream), scope("a", f"c{n}", tag=f"v{n}"))
        reply = await get(site.port, "/a/x")
        assert (state, reply.status, reply.tag) == ("served", 200, f"v{n}")


async def test_with_no_router_a_change_is_stored(site: Site) -> None:
    await site.begin()

    assert await site.put(scope("b", "c")) == "stored"


@pytest.mark.conforms("DP-161", "DP-162")
@pytest.mark.parametrize("order", [["good1", "bad", "good2"], ["bad", "good1", "good2"], ["good1", "good2", "bad"]])
async def test_one_bad_scope_is_quarantined_by_name_and_heals(site: Site, order: list[str]) -> None:
    await site.begin(scope("bad", "c", tag="last good"))
    await site.envoy()
    await site.serving()
    made = {"good1": scope("good1", "c"), "good2": scope("good2", "c"), "bad": bad_scope("bad", "c")}

    state = await site.put(*[made[name] for name in order])
    good = {key_of(made[name]): made[name].version for name in ("good1", "good2")}
    others = await site.delivery.settled(good, TIMEOUT_S)
    refused = site.delivery.routers()[0].refused
    served = [(await get(site.port, f"/{name}")).status for name in ("good1", "good2")]
    kept = (await get(site.port, "/bad")).tag
    healed = await site.put(scope("bad", "c", tag="healed"))

    assert state == "refused"
    assert others.state == "served"
    assert [(r.key, r.reason) for r in refused] == [(key_of(made["bad"]), "missing ]: [")]
    assert served == [200, 200]
    assert kept == "last good"
    assert healed == "served"
    assert (await get(site.port, "/bad")).tag == "healed"
    assert not site.delivery.routers()[0].refused


async def test_a_bad_scope_at_the_first_start_does_not_keep_others_from_serving(site: Site) -> None:
    many = [scope(f"s{n}", "c") for n in range(15)]
    await site.begin(*many[:7], bad_scope("bad", "c"), *many[7:])
    await site.envoy()
    await until(site._open)
    versions = {key_of(resource): resource.version for resource in many}

    assert (await site.delivery.settled(versions, TIMEOUT_S)).state == "served"
    assert {(await get(site.port, f"/{resource.name[1:]}")).status for resource in many} == {200}


async def test_a_refused_cluster_keeps_its_scope_at_the_last_good_version(site: Site) -> None:
    await site.begin()
    await site.envoy()
    await site.serving()

    state = await site.put(bad_cluster("broken"), scope("a", "broken", tag="second"), cluster("x", site.upstream))

    assert state == "refused"
    assert (await get(site.port, "/a")).tag == "first"
    refusal = next(r for r in site.delivery.routers()[0].refused if r.key[0].endswith("Cluster"))
    assert "malformed IP address" in refusal.reason


@pytest.mark.conforms("DP-160")
async def test_no_request_fails_during_fifty_edits_with_cluster_changes(site: Site) -> None:
    await site.begin()
    await site.envoy()
    await site.serving()

    async with Load(site.port, "/a/x") as load:
        for n in range(50):
            gone = (key_of(cluster(f"n{n - 1}", site.upstream)),) if n else ()
            assert (
                await site.put(cluster(f"n{n}", site.upstream), scope("a", f"n{n}", tag=str(n)), remove=gone)
                == "served"
            )

    assert load.requests > 50
    assert load.failures == []


async def test_a_name_that_does_not_resolve_delays_only_its_own_api(site: Site) -> None:
    await site.begin()
    await site.envoy()
    await site.serving()

    with silent_name_server() as name_server:
        site.snapshot.apply([slow_cluster("slow", name_server), scope("slow", "slow")])
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            for n in range(3):
                fast = [cluster(f"f{n}", site.upstream), scope("fast", f"f{n}", tag=str(n))]
                assert await site.put(*fast) == "served"
                assert (await get(site.port, "/fast")).tag == str(n)


async def test_a_router_starts_although_a_name_does_not_resolve(site: Site) -> None:
    with silent_name_server() as name_server:
        await site.begin(slow_cluster("slow", name_server), scope("slow", "slow"))
        await site.envoy()

        async with asyncio.timeout(10):
            await until(site._open)


@pytest.mark.conforms("DP-166")
async def test_a_removed_api_is_gone_when_its_removal_is_called_served(site: Site) -> None:
    await site.begin(cluster("d", site.upstream), scope("b", "d"))
    await site.envoy()
    await site.serving()
    before = (await get(site.port, "/b")).status

    state = await site.put(remove=(key_of(scope("b", "d")), key_of(cluster("d", site.upstream))))

    assert (before, state, (await get(site.port, "/b")).status) == (200, "served", 404)
    assert (await get(site.port, "/a")).status == 200


async def test_several_routers_must_all_accept(site: Site) -> None:
    await site.begin(listener(site.port, shared=True))
    await site.envoy("one")
    await site.envoy("two")
    await until(lambda: len(site.delivery.routers()) == 2)
    await site.serving()

    update = site.snapshot.apply([scope("b", "c")])
    settlement = await site.delivery.settled(update.versions, TIMEOUT_S)

    assert settlement.state == "served"
    assert {verdict.router for verdict in settlement.routers} == {"one", "two"}


@pytest.mark.conforms("DP-163", "DP-164")
async def test_no_request_fails_while_the_controller_restarts(site: Site) -> None:
    await site.begin()
    await site.envoy()
    await site.serving()
    port = site.server.port

    async with Load(site.port, "/a/x", 2) as load:
        await site.server.stop()
        site.snapshot.apply([scope("b", "c", tag="meanwhile")])
        served_alone = (await get(site.port, "/a")).status
        site.server = AdsServer(site.snapshot, site.delivery)
        await site.server.start(f"127.0.0.1:{port}")
        await site.serving()

    assert served_alone == 200
    assert load.failures == []
    assert (await get(site.port, "/b")).tag == "meanwhile"


async def test_a_port_in_use_is_told(site: Site) -> None:
    await site.begin()

    with pytest.raises(CannotListen, match=f"127.0.0.1:{site.server.port}"):
        await AdsServer(site.snapshot, site.delivery).start(f"127.0.0.1:{site.server.port}")


async def test_a_path_too_long_for_a_socket_is_told(site: Site) -> None:
    with pytest.raises(CannotListen, match="too long"):
        await site.server.start_local(Path("/tmp") / ("x" * 120))
