"""Registration tokens: shown once, stored hashed, at most two, rotated with an overlap."""

import hashlib

import pytest
from hub_lab import DOCUMENT, Lab
from websockets.exceptions import ConnectionClosed

from gatewright.hub.client import HubClientError


@pytest.mark.conforms("CP-139")
async def test_two_tokens_at_most_shown_once_and_stored_as_hashes(lab: Lab) -> None:
    await lab.client.register("edge")
    first, second = await lab.client.issue_token("edge"), await lab.client.issue_token("edge")
    assert len(first.token) == len(second.token) == 43
    assert first.token not in repr(first)
    with pytest.raises(HubClientError) as refusal:
        await lab.client.issue_token("edge")
    assert (refusal.value.status, refusal.value.code) == (409, "GATEWAY_TOKEN_LIMIT_REACHED")
    files = b"".join(path.read_bytes() for path in lab.hub.config.data_dir.iterdir())
    for issued in (first, second):
        assert issued.token.encode() not in files
        assert hashlib.sha256(issued.token.encode()).hexdigest().encode() in files
    listed = await lab.client.tokens("edge")
    assert {token.id for token in listed} == {first.id, second.id}
    await lab.client.revoke_token("edge", first.id)
    await lab.client.revoke_token("edge", first.id)
    await lab.client.issue_token("edge")


async def test_a_rotation_lets_the_old_token_live_for_its_overlap(lab: Lab) -> None:
    old = await lab.gateway()
    new = await lab.client.rotate_token("edge", 60)
    with pytest.raises(HubClientError, match="Revoke one first"):
        await lab.client.rotate_token("edge", 60)
    async with lab.peer(old) as before, lab.peer(new.token) as after:
        lab.clock.advance(59)
        await lab.hub.upkeep.end_rotations()
        assert (await before.rest.get("/deployments")).status_code == 200
        lab.clock.advance(2)
        await lab.hub.upkeep.end_rotations()
        with pytest.raises(ConnectionClosed):
            await before.event()
        assert (await before.rest.get("/deployments")).status_code == 401
        await lab.client.deploy(DOCUMENT, ["edge"])
        assert (await after.event())["type"] == "api.deployed"
    (left,) = await lab.client.tokens("edge")
    assert left.id == new.id


async def test_unknown_gateways_and_tokens_are_said_to_be_unknown(lab: Lab) -> None:
    await lab.client.register("edge")
    for call, code in (
        (lab.client.issue_token("nobody"), "GATEWAY_NOT_FOUND"),
        (lab.client.tokens("nobody"), "GATEWAY_NOT_FOUND"),
        (lab.client.revoke_token("edge", "nothing"), "GATEWAY_TOKEN_NOT_FOUND"),
        (lab.client.rotate_token("edge", -1), "VALIDATION_FAILED"),
        (lab.client.rotate_token("edge", 1e12), "VALIDATION_FAILED"),
    ):
        with pytest.raises(HubClientError) as refusal:
            await call
        assert refusal.value.code == code
