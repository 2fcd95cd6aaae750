"""Judges a played schedule: what differs between hub, gateway and Envoy once the faults are over."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2
from fault_play import Played
from fault_probe import Served, ask
from fault_told import Credential, HubApi, OwnApi
from fault_world import EDGE
from gateway_processes import until

from gatewright.hub.client import HubClient
from gatewright.hub.views import DeploymentView

PATIENCE: Final = 20.0
"""Seconds after the reconcile until what it has set off must have reached Envoy and the hub."""


async def judge(played: Played) -> list[str]:
    """Everything that is not as it should be, in words; empty when all is well."""
    world = played.world
    await asyncio.to_thread(_everything_runs, played)
    found = [f"a request to an untouched API failed: {each}" for each in played.probe.failures[:5]]
    found += [f"an acknowledgement lied: {each}" for each in played.lies]
    admin = world.controller.admin
    async with (
        world.client() as hub,
        httpx2.AsyncClient(base_url=admin.base_url, auth=admin.auth, trust_env=False, timeout=60) as status,
    ):
        # One reconcile, no more: what it cannot bring is lost.
        reconcile = await status.post("/sync")
        if reconcile.status_code != 200:
            return [*found, f"the reconcile was impossible: {reconcile.text}"]
        deadline = time.monotonic() + PATIENCE
        while True:
            differences = [each async for each in _differences(played, hub, status)]
            if not differences or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
    if differences:
        differences.append(f"the reconcile said: {reconcile.text}")
    return found + differences


def _everything_runs(played: Played) -> None:
    world = played.world
    world.controller.wait_for_link()
    world.router.wait_for_router()
    until(lambda: world.controller.status()["routers"], "the router is connected")


async def _differences(played: Played, hub: HubClient, status: httpx2.AsyncClient) -> AsyncIterator[str]:
    views = {view.artifact: view for view in await hub.deployments(gateway=EDGE)}
    for api in played.hub_apis:
        async for each in _hub_api(played, hub, api, views.get(api.handle)):
            yield each
    for own in played.own_apis:
        async for each in _own_api(played, hub, own, views.get(own.handle)):
            yield each
    async for each in _credentials(played):
        yield each
    # The product's own comparison must come to the same.
    answer = await status.get("/drift")
    if answer.status_code != 200:
        yield f"drift could not be found out: {answer.status_code} {answer.text}"
        return
    drift = answer.json()
    excused = {api.handle for api in played.hub_apis if api.version in api.broken}
    for artifact in drift["artifacts"]:
        if artifact["handle"] not in excused and artifact["id"] not in _broken_ids(views, excused):
            yield f"drift: {artifact}"
    for problem in drift["problems"]:
        yield f"drift could not be found out: {problem}"


def _broken_ids(views: dict[str, DeploymentView], handles: set[str]) -> set[str]:
    return {views[handle].artifact_id for handle in handles if handle in views}


async def _hub_api(played: Played, hub: HubClient, api: HubApi, view: DeploymentView | None) -> AsyncIterator[str]:
    served = await ask(played.ports["http"], f"/{api.handle}/items")
    stored = await _stored(played, api.path)
    if not api.exists or view is None:
        places = (
            ("hub lists", view),
            ("gateway stores", stored),
            ("Envoy serves", served.status != 404 if api.has_traffic else api.exists),
        )
        for place, is_there in places:
            if bool(is_there) != api.exists:
                yield f"{api.handle}: exists={api.exists}, but: the {place} it: {is_there}"
        return
    if view.desired != ("DEPLOYED" if api.deployed else "UNDEPLOYED"):
        yield f"{api.handle}: the hub has forgotten what it was told: {view.desired}"
    if api.deployed and api.version in api.broken:
        # Nothing can serve it: it must be said so, and the last good version (or nothing) serves.
        if view.status != "FAILED" or served.version == api.version:
            yield f"{api.handle}: unusable version {api.version}, the hub shows {view.status}, Envoy answers {served}"
        return
    if view.status != view.desired:
        yield f"{api.handle}: wanted {view.desired}, the hub shows {view.status} {view.reason}, Envoy answers {served}"
    wanted = [api.version if api.deployed else 0]
    if api.has_traffic and not served.fits(wanted, guarded=api.flavour != "open"):
        yield f"{api.handle}: version {api.version} deployed={api.deployed}, Envoy answers {served}"
    if api.deployed:
        for place, document in (("hub", (await hub.artifact(api.handle)).document), ("gateway", str(stored))):
            if _version(document) != api.version:
                yield f"{api.handle}: version {api.version} was told, the {place} has {_version(document)}"


async def _own_api(played: Played, hub: HubClient, api: OwnApi, view: DeploymentView | None) -> AsyncIterator[str]:
    served = await ask(played.ports["http"], f"/{api.handle}/items")
    stored = await _stored(played, f"/rest-apis/{api.handle}")
    if api.certain:
        if api.exists and (stored is None or _version(str(stored)) != api.version):
            yield f"{api.handle}: version {api.version} was made at the gateway, stored is {stored}"
        if not api.exists and stored is not None:
            yield f"{api.handle}: was deleted at the gateway, and is there"
    version = 0 if stored is None else _version(str(stored))
    if not served.fits([version], guarded=api.flavour != "open"):
        yield f"{api.handle}: version {version} is stored, Envoy answers {served}"
    if stored is None:
        if view is not None and view.status != "UNDEPLOYED":
            yield f"{api.handle}: deleted at the gateway, the hub shows {view.status}"
        return
    if view is None or view.status != "DEPLOYED":
        yield f"{api.handle}: made at the gateway, the hub shows {view and view.status}"
        return
    document = (await hub.artifact(api.handle)).document
    if _version(document) != version:
        yield f"{api.handle}: the gateway has version {version}, the hub {_version(document)}"


async def _credentials(played: Played) -> AsyncIterator[str]:
    """Every key and subscription that somebody has, asked of Envoy."""
    apis = {api.handle: api for api in played.hub_apis} | {own.handle: own for own in played.own_apis}
    for header, credentials, refusal in (
        ("api-key", [*played.keys.values(), *played.own_keys.values()], 401),
        ("subscription-key", [*played.subscriptions.values(), *played.own_subscriptions.values()], 403),
    ):
        for credential in credentials:
            api = apis.get(credential.api)
            if api is None or not credential.value:
                continue
            if isinstance(api, HubApi) and (not api.deployed or api.version in api.broken):
                continue
            if isinstance(api, OwnApi) and not (api.certain and api.exists):
                continue
            served = await ask(played.ports["http"], f"/{api.handle}/items", f"{header}: {credential.value}")
            wanted = Served(200, api.version) if credential.active else Served(refusal, 0)
            if served != wanted:
                yield f"{api.handle}: {_about(header, credential)}, Envoy answers {served}"


def _about(header: str, credential: Credential) -> str:
    return f"{header} {credential.name} ({'active' if credential.active else 'ended'})"


async def _stored(played: Played, path: str) -> Any:
    response = await asyncio.to_thread(played.world.controller.management.get, path)
    return response.text if response.status_code == 200 else None


def _version(document: str) -> int:
    """Which of its versions a document is, by the path of its upstream or of itself."""
    found = re.search(r"/edition-(\d+)", document)
    return int(found.group(1)) if found else 0
