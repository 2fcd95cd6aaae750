"""A gateway without routers that is linked to a stand-in API Manager over real TLS."""

import importlib.util
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.apim import running

if "apim_lab" not in sys.modules:
    spec = importlib.util.spec_from_file_location("apim_lab", Path(__file__).parent / "lab.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["apim_lab"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

from apim_lab import GATEWAY, Shop
from controlplane_lab import make_settings


@pytest.fixture
async def apim(tmp_path):
    async with running(tmp_path / "apim") as made:
        yield made


@pytest.fixture
async def credentials(apim):
    """What a gateway needs: registration token and OAuth client."""
    gateway = await apim.client.register_gateway(GATEWAY)
    client = await apim.client.register_client("gateway-controller")
    return {
        "token": gateway["registrationToken"],
        "apim_oauth2_client_id": client["clientId"],
        "apim_oauth2_client_secret": client["clientSecret"],
        "gateway_name": GATEWAY,
    }


@pytest.fixture
def settings_of(apim, credentials):
    """Settings of a gateway at the stand-in."""

    def make(*, own=None, host=None, **linked):
        values = {**credentials, **linked}
        return make_settings(host or apim.host, values.pop("token"), ca_file=apim.ca_file, own=own, **values)

    return make


@pytest.fixture
def opened(site, apim, settings_of, credentials):
    """Opens a linked gateway; short pauses between attempts."""

    @asynccontextmanager
    async def opening(*, settings=None, environment=None, connect=True, **changed):
        settings = settings or settings_of(**changed)
        async with site.linked(settings, environment=environment or {}) as plane:
            shop = Shop(site, apim, plane, credentials)
            shop.hurry()
            if connect:
                await shop.connected()
            yield shop

    return opening


@pytest.fixture
async def shop(opened):
    async with opened() as made:
        yield made
