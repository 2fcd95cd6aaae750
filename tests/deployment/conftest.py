"""A store on disk, a clock that is turned by hand, and documents."""

import importlib.util
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatewright.artifacts.templates import Renderer
from gatewright.artifacts.vhosts import VhostDefaults
from gatewright.deployment import Caller, Deployments, KeyEvent, key_material
from gatewright.deployment.kinds import RestApiRules
from gatewright.deployment.serving import ServingBoard
from gatewright.model.gateway import Gateway, Listener
from gatewright.policies.registry import installed
from gatewright.store import open_store

if "deployment_plane" not in sys.modules:
    # Folders of tests are no packages and must not be on the import path.
    spec = importlib.util.spec_from_file_location("deployment_plane", Path(__file__).parent / "plane.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["deployment_plane"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

from deployment_plane import Plane

START = datetime(2026, 8, 1, 10, 15, 30, 123_456, tzinfo=UTC)


class Clock:
    """The time of day, standing still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def caller():
    return Caller("alice")


@pytest.fixture
def gateway():
    return Gateway(listeners=(Listener("http", "127.0.0.1", 8080),))


@pytest.fixture
def rules(gateway):
    return RestApiRules(
        catalogue=installed().catalogue,
        defaults=VhostDefaults(),
        renderer=Renderer(lambda _handle: None),
        gateway=gateway,
    )


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def place(request, tmp_path):
    """Where the store is: the write path keeps its promises on both kinds of database."""
    return tmp_path / "gateway.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
async def store(place):
    opened = await open_store(place)
    yield opened
    await opened.close()


@pytest.fixture
def board():
    return ServingBoard()


@pytest.fixture
def make_deployments(store, rules, clock, board):
    def make(**changed):
        options = {"pushes": True, "clock": clock, "board": board, **changed}
        return Deployments(store, [rules], **options)

    return make


@pytest.fixture
def deployments(make_deployments):
    return make_deployments()


@pytest.fixture
def rest_api():
    def make(handle, *, name=None, context=None, version="v1.0", url="http://127.0.0.1:9999", annotations=None):
        return {
            "apiVersion": "gateway.api-platform.wso2.com/v1",
            "kind": "RestApi",
            "metadata": {"name": handle, "annotations": annotations or {}},
            "spec": {
                "displayName": name or handle,
                "version": version,
                "context": context or f"/{handle}",
                "upstream": {"main": {"url": url}},
                "operations": [{"method": "GET", "path": "/items"}, {"method": "GET", "path": "/items/{id}"}],
            },
        }

    return make


@pytest.fixture
def make_key_event():
    def make(cp_api_id, name="till", *, plain="a key of the control plane", **changed):
        return KeyEvent(cp_api_id=cp_api_id, name=name, key_hash=key_material.hash_of(plain), **changed)

    return make


@pytest.fixture
def plane(store, rules, gateway, clock, board):
    return Plane(store, rules, gateway, clock, board)
