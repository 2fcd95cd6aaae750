"""Makes the lab importable by the tests here, and starts hubs on free ports."""

import importlib.util
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gatewright.hub.client import HubClient
from gatewright.hub.config import HubConfig
from gatewright.hub.server import Hub

if "hub_lab" not in sys.modules:
    # Folders of tests are no packages and must not be on the import path.
    spec = importlib.util.spec_from_file_location("hub_lab", Path(__file__).parent / "lab.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["hub_lab"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

from hub_lab import Lab, LabMaker, TurnableClock


@pytest.fixture
def make_lab(tmp_path: Path) -> LabMaker:
    """Start a hub; settings as keyword arguments, all on the same data directory unless told otherwise."""

    @asynccontextmanager
    async def make(clock: TurnableClock | None = None, **settings: Any) -> AsyncIterator[Lab]:
        config = HubConfig(**{"data_dir": tmp_path / "hub", "port": 0, **settings})
        clock = clock or TurnableClock()
        hub = Hub(config, clock=clock)
        await hub.start()
        try:
            async with HubClient.from_data_dir(config.data_dir, port=hub.port) as client:
                yield Lab(hub, clock, client)
        finally:
            await hub.stop()

    return make


@pytest.fixture
async def lab(make_lab: LabMaker) -> AsyncIterator[Lab]:
    """A hub with default settings."""
    async with make_lab() as made:
        yield made
