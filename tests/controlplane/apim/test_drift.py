"""Control plane, store and routers compared where the control plane is an API Manager, without false alarms."""

import pytest
from apim_lab import GATEWAY
from controlplane_lab import until

from gatewright.controlplane import drift
from gatewright.deployment import Caller, KeyRequest


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(drift, "SETTLING", 0.0)


async def compared(shop) -> dict:
    result = await shop.plane.drift()
    assert "error" not in result, result
    return result


async def test_what_is_in_step_is_no_difference(shop):
    row = await shop.synced()
    await shop.synced("books")
    await shop.site.deployments.create_key(
        "RestApi", "orders", KeyRequest(name="made-here"), caller=Caller("a"), correlation_id="c"
    )
    await until(lambda: shop.plane.status().last_reconcile)
    result = await compared(shop)
    assert result["same"], str(result["artifacts"])
    assert result["problems"] == ()

    # What was undeployed here leaves the list there, which says nothing about it.
    document = {**row.document, "spec": {**row.document["spec"], "deploymentState": "undeployed"}}
    await shop.change("orders", document)
    await until(shop.undeploys)
    await shop.settled()
    result = await compared(shop)
    assert result["same"], str(result["artifacts"])


async def test_what_was_changed_deployed_and_undeployed_there(shop):
    row = await shop.synced()
    client = shop.apim.client
    revision = await client.publish_change(row.cp_artifact_id, [GATEWAY], description="changed there")

    async def handed_over():
        # Their form of the document has a name of its own.
        return (await shop.site.deployments.get_by_id(row.uuid)).origin == "control_plane"

    await until(handed_over)
    result = await compared(shop)
    assert result["same"], str(result["artifacts"])

    await client.create_key(row.cp_artifact_id, "till")
    await until(lambda: shop.site.deployments.keys_of(row.uuid))
    result = await compared(shop)
    assert (result["same"], result["problems"]) == (True, ()), result

    await client.undeploy(row.cp_artifact_id, revision, [GATEWAY])

    async def undeployed():
        return (await shop.site.deployments.get_by_id(row.uuid)).desired_state == "undeployed"

    await until(undeployed)
    result = await compared(shop)
    assert (result["same"], result["problems"]) == (True, ()), result
