"""Secrets over the management API, and documents that name them."""

import sqlite3

import pytest
from pydantic import SecretStr

from gatewright.artifacts.templates import Renderer, SecretUnavailable
from gatewright.artifacts.vhosts import VhostDefaults
from gatewright.deployment import Deployments
from gatewright.deployment.kinds import RestApiRules
from gatewright.deployment.secrets import Secrets
from gatewright.deployment.serving import ServingBoard
from gatewright.management.rest_apis import RestApis
from gatewright.management.secrets import SecretDocuments
from gatewright.model.gateway import Gateway, Listener
from gatewright.store import open_store
from gatewright.store.encryption import KeyRing

CANARY = "canary-secret-51c0"


@pytest.fixture
async def store(tmp_path):
    opened = await open_store(tmp_path / "gateway.db", keys=KeyRing([("k1", b"k" * 32)]))
    yield opened
    await opened.close()


@pytest.fixture
async def secrets(store):
    made = Secrets(store)
    await made.load()
    return made


@pytest.fixture
def rules(catalogue, secrets):
    return RestApiRules(
        catalogue=catalogue,
        defaults=VhostDefaults(),
        renderer=Renderer(secrets.value),
        gateway=Gateway(listeners=(Listener("http", "127.0.0.1", 8080),)),
    )


@pytest.fixture
def deployments(store, rules):
    return Deployments(store, [rules], board=ServingBoard(), pushes=False)


@pytest.fixture
def operations(secrets, deployments):
    return [*SecretDocuments(secrets).operations(), *RestApis(deployments).operations()]


def secret(handle="acme-key", **spec):
    return {
        "kind": "Secret",
        "metadata": {"name": handle},
        "spec": {"displayName": "Acme key", "description": "production", "value": CANARY} | spec,
    }


@pytest.mark.conforms("MG-152")
async def test_the_value_is_only_in_the_answer_to_get_one(admin):
    created = await admin.post("/secrets", json=secret())
    assert created.status_code == 201
    assert created.json()["spec"] == {"displayName": "Acme key", "description": "production"}
    assert set(created.json()["status"]) == {"id", "createdAt", "updatedAt"}
    updated = await admin.put("/secrets/acme-key", json=secret(value=CANARY + "2"))
    assert (updated.status_code, CANARY in updated.text) == (200, False)
    assert updated.json()["status"]["createdAt"] == created.json()["status"]["createdAt"]
    one = (await admin.get("/secrets/acme-key")).json()
    assert one["spec"] == {"displayName": "Acme key", "description": "production", "value": CANARY + "2"}
    listed = (await admin.get("/secrets")).json()
    assert (listed["status"], listed["count"]) == ("success", 1)
    assert listed["secrets"][0]["spec"] == {"displayName": "Acme key"}


@pytest.mark.conforms("MG-153")
async def test_identity(admin):
    await admin.post("/secrets", json=secret())
    taken = await admin.post("/secrets", json=secret())
    assert (taken.status_code, taken.json()["message"]) == (
        409,
        "storage failed: configuration already exists: secret with id 'acme-key' already exists",
    )
    for method in ("GET", "DELETE"):
        answer = await admin.request(method, "/secrets/nope")
        assert (answer.status_code, answer.json()["message"]) == (404, "configuration not found: id=nope")
    unknown = await admin.put("/secrets/nope", json=secret("nope"))
    assert (unknown.status_code, unknown.json()["message"]) == (
        404,
        "secret configuration not found: id=nope: configuration not found: id=nope",
    )
    renamed = await admin.put("/secrets/acme-key", json=secret("other"))
    assert renamed.status_code == 400
    assert renamed.json()["message"].endswith("renaming secrets is not supported")
    long = await admin.put(f"/secrets/{'x' * 256}", json=secret())
    assert long.json()["message"] == "Secret ID too long (max 255 characters)"


