"""What different people and their tools may do at one real gateway, and what remains of it."""

from collections.abc import Iterator

import httpx2
import pytest
import yaml
from envoy_harness import Backend
from gateway_processes import KEY_POLICY, USER, Gateway, rest_api, until

DEVELOPER, PASSWORD = "dora", "canary-password-of-a-developer"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("gateway"))
    users = [
        {"username": USER, "password": made.password, "roles": ["admin"]},
        {"username": DEVELOPER, "password": PASSWORD, "roles": ["developer"]},
    ]
    made.configuration["controller"]["auth"] = {"basic": {"users": users}}
    made.secrets.add(PASSWORD)
    with made:
        yield made


@pytest.fixture
def developer(gateway: Gateway) -> Iterator[httpx2.Client]:
    with httpx2.Client(
        base_url=gateway.management.base_url, auth=httpx2.BasicAuth(DEVELOPER, PASSWORD), trust_env=False
    ) as client:
        yield client


@pytest.mark.conforms("MG-020")
def test_a_developer(gateway: Gateway, developer: httpx2.Client, backend: Backend) -> None:
    assert developer.post("/rest-apis", json=rest_api("dev", backend.port)).status_code == 201
    assert developer.get("/rest-apis").status_code == 200
    changed = rest_api("dev", backend.port, operations=[{"method": "GET", "path": "/changed"}])
    assert developer.put("/rest-apis/dev", json=changed).status_code == 200
    assert until(lambda: gateway.get("/dev/changed").status == 200, "what the developer wrote is served")
    assert developer.get("/llm-providers").status_code == 200
    assert developer.post("/llm-providers", json={}).status_code == 403
    assert developer.get("/secrets").status_code == 403
    assert developer.post("/secrets", json={}).status_code == 403
    assert developer.post("/rest-apis/dev/api-keys", json={"name": "mine"}).status_code == 403
    assert developer.delete("/rest-apis/dev").status_code == 200


def secret(value: str) -> dict[str, object]:
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "Secret",
        "metadata": {"name": "tenant"},
        "spec": {"displayName": "tenant", "value": value},
    }


@pytest.mark.conforms("MG-157")
def test_a_changed_secret_reaches_what_names_it(gateway: Gateway, backend: Backend) -> None:
    assert gateway.management.post("/secrets", json=secret("tenant-before")).status_code == 201
    gateway.deploy(rest_api("secretive", backend.port, base='/{{ secret "tenant" }}'))
    assert gateway.get("/secretive/items").json["path"] == "/tenant-before/items"
    assert gateway.management.put("/secrets/tenant", json=secret("tenant-after")).status_code == 200
    changed = "/tenant-after/items"
    assert until(lambda: gateway.get("/secretive/items").json["path"] == changed, "the new value is in use")


@pytest.mark.conforms("OP-070")
def test_the_longest_secret(gateway: Gateway) -> None:
    fits, too_long = secret("x" * 10_240), secret("x" * 10_241)
    for document in (fits, too_long):
        document["metadata"] = {"name": "long"}
    assert gateway.management.post("/secrets", json=too_long).status_code == 400
    assert gateway.management.post("/secrets", json=fits).status_code == 201


@pytest.mark.conforms("OP-065")
def test_an_api_takes_its_keys_and_subscriptions_along(gateway: Gateway, backend: Backend) -> None:
    gateway.deploy(rest_api("leaving", backend.port, policies=[KEY_POLICY]))
    key = gateway.create_key("leaving", "till")
    assert gateway.get("/leaving/items", headers=[("API-Key", key)]).status == 200
    api = gateway.artifact("leaving")["id"]
    subscribed = gateway.management.post("/subscriptions", json={"apiId": api, "subscriptionToken": "canary-token-1"})
    assert subscribed.status_code == 201, subscribed.text
    gateway.secrets.add("canary-token-1")
    gateway.remove("leaving")
    listed = gateway.management.get("/subscriptions").json()["subscriptions"]
    assert api not in {each["apiId"] for each in listed}
    gateway.deploy(rest_api("leaving", backend.port, policies=[KEY_POLICY]))
    assert gateway.get("/leaving/items", headers=[("API-Key", key)]).status == 401
    assert gateway.management.get("/rest-apis/leaving/api-keys").json()["apiKeys"] in ([], None)


@pytest.mark.conforms("OP-081")
def test_the_command_line_of_the_original(gateway: Gateway, backend: Backend) -> None:
    """`ap gateway apply -f` looks whether there is one of the name, then creates or replaces it."""
    root = httpx2.URL(gateway.management.base_url).copy_with(path="/")
    headers = {"content-type": "application/x-yaml"}
    with httpx2.Client(base_url=root, auth=gateway.management.auth, trust_env=False, headers=headers) as client:
        body = yaml.safe_dump(rest_api("applied", backend.port))
        assert client.get("/rest-apis/applied").status_code == 404
        assert client.post("/rest-apis", content=body).status_code == 201
        assert client.get("/rest-apis/applied").status_code == 200
        changed = yaml.safe_dump(rest_api("applied", backend.port, operations=[{"method": "GET", "path": "/again"}]))
        assert client.put("/rest-apis/applied", content=changed).status_code == 200
    assert until(lambda: gateway.get("/applied/again").status == 200, "what was applied is served")
