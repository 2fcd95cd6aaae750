"""API keys, from the management API to Envoy's answers."""

import hashlib
import time
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from envoy_harness import Backend, Reply
from gateway_processes import KEY_POLICY, Answer, Gateway, rest_api

UNAUTHORISED = {"error": "Unauthorized", "message": "Valid API key required"}


@pytest.fixture(scope="module")
def secured(gateway: Gateway, backend: Backend) -> str:
    """An API whose operations want a key."""
    gateway.deploy(rest_api("secured", backend.port, policies=[KEY_POLICY]))
    gateway.deploy(rest_api("other-secured", backend.port, policies=[KEY_POLICY]))
    return "secured"


def ask(gateway: Gateway, key: str = "", api: str = "secured") -> Reply:
    return gateway.get(f"/{api}/items", headers=[("API-Key", key)] if key else [])


@pytest.mark.conforms("DP-106", "DP-109", "DP-110")
def test_a_key_opens_its_api_until_it_is_revoked(gateway: Gateway, secured: str) -> None:
    key = gateway.create_key(secured, "visitor")
    without, wrong, right = ask(gateway), ask(gateway, "apip_" + "0" * 64), ask(gateway, key)
    assert [without.status, wrong.status, right.status] == [401, 401, 200]
    assert without.json == wrong.json == UNAUTHORISED
    assert without.headers["content-type"] == "application/json"
    assert "api-key" not in right.json["headers"]
    assert ask(gateway, key, "other-secured").status == 401
    with gateway.undisturbed("/secured/items", status=401):
        gateway.served(Answer(gateway.management.delete(f"/rest-apis/{secured}/api-keys/visitor")))
        revoked = ask(gateway, key)
    assert (revoked.status, revoked.json) == (401, UNAUTHORISED)


@pytest.mark.conforms("MG-128", "DP-113")
def test_regenerating_replaces_the_key(gateway: Gateway, secured: str) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    given = "external-canary-key-0123456789-abcdefghij"
    for name, body in (("local-one", {}), ("external-one", {"apiKey": given})):
        old = gateway.create_key(secured, name, expiresAt=until, **body)
        before = _listed(gateway, secured, name)
        again = Answer(gateway.management.post(f"/rest-apis/{secured}/api-keys/{name}/regenerate", json={}))
        gateway.served(again)
        new = again.json["apiKey"]["apiKey"]
        gateway.secrets.add(new)
        assert new != old
        assert [ask(gateway, old).status, ask(gateway, new).status] == [401, 200]
        after = _listed(gateway, secured, name)
        assert (after["source"], after["expiresAt"]) == (before["source"], before["expiresAt"])
    assert _listed(gateway, secured, "external-one")["source"] == "external"


@pytest.mark.conforms("MG-122")
def test_creating_a_name_again_replaces_the_key(gateway: Gateway, secured: str) -> None:
    first = gateway.create_key(secured, "twice")
    second = gateway.create_key(secured, "twice")
    assert [ask(gateway, first).status, ask(gateway, second).status] == [401, 200]
    listed = gateway.management.get(f"/rest-apis/{secured}/api-keys").json()["apiKeys"]
    assert [key["name"] for key in listed].count("twice") == 1


@pytest.mark.conforms("DP-110")
def test_a_key_expires_by_itself(gateway: Gateway, secured: str) -> None:
    """Nobody calls the gateway in between: expiry ends the key at the router too."""
    ends = datetime.now(UTC) + timedelta(seconds=2)
    key = gateway.create_key(secured, "short-lived", expiresAt=ends.isoformat())
    assert ask(gateway, key).status == 200
    while datetime.now(UTC) < ends:
        assert ask(gateway, key).status == 200 or datetime.now(UTC) >= ends
        time.sleep(0.02)
    deadline = ends + timedelta(seconds=2)
    while (status := ask(gateway, key).status) == 200 and datetime.now(UTC) < deadline:
        time.sleep(0.01)
    assert status == 401


