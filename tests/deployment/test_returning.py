"""After a start: changes are not called stored while routers that were there before are on their way back."""

import asyncio
import contextlib

from deployment_plane import create, eventually, update

from gatewright.deployment.returning import Returning


@contextlib.asynccontextmanager
async def started(store, plane, board, *, grace=30.0):
    """The controller has just started, and no router is connected."""
    returning = Returning(store, lambda: [router.router for router in plane.routers.now({}).routers], grace=grace)
    await returning.load()
    board.expect(returning)
    async with plane.running(connected=False):
        task = asyncio.create_task(returning.run())
        try:
            yield returning
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_where_there_were_none_it_is_stored_at_once_and_the_first_is_noted(
    deployments, store, plane, board, rest_api
):
    async with started(store, plane, board) as returning:
        assert not returning.expects_some
        change = (await create(deployments, rest_api("orders"))).change
        assert (await deployments.served(change, 30)).state == "stored"
        plane.router.connect()
        await noted(store)
    again = Returning(store, list)
    await again.load()
    assert again.expects_some


async def test_it_is_served_once_one_is_back(deployments, store, plane, board, rest_api):
    await store.set_meta("has_routers", value=True)
    async with started(store, plane, board) as returning:
        change = (await create(deployments, rest_api("orders"))).change
        waiting = asyncio.create_task(deployments.served(change, 30))
        await eventually(lambda: deployments.status(change.artifact_id).state == "stored")
        early = await deployments.served(change, 0.2)
        assert (early.state, "come back" in early.reason) == ("timeout", True)
        assert not waiting.done()
        plane.router.connect()
        assert (await waiting).state == "served"
        assert not returning.expects_some


async def test_who_refuses_when_it_is_back_is_heard(deployments, store, plane, board, rest_api):
    await store.set_meta("has_routers", value=True)
    plane.router.refuses = {b"poison"}
    async with started(store, plane, board):
        document = rest_api("orders")
        document["spec"]["operations"][0]["path"] = "/poison"
        waiting = asyncio.create_task(deployments.served((await create(deployments, document)).change, 30))
        await asyncio.sleep(0.2)
        plane.router.connect()
        assert (await waiting).state == "refused"


async def test_when_none_comes_it_is_stored_after_all_and_none_is_awaited_next_time(
    deployments, store, plane, board, rest_api
):
    await store.set_meta("has_routers", value=True)
    async with started(store, plane, board, grace=0.3):
        change = (await create(deployments, rest_api("orders"))).change
        assert (await deployments.served(change, 30)).state == "stored"
        async with asyncio.timeout(5):
            while await store.get_meta("has_routers") is not None:  # noqa: ASYNC110 - the store has no event for it
                await asyncio.sleep(0.01)


async def test_an_undeployment_waits_for_them_too(deployments, store, plane, board, rest_api):
    await store.set_meta("has_routers", value=True)
    async with started(store, plane, board):
        document = rest_api("orders")
        await create(deployments, document)
        document["spec"]["deploymentState"] = "undeployed"
        change = (await update(deployments, "orders", document)).change
        waiting = asyncio.create_task(deployments.served(change, 30))
        await eventually(lambda: deployments.status(change.artifact_id).state == "undeployed")
        assert (await deployments.served(change, 0.2)).state == "timeout"
        plane.router.connect()
        assert (await waiting).state == "served"


async def noted(store):
    async with asyncio.timeout(10):
        while await store.get_meta("has_routers") is None:  # noqa: ASYNC110 - the store has no event for it
            await asyncio.sleep(0.01)
