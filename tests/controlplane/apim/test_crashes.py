"""A gateway that dies at any step of a sync and starts again: one API there, one current revision, nothing sent twice.

The engine is cut off at the step, as by a kill: it writes nothing more. Whole processes are killed elsewhere.
"""

import asyncio

import pytest
from apim_lab import ids, until
from controlplane_lab import rest_api

STEPS = {
    "claimed": ("records", "importing", "before", 1),
    "noted": ("publisher", "import_archive", "before", 1),
    "sent": ("publisher", "import_archive", "after", 0),
    "answered": ("records", "imported", "before", 0),
    "ids": ("records", "imported", "after", 0),
    "unfinished": ("records", "deployed", "before", 0),
    "finished": ("records", "deployed", "after", 0),
}
"""Step → object, method, on which side of it the gateway dies, and how many more imports the restart needs."""


def cut(shop, name: str, method: str, side: str) -> asyncio.Event:
    """The engine stands still at this step for ever; set when it got there."""
    reached = asyncio.Event()
    target = getattr(shop.plane.bottom_up._sync._turns._tools, name)
    original = getattr(target, method)

    async def stopped(*arguments, **named):
        if side == "after":
            await original(*arguments, **named)
        reached.set()
        await asyncio.Event().wait()

    setattr(target, method, stopped)
    shop.restore = lambda: setattr(target, method, original)
    return reached


async def dies_at(opened, step: str, act) -> None:
    name, method, side, _ = STEPS[step]
    async with opened() as shop:
        reached = cut(shop, name, method, side)
        await act(shop)
        async with asyncio.timeout(60):
            await reached.wait()
        await shop.plane.bottom_up._sync.stop()
        shop.restore()


@pytest.mark.parametrize("step", STEPS)
async def test_a_first_sync(opened, step):
    await dies_at(opened, step, lambda shop: shop.create("orders"))
    async with opened() as shop:
        before = len(shop.imports())
        row = await shop.settled()
        (api,) = await shop.apim.client.apis("name:orders")
        assert row.cp_artifact_id == api["id"]
        assert await shop.deployed_revisions(api["id"]) == [ids(row)["revision"]]
        assert len(await shop.apim.client.revisions(api["id"])) == 1
        assert len(shop.imports()) - before == STEPS[step][3]
        assert (await shop.plane.plan([]))["apis"][0]["action"] == "none"


@pytest.mark.parametrize("step", STEPS)
async def test_an_update(opened, step):
    async with opened() as shop:
        first = ids(await shop.synced("orders"))
    await dies_at(opened, step, lambda shop: shop.change("orders", rest_api("orders", context="/changed")))
    async with opened() as shop:
        before = len(shop.imports())
        row = await shop.settled()
        assert ids(row)["id"] == first["id"]
        assert ids(row)["revision"] != first["revision"]
        assert await shop.deployed_revisions(first["id"]) == [ids(row)["revision"]]
        assert len(await shop.apim.client.revisions(first["id"])) == 2
        assert len(shop.imports()) - before == STEPS[step][3]
        assert (await shop.apim.client.api(first["id"]))["context"] == "/changed"
        await shop.change("orders", rest_api("orders", context="/again"))
        await until(lambda: _changed(shop, row.cp_sync_info))


async def _changed(shop, info):
    row = await shop.row()
    return row.cp_sync_status == "success" and row.cp_sync_info != info


@pytest.mark.parametrize("step", ["sent", "ids"])
async def test_deleted_before_the_restart(opened, step):
    """What was imported without anybody here knowing is found by its marks and undeployed."""
    await dies_at(opened, step, lambda shop: shop.create("orders"))
    async with opened(connect=False) as shop:
        await shop.site.deployments.delete("RestApi", "orders", correlation_id="c", actor="a")
        (api,) = await shop.apim.client.apis("name:orders")
        await until(lambda: _nothing_deployed(shop, api["id"]))
        await until(lambda: _nothing_waits(shop))


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_deletion(opened, side):
    async with opened() as shop:
        api = ids(await shop.synced("orders"))
        reached = cut(shop, "publisher", "undeploy", side)
        await shop.site.deployments.delete("RestApi", "orders", correlation_id="c", actor="a")
        async with asyncio.timeout(60):
            await reached.wait()
        await shop.plane.bottom_up._sync.stop()
        shop.restore()
    async with opened() as shop:
        await until(lambda: _nothing_deployed(shop, api["id"]))
        await until(lambda: _nothing_waits(shop))


async def test_changed_while_it_was_being_imported(opened):
    async with opened() as shop:
        publisher = shop.plane.bottom_up._sync._turns._tools.publisher
        original, arrived, go = publisher.import_archive, asyncio.Event(), asyncio.Event()

        async def slow(*arguments):
            arrived.set()
            await go.wait()
            return await original(*arguments)

        publisher.import_archive = slow
        await shop.create("orders")
        await arrived.wait()
        await shop.change("orders", rest_api("orders", context="/changed"))
        go.set()
        await until(lambda: len(shop.imports()) == 2)
        row = await shop.settled()
        assert (await shop.apim.client.api(row.cp_artifact_id))["context"] == "/changed"
        assert await shop.deployed_revisions(row.cp_artifact_id) == [ids(row)["revision"]]


async def test_deleted_and_made_again_while_it_was_being_imported(opened):
    async with opened() as shop:
        publisher = shop.plane.bottom_up._sync._turns._tools.publisher
        original, arrived, go = publisher.import_archive, asyncio.Event(), asyncio.Event()

        async def slow(*arguments):
            arrived.set()
            await go.wait()
            return await original(*arguments)

        publisher.import_archive = slow
        await shop.create("orders")
        await arrived.wait()
        await shop.site.deployments.delete("RestApi", "orders", correlation_id="c", actor="a")
        await shop.create("orders", context="/second")
        go.set()
        row = await shop.settled()
        (api,) = await shop.apim.client.apis("name:orders")
        assert row.cp_artifact_id == api["id"]
        assert await shop.deployed_revisions(api["id"]) == [ids(row)["revision"]]
        assert (await shop.apim.client.api(api["id"]))["context"] == "/second"
        assert len(shop.undeploys()) == 1


async def _nothing_deployed(shop, api_id):
    return not await shop.deployed_revisions(api_id)


async def _nothing_waits(shop):
    return not await shop.site.deployments.apim.queued()