@pytest.mark.conforms("DP-108")
def test_a_prefix_before_the_key(gateway: Gateway, backend: Backend) -> None:
    policy = {**KEY_POLICY, "params": {"key": "Authorization", "in": "header", "valuePrefix": "Bearer"}}
    gateway.deploy(rest_api("prefixed", backend.port, policies=[policy]))
    key = gateway.create_key("prefixed", "visitor")
    values = {f"Bearer {key}": 200, f"bEARER {key}": 200, key: 401, f"Basic {key}": 401, "Bearer": 401, "Bearer ": 401}
    for value, status in values.items():
        assert gateway.get("/prefixed/items", headers=[("Authorization", value)]).status == status, value.split()[0]
    gateway.remove("prefixed")


def test_undeploying_keeps_keys_and_deleting_ends_them(gateway: Gateway, backend: Backend) -> None:
    document = rest_api("keyed", backend.port, policies=[KEY_POLICY])
    gateway.deploy(document)
    key = gateway.create_key("keyed", "lasting")
    gateway.replace({**document, "spec": {**document["spec"], "deploymentState": "undeployed"}})
    assert ask(gateway, key, "keyed").status == 404
    gateway.replace(document)
    assert ask(gateway, key, "keyed").status == 200
    gateway.remove("keyed")
    gateway.deploy(document)
    assert ask(gateway, key, "keyed").status == 401
    gateway.remove("keyed")


def test_keys_where_an_api_lies_at_the_root(gateway: Gateway, backend: Backend, secured: str) -> None:
    """All APIs in one list: keys of each are told apart as before, and end at once."""
    operations = [{"method": "GET", "path": "/*"}]
    other = gateway.create_key(secured, "neighbour")
    gateway.deploy(rest_api("root", backend.port, context="/", operations=operations, policies=[KEY_POLICY]))
    key = gateway.create_key("root", "visitor")
    path = "/whatever/it/is"
    assert gateway.get(path).status == 401
    assert gateway.get(path, headers=[("API-Key", key)]).status == 200
    assert gateway.get(path, headers=[("API-Key", other)]).status == 401
    assert [ask(gateway, other).status, ask(gateway, key).status] == [200, 401]
    gateway.served(Answer(gateway.management.delete("/rest-apis/root/api-keys/visitor")))
    assert gateway.get(path, headers=[("API-Key", key)]).status == 401
    gateway.remove("root")
    assert gateway.get(path).status == 404
    assert ask(gateway, other).status == 200


def test_a_policy_that_comes_and_goes(gateway: Gateway, backend: Backend) -> None:
    document = rest_api("sometimes", backend.port)
    gateway.deploy(document)
    assert ask(gateway, api="sometimes").status == 200
    secured = rest_api("sometimes", backend.port, policies=[KEY_POLICY])
    gateway.replace(secured)
    assert ask(gateway, api="sometimes").status == 401
    gateway.replace(document)
    assert ask(gateway, api="sometimes").status == 200
    gateway.remove("sometimes")


def test_clients_cannot_forge_the_private_header(gateway: Gateway, secured: str) -> None:
    """What the router hands from filter to filter is not believed when it comes from outside."""
    key = gateway.create_key(secured, "forger")
    response = gateway.management.get(f"/rest-apis/{secured}").json()
    assert response["metadata"]["name"] == secured
    artifact = gateway.artifact(secured)["id"]
    digest = hashlib.sha256(key.encode()).hexdigest()
    forged = [("x-gatewright-credential", f"{artifact}:{digest}")]
    assert gateway.get("/secured/items", headers=forged).status == 401
    assert gateway.get("/secured/items", headers=[*forged, ("API-Key", "wrong")]).status == 401


def _listed(gateway: Gateway, api: str, name: str) -> dict[str, object]:
    response: httpx2.Response = gateway.management.get(f"/rest-apis/{api}/api-keys")
    return next(key for key in response.json()["apiKeys"] if key["name"] == name)
