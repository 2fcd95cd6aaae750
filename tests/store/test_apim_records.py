"""Records of APIs at API Manager, their claims, and what of the outbox belongs to them."""

from datetime import timedelta

from gatewright.deployment.apim_writes import ApimRecords
from gatewright.store import apim_records, artifacts, outbox
from gatewright.store.apim_records import ApimRecord

G = "platform-gateway-id"
LEASE = timedelta(minutes=3)


async def test_a_record_is_replaced_and_forgotten(store, artifact):
    now = artifact("x").created_at
    record = ApimRecord(uuid="u", name="orders", version="v1", api_id="a", synced_at=now)
    await store.write(lambda c: apim_records.put(c, G, record))
    changed = ApimRecord(uuid="u", name="orders", version="v1", api_id="a", error="no", failure="temporary")
    await store.write(lambda c: apim_records.put(c, G, changed))
    assert await store.read(lambda c: apim_records.find(c, G, "u")) == changed
    assert await store.read(lambda c: apim_records.everything(c, G)) == [changed]
    assert await store.write(lambda c: apim_records.forget(c, G, "u"))
    assert not await store.write(lambda c: apim_records.forget(c, G, "u"))


async def test_what_is_gone_is_remembered_for_a_while(store, add, artifact):
    now = artifact("x").created_at
    for number in range(3):
        day = now + timedelta(days=number)
        gone = ApimRecord(uuid=f"u{number}", name="orders", version="v1", api_id="a", synced_at=day, gone_at=day)
        await store.write(lambda c, gone=gone: apim_records.put(c, G, gone))

    def memory(uuid="new", version="v1"):
        return store.read(lambda c: apim_records.memory(c, G, uuid, "orders", version))

    assert (await memory()).uuid == "u2"
    assert (await memory(uuid="u2")).uuid == "u1"
    assert await memory(version="v2") is None
    await add(artifact("x", uuid="u2"))
    assert (await memory()).uuid == "u1", "what is still here is no memory"
    assert await store.write(lambda c: apim_records.forget_older(c, G, now + timedelta(days=1))) == 1
    assert await store.read(lambda c: apim_records.everything(c, G)) == []


async def test_a_claim_keeps_others_away_where_others_can_be(store, artifact):
    now = artifact("x").created_at
    await store.write(lambda c: apim_records.put(c, G, ApimRecord(uuid="u", name="orders", version="v1")))

    def claim(owner, moment):
        return store.write(lambda c: apim_records.claim(c, G, "u", owner=owner, now=moment, lease=LEASE))

    alone = await store.read(lambda c: c.dialect.name) == "sqlite"
    assert await claim("one", now)
    assert await claim("one", now + timedelta(minutes=2))
    assert await claim("two", now + timedelta(minutes=4)) is alone
    assert await claim("two", now + timedelta(minutes=6))
    await store.write(lambda c: apim_records.release(c, G, "u"))
    assert await claim("three", now)


async def test_steps_of_a_sync(store, add, artifact):
    await add(artifact("orders", cp_sync_status="pending"))
    row = artifact("orders")
    records = ApimRecords(store, clock=lambda: row.created_at + timedelta(days=1))
    await records.open()
    (queued,) = await records.ready(10, departures_only=False)
    assert queued.entity_id == row.uuid
    assert await records.begin(row.uuid, "orders", "v1", "me") is not None
    assert await records.importing(row.uuid, "hash", "me")
    await records.imported(row.uuid, api_id="a", revision="r", content="hash")
    found = await store.read(lambda c: artifacts.find(c, G, row.uuid))
    assert (found.cp_artifact_id, found.cp_sync_status) == ("a", "pending")
    later = row.created_at + timedelta(days=2)
    assert await records.failed(row.uuid, queued.id, "no", "temporary", later)
    found = await store.read(lambda c: artifacts.find(c, G, row.uuid))
    assert (found.cp_sync_status, found.cp_sync_info) == ("failed", '{"id":"a","revision":"r"}')
    assert await records.ready(10, departures_only=False) == []
    assert await records.next_due() == later
    await records.hasten([row.uuid])
    assert await records.deployed(row.uuid, queued.id, api_id="a", revision="r", content="hash", fingerprint="f")
    record = await records.get(row.uuid)
    assert (record.begun, record.error, record.fingerprint) == (None, None, "f")
    assert await records.queued() == []
    renamed = await records.begin(row.uuid, "orders", "v2", "me")
    assert renamed.api_id is None
    (left,) = await records.departures()
    assert left.entity_id == "a"
    assert await records.undeployed("a", left.id, gone=True)
    again = await records.begin("another", "orders", "v1", "me")
    assert (again.api_id, again.fingerprint) == ("a", "f")
    assert await store.read(lambda c: outbox.queued(c, G, "control_plane")) == []
