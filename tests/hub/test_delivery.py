"""Events reach gateways in order, at least once, over disconnects and restarts of the hub."""

import asyncio
import uuid

import pytest
from hub_lab import DOCUMENT, PATIENCE, Lab, LabMaker, Peer, TurnableClock

from gatewright.wire.times import Timestamp


async def _types(peer: Peer, count: int) -> list[str]:
    return [(await peer.event())["type"] for _ in range(count)]


async def _silent(peer: Peer) -> bool:
    """True when nothing waits: an event that is caused now is the very next one."""
    try:
        async with asyncio.timeout(0.3):
            await peer.socket.recv()
    except TimeoutError:
        return True
    return False


@pytest.mark.conforms("CP-046")
async def test_envelopes(lab: Lab) -> None:
    token = await lab.gateway()
    async with lab.peer(token) as peer:
        await lab.client.deploy(DOCUMENT, ["edge"])
        await lab.client.create_key("orders-v1.0", "first-key")
        await lab.client.revoke_key("orders-v1.0", "first-key")
        await lab.client.undeploy("orders-v1.0")
        await lab.client.delete_artifact("orders-v1.0")
        events = [await peer.event() for _ in range(5)]
    assert [event["type"] for event in events] == [
        "api.deployed", "apikey.created", "apikey.revoked", "api.undeployed", "api.deleted",
    ]  # fmt: skip
    assert len({event["correlationId"] for event in events}) == 5
    for event in events:
        assert uuid.UUID(event["correlationId"]).version == 4
        Timestamp.parse(event["timestamp"])
        assert ("userId" in event) == event["type"].startswith("apikey.")
        assert "gatewayId" not in event


async def test_row_and_event_carry_the_same_time_in_milliseconds(lab: Lab) -> None:
    token = await lab.gateway()
    async with lab.peer(token) as peer:
        await lab.client.deploy(DOCUMENT, ["edge"])
        payload = (await peer.event())["payload"]
        (row,) = await lab.client.deployments()
        listed = (await peer.rest.get("/deployments")).json()["deployments"][0]
    assert payload["performedAt"] == row.performed_at == listed["deployedAt"]
    assert Timestamp.parse(row.performed_at) == Timestamp.parse(row.performed_at).truncated_to_ms()
    assert payload["deploymentId"] == row.deployment_id == listed["deploymentId"]
    assert uuid.UUID(payload["deploymentId"]).version == 7


async def test_two_changes_in_one_millisecond_still_differ_in_time(lab: Lab) -> None:
    """A gateway ignores an event that is not newer than the last."""
    await lab.gateway()
    first = await lab.client.deploy(DOCUMENT, ["edge"])
    second = await lab.client.deploy(DOCUMENT, ["edge"])
    third = await lab.client.undeploy("orders-v1.0")
    times = [Timestamp.parse(answer.deployments[0].performed_at) for answer in (first, second, third)]
    assert times[0] < times[1] < times[2]


@pytest.mark.conforms("CP-145")
async def test_a_returning_gateway_gets_what_it_missed_in_order(lab: Lab) -> None:
    token = await lab.gateway()
    async with lab.peer(token) as peer:
        await lab.client.deploy(DOCUMENT, ["edge"])
        assert await _types(peer, 1) == ["api.deployed"]
    lab.clock.advance(100)
    await lab.client.create_key("orders-v1.0", "missed-key")
    await lab.client.undeploy("orders-v1.0")
    async with lab.peer(token) as peer:
        got = await _types(peer, 3)
    # The first may come once more: nothing proves that the gateway had read it.
    assert got[-2:] == ["apikey.created", "api.undeployed"] or got == [
        "api.deployed", "apikey.created", "api.undeployed",
    ]  # fmt: skip


