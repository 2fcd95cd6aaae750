"""A whole router with a real Envoy: it starts, serves, survives, drains and says what is wrong."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from xds_rig import (
    Load,
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

from gatewright.router.errors import PortTaken, StateDirectoryTaken, UnusableBinary
from gatewright.router.router import Router, RouterConfig, Source
from gatewright.xds.controller_link import ControllerLink
from gatewright.xds.delivery import Delivery
from gatewright.xds.disk import read
from gatewright.xds.keys import key_of
from gatewright.xds.local_source import LocalSource
from gatewright.xds.server import AdsServer
from gatewright.xds.snapshot import Snapshot

TIMEOUT_S = 20.0


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.02)


class Site:
    """A controller in this process, and routers on it."""

    def __init__(self, directory: Path, upstream: int) -> None:
        self.directory = directory
        self.upstream = upstream
        self.port = free_port()
        self.snapshot = Snapshot()
        self.delivery = Delivery(self.snapshot)
        self.access_log = (directory / "access.log").open("wb")
        self.routers: list[Router] = []

    async def router(self, source: Source | None = None, **config: object) -> Router:
        chosen = source or LocalSource(self.snapshot, self.delivery)
        settings = {"state_dir": self.directory / "state", "concurrency": 1, "drain_time_s": 2.0, **config}
        router = Router(RouterConfig(**settings), chosen, access_log=self.access_log)  # type: ignore[arg-type]
        self.routers.append(router)
        await router.start()
        return router

    def load(self) -> None:
        self.snapshot.apply([listener(self.port), cluster("c", self.upstream), scope("a", "c", tag="first")])

    async def serving(self) -> Router:
        self.load()
        router = await self.router()
        assert await router.wait_ready(TIMEOUT_S), router.status()
        return router

    async def put(self, *resources: object) -> str:
        update = self.snapshot.apply(resources)  # type: ignore[arg-type]
        return (await self.delivery.settled(update.versions, TIMEOUT_S)).state

    async def tag(self, path: str = "/a") -> str:
        return (await get(self.port, path)).tag

    async def end(self) -> None:
        for router in self.routers:
            await router.stop()
        self.access_log.close()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with backend("up") as upstream:
        made = Site(tmp_path, upstream)
        yield made
        await made.end()


async def test_ready_means_that_the_first_request_is_answered(site: Site) -> None:
    router = await site.router()
    early, why = await router.wait_ready(0.1), router.status().reason
    site.load()

    ready = await router.wait_ready(TIMEOUT_S)
    reply = await get(site.port, "/a")

    assert (early, why) == (False, "no_configuration")
    assert ready
    assert (reply.status, reply.tag) == (200, "first")
    status = router.status()
    assert (status.reason, status.controller_connected, status.envoy_version) == ("ready", True, "1.40.0")


async def test_a_change_reaches_envoy_and_its_words_come_back(site: Site) -> None:
    await site.serving()

    served = await site.put(scope("a", "c", tag="second")), await site.tag()
    refused = await site.put(bad_scope("a", "c")), await site.tag()
    healed = await site.put(scope("a", "c", tag="third")), await site.tag()

    assert served == ("served", "second")
    assert refused == ("refused", "second")
    assert healed == ("served", "third")


async def test_a_refused_cluster_keeps_its_api_at_the_last_good_version(site: Site) -> None:
    router = await site.serving()

    state = await site.put(bad_cluster("broken"), scope("a", "broken", tag="second"), scope("b", "c", tag="b"))
    kept = await site.tag(), await site.tag("/b")
    healed = await site.put(cluster("broken", site.upstream)), await site.put(scope("a", "broken", tag="second"))
    await until(lambda: not router.status().refused)

    assert state == "refused"
    assert kept == ("first", "b")
    assert healed == ("served", "served")
    assert await site.tag() == "second"


async def test_an_api_with_a_slow_name_does_not_delay_the_others(site: Site) -> None:
    router = await site.serving()
    with silent_name_server() as name_server:
        site.snapshot.apply([slow_cluster("slow", name_server), scope("slow", "slow")])
        async with asyncio.timeout(3):
            for n in range(3):
                assert await site.put(cluster(f"f{n}", site.upstream), scope("a", f"f{n}", tag=str(n))) == "served"
                assert await site.tag() == str(n)
    assert router.ready


async def test_the_api_keeps_its_old_upstream_while_the_new_one_does_not_resolve(site: Site) -> None:
    await site.serving()
    with silent_name_server() as name_server:
        update = site.snapshot.apply([slow_cluster("slow", name_server), scope("a", "slow", tag="second")])
        settled = await site.delivery.settled(update.versions, 2.5)

        assert settled.state == "timeout"
        assert await site.tag() == "first"


async def test_a_killed_envoy_is_started_again_and_serves_the_last_good_version(site: Site) -> None:
    router = await site.serving()
    await site.put(bad_scope("a", "c"))
    pid = router.status().envoy_pid
    assert pid is not None

    os.kill(pid, signal.SIGKILL)
    await until(lambda: not router.ready)
    away = site.delivery.routers()[0].envoy
    assert await router.wait_ready(TIMEOUT_S)

    status = router.status()
    assert not away
    assert (status.envoy_restarts, status.envoy_last_exit) == (1, "killed by SIGKILL")
    assert await site.tag() == "first"


@pytest.mark.conforms("DP-163", "DP-165")
async def test_without_its_controller_a_router_starts_from_disk_and_serves(site: Site) -> None:
    router = await site.serving()
    await site.put(scope("b", "c", tag="b"))
    await router.stop()
    snapshot = site.directory / "state" / "last-good.snapshot"
    assert snapshot.stat().st_mode & 0o777 == 0o600
    assert len(read(snapshot)) == 4

    away = ControllerLink([f"127.0.0.1:{free_port()}"])
    again = await site.router(away)

    assert await again.wait_ready(TIMEOUT_S)
    assert (await site.tag("/a"), await site.tag("/b")) == ("first", "b")
    assert not again.status().controller_connected
    await until(lambda: again.status().controller_error is not None)


async def test_a_damaged_snapshot_is_no_obstacle(site: Site) -> None:
    state = site.directory / "state"
    state.mkdir()
    (state / "last-good.snapshot").write_bytes(b"damaged")

    await site.serving()

    assert await site.tag() == "first"
    assert (state / "last-good.snapshot.damaged").exists()


async def test_a_router_elsewhere_gets_everything_over_grpc(site: Site) -> None:
    server = AdsServer(site.snapshot, site.delivery)
    port = await server.start("127.0.0.1:0")
    site.load()
    router = await site.router(ControllerLink([f"127.0.0.1:{port}"]))
    assert await router.wait_ready(TIMEOUT_S)

    async with Load(site.port, "/a", 2) as load:
        for n in range(20):
            assert await site.put(cluster(f"n{n}", site.upstream), scope("a", f"n{n}", tag=str(n))) == "served"

    assert load.failures == []
    assert await site.tag() == "19"
    state = site.delivery.routers()[0]
    assert (state.router, state.envoy, state.node.build) == (router.id, True, "1.40.0")
    await router.stop()
    await server.stop()


async def test_a_router_keeps_its_id_over_restarts_and_two_routers_differ(site: Site) -> None:
    first = await site.serving()
    await first.stop()
    second = await site.router()
    other = await site.router(state_dir=site.directory / "other", source=LocalSource(Snapshot(), site.delivery))

    assert first.id.startswith("router-node-")
    assert second.id == first.id
    assert other.id != first.id


async def test_open_requests_finish_while_the_router_stops(site: Site) -> None:
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        release.set()
        await asyncio.sleep(0.5)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    router = await site.serving()
    await site.put(cluster("slow", server.sockets[0].getsockname()[1]), scope("slow", "slow"))
    request = asyncio.create_task(get(site.port, "/slow"))
    await release.wait()

    await router.stop()

    assert (await request).status == 200
    assert (await get(site.port, "/a")).status == 0
    server.close()


async def test_every_step_of_stopping_is_taken_although_one_fails(site: Site) -> None:
    class Broken(LocalSource):
        async def stop(self) -> None:
            raise RuntimeError("broken")

    router = await site.router(Broken(site.snapshot, site.delivery))
    pid = router.status().envoy_pid

    with pytest.raises(RuntimeError, match="broken"):
        await router.stop()

    site.routers.clear()
    assert pid is None or _ended(pid)
    await site.router()


async def test_a_port_in_use_is_told_before_envoy_is_started(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port}"):
            await site.router(listeners=(("127.0.0.1", port),))


async def test_a_port_taken_later_is_told_and_used_when_it_becomes_free(site: Site) -> None:
    router = await site.router()
    with socket.create_server(("127.0.0.1", site.port)):
        site.load()
        await until(lambda: router.problem is not None)
        status = router.status()
    ready = await router.wait_ready(TIMEOUT_S)

    assert (status.ready, status.reason) == (False, "listener_refused")
    assert status.problem is not None
    assert status.problem.code == "PORT_IN_USE"
    assert f"127.0.0.1:{site.port}" in status.problem.message
    assert ready
    assert router.problem is None


async def test_a_binary_that_is_none_is_told(site: Site) -> None:
    with pytest.raises(UnusableBinary, match="does not exist"):
        await site.router(binary="/nowhere/envoy")


async def test_a_second_router_on_the_same_directory_is_refused(site: Site) -> None:
    await site.router()

    with pytest.raises(StateDirectoryTaken, match="another router"):
        await site.router()


async def test_nothing_of_the_router_is_open_to_others(site: Site) -> None:
    await site.serving()
    run = site.directory / "state" / "run"

    assert run.stat().st_mode & 0o777 == 0o700
    assert {f.name: f.stat().st_mode & 0o777 for f in run.iterdir()} == {
        "xds.sock": 0o600,
        "admin.sock": 0o600,
        "envoy.json": 0o600,
    }


async def test_the_admin_interface_opens_on_tcp_when_asked(site: Site) -> None:
    port = free_port()
    site.load()
    router = await site.router(admin_tcp=("127.0.0.1", port))
    assert await router.wait_ready(TIMEOUT_S)

    assert (await get(port, "/ready")).status == 200


async def test_envoy_dies_with_its_supervisor(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
from pathlib import Path
from gatewright.router.router import Router, RouterConfig
from gatewright.xds.delivery import Delivery
from gatewright.xds.local_source import LocalSource
from gatewright.xds.snapshot import Snapshot

async def main():
    snapshot = Snapshot()
    router = Router(RouterConfig(state_dir=Path({str(tmp_path)!r}), concurrency=1),
                    LocalSource(snapshot, Delivery(snapshot)))
    await router.start()
    while router.status().envoy_pid is None:
        await asyncio.sleep(0.01)
    print(router.status().envoy_pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    # The log goes to standard output too; the pid is the line that is a number.
    while not (line := (await process.stdout.readline()).strip()).isdigit():
        assert line, "the router did not start"
    envoy = int(line)

    process.kill()
    await process.wait()

    await until(lambda: _ended(envoy))


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def test_changes_become_served_only_with_envoy_and_are_stored_without(site: Site) -> None:
    site.load()

    assert await site.put(scope("b", "c")) == "stored"


async def test_what_envoy_has_accepted_is_counted(site: Site) -> None:
    await site.serving()
    everything = {key_of(resource): resource.version for resource in site.snapshot}
    await site.delivery.settled(everything, TIMEOUT_S)

    state = site.delivery.routers()[0]

    assert (state.accepted, state.pending, state.refused) == (3, 0, ())
