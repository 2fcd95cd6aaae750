"""HTTP Basic: names, passwords, hashes, and what guessing costs."""

import asyncio
import base64
import threading
import time

import bcrypt
import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr

from gatewright.management import identity
from gatewright.management.identity import (
    BasicAuthenticator,
    Busy,
    Identity,
    NoCredentials,
    User,
    WrongCredentials,
    hash_matches,
    hash_password,
)
from gatewright.management.mux import Mux

QUICK = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)


def user(name="Alice", password="right", *, hashed=False, roles=("admin",)):
    return User(name, SecretStr(password), hashed=hashed, roles=frozenset(roles))


def basic(name="Alice", password="right"):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.mark.conforms("MG-016", "MG-005")
@pytest.mark.parametrize("header", [None, "", "Digest x", "basic QTpi", "Bearer x.y.z"])
async def test_no_credentials(signed_in, header):
    response = await signed_in(None, base="").get("/rest-apis", headers={"authorization": header} if header else {})
    assert response.status_code == 401
    assert response.json() == {"code": "skip_authz", "message": "no valid authentication credentials provided"}
    assert "deprecation" in response.headers
    assert "www-authenticate" not in response.headers


@pytest.mark.conforms("MG-017")
@pytest.mark.parametrize(
    "header",
    [basic("Admin", "wrong"), basic("nobody", "Admin-pass"), "Basic ", "Basic !!!", "Basic QQ==", "Basic /////w=="],
)
async def test_wrong_credentials(signed_in, header):
    response = await signed_in(None).get("/rest-apis", headers={"authorization": header})
    assert response.status_code == 401
    assert response.json() == {"code": "authentication_failed", "message": "authentication failed"}


@pytest.mark.conforms("MG-022")
async def test_the_wrong_role(signed_in):
    response = await signed_in("carl").get("/rest-apis")
    assert response.status_code == 403
    assert response.json() == {"code": "forbidden", "message": "forbidden"}


@pytest.mark.conforms("MG-021")
async def test_a_consumer_makes_keys_and_reads_no_apis(signed_in, post, rest_api):
    await post(rest_api())
    assert (await signed_in("carl").post("/rest-apis/orders/api-keys", json={})).status_code == 201
    assert (await signed_in("carl").get("/rest-apis")).status_code == 403
    assert (await signed_in("carl").post("/rest-apis", json=rest_api("b"))).status_code == 403


async def test_a_developer_writes_apis_and_makes_no_keys(signed_in, rest_api):
    dev = signed_in("dev")
    assert (await dev.post("/rest-apis", json=rest_api())).status_code == 201
    assert (await dev.get("/rest-apis/orders")).status_code == 200
    assert (await dev.post("/rest-apis/orders/api-keys", json={})).status_code == 403


@pytest.mark.conforms("MG-018")
async def test_names_are_compared_without_case(post, rest_api, app, signed_in):
    await post(rest_api())
    client = signed_in(None)
    headers = {"authorization": basic("aDMIN", "Admin-pass")}
    made = await client.post("/rest-apis/orders/api-keys", json={}, headers=headers)
    assert made.json()["apiKey"]["createdBy"] == "Admin"


@pytest.mark.conforms("MG-019")
@pytest.mark.parametrize(
    "stored",
    [
        hash_password("right"),
        QUICK.hash("right"),
        bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode(),
        bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$"),
        bcrypt.hashpw(b"right", bcrypt.gensalt(4, b"2a")).decode(),
    ],
    ids=["argon2id", "argon2id-other-cost", "bcrypt-2b", "bcrypt-2y", "bcrypt-2a"],
)
async def test_hashed_passwords(stored):
    authenticator = BasicAuthenticator([user(password=stored, hashed=True)])
    assert await authenticator.identify(basic()) == Identity("Alice", frozenset({"admin"}))
    assert await authenticator.identify(basic(password="wrong")) == WrongCredentials()
    assert await authenticator.identify(basic(password=stored)) == WrongCredentials()


