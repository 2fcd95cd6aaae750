"""Tokens of an identity provider, with keys from a real HTTP server."""

import base64
import hmac
import time

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from starlette.responses import Response

from gatewright.management.bearer import BearerAuthenticator, Provider, fetch_jwks, local_roles
from gatewright.management.identity import Identity, NoCredentials, WrongCredentials
from gatewright.management.mux import Mux

ISSUER = "https://idp.example"
KEY = ECKey.generate_key("P-256", {"kid": "first", "use": "sig"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
OTHER = ECKey.generate_key("P-256", {"kid": "second", "use": "sig"})
PROVIDER = Provider(jwks_url="https://idp.example/jwks", issuer=ISSUER, roles_claim="roles")


def token(key=KEY, alg="ES256", *, without=(), **changed):
    claims = {"iss": ISSUER, "sub": "u-1", "exp": int(time.time()) + 300, "roles": ["admin"], **changed}
    claims = {name: value for name, value in claims.items() if name not in without}
    return "Bearer " + jwt.encode({"alg": alg, "kid": key.kid}, claims, key, algorithms=[alg])


def published(*keys):
    return KeySet(list(keys)).as_dict(private=False)


def signed_with_public_key():
    """The old trick: the public key, taken for a shared secret."""
    claims = token(RSA, "RS256").removeprefix("Bearer ").split(".")[1]
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"rsa"}').rstrip(b"=").decode()
    mac = hmac.digest(RSA.as_pem(private=False), f"{head}.{claims}".encode(), "sha256")
    return f"Bearer {head}.{claims}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.fixture
def make():
    """An authenticator; `keys` may be changed later, and `asked` counts the fetches."""

    def authenticator(provider=PROVIDER, keys=(KEY, RSA), **options):
        async def fetch(url):
            made.asked += 1
            if made.keys is None:
                raise OSError("unreachable")
            return published(*made.keys)

        made = BearerAuthenticator(provider, fetch=fetch, **options)
        made.keys, made.asked = keys, 0
        return made

    return authenticator


@pytest.mark.conforms("MG-023")
async def test_a_value_without_mapping_is_the_role(make):
    assert await make().identify(token()) == Identity("u-1", frozenset({"admin"}))
    assert await make().identify(token(RSA, "RS256")) == Identity("u-1", frozenset({"admin"}))


@pytest.mark.conforms("MG-023")
async def test_a_mapped_value_grants_the_local_role(make):
    provider = msgspec.structs.replace(PROVIDER, role_mapping={"developer": ("gw-dev",), "admin": ("gw-ops",)})
    assert (await make(provider).identify(token(roles=["gw-dev", "other"]))).roles == {"developer", "other"}


@pytest.mark.conforms("MG-023")
@pytest.mark.parametrize("changed", [{"iss": "https://evil"}, {"exp": time.time() - 70}, {"nbf": time.time() + 1000}])
async def test_a_wrong_issuer_or_time(make, changed):
    assert await make().identify(token(**changed)) == WrongCredentials()


@pytest.mark.conforms("MG-023")
async def test_a_minute_of_leeway(make):
    assert isinstance(await make().identify(token(exp=int(time.time()) - 40)), Identity)
    assert isinstance(await make().identify(token(nbf=int(time.time()) + 40)), Identity)


@pytest.mark.conforms("MG-024")
async def test_roles_as_words(make):
    assert (await make().identify(token(roles="developer consumer"))).roles == {"developer", "consumer"}


@pytest.mark.parametrize("name", ["exp", "sub", "iss"])
async def test_claims_that_must_be_there(make, name):
    assert await make().identify(token(without=(name,))) == WrongCredentials()


@pytest.mark.parametrize("roles", [None, 7, {"a": 1}, [1, None]])
async def test_roles_of_another_shape_are_no_roles(make, roles):
    assert await make().identify(token(roles=roles)) == Identity("u-1", frozenset())


async def test_the_audience_counts_when_it_is_configured(make):
    provider = msgspec.structs.replace(PROVIDER, audience=frozenset({"gw", "ops"}))
    assert isinstance(await make(provider).identify(token(aud=["x", "gw"])), Identity)
    assert isinstance(await make(provider).identify(token(aud="ops")), Identity)
    assert await make(provider).identify(token(aud="gw ops")) == WrongCredentials()
    assert await make(provider).identify(token()) == WrongCredentials()


async def test_forged_tokens(make):
    assert await make().identify(token(OTHER)) == WrongCredentials()
    same_kid = ECKey.generate_key("P-256", {"kid": "first"})
    assert await make().identify(token(same_kid)) == WrongCredentials()
    assert await make().identify(signed_with_public_key()) == WrongCredentials()
    none = "Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIn0."
    assert await make().identify(none) == WrongCredentials()


@pytest.mark.parametrize("text", ["", ".", "a.b.c", "x" * 100_000, "\u00e4.\u00f6.\u00fc", "a.b.c.d.e"])
async def test_garbage(make, text):
    assert await make().identify(f"Bearer {text}") == WrongCredentials()


async def test_other_schemes_are_not_looked_at(make):
    assert await make().identify("Basic QTpi") == NoCredentials()
    assert await make().identify("bearer x") == NoCredentials()


async def test_new_keys_are_found_and_forgers_cannot_have_them_fetched_at_will(make):
    now = [1000.0]
    authenticator = make(keys=(KEY,), clock=lambda: now[0])
    assert isinstance(await authenticator.identify(token()), Identity)
    for _ in range(20):
        assert await authenticator.identify(token(OTHER)) == WrongCredentials()
    assert authenticator.asked == 1
    authenticator.keys = (OTHER,)
    now[0] += 11
    assert isinstance(await authenticator.identify(token(OTHER)), Identity)
    assert authenticator.asked == 2


async def test_known_keys_outlive_an_absent_provider(make):
    now = [1000.0]
    authenticator = make(clock=lambda: now[0])
    await authenticator.identify(token())
    authenticator.keys = None
    now[0] += 700
    assert isinstance(await authenticator.identify(token()), Identity)
    assert authenticator.asked == 2


async def test_a_provider_that_was_never_there_is_tried_again(make):
    now = [1000.0]
    authenticator = make(keys=None, clock=lambda: now[0])
    assert await authenticator.identify(token()) == WrongCredentials()
    authenticator.keys = (KEY,)
    assert await authenticator.identify(token()) == WrongCredentials()
    now[0] += 11
    assert isinstance(await authenticator.identify(token()), Identity)


async def test_a_wildcard_takes_what_nothing_else_names():
    mapping = {"admin": ("boss",), "consumer": ("*",)}
    assert local_roles(["boss", "anyone"], mapping) == {"admin", "consumer"}
    assert local_roles([], mapping) == frozenset()


@pytest.mark.parametrize("body", [b"garbage", b"[]", b"{}", b'{"keys":7}', b'{"keys":[{"kty":"?"}]}', b"x" * 600_000])
async def test_a_provider_that_answers_garbage(serve, body):
    async def app(scope, receive, send):
        await Response(body)(scope, receive, send)

    async with serve(app) as port:
        provider = msgspec.structs.replace(PROVIDER, jwks_url=f"http://127.0.0.1:{port}/jwks")
        assert await BearerAuthenticator(provider).identify(token()) == WrongCredentials()


async def test_a_request_with_a_token(serve, operations, signed_in):
    async def app(scope, receive, send):
        await Response(msgspec.json.encode(published(KEY)))(scope, receive, send)

    async with serve(app) as port:
        url = f"http://127.0.0.1:{port}/jwks"
        assert (await fetch_jwks(url))["keys"][0]["kid"] == "first"
        provider = msgspec.structs.replace(PROVIDER, jwks_url=url)
        target = Mux("/api/management/v1", operations, BearerAuthenticator(provider))
        client = signed_in(None, target=target)
        assert (await client.get("/rest-apis", headers={"authorization": token()})).status_code == 200
        consumer = {"authorization": token(roles=["consumer"])}
        assert (await client.get("/rest-apis", headers=consumer)).status_code == 403
        expired = {"authorization": token(exp=1)}
        refused = await client.get("/rest-apis", headers=expired)
        assert (refused.status_code, refused.json()["code"]) == (401, "authentication_failed")
