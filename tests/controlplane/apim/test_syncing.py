"""APIs made at the gateway appear in API Manager and stay in step: create, update, undeploy, delete."""

import pytest
from apim_lab import GATEWAY, ids, until
from controlplane_lab import rest_api


@pytest.mark.conforms("AP-032", "AP-033", "AP-034", "AP-035", "AP-042", "AP-045", "CP-149", "CP-151")
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


@pytest.mark.conforms("AP-051", "AP-054", "AP-056", "AP-057", "AP-061", "CP-152")
async def test_a_life_of_changes(shop):
    first = ids(await shop.synced("orders"))
    shown = await shop.apim.client.call("GET", f"/api/am/publisher/v4/apis/{first['id']}/swagger")
    await shop.change("orders", rest_api("orders", context="/changed"))
    second = ids(await until(lambda: _synced_to(shop, first["revision"])))
    assert second["id"] == first["id"]
    assert await shop.deployed_revisions(first["id"]) == [second["revision"]]
    (_swagger,) = shop.swaggers()
    assert shop.requests_order() == ["import", "swagger", "import"]
    assert shop.archive(1).files["orders-v1.0/Definitions/swagger.yaml"] == shown.content
    assert shop.archive(1).api["context"] == "/changed"

    document = rest_api("orders", context="/changed")
    document["spec"]["deploymentState"] = "undeployed"
    await shop.change("orders", document)
    await until(shop.undeploys)
    row = await shop.settled()
    assert (row.cp_sync_info, row.cp_artifact_id) == (None, None)
    (undeploy,) = shop.undeploys()
    assert undeploy.path.endswith(f"/apis/{first['id']}/undeploy-revision")
    assert undeploy.query == [("revisionId", second["revision"])]
    assert undeploy.body == [{"displayOnDevportal": False, "name": GATEWAY}]
    assert await shop.deployed_revisions(first["id"]) == []

    shop.turn(undeploy_mode="200")
    await shop.change("orders", rest_api("orders"))
    await until(lambda: len(shop.imports()) == 3)
    third = ids(await until(lambda: _synced_to(shop, second["revision"])))
    assert third["id"] == first["id"]
    assert len(shop.swaggers()) == 1
    assert (await shop.state())["state"] == "synced"

    await shop.delete("orders")
    assert len(shop.undeploys()) == 2
    assert await shop.row() is None
    assert await shop.deployed_revisions(first["id"]) == []
    assert len(await shop.apim.client.apis("name:orders")) == 1
    assert not shop.apim.requests(method="DELETE")
    await shop.create("orders")
    again = ids(await shop.settled())
    assert again["id"] == first["id"], "an API that comes back is the same one there"
    assert len(shop.tokens()) == 1


async def _synced_to(shop, old_revision):
    row = await shop.row()
    return (
        row if row.cp_sync_status == "success" and row.cp_sync_info and old_revision not in row.cp_sync_info else None
    )


@pytest.mark.conforms("AP-055", "AP-060")
async def test_what_was_never_there_is_not_taken_away(opened):
    async with opened(deployment_sync_enabled=False) as shop:
        await shop.create("quiet")
        await shop.create("short")
        document = rest_api("quiet")
        document["spec"]["deploymentState"] = "undeployed"
        await shop.change("quiet", document)
        await shop.delete("short")
        await shop.site.deployments.apply_deploy(
            "0a6f1111-2222-4333-8444-555566667777",
            rest_api("theirs"),
            deployment_id="d1",
            performed_at=None,
            correlation_id="c",
        )
        await shop.delete("theirs")
    async with opened() as shop:
        row = await shop.settled("quiet")
        assert (row.cp_sync_info, row.cp_artifact_id) == (None, None)
        assert not shop.publisher_calls()
        assert not shop.tokens()


@pytest.mark.conforms("AP-047")
async def test_what_cannot_be_sent_is_told_without_a_call(shop):
    document = rest_api("pooled")
    document["spec"]["upstream"] = {"main": {"ref": "pool"}}
    document["spec"]["upstreamDefinitions"] = [{"name": "pool", "upstreams": [{"url": "http://127.0.0.1:1"}]}]
    await shop.create(document=document)
    row = await shop.settled("pooled", "failed")
    assert "no upstream URL configured" in row.cp_sync_info
    state = await shop.state("pooled")
    assert (state["state"], "nextTryAt" in state) == ("failed", False)
    assert "no upstream URL configured" in state["reason"]
    assert not shop.tokens()
    assert not shop.publisher_calls()


@pytest.mark.conforms("AP-052", "CP-152")
async def test_a_definition_that_cannot_be_had_is_made(shop):
    first = ids(await shop.synced())
    shop.turn(swagger_mode="500")
    await shop.change("orders", rest_api("orders", context="/changed"))
    await until(lambda: _synced_to(shop, first["revision"]))
    assert len(shop.swaggers()) == 1
    assert shop.archive(1).tree("swagger.yaml")["openapi"] == "3.0.0"


