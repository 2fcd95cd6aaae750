"""What is done at a gateway during a recording, and what it has stored at the end of a step."""

from typing import Any

from controlplane_lab import Site


async def act(site: Site, what: dict[str, Any]) -> None:
    """Do it: `create` a document or `delete` a REST API. `start` is the caller's."""
    if "create" in what:
        await site.deployments.create("RestApi", what["create"], correlation_id="recorded", actor="recorder")
    elif "delete" in what:
        await site.deployments.delete("RestApi", what["delete"], correlation_id="recorded", actor="recorder")


async def stored(site: Site) -> dict[str, Any]:
    """What is there, without ids and times."""
    artifacts = {}
    names = {}
    for row in await site.deployments.list():
        names[row.uuid] = row.handle
        keys = sorted(key.name for key in await site.deployments.keys_of(row.uuid))
        artifacts[row.handle] = {"state": row.desired_state, "origin": row.origin, "keys": keys}
    subscriptions = [names.get(row.api_id, row.api_id) for row in await site.deployments.subscriptions.list()]
    plans = [row.name for row in await site.deployments.subscriptions.plans()]
    return {
        "artifacts": dict(sorted(artifacts.items())),
        "subscriptions": sorted(subscriptions),
        "plans": sorted(plans),
    }