@pytest.mark.conforms("MG-154", "OP-070")
async def test_sizes(admin):
    assert (await admin.post("/secrets", json=secret(value="v" * 10_240))).status_code == 201
    large = await admin.post("/secrets", json=secret("large", value="v" * 10_241))
    assert large.json()["message"] == (
        "configuration validation failed with 1 error(s): 1. spec.value: Secret value must be less than 10KB"
    )
    larger = await admin.post("/secrets", json=secret("large", value="v" * 11_264))
    assert (larger.status_code, larger.json()["message"]) == (400, "Request body too large or unreadable")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"displayName": ""}, "spec.displayName: Secret displayName is required"),
        ({"displayName": "d" * 254}, "spec.displayName: Secret displayName must be 1-253 characters"),
        ({"displayName": "#"}, "spec.displayName: Secret displayName must be URL-friendly"),
        ({"description": "d" * 1025}, "spec.description: Secret description must be at most 1024 characters"),
        ({"value": None}, "spec.value: Secret value is required"),
    ],
)
async def test_rules(changes, problem, admin):
    answer = await admin.post("/secrets", json=secret(**changes))
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(f"configuration validation failed with 1 error(s): 1. {problem}")


@pytest.mark.conforms("MG-155")
async def test_a_secret_in_use_may_go_with_an_empty_answer(admin, rest_api):
    await admin.post("/secrets", json=secret())
    named = rest_api(upstream={"main": {"url": 'http://{{ secret "acme-key" }}'}})
    assert (await admin.post("/rest-apis", json=named)).status_code == 201
    gone = await admin.delete("/secrets/acme-key")
    assert (gone.status_code, gone.content) == (200, b"")
    refused = await admin.put("/rest-apis/orders", json=named)
    assert refused.json()["message"] == 'failed to resolve secret "acme-key": configuration not found: id=acme-key'


@pytest.mark.conforms("MG-156")
async def test_the_database_holds_an_envelope(admin, tmp_path, capsys):
    await admin.post("/secrets", json=secret())
    connection = sqlite3.connect(tmp_path / "gateway.db")
    ((ciphertext,),) = connection.execute("SELECT ciphertext FROM secrets").fetchall()
    connection.close()
    assert ciphertext.startswith("enc:aesgcm:v1:k1:")
    assert CANARY.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("gateway.db*"))
    shown = capsys.readouterr()
    assert CANARY not in shown.out + shown.err


@pytest.mark.conforms("MG-085", "MG-088")
async def test_documents_name_secrets_and_keep_naming_them(admin, rest_api):
    named = rest_api(upstream={"main": {"url": 'http://{{ secret "acme-key" }}'}})
    early = await admin.post("/rest-apis", json=named)
    assert early.json()["message"] == 'failed to resolve secret "acme-key": configuration not found: id=acme-key'
    await admin.post("/secrets", json=secret())
    stored = await admin.post("/rest-apis", json=named)
    assert stored.status_code == 201
    assert stored.json()["spec"]["upstream"] == named["spec"]["upstream"]


async def test_only_administrators(signed_in):
    for user in ("dev", "carl"):
        assert (await signed_in(user).get("/secrets")).status_code == 403


async def test_secrets_are_there_again_after_a_restart(admin, store):
    await admin.post("/secrets", json=secret())
    again = Secrets(store)
    await again.load()
    assert again.value("acme-key") == CANARY
    assert again.known() == {"acme-key"}


async def test_a_lost_key_is_said_in_plain_words(admin, store, tmp_path):
    await admin.post("/secrets", json=secret())
    await store.close()
    other = await open_store(tmp_path / "gateway.db", keys=KeyRing([("k2", b"x" * 32)]))
    try:
        blind = Secrets(other)
        await blind.load()
        with pytest.raises(SecretUnavailable, match="k1"):
            blind.value("acme-key")
    finally:
        await other.close()


async def test_secrets_of_the_control_plane(secrets):
    assert await secrets.put("backend-key", SecretStr("one"), name="Backend key")
    assert not await secrets.put("backend-key", SecretStr("one"), name="Backend key")
    assert await secrets.put("backend-key", SecretStr("two"))
    assert secrets.value("backend-key") == "two"
    row, _ = await secrets.get("backend-key")
    assert row.handle == "backend-key"
