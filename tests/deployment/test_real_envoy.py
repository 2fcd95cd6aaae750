"""The whole way with a real Envoy: stored, compiled, delivered, served; refused by Envoy, quarantined, healed."""

import asyncio
import importlib.util
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from gatewright.deployment.data_plane import Routers
from gatewright.deployment.kinds import RestApiRules
from gatewright.deployment.rollout import Rollout
from gatewright.model.gateway import Gateway, Listener
from gatewright.xds.delivery import Delivery
from gatewright.xds.server import AdsServer
from gatewright.xds.snapshot import Snapshot

KIND = "RestApi"


def _rig():
    if "xds_rig" not in sys.modules:
        path = Path(__file__).parents[1] / "xds" / "rig.py"
        spec = importlib.util.spec_from_file_location("xds_rig", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["xds_rig"] = module
        spec.loader.exec_module(module)
    return sys.modules["xds_rig"]


rig = _rig()


class Blind(RestApiRules):
    """Lets through what only Envoy finds: an expression that is none, in the routes of `/poison`."""

    def compile(self, document, api_id):
        api = super().compile(document, api_id)
        routes = tuple(
            replace(route, path=replace(route.path, kind="regex", value="/x["))
            if "/poison" in route.operation_path
            else route
            for route in api.routes
        )
        return replace(api, routes=routes)


@pytest.fixture
def port():
    return rig.free_port()


@pytest.fixture
def gateway(port):
    return Gateway(listeners=(Listener("http", "127.0.0.1", port),))


@pytest.fixture
def rules(rules, gateway):
    return Blind(catalogue=rules._catalogue, defaults=rules._defaults, renderer=rules._renderer, gateway=gateway)


@asynccontextmanager
async def serving(store, rules, gateway, board, tmp_path):
    snapshot = Snapshot()
    routers = Routers(Delivery(snapshot))
    rollout = Rollout(store, [rules], snapshot, board, gateway=gateway, data_plane=routers, poll_interval=0.2)
    await rollout.load()
    following = asyncio.create_task(rollout.run())
    server = AdsServer(snapshot, routers)
    await server.start("127.0.0.1:0")
    envoy = rig.PlainEnvoy(tmp_path, server.port)
    await envoy.start()
    try:
        yield
    finally:
        await envoy.stop()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        rollout.close()
        await server.stop()


async def until(condition):
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


async def test_served_refused_and_healed(store, rules, gateway, board, deployments, rest_api, tmp_path, port):
    async with rig.backend() as backend, serving(store, rules, gateway, board, tmp_path):
        url = f"http://127.0.0.1:{backend}"

        async def create(name, context):
            document = rest_api(name, context=context, url=url)
            return await deployments.create(KIND, document, correlation_id="c", actor="admin")

        async def update(name, context, path="/items"):
            document = rest_api(name, context=context, url=url)
            document["spec"]["operations"][0]["path"] = path
            return await deployments.update(KIND, name, document, correlation_id="c", actor="admin")

        async def status(path):
            return (await rig.get(port, path)).status

        async def ready():
            return await status("/_gateway-health/live") != 0

        await until(ready)
        orders, bills = await create("orders", "/shop/orders"), await create("bills", "/shop/bills")
        for stored in (orders, bills):
            served = await deployments.served(stored.change, 20)
            assert (served.state, served.routers) == ("served", 1)
        # "Served" means that the very next request is answered.
        assert await status("/shop/orders/items") == 200
        assert await status("/shop/bills/items") == 200

        refused = await update("orders", "/shop/orders", "/poison")
        answer = await deployments.served(refused.change, 20)
        assert answer.state == "refused"
        assert "missing ]" in answer.reason
        quarantined = deployments.status(orders.row.uuid)
        assert (quarantined.state, quarantined.code) == ("quarantined", "REFUSED_BY_ROUTER")
        assert "missing ]" in quarantined.reason
        assert await status("/shop/orders/items") == 200

        # A neighbour in the same scope changes freely while the other one is in quarantine.
        changed = await update("bills", "/shop/bills2")
        assert (await deployments.served(changed.change, 20)).state == "served"
        assert await status("/shop/bills2/items") == 200
        assert await status("/shop/bills/items") == 404
        assert await status("/shop/orders/items") == 200

        healed = await update("orders", "/shop/orders2")
        assert (await deployments.served(healed.change, 20)).state == "served"
        assert deployments.status(orders.row.uuid).state == "served"
        assert await status("/shop/orders2/items") == 200
        removed = await deployments.delete(KIND, "orders", correlation_id="c", actor="admin")
        assert (await deployments.served(removed, 20)).state == "served"
        assert await status("/shop/orders2/items") == 404


async def test_two_poisoned_apis_at_the_start_of_a_router(
    store, rules, gateway, board, deployments, rest_api, tmp_path, port
):
    """Nothing was accepted before, several are bad: the good ones of the scope serve all the same."""
    async with rig.backend() as backend:
        for name in ("a", "b", "c", "d"):
            document = rest_api(name, context=f"/shop/{name}", url=f"http://127.0.0.1:{backend}")
            if name in {"b", "d"}:
                document["spec"]["operations"][0]["path"] = "/poison"
            await deployments.create(KIND, document, correlation_id="c", actor="admin")
        async with serving(store, rules, gateway, board, tmp_path):

            async def good_ones():
                return [(await rig.get(port, f"/shop/{name}/items")).status for name in ("a", "c")] == [200, 200]

            await until(good_ones)

            async def judged():
                return len(board.quarantined()) == 2

            await until(judged)
            states = {row.handle: deployments.status(row.uuid).state for row in await deployments.list(KIND)}
            assert states == {"a": "served", "b": "quarantined", "c": "served", "d": "quarantined"}
