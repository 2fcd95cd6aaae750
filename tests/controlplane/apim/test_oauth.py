"""Tokens: both flows as they go over the wire, one token for all, renewed in time; nothing secret in a text."""

import asyncio
import base64

import pytest
from pydantic import SecretStr

from gatewright.controlplane.apim.config import ApimConfig, apim_config
from gatewright.controlplane.apim.oauth import TokenFailed, Tokens
from gatewright.controlplane.apim.transport import Answer, NoAnswer, Transport
from gatewright.controlplane.config import LinkConfig
from gatewright.controlplane.trust import Trust
from gatewright.settings.tree import Settings
from support.apim import running

BOTH_SCOPES = "apim:api_import_export apim:api_view"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Wire:
    """A token endpoint that answers what it is told; keeps what was sent, unmasked."""

    def __init__(self, *answers: Answer | NoAnswer) -> None:
        self.answers = list(answers)
        self.sent = []

    async def send(self, method, path, *, headers, content, limit):
        self.sent.append((method, path, headers, content))
        await asyncio.sleep(0)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def granted(token: str = "token-1", expires: object = 3600) -> Answer:
    life = "" if expires is None else f', "expires_in": {expires}'
    return Answer(200, f'{{"access_token": "{token}", "token_type": "Bearer"{life}}}'.encode())


def config(**changed) -> ApimConfig:
    values = {"host": "apim.test", **changed}
    for name in ("client_secret", "password"):
        if name in values:
            values[name] = SecretStr(values[name])
    return ApimConfig(**values)


CLIENT = {"client_id": "the-client", "client_secret": "the-client-secret"}
USER = {"username": "zoë & co", "password": "100%+ü &=?"}


async def sent(made: ApimConfig) -> tuple[dict, str]:
    wire = Wire(granted())
    assert await Tokens(made, wire, now=Clock()).get() == "token-1"
    ((method, path, headers, content),) = wire.sent
    assert (method, path) == ("POST", "/oauth2/token")
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    return headers, content.decode()


@pytest.mark.conforms("AP-025", "AP-028", "CP-150")
async def test_client_credentials_win():
    headers, form = await sent(config(**CLIENT, **USER))
    assert form == "grant_type=client_credentials&scope=apim%3Aapi_import_export+apim%3Aapi_view"
    scheme, pair = headers["authorization"].split()
    assert (scheme, base64.b64decode(pair)) == ("Basic", b"the-client:the-client-secret")


@pytest.mark.conforms("AP-026", "AP-027", "CP-150")
@pytest.mark.parametrize("client", [{}, {"client_id": "lone"}])
async def test_the_password_grant_goes_without_client_authentication(client):
    headers, form = await sent(config(**USER, **client))
    assert "authorization" not in headers
    assert form == (
        "grant_type=password&username=zo%C3%AB+%26+co&password=100%25%2B%C3%BC+%26%3D%3F"
        "&scope=apim%3Aapi_import_export+apim%3Aapi_view"
    )


async def test_the_password_grant_with_client_authentication_when_it_is_asked_for():
    headers, form = await sent(config(**CLIENT, **USER, password_client=True))
    assert form.startswith("grant_type=password&")
    assert headers["authorization"].startswith("Basic ")


async def test_nobody_is_asked_without_credentials():
    wire = Wire(granted())
    answer = await Tokens(config(client_id="lone"), wire, now=Clock()).get()
    assert isinstance(answer, TokenFailed)
    assert "no authentication method configured" in answer.message
    assert not answer.requested
    assert not wire.sent


async def test_one_request_for_all_who_wait_and_a_new_one_before_the_end():
    clock, wire = Clock(), Wire(granted("token-1", 100), granted("token-2", 100))
    tokens = Tokens(config(**CLIENT), wire, now=clock)
    assert set(await asyncio.gather(*(tokens.get() for _ in range(20)))) == {"token-1"}
    assert len(wire.sent) == 1
    clock.now += 89
    assert await tokens.get() == "token-1"
    clock.now += 2
    assert await tokens.get() == "token-2"
    tokens.refused("token-1")
    assert await tokens.get() == "token-2", "an old refusal does not end a new token"
    tokens.refused("token-2")
    await tokens.get()
    assert len(wire.sent) == 3


async def test_a_failure_is_shared_and_not_kept():
    wire = Wire(Answer(500, b"out of order"), granted())
    tokens = Tokens(config(**CLIENT), wire, now=Clock())
    first = await asyncio.gather(*(tokens.get() for _ in range(5)))
    assert all(isinstance(answer, TokenFailed) and answer.temporary for answer in first)
    assert len(wire.sent) == 1
    assert await tokens.get() == "token-1"


