"""Makes the lab importable by the tests here; gateways without routers, and hubs, on data directories of their own."""

import importlib.util
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gatewright.hub.client import HubClient
from gatewright.hub.config import HubConfig
from gatewright.hub.server import Hub
from gatewright.settings.tree import Settings

if "controlplane_lab" not in sys.modules:
    # Folders of tests are no packages and must not be on the import path.
    for name in ("lab", "hostile"):
        spec = importlib.util.spec_from_file_location(f"controlplane_{name}", Path(__file__).parent / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[f"controlplane_{name}"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

if "otlp_collector" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "otlp_collector", Path(__file__).parents[1] / "observability" / "collector.py"
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["otlp_collector"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

from controlplane_hostile import Hostile, honest
from controlplane_lab import Site, make_settings, running_site


@pytest.fixture
async def make_site(tmp_path):
    """Sites on data directories of their own."""
    async with AsyncExitStack() as sites:

        async def make(name: str = "gateway", *, key_limit: int = 10) -> Site:
            return await sites.enter_async_context(running_site(tmp_path / f"{name}.db", key_limit=key_limit))

        yield make


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
