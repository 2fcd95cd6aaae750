"""What a store promises, whichever database it stands on."""

import asyncio
import time

import pytest
from sqlalchemy import event, text

from gatewright.store import StoreClosed, StoreUnavailable, artifacts, open_store
from gatewright.store.errors import KeyFileError


async def test_what_was_written_is_read_back_equal(add, store, artifact):
    row = artifact("orders", deployment_id="d", cp_artifact_id="cp", cp_sync_status="failed", cp_sync_info="why")
    await add(row)
    assert await store.read(lambda c: artifacts.find(c, store.gateway_id, row.uuid)) == row


async def test_a_failing_transaction_leaves_nothing(store, handles, artifact):
    def work(connection):
        artifacts.add(connection, store.gateway_id, artifact("half"))
        raise ValueError("changed my mind")

    with pytest.raises(ValueError, match="changed my mind"):
        await store.write(work)
    assert await handles() == []


async def test_readers_cannot_write(store):
    with pytest.raises(StoreUnavailable, match=r"read-?only"):
        await store.read(lambda connection: connection.execute(text("DELETE FROM artifacts")))


async def test_what_is_urgent_overtakes_what_waits(store):
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()
    done = []

    def blocking(_connection):
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()

    first = asyncio.create_task(store.write(blocking))
    await asyncio.sleep(0.05)
    ordinary = [asyncio.create_task(store.write(lambda _, number=number: done.append(number))) for number in range(3)]
    await asyncio.sleep(0)
    urgent = asyncio.create_task(store.write(lambda _: done.append("urgent"), urgent=True))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, urgent, *ordinary)
    assert done == ["urgent", 0, 1, 2]


async def test_waiting_writes_share_a_commit_and_fail_alone(store, artifact, handles):
    commits = 0

    def committed(_connection):
        nonlocal commits
        commits += 1

    event.listen(store._writing, "commit", committed)
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def blocking(_connection):
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()

    first = asyncio.create_task(store.write(blocking))
    await asyncio.sleep(0.05)

    def write(number):
        def work(connection):
            artifacts.add(connection, store.gateway_id, artifact(f"a{number}"))
            if number % 3 == 0:
                raise ValueError(number)
            return number

        return store.write(work)

    others = [asyncio.create_task(write(number)) for number in range(30)]
    await asyncio.sleep(0.05)
    gate.set()
    await first
    results = await asyncio.gather(*others, return_exceptions=True)
    assert [isinstance(result, ValueError) for result in results] == [number % 3 == 0 for number in range(30)]
    assert await handles() == sorted(f"a{number}" for number in range(30) if number % 3)
    assert commits == 2


async def test_a_write_that_waits_can_be_taken_back_one_that_runs_cannot(store, artifact, handles):
    started, gate = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(connection):
        artifacts.add(connection, store.gateway_id, artifact("running"))
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()

    running = asyncio.create_task(store.write(slow))
    await started.wait()
    waiting = asyncio.create_task(
        store.write(lambda connection: artifacts.add(connection, store.gateway_id, artifact("waiting")))
    )
    await asyncio.sleep(0)
    running.cancel()
    waiting.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    gate.set()
    await store.write(lambda _connection: None)
    assert await handles() == ["running"]


async def test_every_commit_is_announced(store):
    news = store.subscribe()
    await store.write(lambda _connection: None)
    async with asyncio.timeout(5):
        await news.wait()


async def test_closing_finishes_what_is_queued_and_refuses_the_rest(place, store, add, artifact):
    writes = [asyncio.create_task(add(artifact(f"a{number}"))) for number in range(50)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*writes)
    with pytest.raises(StoreClosed):
        await add(artifact("late"))
    with pytest.raises(StoreClosed):
        await store.read(lambda _connection: None)
    await store.close()
    again = await open_store(place)
    rows = await again.read(lambda connection: artifacts.count(connection, again.gateway_id, "RestApi"))
    await again.close()
    assert rows == 50


async def test_gateways_share_a_database_without_seeing_each_other(place, artifact):
    one = await open_store(place, gateway_id="one")
    await one.write(lambda connection: artifacts.add(connection, "one", artifact("same")))
    await one.close()
    two = await open_store(place, gateway_id="two")
    await two.write(lambda connection: artifacts.add(connection, "two", artifact("same")))
    assert len(await two.read(lambda connection: artifacts.everything(connection, "two"))) == 1
    await two.close()


async def test_small_values(store):
    assert await store.get_meta("users") is None
    await store.set_meta("users", {"admin": ["hash", 1]})
    assert await store.get_meta("users") == {"admin": ["hash", 1]}
    await store.set_meta("users", None)
    assert await store.get_meta("users") is None
    with pytest.raises(KeyFileError):
        await store.set_secret("token", "x")


async def test_two_thousand_artifacts_load_quickly(store, artifact):
    document = {"spec": {"operations": [{"method": "GET", "path": f"/things/{n}", "policies": []} for n in range(8)]}}

    def fill(connection):
        for number in range(2000):
            artifacts.add(connection, store.gateway_id, artifact(f"a{number}", document=document))

    await store.write(fill)
    started = time.perf_counter()
    rows = await store.read(lambda connection: artifacts.everything(connection, store.gateway_id))
    assert len(rows) == 2000
    assert time.perf_counter() - started < 3  # 0.1 s on a quiet machine


async def test_a_value_that_the_database_refuses_harms_no_other(store, artifact, handles):
    """SQLite takes the character, PostgreSQL does not; either way the others are stored and the store is well."""
    names = ["before", "with\0nothing", "after"]

    def add(name):
        return store.write(lambda connection: artifacts.add(connection, store.gateway_id, artifact(name)))

    results = await asyncio.gather(*map(add, names), return_exceptions=True)
    refused = [name for name, result in zip(names, results, strict=True) if isinstance(result, StoreUnavailable)]
    assert refused in ([], names[1:2])
    assert await handles() == sorted(set(names) - set(refused))
    assert store.problem is None


async def test_a_long_value_is_kept(store, artifact, add, handles):
    await add(artifact("x" * 5000))
    assert await handles() == ["x" * 5000]


async def test_one_process_that_is_alone_holds_the_hold(store):
    changed = store.subscribe_to_hold()
    async with asyncio.timeout(60):
        while not store.held:
            await changed.wait()
            changed.clear()