@pytest.mark.parametrize("expires", [None, 0, -5])
async def test_an_unknown_life_is_an_hour(expires):
    clock, wire = Clock(), Wire(granted("token-1", expires))
    tokens = Tokens(config(**CLIENT), wire, now=clock)
    await tokens.get()
    clock.now += 3200
    await tokens.get()
    assert len(wire.sent) == 1
    clock.now += 100
    await tokens.get()
    assert len(wire.sent) == 2


@pytest.mark.conforms("AP-031")
@pytest.mark.parametrize(
    ("answer", "words", "temporary"),
    [
        (Answer(201, granted().body), "unexpected status 201", False),
        (Answer(302, b""), "unexpected status 302", False),
        (
            Answer(400, b'{"error": "invalid_grant", "error_description": "no"}'),
            "status 400 (invalid_grant: no)",
            False,
        ),
        (Answer(401, b"<html>"), "unexpected status 401", False),
        (Answer(503, b""), "unexpected status 503", True),
        (Answer(200, b"secret-token-that-is-no-json"), "failed to parse token response", True),
        (Answer(200, b"[]"), "failed to parse token response", True),
        (Answer(200, b'{"access_token": "x", "expires_in": "3600"}'), "failed to parse token response", True),
        (Answer(200, b'{"access_token": ""}'), "access token not found in token endpoint response", True),
        (Answer(200, b'{"access_token": "a\\r\\nb"}'), "access token not found in token endpoint response", True),
        (NoAnswer("nothing listens"), "failed to send token request: nothing listens", True),
    ],
)
async def test_what_is_no_token(answer, words, temporary):
    failed = await Tokens(config(**CLIENT), Wire(answer), now=Clock()).get()
    assert isinstance(failed, TokenFailed)
    assert failed.message.startswith("failed to get access token: OAuth2 token generation failed: ")
    assert words in failed.message
    assert failed.temporary is temporary
    assert "secret" not in failed.message


@pytest.mark.parametrize("flow", ["client", "password", "password_with_client"])
async def test_the_stand_in_grants_both_flows(tmp_path, flow):
    switches = {"token_mode": "public_ropc"} if flow == "password" else {}
    async with running(tmp_path / "apim", switches=switches) as apim:
        client = await apim.client.register_client("gateway-controller")
        pair = {"client_id": client["clientId"], "client_secret": client["clientSecret"]}
        user = {"username": "admin", "password": "admin"}
        chosen = {
            "client": pair,
            "password": user,
            "password_with_client": {**pair, **user, "password_client": True},
        }[flow]
        transport = Transport(apim.host, Trust(LinkConfig(ca_file=str(apim.ca_file))), connections=1)
        try:
            token = await Tokens(config(**chosen, host=apim.host), transport, now=Clock()).get()
            assert isinstance(token, str), token
            (request,) = apim.requests("/oauth2/token")
            assert request.body["scope"] == BOTH_SCOPES
        finally:
            await transport.close()


@pytest.mark.parametrize("verify", [True, False])
async def test_an_unknown_authority_gets_no_credential_unless_told_otherwise(tmp_path, verify):
    async with running(tmp_path / "apim") as apim:
        client = await apim.client.register_client("gateway-controller")
        made = config(host=apim.host, client_id=client["clientId"], client_secret=client["clientSecret"])
        transport = Transport(apim.host, Trust(LinkConfig(verify=verify)), connections=1)
        answer = await Tokens(made, transport, now=Clock()).get()
        await transport.close()
        assert isinstance(answer, TokenFailed) is verify
        assert bool(apim.requests("/oauth2/token")) is not verify


def test_the_pool_is_bounded():
    def pool(size: int) -> int:
        tree = {"controller": {"controlplane": {"host": "h", "apim_sync_pool_size": size}}}
        return apim_config(Settings.model_validate(tree)).pool

    assert [pool(size) for size in (-1, 0, 1, 7, 10_000)] == [4, 4, 1, 7, 64]


def test_what_is_missing_is_named():
    assert config().lacks[-1] == "controller.controlplane.gateway_name"
    assert config(**CLIENT, gateway_name="g").lacks == ()
    assert config(**USER, gateway_name="g").lacks == ()
    assert "the-client-secret" not in repr(config(**CLIENT))
