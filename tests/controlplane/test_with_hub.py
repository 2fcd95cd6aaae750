"""The whole link against the embedded control plane: real sockets, real TLS, real store."""

import hashlib
import json

import pytest
from controlplane_lab import rest_api, until


def deployed(document) -> str:
    return json.dumps(document)


async def connected(plane):
    await until(lambda: plane.status().state == "connected" and plane.status().last_reconcile is not None)


@pytest.mark.conforms("CP-048", "CP-051", "CP-052", "CP-113")
async def test_an_api_deployed_at_the_hub_is_stored_and_acknowledged(site, client, hub_settings):
    settings = await hub_settings()
    async with site.linked(settings) as plane:
        await connected(plane)
        made = await client.deploy(deployed(rest_api("orders")), ["edge"])
        (deployment,) = await client.deployments(artifact="orders", wait=5)
        assert deployment.status == "DEPLOYED"
        row = await site.row("orders")
        assert row is not None
        assert (row.uuid, row.origin, row.desired_state) == (made.artifact.id, "control_plane", "deployed")
        assert row.deployment_id == deployment.deployment_id
        assert row.cp_sync_status is None
        await until(lambda: client.manifest("edge"))
        assert (await client.gateway("edge")).version == "1.2.0"


@pytest.mark.conforms("CP-066", "CP-068", "CP-072", "CP-078")
async def test_keys_undeploy_and_delete(site, client, hub_settings):
    settings = await hub_settings()
    async with site.linked(settings) as plane:
        await connected(plane)
        await client.deploy(deployed(rest_api("orders")), ["edge"])
        await until(lambda: site.row("orders"))
        row = await site.row("orders")
        await client.create_key("orders", "till")
        await until(lambda: site.deployments.keys_of(row.uuid))
        (key,) = await site.deployments.keys_of(row.uuid)
        assert (key.name, key.source, key.origin) == ("till", "external", "control_plane")
        await client.revoke_key("orders", "till")

        async def gone():
            return not await site.deployments.keys_of(row.uuid)

        await until(gone)
        await client.create_key("orders", "second")
        await until(lambda: site.deployments.keys_of(row.uuid))
        await client.undeploy("orders")
        (deployment,) = await client.deployments(artifact="orders", wait=5)
        assert deployment.status == "UNDEPLOYED"
        stored = await site.row("orders")
        assert stored.desired_state == "undeployed"
        assert len(await site.deployments.keys_of(row.uuid)) == 1
        await client.delete_artifact("orders")

        async def deleted():
            return await site.row("orders") is None

        await until(deleted)
        assert not await site.deployments.keys_of(row.uuid)


@pytest.mark.conforms("CP-121")
async def test_an_api_made_here_arrives_at_the_hub(site, client, hub_settings):
    settings = await hub_settings()
    async with site.linked(settings) as plane:
        await connected(plane)
        await site.deployments.create("RestApi", rest_api("local"), correlation_id="c", actor="alice")

        async def pushed():
            return (await site.row("local")).cp_sync_status == "success"

        await until(pushed)
        (artifact,) = await client.artifacts(origin="gateway_api")
        assert artifact.handle == "local"
        assert (await site.row("local")).cp_artifact_id == artifact.id
        await site.deployments.delete("RestApi", "local", correlation_id="d", actor="alice")

        async def undeployed():
            (deployment,) = await client.deployments(artifact="local")
            return deployment.status == "UNDEPLOYED"

        await until(undeployed)
        await until(lambda: plane.status().pushes_pending == 0)


async def test_what_was_missed_while_away_is_reconciled(site, client, hub_settings):
    settings = await hub_settings()
    for number in range(3):
        await client.deploy(deployed(rest_api(f"api-{number}")), ["edge"])
    await client.create_key("api-0", "till")
    async with site.linked(settings) as plane:
        await connected(plane)
        assert {row.handle for row in await site.deployments.list()} == {"api-0", "api-1", "api-2"}
        row = await site.row("api-0")
        await until(lambda: site.deployments.keys_of(row.uuid))
    await client.delete_artifact("api-1")
    await client.undeploy("api-2")
    async with site.linked(settings) as plane:
        await connected(plane)
        assert await site.row("api-1") is None
        assert (await site.row("api-2")).desired_state == "undeployed"
        for view in await client.deployments(wait=5):
            assert view.status in {"DEPLOYED", "UNDEPLOYED"}


