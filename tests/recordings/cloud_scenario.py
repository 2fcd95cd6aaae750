"""A whole life cycle against a platform control plane, for the recorder: what people do at both sides."""

from pathlib import Path
from typing import Any

import yaml
from recorded_conversation import write
from recorded_recorder import Recorder
from recorded_scenario import KEY_POLICY, QUIET, Scenario, document
from recorded_site import TOKEN, settings_for

from gatewright.hub.client import HubClient
from gatewright.hub.config import HubConfig
from gatewright.hub.server import Hub

EDGE = "edge"
TOOLS = {
    "apiVersion": "gateway.api-platform.wso2.com/v1",
    "kind": "Mcp",
    "metadata": {"name": "tools"},
    "spec": {
        "displayName": "Tools",
        "version": "v1.0",
        "context": "/tools",
        "upstream": {"url": "http://127.0.0.1:9999"},
    },
}


async def record(folder: Path, work: Path) -> None:
    """Record the scenario into `folder`."""
    hub = Hub(HubConfig(data_dir=work / "hub", port=0, ping_interval=QUIET / 4))
    await hub.start()
    client = HubClient.from_data_dir(hub.config.data_dir, port=hub.port)
    recorder = Recorder(work / "proxy", f"127.0.0.1:{hub.port}", hub.ca_file)
    await recorder.start()
    try:
        await client.register(EDGE)
        token = (await client.issue_token(EDGE)).token
        recorder.credentials.add(token, TOKEN)
        await _life(Scenario(recorder, client), work, settings_for(recorder, {"token": token}))
    finally:
        await recorder.stop()
        await client.aclose()
        await hub.stop()
    write(folder / "lifecycle.yaml", recorder.steps, recorder.credentials)


async def _life(scenario: Scenario[HubClient], work: Path, settings: Any) -> None:
    deploy = document("orders", policies=[KEY_POLICY])
    people = scenario.at_control_plane
    async with scenario.gateway("a registered gateway connects for the first time", work / "first.db", settings):
        gold = {"throttleLimitCount": 100, "throttleLimitUnit": "hour"}
        await people("a plan is made", lambda hub: hub.create_plan("Gold", **gold))
        await people("an API is deployed", lambda hub: hub.deploy(yaml.safe_dump(deploy), [EDGE]))
        made = await people("a key is made", lambda hub: hub.create_key("orders", "till"))
        await people("an application gets the key", lambda hub: hub.create_application("Mobile", keys=[made.key.uuid]))
        issued = await people("somebody subscribes", lambda hub: hub.create_subscription("orders", plan="gold"))
        edited = document("orders", policies=[KEY_POLICY], operations=[{"method": "POST", "path": "/items"}])
        await people("the API is edited", lambda hub: hub.deploy(yaml.safe_dump(edited), [EDGE]))
        doomed = document("doomed", policies=[{"name": "nobody-provides-this", "version": "v1"}])
        await people("an API that cannot be served", lambda hub: hub.deploy(yaml.safe_dump(doomed), [EDGE]))
        # Else the reconcile after the next connect is incomplete, and is repeated after a time of its own.
        await people("is given up", lambda hub: hub.delete_artifact("doomed"))
        await people("the key gets another value", lambda hub: hub.regenerate_key("orders", "till"))
        await people("the key is revoked", lambda hub: hub.revoke_key("orders", "till"))
        await people("the subscription ends", lambda hub: hub.delete_subscription(issued.subscription.id))
        await scenario.at_gateway("an API is made at the gateway", {"create": document("local")})
        await people("it gets a key", lambda hub: hub.create_key("local", "visitor"))
        await people("an MCP proxy is deployed", lambda hub: hub.deploy(yaml.safe_dump(TOOLS), [EDGE]))
        # Fetched when the deployment comes; the list that follows the next connect tells of its version.
        await scenario.client.create_secret("backend-path", "a-recorded-value")
        await scenario.second()
        tenants = {"main": {"url": 'http://127.0.0.1:9999/{{ secret "backend-path" }}'}}
        naming = yaml.safe_dump(document("tenants", upstream=tenants))
        await people("an API names a secret", lambda hub: hub.deploy(naming, [EDGE]))
        await scenario.dropped("the connection is lost and comes back")
        await scenario.client.modify_secret("backend-path", status="DEPRECATED", value="another-recorded-value")
        await scenario.second()
        await scenario.dropped("the secret is deprecated, and the connection is lost again")
        await people("the API that names it is deleted", lambda hub: hub.delete_artifact("tenants"))
        await people("the API is undeployed", lambda hub: hub.undeploy("orders", [EDGE]))
        await people("and deployed again", lambda hub: hub.deploy_again("orders", [EDGE]))
        await people("what was deployed first comes back", _restored)
    async with scenario.gateway("a gateway without memory takes its place", work / "second.db", settings):
        await people("the API is deleted", lambda hub: hub.delete_artifact("orders"))
        await scenario.at_gateway("another API is made at the gateway", {"create": document("other")})
        await scenario.at_gateway("and deleted there", {"delete": "other"})


async def _restored(hub: HubClient) -> None:
    first = (await hub.history("orders"))[-1]
    await hub.restore("orders", first.id)