@pytest.mark.parametrize(
    "stored", ["", "right", "$argon2i$v=19$m=8,t=1,p=1$x$y", "$argon2id$broken", "$2b$99$x", "$2b$04$short", "$2x$04$a"]
)
def test_what_is_no_known_hash_matches_nothing(stored):
    assert not hash_matches(stored, "right")
    assert not hash_matches(stored, stored)


def test_long_and_strange_passwords_are_just_wrong():
    stored = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    assert not hash_matches(stored, "x" * 100_000)
    assert not hash_matches(stored, "right\0more")
    assert not hash_matches(QUICK.hash("right"), "right\0")


async def test_a_password_may_hold_colons_and_any_character():
    authenticator = BasicAuthenticator([user(password="a:b:ü \0")])
    assert isinstance(await authenticator.identify(basic(password="a:b:ü \0")), Identity)


async def test_nobody_is_nobody():
    assert await BasicAuthenticator([]).identify("") == NoCredentials()
    assert await BasicAuthenticator([]).identify(basic("", "")) == WrongCredentials()


async def test_a_right_password_is_remembered_for_a_while(monkeypatch):
    checked = []
    monkeypatch.setattr(identity, "hash_matches", lambda stored, password: checked.append(1) or password == "right")
    now = [0.0]
    authenticator = BasicAuthenticator([user(password="$argon2id$", hashed=True)], clock=lambda: now[0])
    for _ in range(5):
        assert isinstance(await authenticator.identify(basic()), Identity)
    assert len(checked) == 1
    assert await authenticator.identify(basic(password="wrong")) == WrongCredentials()
    assert await authenticator.identify(basic(password="wrong")) == WrongCredentials()
    assert len(checked) == 3
    now[0] = identity.REMEMBERED_S + 1
    await authenticator.identify(basic())
    assert len(checked) == 4


async def test_an_unknown_name_costs_what_a_known_one_costs(monkeypatch):
    checked = []
    monkeypatch.setattr(identity, "hash_matches", lambda stored, password: bool(checked.append(stored)))
    authenticator = BasicAuthenticator([user(password="$argon2id$x", hashed=True)])
    assert await authenticator.identify(basic("nobody")) == WrongCredentials()
    assert len(checked) == 1
    assert checked[0].startswith("$argon2id$")


async def test_guessing_takes_few_processors_and_locks_nobody_out_who_is_known(monkeypatch):
    release, lock = threading.Event(), threading.Lock()
    running = most = 0

    def slow(stored, password):
        nonlocal running, most
        if password == "right":
            return True
        with lock:
            running += 1
            most = max(most, running)
        release.wait(10)
        with lock:
            running -= 1
        return False

    monkeypatch.setattr(identity, "hash_matches", slow)
    authenticator = BasicAuthenticator([user(password="$argon2id$x", hashed=True)])
    assert isinstance(await authenticator.identify(basic()), Identity)
    guesses = [asyncio.create_task(authenticator.identify(basic(password=f"guess {n}"))) for n in range(200)]
    await asyncio.sleep(0)
    started = time.monotonic()
    assert isinstance(await authenticator.identify(basic()), Identity), "a known client does not wait"
    assert time.monotonic() - started < 1
    assert await authenticator.identify(basic(password="one more")) == Busy()
    async with asyncio.timeout(10):
        while running < identity.CONCURRENT_HASHES:  # noqa: ASYNC110 - threads have no event to wait for
            await asyncio.sleep(0.01)
    release.set()
    outcomes = await asyncio.gather(*guesses)
    assert outcomes.count(WrongCredentials()) == identity.WAITING_HASHES
    assert outcomes.count(Busy()) == 200 - identity.WAITING_HASHES
    assert most == identity.CONCURRENT_HASHES
    assert await authenticator.identify(basic(password="later")) == WrongCredentials()


async def test_who_is_turned_away_is_told_when_to_come_back(monkeypatch, signed_in, operations):
    class Full:
        async def identify(self, authorization):
            return Busy()

    response = await signed_in("Admin", target=Mux("/api/management/v1", operations, Full())).get("/rest-apis")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["status"] == "error"


async def test_credentials_are_in_no_representation():
    assert "right" not in repr(user())
