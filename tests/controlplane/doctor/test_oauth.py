"""The step OAuth against a stand-in API Manager: what a token may do, and what keeps one from being had."""

import json

import pytest
from controlplane_lab import make_settings

from gatewright.controlplane.doctor import diagnose, plain
from gatewright.hub.apim.config import User
from support.apim import running

SECRET = "the-password-of-devops"
USERS = (
    User("admin", "admin", ("admin",)),
    User("devops", SECRET, ("Internal/devops",)),
    User("nobody", SECRET, ("Internal/subscriber",)),
)


@pytest.fixture
async def apim(tmp_path):
    async with running(tmp_path / "apim", users=USERS) as made:
        yield made


@pytest.fixture
async def look(apim):
    """The finding for these credentials; none of them is shown."""
    token = (await apim.client.register_gateway("edge"))["registrationToken"]

    async def examine(own=None, **credentials):
        settings = make_settings(apim.host, token, ca_file=apim.ca_file, own=own, gateway_name="edge", **credentials)
        diagnosis = await diagnose(settings)
        shown = json.dumps(plain(diagnosis))
        for name in ("apim_oauth2_client_secret", "apim_oauth2_password"):
            assert not credentials.get(name) or credentials[name] not in shown
        return diagnosis.of("oauth")

    return examine


async def client_of(apim, owner="admin", name="gateway-controller", **more):
    made = await apim.client.register_client(name, owner=owner, **more)
    return {"apim_oauth2_client_id": made["clientId"], "apim_oauth2_client_secret": made["clientSecret"]}


async def test_a_client_with_the_rights(apim, look):
    client = await client_of(apim)
    found = await look(**client)
    assert (found.state, found.code) == ("ok", "")
    assert client["apim_oauth2_client_id"] in found.seen
    assert "apim:api_import_export" in found.facts["scopes"]


async def test_a_client_without_rights_grants_or_the_right_secret(apim, look):
    found = await look(**await client_of(apim, "nobody", "weak"))
    assert (found.state, found.code) == ("failed", "OAUTH_SCOPES")
    assert "Internal/devops" in found.change
    found = await look(**await client_of(apim, name="user-only", grants="password"))
    assert (found.state, found.code) == ("failed", "OAUTH_NO_TOKEN")
    assert "unauthorized_client" in found.wrong
    assert "grant" in found.change
    found = await look(**{**await client_of(apim), "apim_oauth2_client_secret": "not-the-secret"})
    assert "invalid_client" in found.wrong
    assert "gatewright apim register" in found.change


async def test_a_user_alone_with_a_client_and_with_a_wrong_password(apim, look):
    user = {"apim_oauth2_username": "devops", "apim_oauth2_password": SECRET}
    found = await look(**user)
    assert found.state == "failed"
    assert "apim_password_client_auth" in found.change
    apim.switches.turn({"token_mode": "public_ropc"})
    assert (await look(**user)).state == "ok"
    apim.switches.reset()
    both = {**user, **await client_of(apim)}
    found = await look({"apim_password_client_auth": True}, **both)
    assert (found.state, "the user devops" in found.seen) == ("ok", True)
    found = await look({"apim_password_client_auth": True}, **{**both, "apim_oauth2_password": "wrong-password"})
    assert "invalid_grant" in found.wrong
    assert "apim_oauth2_password" in found.change


async def test_half_a_pair_and_nothing(look):
    found = await look(apim_oauth2_client_id="lonely")
    assert (found.state, "not synced" in found.wrong) == ("warning", True)
    found = await look()
    assert (found.state, "gatewright apim register" in found.seen) == ("skipped", True)


@pytest.mark.parametrize("mode", ["500", "malformed", "no_token"])
async def test_a_token_endpoint_that_is_broken(apim, look, mode):
    client = await client_of(apim)
    apim.switches.turn({"token_mode": mode})
    found = await look(**client)
    assert (found.state, found.code) == ("failed", "OAUTH_NO_TOKEN")
