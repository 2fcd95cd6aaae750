"""What acknowledgements do to the status of a deployment, and what their absence does."""

from typing import Any

import pytest
from hub_lab import DOCUMENT, PATIENCE, Lab, Peer, until

from gatewright.hub.views import DeploymentView

REF = "orders-v1.0"


async def _deployed(lab: Lab, peer: Peer) -> dict[str, Any]:
    await lab.client.deploy(DOCUMENT, ["edge"])
    return await peer.event()


async def _row(lab: Lab) -> DeploymentView:
    (row,) = await lab.client.deployments(artifact=REF)
    return row


async def _reaches(lab: Lab, status: str) -> DeploymentView:
    async def reached() -> bool:
        return (await _row(lab)).status == status

    await until(reached)
    return await _row(lab)


async def _settle(peer: Peer, lab: Lab) -> None:
    """Everything the peer sent before has been dealt with once this marker has."""
    await lab.client.deploy(DOCUMENT.replace("orders", "marker").replace("Orders", "Marker"), ["edge"])
    await peer.acknowledge(await peer.event(), "failed")

    async def seen() -> bool:
        rows = await lab.client.deployments(artifact="marker-v1.0")
        return rows[0].status == "FAILED"

    await until(seen)


@pytest.mark.conforms("CP-141")
async def test_a_success_settles_a_deployment_and_an_undeployment(lab: Lab) -> None:
    async with lab.peer(await lab.gateway()) as peer:
        event = await _deployed(lab, peer)
        assert (await _row(lab)).status == "DEPLOYING"
        for other in ("2026-01-01T00:00:00.000Z", "0001-01-01T00:00:00Z", event["payload"]["performedAt"][:-1] + "1Z"):
            await peer.acknowledge(event, performedAt=other)
        await peer.acknowledge(event, action="undeploy")
        await peer.acknowledge(event, status="perhaps")
        await _settle(peer, lab)
        assert (await _row(lab)).status == "DEPLOYING"

        await peer.acknowledge(event, deploymentId="another", resourceType="odd")
        assert (await _reaches(lab, "DEPLOYED")).desired == "DEPLOYED"

        await lab.client.undeploy(REF)
        undeployed = await peer.event()
        assert undeployed["payload"]["deploymentId"] == event["payload"]["deploymentId"]
        assert ((await _row(lab)).status, (await _row(lab)).desired) == ("UNDEPLOYING", "UNDEPLOYED")
        await peer.acknowledge(event)
        await _settle(peer, lab)
        assert (await _row(lab)).status == "UNDEPLOYING"
        await peer.acknowledge(undeployed)
        await _reaches(lab, "UNDEPLOYED")


async def test_the_same_instant_in_another_spelling_is_identical(lab: Lab) -> None:
    async with lab.peer(await lab.gateway()) as peer:
        event = await _deployed(lab, peer)
        spelled = event["payload"]["performedAt"].replace("Z", "+00:00")
        await peer.acknowledge(event, performedAt=spelled)
        await _reaches(lab, "DEPLOYED")


@pytest.mark.conforms("CP-142")
async def test_a_failure_counts_from_any_status_and_can_be_taken_back(lab: Lab) -> None:
    async with lab.peer(await lab.gateway()) as peer:
        event = await _deployed(lab, peer)
        await peer.acknowledge(
            event, "failed", errorCode="GATEWAY_PROCESSING_ERROR", performedAt="2026-01-01T00:00:00Z"
        )
        await _settle(peer, lab)
        assert (await _row(lab)).status == "DEPLOYING"
        await peer.acknowledge(event)
        await _reaches(lab, "DEPLOYED")
        await peer.acknowledge(event, "failed", errorCode="DEPLOYMENT_ID_MISMATCH")
        failed = await _reaches(lab, "FAILED")
        assert failed.reason == "DEPLOYMENT_ID_MISMATCH"
        assert failed.desired == "DEPLOYED"
        await peer.acknowledge(event, action="undeploy")
        await _settle(peer, lab)
        assert (await _row(lab)).status == "FAILED"
        await peer.acknowledge(event)
        assert (await _reaches(lab, "DEPLOYED")).reason == ""


async def test_silence_fails_a_deployment_and_a_late_answer_still_tells_the_truth(lab: Lab) -> None:
    async with lab.peer(await lab.gateway()) as peer:
        event = await _deployed(lab, peer)
        lab.clock.advance(59)
        await lab.hub.upkeep.expire_deployments()
        assert (await _row(lab)).status == "DEPLOYING"
        lab.clock.advance(2)
        await lab.hub.upkeep.expire_deployments()
        row = await _row(lab)
        assert (row.status, row.reason) == ("FAILED", "DEPLOYMENT_TIMEOUT")
        await peer.acknowledge(event)
        assert (await _reaches(lab, "DEPLOYED")).reason == ""
        lab.clock.advance(600)
        await lab.hub.upkeep.expire_deployments()
        assert (await _row(lab)).status == "DEPLOYED"


async def test_the_timeout_is_checked_by_itself(make_lab: Any) -> None:
    async with make_lab(ack_check=0.02) as lab, lab.peer(await lab.gateway()) as peer:
        await _deployed(lab, peer)
        lab.clock.advance(61)
        (row,) = await lab.client.deployments(artifact=REF, wait=PATIENCE)
        assert row.reason == "DEPLOYMENT_TIMEOUT"


async def test_one_gateway_cannot_acknowledge_for_another(lab: Lab) -> None:
    async with lab.peer(await lab.gateway()) as peer, lab.peer(await lab.gateway("other")) as other:
        event = await _deployed(lab, peer)
        await other.acknowledge(event)
        await lab.client.deploy(DOCUMENT.replace("orders", "extra").replace("Orders", "Extra"), ["other"])
        await other.acknowledge(await other.event())
        await lab.client.deployments(artifact="extra-v1.0", wait=PATIENCE)
        assert (await _row(lab)).status == "DEPLOYING"
