"""APIs that exist at API Manager and are not ours, or were edited there: nothing is overwritten silently."""

from apim_lab import GATEWAY, ids, until
from controlplane_lab import rest_api

from gatewright.store import apim_records

THEIRS = {
    "name": "orders",
    "version": "v1.0",
    "context": "/orders",
    "description": "made by people",
    "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": "http://theirs"}},
    "operations": [{"target": "/theirs", "verb": "GET"}],
}


async def planned(shop, *names):
    found = await shop.plane.plan(names)
    return {entry["displayName"]: entry for entry in found["apis"]}


async def test_an_api_made_there_stops_the_sync_and_is_left_alone(shop):
    theirs = await shop.apim.client.create_api(THEIRS)
    await shop.create("orders")
    row = await shop.settled(status="failed")
    assert row.cp_sync_info.startswith("conflict: the API of this name and version was made at API Manager")
    assert not shop.imports()
    assert (await shop.apim.client.api(theirs["id"]))["description"] == "made by people"
    plan = (await planned(shop))["orders"]
    assert (plan["action"], plan["apiId"]) == ("stop", theirs["id"])
    assert "gatewright.controlplane.apim_conflicts" in plan["reason"]
    # Settled there by people: the next look goes through.
    await shop.apim.client.delete_api(theirs["id"])
    await shop.change("orders", rest_api("orders", context="/mine"))
    await shop.settled()
    assert (await planned(shop))["orders"]["action"] == "none"


async def test_an_edit_there_stops_the_sync_and_publishing_does_not(shop):
    first = ids(await shop.synced("orders"))
    await shop.apim.client.change_lifecycle(first["id"], "Publish")
    assert (await planned(shop, "orders"))["orders"]["action"] == "none"
    await shop.change("orders", rest_api("orders", context="/changed"))
    await until(lambda: len(shop.imports()) == 2)
    second = ids(await shop.settled())
    await shop.apim.client.edit_api(second["id"], description="edited by people", tags=["theirs"])
    await shop.change("orders", rest_api("orders", context="/again"))
    row = await shop.settled(status="failed")
    assert len(shop.imports()) == 2
    assert ids(row) == second, "the ids stay"
    state = await shop.state()
    assert "edited at API Manager since the last sync" in state["reason"]
    assert (state["apiId"], state["revision"]) == (second["id"], second["revision"])
    plan = await shop.plane.plan(["orders", "nobody"])
    assert plan["unknown"] == ["nobody"]
    assert plan["apis"][0]["action"] == "stop"


async def test_overwrite_does_so_and_says_it(opened):
    async with opened(own={"apim_conflicts": "overwrite"}) as shop:
        theirs = await shop.apim.client.create_api(THEIRS)
        await shop.create("orders")
        assert ids(await shop.settled())["id"] == theirs["id"]
        assert [operation["target"] for operation in (await shop.apim.client.api(theirs["id"]))["operations"]] == [
            "/items"
        ]


async def test_take_theirs_takes_what_is_deployed_there_for_this_gateway(opened):
    async with opened(own={"apim_conflicts": "take-theirs"}) as shop:
        theirs = await shop.apim.client.create_api(THEIRS)
        uuid = await shop.create("orders")
        row = await shop.settled(status="failed")
        assert "no revision of it is deployed" in row.cp_sync_info
        revision = await shop.apim.client.create_revision(theirs["id"])
        await shop.apim.client.deploy(theirs["id"], revision, [GATEWAY])

        async def taken():
            found = await shop.site.deployments.get_by_id(uuid)
            return found if found and found.origin == "control_plane" else None

        row = await until(taken)
        assert [operation["path"] for operation in row.document["spec"]["operations"]] == ["/theirs"]
        assert row.cp_artifact_id == theirs["id"]
        assert not shop.imports()


async def test_take_theirs_after_an_edit_there(opened):
    async with opened(own={"apim_conflicts": "take-theirs"}) as shop:
        row = await shop.synced("orders")
        first = ids(row)
        await shop.apim.client.edit_api(first["id"], operations=[{"target": "/theirs", "verb": "GET"}])
        await shop.change("orders", rest_api("orders", context="/mine"))
        await shop.settled(status="failed")
        assert "not deployed yet" in (await shop.state())["reason"]
        assert (await shop.row()).document["spec"]["context"] == "/mine"
        # People deploy their edit: its event alone brings it here.
        revision = await shop.apim.client.create_revision(first["id"])
        await shop.apim.client.deploy(first["id"], revision, [GATEWAY])

        async def taken():
            found = await shop.site.deployments.get_by_id(row.uuid)
            return found if found and found.origin == "control_plane" else None

        taken_row = await until(taken)
        assert [operation["path"] for operation in taken_row.document["spec"]["operations"]] == ["/theirs"]
        assert taken_row.cp_sync_status is None
        assert len(shop.imports()) == 1


async def test_another_gateways_api_is_told_as_such(opened, site, apim):
    async with opened() as shop:
        row = await shop.synced("orders")
        properties = {item["name"]: item["value"] for item in shop.archive().api["additionalProperties"]}
        assert properties["gatewright_gateway"] == GATEWAY
        gateway = await apim.client.register_gateway("other-gateway")
        settings = shop.settings(gateway["registrationToken"], "other-gateway")
    await site.store.write(lambda connection: _forget(connection, site.store.gateway_id, row.uuid))
    async with opened(settings=settings) as other:
        await other.change("orders", rest_api("orders", context="/elsewhere"))
        await other.settled(status="failed")
        assert "the gateway prod-gateway made the API" in (await other.state())["reason"]


def _forget(connection, gateway_id, uuid):
    apim_records.forget(connection, gateway_id, uuid)


async def test_a_gateway_that_lost_its_records_knows_what_it_sent(shop, site):
    """The same document again is no conflict; another one is, for edits there cannot be told."""
    first = ids(await shop.synced("orders"))
    uuid = (await shop.row()).uuid
    await site.store.write(lambda connection: _forget(connection, site.store.gateway_id, uuid))
    await shop.change("orders", rest_api("orders"))
    again = ids(await shop.settled())
    assert again == first
    assert len(shop.imports()) == 1, "nothing is sent for what is there already"
    await site.store.write(lambda connection: _forget(connection, site.store.gateway_id, uuid))
    await shop.change("orders", rest_api("orders", context="/other"))
    await shop.settled(status="failed")
    assert "no record of the last sync" in (await shop.state())["reason"]


async def test_a_plan_changes_nothing_and_tells_of_every_api(shop):
    await shop.synced("orders")
    shop.turn(import_mode="500:3")
    await shop.create("late")
    await shop.settled("late", "failed")
    document = rest_api("pooled")
    document["spec"]["upstream"] = {"main": {"ref": "pool"}}
    document["spec"]["upstreamDefinitions"] = [{"name": "pool", "upstreams": [{"url": "http://127.0.0.1:1"}]}]
    await shop.create(document=document)
    await shop.settled("pooled", "failed")
    sent = len(shop.imports())
    plan = await planned(shop)
    assert {name: entry["action"] for name, entry in plan.items()} == {
        "orders": "none", "late": "create", "pooled": "fail",
    }  # fmt: skip
    assert len(shop.imports()) == sent
    shop.turn(token_mode="500")
    await shop.apim.client.end_access_tokens()
    assert {entry["action"] for entry in (await planned(shop, "orders")).values()} == {"unknown"}
