"""From the settings to an authenticator."""

import base64

import pytest
from pydantic import SecretStr

from gatewright.management.identity import Identity, NoCredentials, User, WrongCredentials
from gatewright.management.users import AuthenticationSettings, authenticator_of, configured_users, needs_administrator
from gatewright.settings.tree import Settings

USER = {"username": "ops", "password": "secret-1", "roles": ["admin", "consumer"]}
IDP = {"enabled": True, "jwks_url": "http://127.0.0.1:1/jwks", "issuer": "i"}
GENERATED = User("admin", SecretStr("made"), hashed=False, roles=frozenset({"admin"}))


def settings(**auth):
    return Settings.model_validate({"controller": {"auth": auth}})


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


async def test_configured_users_sign_in():
    configured = settings(basic={"users": [USER]})
    assert not needs_administrator(configured)
    authenticator = authenticator_of(configured)
    assert await authenticator.identify(basic("ops", "secret-1")) == Identity("ops", frozenset({"admin", "consumer"}))
    assert await authenticator.identify("Bearer x") == NoCredentials()


@pytest.mark.conforms("MG-025")
@pytest.mark.parametrize("auth", [{}, {"basic": {"enabled": False, "users": [USER]}}, {"basic": {"users": []}}])
async def test_nobody_configured_does_not_mean_everybody(auth):
    configured = settings(**auth)
    assert needs_administrator(configured)
    with pytest.raises(AuthenticationSettings, match=r"add a user to controller\.auth\.basic\.users"):
        authenticator_of(configured)
    authenticator = authenticator_of(configured, GENERATED)
    assert await authenticator.identify("") == NoCredentials()
    assert await authenticator.identify(basic("ops", "secret-1")) == WrongCredentials()
    assert await authenticator.identify(basic("admin", "made")) == Identity("admin", frozenset({"admin"}))


async def test_a_generated_administrator_is_not_added_to_configured_users():
    authenticator = authenticator_of(settings(basic={"users": [USER]}), GENERATED)
    assert await authenticator.identify(basic("admin", "made")) == WrongCredentials()


async def test_tokens_alone():
    configured = settings(idp=IDP)
    assert not needs_administrator(configured)
    authenticator = authenticator_of(configured)
    assert await authenticator.identify(basic("ops", "secret-1")) == NoCredentials()
    assert await authenticator.identify("Bearer garbage") == WrongCredentials()


async def test_tokens_or_passwords_by_scheme():
    authenticator = authenticator_of(settings(idp=IDP, basic={"users": [USER]}))
    assert isinstance(await authenticator.identify(basic("ops", "secret-1")), Identity)
    assert await authenticator.identify("Bearer garbage") == WrongCredentials()
    assert await authenticator.identify("Digest x") == NoCredentials()


@pytest.mark.conforms("MG-026")
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"jwks_url": ""}, "controller.auth.idp.jwks_url"),
        ({"issuer": " "}, "controller.auth.idp.issuer"),
        ({"roles_claim": ""}, "controller.auth.idp.roles_claim"),
        ({"role_mapping": {"admin": ["*"], "developer": ["x", "*"]}}, "admin, developer"),
    ],
)
def test_half_an_identity_provider_is_refused(changed, named):
    with pytest.raises(AuthenticationSettings) as refused:
        authenticator_of(settings(idp={**IDP, **changed}))
    assert named in str(refused.value)


@pytest.mark.parametrize("changed", [{"username": " "}, {"password": ""}])
def test_a_user_without_name_or_password_is_refused(changed):
    with pytest.raises(AuthenticationSettings, match=r"users\[1\] needs a username and a password"):
        configured_users(settings(basic={"users": [USER, {**USER, **changed}]}))
