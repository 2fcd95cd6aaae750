"""What the tests of the link work with: settings, a gateway without routers, documents, and patience."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from gatewright.artifacts.templates import Renderer
from gatewright.artifacts.vhosts import VhostDefaults
from gatewright.controlplane.plane import ControlPlane
from gatewright.deployment import Deployments
from gatewright.deployment.data_plane import Routers
from gatewright.deployment.document_rules import document_rules
from gatewright.deployment.ids import Clock, utc_now
from gatewright.deployment.kinds import RestApiRules
from gatewright.deployment.rollout import Rollout
from gatewright.deployment.secrets import Secrets
from gatewright.deployment.serving import ServingBoard
from gatewright.model.gateway import Gateway, Listener
from gatewright.policies.registry import installed
from gatewright.settings.tree import Settings
from gatewright.store import open_store
from gatewright.store.encryption import KeyRing
from gatewright.xds.delivery import Delivery
from gatewright.xds.snapshot import Snapshot

PATIENCE = 10.0
"""Seconds until a test gives up waiting for something that should come at once."""


async def until(holds: Callable[[], object | Awaitable[object]], patience: float = PATIENCE) -> None:
    """Wait until something that happens elsewhere is visible."""
    async with asyncio.timeout(patience):
        while True:
            found = holds()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return
            await asyncio.sleep(0.005)


def make_settings(host: str, token: str, *, ca_file: object = "", own: dict | None = None, **linked) -> Settings:
    """Settings of a gateway that belongs to the control plane at `host`; times in seconds."""
    times = {"reconnect_initial": 0.05, "reconnect_max": 0.5}
    values = {"host": host, "token": token, **times, **linked}
    for name in ("reconnect_initial", "reconnect_max", "polling_interval"):
        if name in values:
            values[name] = timedelta(seconds=values[name])
    return Settings.model_validate(
        {
            "controller": {"controlplane": values},
            "gatewright": {"controlplane": {"ca_file": str(ca_file), **(own or {})}},
        }
    )


class Site:
    """What is behind a link in tests."""

    def __init__(self, store, deployments: Deployments, snapshot: Snapshot, secrets: Secrets, routers: Routers) -> None:
        self.store = store
        self.routers = routers
        self.deployments = deployments
        self.snapshot = snapshot
        self.secrets = secrets

    @asynccontextmanager
    async def linked(self, settings: Settings, **options):
        """A running link."""
        options = {"catalogue": installed().catalogue, "memory": self.store, "secrets": self.secrets, **options}
        plane = ControlPlane(settings, self.deployments, **options)
        await plane.start()
        try:
            yield plane
        finally:
            await plane.stop()

    async def row(self, handle: str, kind: str = "RestApi"):
        """The stored artifact of this handle."""
        return await self.deployments.get(kind, handle)


@asynccontextmanager
async def running_site(path: Path, *, key_limit: int = 10, clock: Clock = utc_now) -> AsyncIterator[Site]:
    """A gateway with its database at `path`; routers are those that a test connects to `Site.routers`."""
    gateway = Gateway(listeners=(Listener("http", "127.0.0.1", 8080),))
    store = await open_store(path, keys=KeyRing([("k1", b"k" * 32)]))
    secrets = Secrets(store)
    renderer = Renderer(secrets.value)
    rules = RestApiRules(
        catalogue=installed().catalogue,
        defaults=VhostDefaults(),
        renderer=renderer,
        gateway=gateway,
    )
    kinds = [rules, *document_rules(catalogue=installed().catalogue, renderer=renderer)]
    board, snapshot = ServingBoard(), Snapshot()
    deployments = Deployments(store, kinds, board=board, pushes=True, key_limit=key_limit, clock=clock)
    routers = Routers(Delivery(snapshot))
    rollout = Rollout(store, kinds, snapshot, board, gateway=gateway, data_plane=routers)
    await rollout.load()
    task = asyncio.create_task(rollout.run())
    try:
        yield Site(store, deployments, snapshot, secrets, routers)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        rollout.close()
        await store.close()


def rest_api(handle: str, *, context: str | None = None, version: str = "v1.0", project: str | None = "default"):
    """A document."""
    annotations = {"gateway.api-platform.wso2.com/project-id": project} if project else {}
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "RestApi",
        "metadata": {"name": handle, "annotations": annotations},
        "spec": {
            "displayName": handle,
            "version": version,
            "context": context or f"/{handle}",
            "upstream": {"main": {"url": "http://127.0.0.1:9999"}},
            "operations": [{"method": "GET", "path": "/items"}],
        },
    }