@pytest.mark.conforms("AP-053", "AP-064", "AP-065", "AP-066", "AP-067", "AP-070", "CP-149")
async def test_what_is_made_while_apart_comes_in_order_afterwards(site, apim, opened):
    async with opened(apim_sync_pool_size=1) as shop:
        done = ids(await shop.synced("done"))
    for name in ("one", "two", "three"):
        await site.deployments.create("RestApi", rest_api(name), correlation_id="c", actor="a")
    document = rest_api("done", context="/done2")
    await site.deployments.update("RestApi", "done", document, correlation_id="c", actor="a")
    assert {(await site.row(name)).cp_sync_status for name in ("one", "two", "three", "done")} == {"pending"}
    apim.recorder.clear()
    async with opened(apim_sync_pool_size=1) as shop:
        shop.turn(import_mode="409:3")
        await shop.settled("one", "failed")
        for name in ("two", "three", "done"):
            await shop.settled(name)
        names = [shop.archive(index).api["name"] for index in range(len(shop.imports()))]
        assert names == ["one", "one", "one", "two", "three", "done"]
        assert "API import failed with status 409" in (await shop.state("one"))["reason"]
    apim.recorder.clear()
    async with opened(apim_sync_pool_size=1) as shop:
        await shop.settled("one")
        assert [shop.archive(index).api["name"] for index in range(len(shop.imports()))] == ["one"]
        assert ids(await shop.row("done"))["id"] == done["id"]


@pytest.mark.conforms("AP-050")
async def test_switched_off_nothing_is_asked(opened):
    async with opened(deployment_sync_enabled=False) as shop:
        await shop.create("orders")
        await shop.change("orders", rest_api("orders", context="/x"))
        await until(lambda: shop.plane.status().last_reconcile)
        assert not shop.tokens()
        assert not shop.publisher_calls()
        assert (await shop.row()).cp_sync_status == "pending"


@pytest.mark.conforms("AP-098")
async def test_a_new_version_leaves_no_old_one_deployed(shop):
    first = ids(await shop.synced("orders"))
    await shop.change("orders", rest_api("orders", version="v2.0", context="/orders2"))
    second = ids(await until(lambda: _synced_to(shop, first["revision"])))
    await until(shop.undeploys)
    assert second["id"] != first["id"]
    await until(lambda: _nothing_deployed(shop, first["id"]))
    assert await shop.deployed_revisions(second["id"]) == [second["revision"]]
    assert (await shop.row()).desired_state == "deployed"


async def _nothing_deployed(shop, api_id):
    return not await shop.deployed_revisions(api_id)


@pytest.mark.conforms("AP-049")
async def test_what_api_manager_owns_is_not_sent_back(shop):
    await shop.site.deployments.apply_deploy(
        "0a6f1111-2222-4333-8444-555566667777",
        rest_api("theirs"),
        deployment_id="d1",
        performed_at=None,
        correlation_id="c",
    )
    await shop.synced("ours")
    assert [shop.archive(index).api["name"] for index in range(len(shop.imports()))] == ["ours"]
    assert await shop.state("theirs") is None


@pytest.mark.conforms("AP-048")
async def test_only_rest_apis_are_sent(opened):
    mcp = {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "Mcp",
        "metadata": {"name": "tools"},
        "spec": {
            "displayName": "tools",
            "version": "v1.0",
            "context": "/tools",
            "upstream": {"url": "http://127.0.0.1:9999"},
            "specVersion": "2025-06-18",
            "capabilities": {},
        },
    }
    template = {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "LlmProviderTemplate",
        "metadata": {"name": "acme"},
        "spec": {"displayName": "acme"},
    }
    async with opened() as shop:
        deployments = shop.site.deployments
        for document in (template, mcp):
            await deployments.create(document["kind"], document, correlation_id="c", actor="a")
        await shop.synced("orders")
        assert [shop.archive(index).api["name"] for index in range(len(shop.imports()))] == ["orders"]
        await deployments.delete("Mcp", "tools", correlation_id="c", actor="a")
    async with opened() as shop:
        await shop.synced("late")
        assert not [row for row in await shop.site.deployments.apim.queued() if row.action == "delete"]


@pytest.mark.parametrize("echo", ["before", "after"])
async def test_the_echo_of_an_import_leaves_the_api_ours(shop, echo):
    shop.turn(echo_on_import=echo, duplicate_events="on")
    first = ids(await shop.synced("orders"))
    await shop.change("orders", rest_api("orders", context="/changed"))
    second = ids(await until(lambda: _synced_to(shop, first["revision"])))
    await until(lambda: _acknowledged(shop, 1))
    row = await shop.row()
    assert (row.origin, row.cp_sync_status, row.document["spec"]["context"]) == ("gateway_api", "success", "/changed")
    assert await shop.deployed_revisions(first["id"]) == [second["revision"]]
    assert (await shop.plane.plan([]))["apis"][0]["action"] == "none"
    assert {ack["status"] for ack in await shop.apim.client.acknowledgements()} == {"success"}


async def _acknowledged(shop, count):
    return len(await shop.apim.client.acknowledgements()) >= count
