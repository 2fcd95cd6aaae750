"""The change feed, the outbox, and what a deletion takes along."""

from datetime import timedelta

import pytest

from gatewright.store import artifacts, changes, last_good, outbox

G = "platform-gateway-id"
TARGET = "control_plane"


@pytest.fixture
def now(artifact):
    return artifact("x").created_at


def append(connection, now, entity="e"):
    return changes.append(
        connection, G, kind="RestApi", entity_id=entity, artifact_id=entity, action="CREATE", correlation_id="c", at=now
    )


def put(connection, now, entity, action="push"):
    outbox.put(
        connection,
        G,
        target=TARGET,
        kind="RestApi",
        entity_id=entity,
        action=action,
        payload={"n": 1},
        correlation_id="c",
        at=now,
    )


async def test_numbers_grow_and_are_never_used_again(store, now):
    first = await store.write(lambda c: [append(c, now).seq for _ in range(5)])
    assert first == sorted(set(first))
    assert [row.seq for row in await store.read(lambda c: changes.since(c, G, first[1], 2))] == first[2:4]
    await store.write(lambda c: c.exec_driver_sql("DELETE FROM changes"))
    assert (await store.write(lambda c: append(c, now))).seq > first[-1]
    assert await store.read(lambda c: changes.last_seq(c, "another")) == 0


async def test_old_entries_go_but_never_the_newest(store, now):
    await store.write(lambda c: [append(c, now) for _ in range(10)])
    pruned = await store.write(lambda c: changes.prune(c, G, before=now + timedelta(hours=1), keep=4))
    assert pruned == 6
    assert await store.read(lambda c: changes.first_seq(c, G)) == 7
    assert await store.write(lambda c: changes.prune(c, G, before=now - timedelta(hours=1), keep=0)) == 0


async def test_the_outbox_keeps_the_newest_of_an_entity(store, now):
    await store.write(lambda c: put(c, now, "a"))
    await store.write(lambda c: put(c, now, "b"))
    (old, _) = await store.read(lambda c: outbox.due(c, G, TARGET, now, 10))
    await store.write(lambda c: put(c, now, "a", "delete"))
    rows = await store.read(lambda c: outbox.due(c, G, TARGET, now, 10))
    assert [(row.entity_id, row.action) for row in rows] == [("b", "push"), ("a", "delete")]
    assert not await store.write(lambda c: outbox.done(c, G, old.id))
    assert not await store.write(lambda c: outbox.retry(c, G, old.id, now, "late"))
    assert len(await store.read(lambda c: outbox.due(c, G, TARGET, now, 10))) == 2
    assert await store.read(lambda c: outbox.due(c, G, "another", now, 10)) == []


async def test_a_row_waits_until_its_time(store, now):
    await store.write(lambda c: put(c, now, "a"))
    (row,) = await store.read(lambda c: outbox.due(c, G, TARGET, now, 10))
    later = now + timedelta(seconds=4)
    await store.write(lambda c: outbox.retry(c, G, row.id, later, "unreachable"))
    assert await store.read(lambda c: outbox.due(c, G, TARGET, now, 10)) == []
    assert await store.read(lambda c: outbox.next_due(c, G, TARGET)) == later
    (again,) = await store.read(lambda c: outbox.due(c, G, TARGET, later, 10))
    assert (again.attempts, again.last_error) == (1, "unreachable")


async def test_a_last_good_version_goes_with_its_artifact(store, add, artifact):
    row = artifact("orders")
    await add(row)
    await store.write(lambda c: last_good.keep(c, G, row.uuid, {"routes": []}))
    await store.write(lambda c: last_good.keep(c, G, "nobody", {}))
    assert await store.read(lambda c: last_good.everything(c, G)) == {row.uuid: {"routes": []}}
    await store.write(lambda c: artifacts.remove(c, G, row.uuid))
    assert await store.read(lambda c: last_good.everything(c, G)) == {}