async def test_a_regenerated_key_at_all_replicas_of_a_gateway(make_site, client, hub_settings):
    """Several controllers may share one token: each gets every event, and nothing of one disturbs the other."""
    settings = await hub_settings()
    one, other = await make_site("one"), await make_site("other")
    async with one.linked(settings) as first, other.linked(settings) as second:
        for plane in (first, second):
            await connected(plane)
        assert first.status().connection_id != second.status().connection_id
        await client.deploy(deployed(rest_api("orders")), ["edge"])
        (deployment,) = await client.deployments(artifact="orders", wait=5)
        assert deployment.status == "DEPLOYED"
        before = (await client.create_key("orders", "till")).api_key
        after = (await client.regenerate_key("orders", "till")).api_key
        for site in (one, other):

            async def knows(site=site):
                row = await site.row("orders")
                return row is not None and {key.key_hash for key in await site.deployments.keys_of(row.uuid)} == {
                    hashlib.sha256(after.encode()).hexdigest()
                }

            await until(knows)
        assert before != after
        await first.stop()
        await client.undeploy("orders")

        async def undeployed():
            return (await other.row("orders")).desired_state == "undeployed"

        await until(undeployed)
        assert (await one.row("orders")).desired_state == "deployed"
        assert second.status().state == "connected"
    # The one that was away catches up at its next connect.
    async with one.linked(settings):

        async def caught_up():
            return (await one.row("orders")).desired_state == "undeployed"

        await until(caught_up)


def naming_a_secret(handle):
    document = rest_api(handle)
    document["spec"]["upstream"]["main"]["url"] = 'http://127.0.0.1:9999/{{ secret "backend-key" }}'
    return deployed(document)


async def status_of(client, handle):
    return [(each.gateway, each.status) for each in await client.deployments(artifact=handle, wait=60)]


@pytest.mark.conforms("CP-105")
async def test_a_deprecated_secret_stays_where_it_is_and_comes_to_nobody_else(make_site, client, hub_settings):
    first, second = await make_site("first"), await make_site("second")
    here, there = await hub_settings("here"), await hub_settings("there")
    await client.create_secret("backend-key", "canary-1")
    async with first.linked(here) as plane:
        await connected(plane)
        await client.deploy(naming_a_secret("orders"), ["here"])
        assert await status_of(client, "orders") == [("here", "DEPLOYED")]
        await client.modify_secret("backend-key", status="DEPRECATED", value="canary-2")
        report = await plane.reconcile()
        assert (report.errors, first.secrets.value("backend-key")) == ((), "canary-1")
        await client.deploy(naming_a_secret("orders"), ["here"])
        assert await status_of(client, "orders") == [("here", "DEPLOYED")]
    # The memory of hashes is gone: everything is asked for at once, and the value that is here stays.
    async with first.linked(here) as plane:
        await connected(plane)
        assert plane.status().last_reconcile.errors == ()
        await client.deploy(naming_a_secret("orders"), ["here"])
        assert await status_of(client, "orders") == [("here", "DEPLOYED")]
        assert first.secrets.value("backend-key") == "canary-1"
        async with second.linked(there) as stranger:
            await connected(stranger)
            await client.deploy(naming_a_secret("orders"), ["there"])
            assert await status_of(client, "orders") == [("here", "DEPLOYED"), ("there", "FAILED")]
            assert second.secrets.known() == set()
            await client.modify_secret("backend-key", status="ACTIVE")
            for each in (plane, stranger):
                assert (await each.reconcile()).errors == ()
            assert [site.secrets.value("backend-key") for site in (first, second)] == ["canary-2", "canary-2"]
            await until(lambda: _serving(client, "there"))


async def _serving(client, gateway):
    (row,) = [each for each in await client.deployments(artifact="orders") if each.gateway == gateway]
    return row.status == "DEPLOYED"


async def test_what_was_deployed_before_comes_back(site, client, hub_settings):
    settings = await hub_settings()
    async with site.linked(settings) as plane:
        await connected(plane)
        for path in ("/first", "/second"):
            document = rest_api("orders")
            document["spec"]["operations"][0]["path"] = path
            await client.deploy(deployed(document), ["edge"])
            assert await status_of(client, "orders") == [("edge", "DEPLOYED")]
        _, oldest = await client.history("orders")
        await client.restore("orders", oldest.id)
        assert await status_of(client, "orders") == [("edge", "DEPLOYED")]
        row = await site.row("orders")
        assert row.deployment_id == oldest.id
        assert "/first" in str(row.document)
        # A reconcile finds nothing to do.
        report = await plane.reconcile()
        assert (report.errors, (await site.row("orders")).deployment_id) == ((), oldest.id)
    # Also while the gateway is away.
    newest = (await client.history("orders"))[0]
    await client.restore("orders", newest.id)
    async with site.linked(settings) as plane:
        await connected(plane)
        await until(lambda: _serving(client, "edge"))
        assert "/second" in str((await site.row("orders")).document)
