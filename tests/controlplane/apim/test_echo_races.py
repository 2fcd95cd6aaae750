"""Events about an import of this gateway that meet a deletion, or an answer that tells no ids."""

from apim_lab import GATEWAY, ids, until
from controlplane_lab import rest_api


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
    [event] = [each for each in await shop.apim.client.events(GATEWAY) if each["type"] == "api.deployed"]
    await until(lambda: any_ack(shop, event))
    assert (await shop.row()).origin == "gateway_api"
    assert await shop.deployed_revisions(row.cp_artifact_id) == [ids(row)["revision"]]


async def any_ack(shop, event) -> bool:
    wanted = event["payload"]["deploymentId"]
    return any(each["deploymentId"] == wanted for each in await shop.apim.client.acknowledgements())
