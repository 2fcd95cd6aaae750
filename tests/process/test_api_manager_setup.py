"""The documented ways to give a controller its credentials for an API Manager: each reaches the token request."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gateway_processes import Gateway, free_ports, rest_api, toml, until

from gatewright import settings
from gatewright.process.controller import Controller
from support.apim import Apim, running
from support.apim_thread import StandIn

LINK = "APIP_GW_CONTROLLER_CONTROLPLANE_"
FAMILIES = {
    "A": f"{LINK}APIM__OAUTH2__{{}}",
    "B": "APIP_GW_CONTROLLER__CONTROLPLANE__APIM_OAUTH2__{}",
    "C": f"{LINK}APIM_OAUTH2_{{}}",
}
FLOWS = {"client": ("CLIENT_ID", "CLIENT_SECRET"), "user": ("USERNAME", "PASSWORD")}
LINKS = {
    "1.2": (f"{LINK}HOST", f"{LINK}TOKEN"),
    "1.1 charts": ("APIP_GW_CONTROLPLANE_HOST", "APIP_GW_GATEWAY_REGISTRATION_TOKEN"),
    "documentation": ("APIP_GW_CONTROLLER__CONTROLPLANE__HOST", f"{LINK}TOKEN"),
}
USER = ("admin", "admin")
OTHER = ("another-id-or-user", "another-secret-or-password")


def names(family: str, flow: str) -> tuple[str, str]:
    """The two variables; A doubles every underscore inside of the key."""
    first, second = (part.replace("_", "__") if family == "A" else part for part in FLOWS[flow])
    return FAMILIES[family].format(first), FAMILIES[family].format(second)


@pytest.fixture
async def apim(tmp_path: Path) -> AsyncIterator[Apim]:
    # Without the switch it refuses a password without a client, as stock API Managers do.
    async with running(tmp_path / "apim", switches={"token_mode": "public_ropc"}) as made:
        yield made


async def link(apim: Apim, spelling: str = "1.2") -> dict[str, str]:
    """Variables for host, token and name of a registered gateway."""
    token = (await apim.client.register_gateway("edge"))["registrationToken"]
    return dict(zip(LINKS[spelling], (apim.host, token), strict=True)) | {f"{LINK}GATEWAY_NAME": "edge"}


async def credentials(apim: Apim, flow: str) -> tuple[str, str]:
    if flow == "user":
        return USER
    made = await apim.client.register_client("gateway-controller")
    return made["clientId"], made["clientSecret"]


async def asked_with(apim: Apim, folder: Path, environ: dict[str, str], **link: str) -> Any:
    """Start a controller with these variables, make an API there, and give the request for a token."""
    management, admin, metrics, xds = free_ports(4)
    keys = {"version": "aesgcm256-v1", "file": str(folder / "key.bin")}
    file = folder / "gateway.toml"
    file.write_text(
        toml(
            {
                "controller": {
                    "server": {"api_port": management, "xds_port": xds},
                    "admin_server": {"port": admin},
                    "metrics": {"port": metrics},
                    "storage": {"sqlite": {"path": str(folder / "gateway.db")}},
                    "encryption": {"providers": [{"type": "aesgcm", "keys": [keys]}]},
                    "auth": {"basic": {"users": [{"username": "u", "password": "p", "roles": ["admin"]}]}},
                    "controlplane": link,
                },
                "gatewright": {"data_dir": str(folder), "controlplane": {"ca_file": str(apim.ca_file)}},
            }
        )
    )
    controller = Controller(settings.load([file], environ).settings, announce=lambda *_: None, make_keys=True)
    await controller.start()
    try:
        url = f"http://127.0.0.1:{management}/api/management/v1/rest-apis"
        async with httpx2.AsyncClient(auth=httpx2.BasicAuth("u", "p"), trust_env=False) as client:
            assert (await client.post(url, json=rest_api("books", 9))).status_code == 201
        await until_async(lambda: apim.requests("/apis/import"))
    finally:
        await controller.stop()
    return apim.requests("/oauth2/token")[0]


async def until_async(holds: Any) -> None:
    async with asyncio.timeout(60):
        while True:
            if holds():
                return
            await asyncio.sleep(0.02)


def assert_used(request: Any, flow: str, first: str) -> None:
    """The request carried these credentials, and they were the right ones."""
    assert request.status == 200
    if flow == "client":
        assert request.headers["authorization"].startswith(f"Basic {first}")
        assert request.body["grant_type"] == "client_credentials"
    else:
        assert "authorization" not in request.headers
        assert (request.body["grant_type"], request.body["username"]) == ("password", first)
    assert request.body["scope"] == "apim:api_import_export apim:api_view"


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.conforms("AP-004", "AP-005", "AP-006")
async def test_variables_in_every_spelling(apim: Apim, tmp_path: Path, family: str, flow: str) -> None:
    given = await credentials(apim, flow)
    environ = await link(apim) | dict(zip(names(family, flow), given, strict=True))
    assert_used(await asked_with(apim, tmp_path, environ), flow, given[0])


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.conforms("AP-007")
async def test_literals_in_the_file(apim: Apim, tmp_path: Path, flow: str) -> None:
    given = await credentials(apim, flow)
    keys = [f"apim_oauth2_{name.lower()}" for name in FLOWS[flow]]
    request = await asked_with(apim, tmp_path, await link(apim), **dict(zip(keys, given, strict=True)))
    assert_used(request, flow, given[0])


@pytest.mark.parametrize("spelling", [name for name in LINKS if name != "1.2"])
async def test_host_and_token_in_older_spellings(apim: Apim, tmp_path: Path, spelling: str) -> None:
    given = await credentials(apim, "client")
    environ = await link(apim, spelling) | dict(zip(names("A", "client"), given, strict=True))
    assert_used(await asked_with(apim, tmp_path, environ), "client", given[0])


@pytest.mark.parametrize("order", ["CAB", "AB"])
def test_which_spelling_wins_and_that_a_difference_is_told(order: str) -> None:
    for flow, parts in FLOWS.items():
        environ = {}
        for place, family in enumerate(order):
            environ |= dict(zip(names(family, flow), (f"first-{place}", f"second-{place}"), strict=True))
        loaded = settings.load([], environ)
        linked = loaded.settings.controller.controlplane
        first, second = (getattr(linked, f"apim_oauth2_{name.lower()}") for name in parts)
        assert (first, second.get_secret_value()) == ("first-0", "second-0")
        for path, variable in zip(parts, names(order[0], flow), strict=True):
            assert loaded.sources[f"controller.controlplane.apim_oauth2_{path.lower()}"] == variable
            (warning,) = [text for text in loaded.warnings if f"apim_oauth2_{path.lower()};" in text]
            assert all(names(family, flow)[parts.index(path)] in warning for family in order)
            assert "first-" not in warning
            assert "second-" not in warning
        equal = dict.fromkeys(environ, "the-same")
        assert not settings.load([], equal).warnings


@pytest.mark.conforms("AP-008")
def test_the_log_names_the_variables_and_nothing_of_their_values(tmp_path: Path) -> None:
    with StandIn(tmp_path / "apim") as apim:
        over = apim.gateway("edge")
        linked = over["controller"].pop("controlplane")
        environ = dict(zip(names("A", "client"), (linked["apim_oauth2_client_id"], OTHER[1]), strict=True))
        environ |= dict(zip(names("B", "user"), OTHER, strict=True))
        environ |= {f"{LINK}HOST": apim.host, f"{LINK}TOKEN": linked["token"], f"{LINK}GATEWAY_NAME": "edge"}
        over["controller"]["logging"] = {"level": "debug"}
        gateway = Gateway(tmp_path / "edge", over, role="controller", environ=environ)
        # Checked in the log and in the data when it ends.
        gateway.secrets |= {linked["token"], OTHER[1]}
        with gateway:
            assert gateway.post(rest_api("books", 9)).status == 201
            until(lambda: apim.requests("/oauth2/token"), "the client is refused")
            until(lambda: "books" in json.dumps(gateway.admin.get("/status").json()), "the status names the API")
            line = gateway.process.wait_for_words("credentials of the control plane")
            for variable in environ:
                assert variable in line or variable in {f"{LINK}HOST", f"{LINK}GATEWAY_NAME"}
