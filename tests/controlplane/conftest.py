"""Makes the lab importable by the tests here; gateways without routers, and hubs, on data directories of their own."""

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

from gatewright.artifacts.templates import Renderer
from gatewright.artifacts.vhosts import VhostDefaults
from gatewright.deployment import Deployments
from gatewright.deployment.document_rules import document_rules
from gatewright.deployment.kinds import RestApiRules
from gatewright.deployment.rollout import Rollout
from gatewright.deployment.secrets import Secrets
from gatewright.deployment.serving import ServingBoard
from gatewright.hub.client import HubClient
from gatewright.hub.config import HubConfig
from gatewright.hub.server import Hub
from gatewright.model.gateway import Gateway, Listener
from gatewright.policies.registry import installed
from gatewright.settings.tree import Settings
from gatewright.store import open_store
from gatewright.store.encryption import KeyRing
from gatewright.xds.snapshot import Snapshot

if "controlplane_lab" not in sys.modules:
    # Folders of tests are no packages and must not be on the import path.
    for name in ("lab", "hostile"):
        spec = importlib.util.spec_from_file_location(f"controlplane_{name}", Path(__file__).parent / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[f"controlplane_{name}"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

from controlplane_hostile import Hostile, honest
from controlplane_lab import Site, make_settings


@pytest.fixture
async def make_site(tmp_path):
    """Sites on data directories of their own."""
    closers = []

    async def make(name: str = "gateway", *, key_limit: int = 10) -> Site:
        gateway = Gateway(listeners=(Listener("http", "127.0.0.1", 8080),))
        store = await open_store(tmp_path / f"{name}.db", keys=KeyRing([("k1", b"k" * 32)]))
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
        deployments = Deployments(store, kinds, board=board, pushes=True, key_limit=key_limit)
        rollout = Rollout(store, kinds, snapshot, board, gateway=gateway)
        await rollout.load()
        task = asyncio.create_task(rollout.run())
        closers.append((task, rollout, store))
        return Site(store, deployments, snapshot, secrets)

    yield make
    for task, rollout, store in reversed(closers):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        rollout.close()
        await store.close()


@pytest.fixture
async def site(make_site):
    return await make_site()


@pytest.fixture
async def hub(tmp_path):
    running = Hub(HubConfig(data_dir=tmp_path / "hub", port=0))
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def client(hub):
    async with HubClient.from_data_dir(hub.config.data_dir, port=hub.port) as made:
        yield made


@pytest.fixture
def hub_settings(hub, client):
    """Register a gateway and give it settings."""

    async def make(handle: str = "edge", **linked) -> Settings:
        await client.register(handle)
        token = (await client.issue_token(handle)).token
        return make_settings(f"127.0.0.1:{hub.port}", token, ca_file=hub.ca_file, **linked)

    return make


@pytest.fixture
async def hostile(tmp_path):
    """A control plane under the test's command, honest until told otherwise."""
    server = Hostile(tmp_path)
    honest(server)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def hostile_settings(hostile):
    def make(**linked) -> Settings:
        return make_settings(hostile.host, "a-token-of-the-test", **{"ca_file": hostile.ca_file, **linked})

    return make
