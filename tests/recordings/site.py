"""What is done at a gateway during a recording, and what it has stored at the end of a step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from controlplane_lab import Site, make_settings
from pydantic import SecretStr

from gatewright.controlplane.plane import ControlPlane
from gatewright.controlplane.registering import registration
from gatewright.controlplane.registering.calls import Calls
from gatewright.settings.tree import Settings

TOKEN = "a-recorded-token"
GATEWAY = "prod-gateway"
USER, PASSWORD = "admin", "a-recorded-password"


class Server(Protocol):
    """The recorder, or who plays the control plane's part."""

    host: str
    ca_file: Path


async def register(server: Server, gateway: str) -> dict[str, str]:
    """What `gatewright apim register --gateway` does; the credentials that come of it."""
    account = registration.Account(USER, SecretStr(PASSWORD))
    async with Calls(server.host, ca_file=str(server.ca_file)) as calls:
        await registration.discover(calls)
        client = await registration.register_client(calls, account, name="gatewright", owner=USER)
        client = await registration.prove(calls, client)
        wanted = registration.WantedGateway(gateway, gateway, "https://127.0.0.1:8443")
        made = await registration.register_gateway(calls, client, wanted)
    return {
        "token": made.token.get_secret_value(),
        "apim_oauth2_client_id": client.client_id,
        "apim_oauth2_client_secret": client.client_secret.get_secret_value(),
    }


def settings_for(server: Server, known: Mapping[str, str], *, flow: str = "") -> Settings:
    """Settings with what is `known`. `flow`: whose right a sync to an API Manager has, `client` or `password`."""
    linked: dict[str, Any] = dict(known)
    if flow:
        linked["gateway_name"] = GATEWAY
    if flow == "password":
        linked |= {"apim_oauth2_username": USER, "apim_oauth2_password": PASSWORD}
    own = {"apim_password_client_auth": True} if flow == "password" else None
    return make_settings(server.host, linked.pop("token"), ca_file=server.ca_file, own=own, **linked)


async def act(site: Site, what: dict[str, Any], plane: ControlPlane | None) -> None:
    """Do it: `create` or `update` a document, or `delete` a REST API. `start` and `register` are the caller's."""
    by = {"correlation_id": "recorded", "actor": "recorder"}
    if "create" in what:
        await site.deployments.create("RestApi", what["create"], **by)
    elif "update" in what:
        await site.deployments.update("RestApi", what["update"]["metadata"]["name"], what["update"], **by)
    elif "delete" in what:
        change = await site.deployments.delete("RestApi", what["delete"], **by)
        if plane is not None:
            await plane.bottom_up.departed(change.artifact_id)


async def stored(site: Site) -> dict[str, Any]:
    """What is there, without ids and times."""
    artifacts = {}
    names = {}
    for row in await site.deployments.list():
        names[row.uuid] = row.handle
        keys = sorted(key.name for key in await site.deployments.keys_of(row.uuid))
        artifacts[row.handle] = {"state": row.desired_state, "origin": row.origin, "keys": keys}
        if row.cp_sync_status:
            artifacts[row.handle]["sync"] = row.cp_sync_status
    subscriptions = [names.get(row.api_id, row.api_id) for row in await site.deployments.subscriptions.list()]
    plans = [row.name for row in await site.deployments.subscriptions.plans()]
    return {
        "artifacts": dict(sorted(artifacts.items())),
        "subscriptions": sorted(subscriptions),
        "plans": sorted(plans),
    }
