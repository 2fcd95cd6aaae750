"""A change that one controller stores is traced to the routers of the others too, in the same trace."""

import asyncio
import contextlib
import importlib.util
import sys
from pathlib import Path

from gatewright.deployment import Deployments
from gatewright.deployment.data_plane import Routers
from gatewright.deployment.rollout import Rollout
from gatewright.deployment.serving import ServingBoard
from gatewright.observability import tracing
from gatewright.observability.otlp import OtlpConfig, OtlpRecorder
from gatewright.store import open_store
from gatewright.xds.delivery import Delivery
from gatewright.xds.outcomes import Accepted, Node
from gatewright.xds.snapshot import Snapshot

if "otlp_collector" not in sys.modules:
    _file = Path(__file__).parents[1] / "observability" / "collector.py"
    _spec = importlib.util.spec_from_file_location("otlp_collector", _file)
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["otlp_collector"] = _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)

from otlp_collector import Collector

PATIENCE = 60.0


async def test_from_the_feed_to_the_first_router(postgres_url, rules, gateway, rest_api, clock):
    collector = Collector()
    recorder = OtlpRecorder(OtlpConfig(endpoint=collector.endpoint, batch_timeout=0.05))
    here, there = await open_store(postgres_url), await open_store(postgres_url)
    snapshot, board = Snapshot(), ServingBoard()
    routers = Routers(Delivery(snapshot, keeps_times=True))
    routers.connected("r1", Node("r1"), "127.0.0.1")
    rollout = Rollout(there, [rules], snapshot, board, gateway=gateway, data_plane=routers, poll_interval=0.05)
    await rollout.load()
    task = asyncio.create_task(rollout.run())
    writer = Deployments(here, [rules], clock=clock, board=ServingBoard(), pushes=False)
    try:
        # Nobody has begun a trace: as if the other process had been asked for it.
        tracing.install(recorder)
        stored = await writer.create("RestApi", rest_api("orders"), correlation_id="release 7", actor="admin")
        async with asyncio.timeout(PATIENCE):
            while True:
                if board.status(stored.row.uuid).state == "pending":
                    break
                await asyncio.sleep(0.01)
        routers.outcomes("r1", [Accepted((each.type_url, each.name), each.version) for each in snapshot])
        root, steps = await asyncio.to_thread(collector.whole, tracing.trace_id("release 7"))
        assert (root["name"], root["attributes"]["kind"]) == ("rollout", "RestApi")
        assert root["attributes"]["outcome"] == "served"
        assert [step["name"] for step in steps] == ["compile", "render", "send", "envoy ack"]
    finally:
        tracing.install(None)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        rollout.close()
        await here.close()
        await there.close()
        await asyncio.to_thread(recorder.close)
        collector.stop()
