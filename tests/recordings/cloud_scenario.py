"""A whole life cycle against a platform control plane, for the recorder: what people do at both sides."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from controlplane_lab import Site, make_settings, rest_api, running_site, until
from recorded_conversation import write
from recorded_recorder import Recorder
from recorded_site import act, stored

from gatewright.controlplane.plane import ControlPlane
from gatewright.hub.client import HubClient
from gatewright.hub.config import HubConfig
from gatewright.hub.server import Hub

EDGE = "edge"
QUIET = 1.0
"""Seconds without a message after which a step is over. The hub's pings come more often: what was sent before the
connection is lost has been confirmed by then, and is not sent again."""

KEY_POLICY = {"name": "api-key-auth", "version": "v1", "params": {"key": "API-Key", "in": "header"}}


def document(handle: str, **spec: Any) -> dict[str, Any]:
    made = rest_api(handle)
    made["spec"] |= spec
    return made


class Scenario:
    """Steps one after the other; each ends when nothing passes any more."""

    def __init__(self, recorder: Recorder, client: HubClient) -> None:
        self._recorder = recorder
        self._client = client
        self.site: Site | None = None
        self.plane: ControlPlane | None = None

    async def step(self, name: str, *, gateway: dict[str, Any] | None = None, control_plane: str = "") -> None:
        """Something at the gateway, or to the connection."""
        told = {"gateway": gateway} if gateway else {"control_plane": control_plane} if control_plane else {}
        self._recorder.step(name, **told)
        if gateway and self.site is not None:
            await act(self.site, gateway)
        if control_plane == "drop":
            assert self.plane is not None
            before = self.plane.status().last_reconcile
            self._recorder.drop()
            await until(lambda: self.plane is not None and self.plane.status().last_reconcile is not before)

    async def at_hub(self, name: str, done: Callable[[HubClient], Awaitable[Any]]) -> Any:
        """Something at the control plane."""
        self._recorder.step(name)
        result = await done(self._client)
        await self.ends()
        return result

    async def ends(self) -> None:
        await until(lambda: bool(self._recorder.steps[-1]["conversation"]))
        await until(self._idle)
        await self._recorder.quiet(QUIET)
        assert self.site is not None
        self._recorder.steps[-1]["leaves"] = await stored(self.site)

    def _idle(self) -> bool:
        assert self.plane is not None
        status = self.plane.status()
        return status.state == "connected" and not (status.waiting or status.acks_owed or status.pushes_pending)


async def record(folder: Path, work: Path) -> None:
    """Record the scenario into `folder`."""
    hub = Hub(HubConfig(data_dir=work / "hub", port=0, ping_interval=QUIET / 4))
    await hub.start()
    client = HubClient.from_data_dir(hub.config.data_dir, port=hub.port)
    (work / "proxy").mkdir()
    recorder = Recorder(work / "proxy", f"127.0.0.1:{hub.port}", hub.ca_file)
    await recorder.start()
    try:
        await client.register(EDGE)
        token = (await client.issue_token(EDGE)).token
        settings = make_settings(recorder.host, token, ca_file=recorder.ca_file)
        scenario = Scenario(recorder, client)
        await _life(scenario, work, settings)
    finally:
        await recorder.stop()
        await client.aclose()
        await hub.stop()
    write(folder / "lifecycle.yaml", recorder.steps)


@asynccontextmanager
async def _gateway(scenario: Scenario, path: Path, settings: Any, name: str) -> AsyncIterator[None]:
    async with running_site(path) as site:
        scenario.site = site
        await scenario.step(name, gateway={"start": path.stem})
        async with site.linked(settings) as plane:
            scenario.plane = plane
            await until(lambda: plane.status().last_reconcile is not None)
            await scenario.ends()
            yield


async def _life(scenario: Scenario, work: Path, settings: Any) -> None:
    deploy = document("orders", policies=[KEY_POLICY])
    async with _gateway(scenario, work / "first.db", settings, "a registered gateway connects for the first time"):
        gold = {"throttleLimitCount": 100, "throttleLimitUnit": "hour"}
        await scenario.at_hub("a plan is made", lambda hub: hub.create_plan("Gold", **gold))
        await scenario.at_hub("an API is deployed", lambda hub: hub.deploy(yaml.safe_dump(deploy), [EDGE]))
        made = await scenario.at_hub("a key is made", lambda hub: hub.create_key("orders", "till"))
        await scenario.at_hub(
            "an application gets the key", lambda hub: hub.create_application("Mobile", keys=[made.key.uuid])
        )
        issued = await scenario.at_hub(
            "somebody subscribes", lambda hub: hub.create_subscription("orders", plan="gold")
        )
        edited = document("orders", policies=[KEY_POLICY], operations=[{"method": "POST", "path": "/items"}])
        await scenario.at_hub("the API is edited", lambda hub: hub.deploy(yaml.safe_dump(edited), [EDGE]))
        doomed = document("doomed", policies=[{"name": "nobody-provides-this", "version": "v1"}])
        await scenario.at_hub("an API that cannot be served", lambda hub: hub.deploy(yaml.safe_dump(doomed), [EDGE]))
        await scenario.at_hub("the key is revoked", lambda hub: hub.revoke_key("orders", "till"))
        await scenario.at_hub("the subscription ends", lambda hub: hub.delete_subscription(issued.subscription.id))
        await scenario.step("an API is made at the gateway", gateway={"create": document("local")})
        await scenario.ends()
        await scenario.at_hub("it gets a key", lambda hub: hub.create_key("local", "visitor"))
        await scenario.step("the connection is lost and comes back", control_plane="drop")
        await scenario.ends()
        await scenario.at_hub("the API is undeployed", lambda hub: hub.undeploy("orders", [EDGE]))
        await scenario.at_hub("and deployed again", lambda hub: hub.deploy_again("orders", [EDGE]))
    async with _gateway(scenario, work / "second.db", settings, "a gateway without memory takes its place"):
        await scenario.at_hub("the API is deleted", lambda hub: hub.delete_artifact("orders"))
        await scenario.step("another API is made at the gateway", gateway={"create": document("other")})
        await scenario.ends()
        await scenario.step("and deleted there", gateway={"delete": "other"})
        await scenario.ends()
