"""What was deployed before, and going back to it: on the wire, for people, and over a restart."""

import io
import zipfile
from datetime import datetime
from typing import Any

import pytest
from hub_lab import DOCUMENT, Lab, LabMaker, Peer, TurnableClock

from gatewright.hub.client import HubClientError

REF = "orders-v1.0"
OTHER = DOCUMENT.replace("/items", "/things")


def performed(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["payload"]["performedAt"])


async def refusal(call: Any) -> str:
    with pytest.raises(HubClientError) as refused:
        await call
    return refused.value.code


async def definition(peer: Peer, artifact_id: str) -> str:
    response = await peer.rest.get(f"/apis/{artifact_id}")
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        return archive.read(archive.namelist()[0]).decode()


async def statuses(lab: Lab) -> list[tuple[str, str]]:
    return [(each.gateway, each.status) for each in await lab.client.history(REF)]


@pytest.mark.conforms("CP-146")
async def test_a_gateway_gets_back_what_it_had(lab: Lab) -> None:
    token = await lab.gateway()
    async with lab.peer(token) as peer:
        await lab.client.deploy(DOCUMENT, ["edge"])
        first = await peer.event()
        await peer.acknowledge(first)
        await lab.client.create_key(REF, "some-key")
        assert (await peer.event())["type"] == "apikey.created"
        lab.clock.advance(1)
        artifact = (await lab.client.deploy(OTHER, ["edge"])).artifact
        second = await peer.event()
        await peer.acknowledge(second)
        await lab.client.deployments(artifact=REF, wait=60)
        assert (await peer.event())["type"] == "apikey.created"
        assert await statuses(lab) == [("edge", "DEPLOYED"), ("edge", "ARCHIVED")]
        newest, oldest = await lab.client.history(REF)
        assert (newest.id, oldest.id) == (second["payload"]["deploymentId"], first["payload"]["deploymentId"])
        assert "/items" in (await lab.client.record(REF, oldest.id)).document
        assert "/things" in await definition(peer, artifact.id)

        await lab.client.restore(REF, oldest.id)
        third = await peer.event()
        assert third["type"] == "api.deployed"
        assert third["payload"]["deploymentId"] == oldest.id
        assert performed(third) > performed(second)
        assert (await peer.event())["type"] == "apikey.created", "keys follow each deployment"
        assert "/items" in await definition(peer, artifact.id)
        (row,) = (await peer.rest.get("/deployments")).json()["deployments"]
        assert (row["deploymentId"], row["state"]) == (oldest.id, "DEPLOYED")
        await peer.acknowledge(third)
        await lab.client.deployments(artifact=REF, wait=60)
        assert await statuses(lab) == [("edge", "ARCHIVED"), ("edge", "DEPLOYED")]
        assert "/things" in (await lab.client.artifact(REF)).document, "the document of the hub stays"


async def test_an_undeployed_record_comes_back_and_others_are_refused(make_lab: LabMaker) -> None:
    clock = TurnableClock()
    async with make_lab(clock) as lab:
        token = await lab.gateway()
        await lab.gateway("far")
        await lab.client.deploy(DOCUMENT, ["edge", "far"])
        (record,) = await lab.client.history(REF, gateway="edge")
        assert await refusal(lab.client.restore(REF, record.id)) == "DEPLOYMENT_ACTIVE"
        await lab.client.undeploy(REF, ["edge"])
    async with make_lab(clock) as lab, lab.peer(token) as peer:
        assert [(await peer.event())["type"] for _ in range(2)] == ["api.deployed", "api.undeployed"]
        await lab.client.restore(REF, record.id)
        event = await peer.event()
        assert (event["type"], event["payload"]["deploymentId"]) == ("api.deployed", record.id)
        assert sorted(await statuses(lab)) == [("edge", "DEPLOYING"), ("far", "DEPLOYING")]
        assert await refusal(lab.client.restore(REF, "unknown")) == "DEPLOYMENT_NOT_FOUND"
        assert await refusal(lab.client.record(REF, "unknown")) == "DEPLOYMENT_NOT_FOUND"
        assert await refusal(lab.client.history("unknown")) == "ARTIFACT_NOT_FOUND"
        assert await refusal(lab.client.history(REF, gateway="unknown")) == "GATEWAY_NOT_FOUND"
        other = DOCUMENT.replace(REF, "other-v1.0").replace("/orders", "/other")
        await lab.client.deploy(other, ["edge"])
        assert await refusal(lab.client.restore("other-v1.0", record.id)) == "DEPLOYMENT_NOT_FOUND"