async def test_what_a_pong_has_confirmed_does_not_come_again(make_lab: LabMaker) -> None:
    async with make_lab(ping_interval=0.03) as lab:
        token = await lab.gateway()
        async with lab.peer(token) as peer:
            await lab.client.deploy(DOCUMENT, ["edge"])
            await peer.event()
            await asyncio.sleep(0.3)
        async with lab.peer(token) as peer:
            assert await _silent(peer)


async def test_a_half_open_connection_loses_nothing(make_lab: LabMaker) -> None:
    """The old socket still looks open to the hub when the gateway is back on a new one."""
    async with make_lab() as lab:
        token = await lab.gateway()
        async with lab.peer(token) as dead:
            dead.socket.transport.pause_reading()
            await lab.client.deploy(DOCUMENT, ["edge"])
            async with lab.peer(token) as returned:
                assert await _types(returned, 1) == ["api.deployed"]
            dead.socket.transport.resume_reading()


async def test_a_restart_of_the_hub_loses_nothing(make_lab: LabMaker) -> None:
    clock = TurnableClock()
    async with make_lab(clock) as lab:
        token = await lab.gateway()
        await lab.client.deploy(DOCUMENT, ["edge"])
        key = await lab.client.create_key("orders-v1.0", "kept-key")
        before = await lab.client.artifacts(), await lab.client.deployments(), await lab.client.tokens("edge")
        assert lab.hub.first_admin_token is not None
    async with make_lab(clock) as lab:
        assert lab.hub.first_admin_token is None
        after = await lab.client.artifacts(), await lab.client.deployments(), await lab.client.tokens("edge")
        assert after == before
        async with lab.peer(token) as peer:
            deployed, created = await peer.event(), await peer.event()
            assert (deployed["type"], created["type"]) == ("api.deployed", "apikey.created")
            assert created["payload"]["uuid"] == key.key.uuid
            assert (await peer.rest.get(f"/apis/{deployed['payload']['apiId']}")).status_code == 200
            await peer.acknowledge(deployed)
            (row,) = await lab.client.deployments(artifact="orders-v1.0", wait=PATIENCE)
            assert row.status == "DEPLOYED"
            # Sequence numbers go on and never start over.
            await lab.client.undeploy("orders-v1.0")
            assert (await peer.event())["type"] == "api.undeployed"


async def test_a_new_gateway_hears_nothing_of_the_past(lab: Lab) -> None:
    await lab.gateway("first")
    await lab.client.deploy(DOCUMENT, ["first"])
    token = await lab.gateway("second")
    async with lab.peer(token) as peer:
        assert await _silent(peer)


async def test_events_beyond_the_retention_are_gone(lab: Lab) -> None:
    token = await lab.gateway()
    await lab.client.deploy(DOCUMENT, ["edge"])
    lab.clock.advance(3601)
    await lab.client.undeploy("orders-v1.0")
    await lab.hub.upkeep.purge()
    async with lab.peer(token) as peer:
        assert await _types(peer, 1) == ["api.undeployed"]


async def test_hundreds_of_missed_events_come_page_by_page(lab: Lab) -> None:
    token = await lab.gateway()
    await lab.client.deploy(DOCUMENT, ["edge"])
    for _ in range(130):
        await lab.client.create_key("orders-v1.0", "same-key")
        await lab.client.revoke_key("orders-v1.0", "same-key")
    async with lab.peer(token) as peer:
        got = await _types(peer, 261)
        await lab.client.undeploy("orders-v1.0")
        assert await _types(peer, 1) == ["api.undeployed"]
    assert got == ["api.deployed", *["apikey.created", "apikey.revoked"] * 130]


async def test_a_deletion_reaches_every_gateway_and_a_deployment_only_its_own(lab: Lab) -> None:
    first, second = await lab.gateway("first"), await lab.gateway("second")
    async with lab.peer(first) as here, lab.peer(second) as there:
        await lab.client.deploy(DOCUMENT, ["first"])
        await lab.client.delete_artifact("orders-v1.0")
        assert await _types(here, 2) == ["api.deployed", "api.deleted"]
        assert await _types(there, 1) == ["api.deleted"]
