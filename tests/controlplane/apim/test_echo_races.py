"""Events about an import of this gateway that meet a deletion, or an answer that tells no ids."""

from apim_lab import GATEWAY, ids, until
from controlplane_lab import rest_api

from gatewright.controlplane.rest import Rest


async def test_an_api_that_is_deleted_while_it_is_imported_does_not_come_back(shop):
    """The event about the import comes before its answer, and the API is deleted in between."""
    shop.turn(echo_on_import="before:1")
    await shop.create()
    await until(shop.imports)
    await until(lambda: shop.apim.client.events(GATEWAY))
    await shop.delete("orders")

    async def is_gone() -> bool:
        apis = await shop.apim.client.apis("name:orders")
        return bool(apis) and not await shop.deployed_revisions(apis[0]["id"])

    await until(is_gone)
    await shop.apim.client.restart()
    await until(lambda: len(shop.apim.requests("/ws/gateways/connect")) >= 2)
    await shop.connected()
    assert await shop.site.deployments.list("RestApi") == []
    await shop.synced()
    assert len(await shop.apim.client.apis("name:orders")) == 1


async def test_the_echo_of_an_import_that_was_answered_without_ids(shop):
    await shop.synced()
    shop.turn(echo_on_import="after:1", import_mode="empty:1")
    await shop.change("orders", rest_api("orders", context="/changed"))
    await until(lambda: len(shop.imports()) == 2)
    row = await shop.settled()
    await until(lambda: shop.apim.client.events(GATEWAY))
    [event] = await shop.apim.client.events(GATEWAY)
    await until(lambda: any_ack(shop, event))
    assert (await shop.row()).origin == "gateway_api"
    assert await shop.deployed_revisions(row.cp_artifact_id) == [ids(row)["revision"]]


async def any_ack(shop, event) -> bool:
    wanted = event["payload"]["deploymentId"]
    return any(each["deploymentId"] == wanted for each in await shop.apim.client.acknowledgements())


async def test_an_import_that_is_answered_while_its_event_is_handled(shop, monkeypatch):
    """The event comes first, the definition only after the answer: by then it is known whose import it was."""
    original = Rest.definition

    async def late(rest, kind, api_id):
        await until(lambda: is_linked(shop, api_id))
        return await original(rest, kind, api_id)

    monkeypatch.setattr(Rest, "definition", late)
    shop.turn(echo_on_import="before:1")
    await shop.synced()
    [event] = await shop.apim.client.events(GATEWAY)
    await until(lambda: any_ack(shop, event))
    row = await shop.row()
    assert (row.origin, row.cp_sync_status) == ("gateway_api", "success")


async def is_linked(shop, api_id: str) -> bool:
    row = await shop.row()
    return row is not None and row.cp_artifact_id == api_id
