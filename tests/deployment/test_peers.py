"""What routers of other controllers have not answered is not called served, however long they take."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Literal

from gatewright.deployment import peers as module
from gatewright.deployment.data_plane import Routers
from gatewright.deployment.peers import Peers
from gatewright.deployment.results import Change
from gatewright.deployment.serving import Rolled, ServingBoard
from gatewright.envoy.resource import SCOPE, Resource
from gatewright.store import open_store
from gatewright.store.encryption import KeyRing
from gatewright.xds.delivery import Delivery
from gatewright.xds.outcomes import Accepted, Node
from gatewright.xds.snapshot import Snapshot

NOW = datetime(2026, 8, 1, 10, 15, 40, tzinfo=UTC)
KEYS = KeyRing([("k1", b"k" * 32)])
NAMES = ("a", "b", "c")
PATIENCE = 60.0


class Controller:
    """What of a controller takes part; a test rolls out and answers for the routers."""

    def __init__(self, store, board: ServingBoard, routers: Routers, peers: Peers) -> None:
        self.store = store
        self.board = board
        self.routers = routers
        self.peers = peers

    def roll(self, artifact_id: str, seq: int, state: Literal["serving", "undeployed"] = "serving") -> None:
        model = "m" if state == "serving" else None
        self.board.put(artifact_id, Rolled(state, NOW, model, model, resources=((SCOPE, artifact_id),)))
        self.board.done(artifact_id, "artifact", seq)
        self.board.all_done(seq)

    async def serving(self, artifact_id: str, seq: int, timeout: float) -> str:  # noqa: ASYNC109
        change = Change(
            seq=seq,
            kind="RestApi",
            entity_id=artifact_id,
            artifact_id=artifact_id,
            action="UPDATE",
            correlation_id="c",
            at=NOW,
        )
        return (await self.board.served(change, timeout)).state


@asynccontextmanager
async def running(url: str) -> AsyncIterator[Controller]:
    store = await open_store(url, keys=KEYS)
    board, snapshot = ServingBoard(), Snapshot()
    snapshot.apply(Resource(SCOPE, name, "v", b"") for name in NAMES)
    routers = Routers(Delivery(snapshot))
    board.attach(routers, version_of=lambda _key: "v", model_of=lambda _uuid: "m")
    peers = Peers(store, board, lambda: [router.router for router in routers.now({}).routers])
    board.join(peers)
    task = asyncio.create_task(peers.run())
    try:
        yield Controller(store, board, routers, peers)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await store.close()


async def until(holds) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


async def test_a_router_of_another_controller_that_is_late(postgres_url, monkeypatch):
    monkeypatch.setattr(module, "SETTLE_S", 0.05)
    monkeypatch.setattr(module, "_LOOK_S", 0.05)
    async with running(postgres_url) as here, running(postgres_url) as there:
        await until(lambda: len(here.peers.all) == len(there.peers.all) == 2)
        there.routers.connected("slow", Node("slow"), "127.0.0.1")
        for controller in (here, there):
            controller.roll("a", 1)
        await until(lambda: any(peer.report is not None and peer.report.late == ("a",) for peer in here.peers.all))
        for controller in (here, there):
            controller.roll("b", 2, "undeployed")
        await until(lambda: "b" in there.peers._late)
        assert await here.serving("a", 1, 0.3) == "timeout"
        assert await here.serving("b", 2, 0.3) == "timeout"
        assert here.board.status("a").state == "pending"
        assert [router.state for router in here.board.status("a").routers] == ["pending"]

        there.routers.outcomes("slow", [Accepted((SCOPE, "a"), "v"), Accepted((SCOPE, "b"), "v")])
        assert await here.serving("a", 1, PATIENCE) == "served"
        assert await here.serving("b", 2, PATIENCE) == "served"
        assert here.board.status("a").state == "served"


async def test_more_late_ones_than_a_report_names_hold_it_up(postgres_url, monkeypatch):
    monkeypatch.setattr(module, "SETTLE_S", 0.05)
    monkeypatch.setattr(module, "_LOOK_S", 0.05)
    monkeypatch.setattr(module, "_MOST_LATE", 1)
    async with running(postgres_url) as here, running(postgres_url) as there:
        await until(lambda: len(here.peers.all) == len(there.peers.all) == 2)
        there.routers.connected("slow", Node("slow"), "127.0.0.1")
        for seq, name in enumerate(NAMES, 1):
            for controller in (here, there):
                controller.roll(name, seq)
        await until(lambda: len(there.peers._late) == 3)
        for seq, name in enumerate(NAMES, 1):
            assert await here.serving(name, seq, 0.3) == "timeout"
        there.routers.outcomes("slow", [Accepted((SCOPE, name), "v") for name in NAMES])
        for seq, name in enumerate(NAMES, 1):
            assert await here.serving(name, seq, PATIENCE) == "served"
