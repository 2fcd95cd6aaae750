"""A whole life cycle against an API Manager on premises, both directions, for the recorder."""

from pathlib import Path

from controlplane_lab import until
from recorded_conversation import write
from recorded_recorder import Recorder
from recorded_scenario import KEY_POLICY, QUIET, Scenario, document
from recorded_site import GATEWAY, PASSWORD, USER, register, settings_for

from gatewright.hub.apim.client import ApiManagerClient
from gatewright.hub.apim.config import ApiManagerConfig, User
from gatewright.hub.apim.server import ApiManager

THEIRS = {
    "name": "Pets",
    "version": "v1.0",
    "context": "/pets",
    "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": "http://127.0.0.1:9999"}},
    "operations": [{"target": "/pet", "verb": "GET"}],
}


async def record(folder: Path, work: Path) -> None:
    """Record the scenario into `folder`."""
    users = (User(USER, PASSWORD, ("admin",)),)
    # Every import is followed by the event that it sets off.
    switches = {"echo_on_import": "after"}
    config = ApiManagerConfig(
        data_dir=work / "api-manager", port=0, ping_interval=QUIET / 4, users=users, switches=switches
    )
    manager = ApiManager(config)
    await manager.start()
    recorder = Recorder(work / "proxy", f"127.0.0.1:{manager.port}", manager.ca_file)
    await recorder.start()
    url = f"https://127.0.0.1:{manager.port}"
    try:
        async with ApiManagerClient.from_data_dir(config.data_dir, url, user=USER, password=PASSWORD) as client:
            await _life(Scenario(recorder, client), work)
    finally:
        await recorder.stop()
        await manager.stop()
    write(folder / "lifecycle.yaml", recorder.steps, recorder.credentials)


async def _life(scenario: Scenario[ApiManagerClient], work: Path) -> None:
    people, at_gateway, recorder = scenario.at_control_plane, scenario.at_gateway, scenario.recorder
    recorder.step("somebody registers a client and a gateway", gateway={"register": GATEWAY})
    known = await register(recorder, GATEWAY)
    recorder.steps[-1]["leaves"] = None
    by_client, by_user = (settings_for(recorder, known, flow=flow) for flow in ("client", "password"))
    async with scenario.gateway("the gateway connects for the first time", work / "first.db", by_client, flow="client"):
        # Top-down.
        pets = await people("an API is made and deployed there", _made)
        await people("it gets a key", lambda apim: apim.create_key(pets, "till"))
        await people("the key gets another value", lambda apim: apim.regenerate_key(pets, "till"))
        await people(
            "the API is edited and deployed anew",
            lambda apim: apim.publish_change(pets, [GATEWAY], operations=[{"target": "/pets", "verb": "GET"}]),
        )
        await people("the key is revoked", lambda apim: apim.revoke_key(pets, "till"))
        secret = {"url": 'http://127.0.0.1:9999/{{ secret "backend-path" }}'}
        await people(
            "a deployment names a secret that nobody has",
            lambda apim: apim.publish_change(
                pets, [GATEWAY], endpointConfig={"endpoint_type": "http", "production_endpoints": secret}
            ),
        )
        await people(
            "and is put right",
            lambda apim: apim.publish_change(pets, [GATEWAY], endpointConfig=THEIRS["endpointConfig"]),
        )
        # Bottom-up.
        await at_gateway(
            "an API is made at the gateway", {"create": document("orders", policies=[KEY_POLICY])}, echo=True
        )
        orders = await people("it gets a key there", _key_of_orders)
        edited = document("orders", policies=[KEY_POLICY], operations=[{"method": "POST", "path": "/items"}])
        await at_gateway("it is edited at the gateway", {"update": edited}, echo=True)
        await at_gateway("it is undeployed at the gateway", {"update": _with_state(edited, "undeployed")}, echo=True)
        await at_gateway("and deployed again", {"update": _with_state(edited, "deployed")}, echo=True)
        await scenario.dropped("the connection is lost and comes back")
        await people("it is undeployed there", lambda apim: _undeployed(apim, orders))
    # An API Manager keeps events for a gateway that is away, and sends them when it is back.
    await scenario.client.publish_change(pets, [GATEWAY], operations=[{"target": "/pet/{id}", "verb": "GET"}])
    await scenario.second()
    async with scenario.gateway(
        "the gateway comes back to what happened meanwhile", work / "first.db", by_client, flow="client"
    ):
        await at_gateway("another API is made at the gateway", {"create": document("local")}, echo=True)
        await at_gateway("and deleted at the gateway", {"delete": "local"}, echo=True)
        await people("the first API is undeployed there", lambda apim: _undeployed(apim, pets))
        await people("and deleted there", lambda apim: apim.delete_api(pets))
    async with scenario.gateway(
        "a gateway without memory takes its place", work / "second.db", by_user, flow="password"
    ):
        await at_gateway("an API is made, with the right of a person", {"create": document("other")}, echo=True)
        found = await _named(scenario.client, "other")
        await people("it is deleted there", lambda apim: apim.delete_api(found))


def _with_state(made: dict, state: str) -> dict:
    return {**made, "spec": {**made["spec"], "deploymentState": state}}


async def _made(apim: ApiManagerClient) -> str:
    api = await apim.create_api(THEIRS)
    revision = await apim.create_revision(api["id"])
    await apim.deploy(api["id"], revision, [GATEWAY])
    return str(api["id"])


async def _named(apim: ApiManagerClient, name: str) -> str:
    found: list[str] = []

    async def look() -> bool:
        found[:] = [str(each["id"]) for each in await apim.apis(f"name:{name}")]
        return bool(found)

    await until(look)
    return found[0]


async def _key_of_orders(apim: ApiManagerClient) -> str:
    orders = await _named(apim, "orders")
    await apim.create_key(orders, "visitor")
    return orders


async def _undeployed(apim: ApiManagerClient, api_id: str) -> None:
    [deployed] = await apim.revisions(api_id, "deployed:true")
    await apim.undeploy(api_id, deployed["id"], [GATEWAY])
