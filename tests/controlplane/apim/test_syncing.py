"""APIs made at the gateway appear in API Manager and stay in step: create, update, undeploy, delete."""

import pytest
from apim_lab import GATEWAY, ids


@pytest.mark.conforms("AP-032", "AP-033", "AP-034", "AP-035", "AP-042", "AP-045")
async def test_an_api_made_here_is_imported_and_deployed_there(shop):
    uuid = await shop.create("orders")
    assert (await shop.row()).cp_sync_status == "pending"
    row = await shop.settled()
    request = shop.imports()[0]
    assert request.query == [
        ("preserveProvider", "false"),
        ("overwrite", "true"),
        ("dryRun", "false"),
        ("rotateRevision", "true"),
    ]
    assert request.headers["accept"] == "application/json"
    assert request.headers["authorization"].startswith("Bearer ")
    assert "content-length" in request.headers
    assert request.body["fileName"] == f"{uuid}.zip"
    assert request.body["contentType"] == "application/octet-stream"
    archive = shop.archive()
    assert archive.names == [
        "orders-v1.0/api.yaml",
        "orders-v1.0/deployment_environments.yaml",
        "orders-v1.0/Definitions/swagger.yaml",
    ]
    assert archive.tree("deployment_environments.yaml") == {
        "type": "deployment_environments",
        "version": "v4.3.0",
        "data": [{"deploymentEnvironment": GATEWAY, "displayOnDevportal": True}],
    }
    (api,) = await shop.apim.client.apis("name:orders")
    assert ids(row) == {"id": api["id"], "revision": (await shop.deployed_revisions(api["id"]))[0]}
    assert row.cp_artifact_id == api["id"]
    state = await shop.state()
    assert state["state"] == "synced"
    assert (state["apiId"], state["revision"]) == (api["id"], ids(row)["revision"])
    assert len(shop.tokens()) == 1
