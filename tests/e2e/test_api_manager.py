"""An API Manager, a gateway and Envoy: what is made at the gateway is managed there, and what is done there is done."""

from collections.abc import Iterator
from typing import Any

import pytest
from envoy_harness import Backend
from gateway_processes import KEY_POLICY, Gateway, rest_api, until

from support.apim_thread import StandIn

SITE = "prod-gateway"
INTERNAL = "/internal/data/v1"


@pytest.fixture(scope="module")
def apim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn(tmp_path_factory.mktemp("apim") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def site(apim: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    over = apim.gateway(SITE)
    with Gateway(tmp_path_factory.mktemp("site"), over) as gateway:
        gateway.secrets.add(over["controller"]["controlplane"]["apim_oauth2_client_secret"])
        gateway.wait_for_link()
        yield gateway


@pytest.fixture(autouse=True)
def honest(apim: StandIn) -> Iterator[None]:
    yield
    apim.manager.switches.reset()


def synced(gateway: Gateway, handle: str) -> dict[str, Any]:
    """The API as the status shows it once API Manager has its present content."""

    def look() -> dict[str, Any]:
        shown = gateway.artifact(handle)
        return shown if shown.get("controlPlaneSync") == "success" else {}

    found: dict[str, Any] = until(look, f"{handle} is synced")
    return found


def api_id(apim: StandIn, name: str) -> str:
    (api,) = apim.ask(lambda client: client.apis(f"name:{name}"))
    return str(api["id"])


def answers(gateway: Gateway, path: str, status: int, key: str = "") -> bool:
    headers = [("API-Key", key)] if key else []
    return bool(until(lambda: gateway.get(path, headers=headers).status == status, f"{path} answers {status}"))


def acknowledged(apim: StandIn, api: str, action: str, count: int = 1) -> list[dict[str, Any]]:
    """What the gateway said of deployments of an API."""

    def said() -> list[dict[str, Any]]:
        listed = apim.ask(lambda client: client.acknowledgements())
        found = [each for each in listed if api in str(each) and f"'{action}'" in str(each)]
        return found if len(found) >= count else []

    return list(until(said, f"{action} of {api} is acknowledged"))


def test_undeploying_there_ends_the_traffic_here(apim: StandIn, site: Gateway, backend: Backend) -> None:
    site.deploy(rest_api("pets", backend.port))
    local_id = synced(site, "pets")["id"]
    api = api_id(apim, "pets")
    assert api != local_id
    (revision,) = apim.deployed(api)
    apim.ask(lambda client: client.undeploy(api, revision, [SITE]))
    assert answers(site, "/pets/items", 404)
    acknowledged(apim, api, "undeploy")
    shown = site.artifact("pets")
    assert (shown["id"], shown["desiredState"], shown["serving"]["state"]) == (local_id, "undeployed", "undeployed")

    # Deployed again from there: the same API, from now on theirs.
    apim.ask(lambda client: client.deploy(api, revision, [SITE]))
    assert answers(site, "/pets/items", 200)
    acknowledged(apim, api, "deploy")
    found = [each for each in site.status()["artifacts"] if each["displayName"] == "pets"]
    assert [(each["id"], each["origin"]) for each in found] == [(local_id, "control_plane")]


@pytest.mark.conforms("AP-072")
def test_a_change_made_there_is_served_here_and_stays_theirs(apim: StandIn, site: Gateway, backend: Backend) -> None:
    site.deploy(rest_api("books", backend.port))
    local_id = synced(site, "books")["id"]
    api = api_id(apim, "books")
    present = apim.ask(lambda client: client.api(api))["operations"]
    more = {**present[0], "target": "/shelves"}
    apim.ask(lambda client: client.publish_change(api, [SITE], operations=[*present, more]))
    assert answers(site, "/books/shelves", 200)

    def handed_over() -> dict[str, Any]:
        return next((each for each in site.status()["artifacts"] if each["id"] == local_id), {})

    until(lambda: handed_over()["origin"] == "control_plane", "it belongs to API Manager")
    imports = len(apim.requests("/apis/import"))
    document = rest_api(handed_over()["handle"], backend.port, displayName="books", context="/books")
    site.served(site.put(document))
    assert answers(site, "/books/shelves", 404)
    site.deploy(rest_api("afterwards", backend.port))
    synced(site, "afterwards")
    later = apim.requests("/apis/import")[imports:]
    assert len(later) == 1
    assert apim.ask(lambda client: client.api(api))["operations"] != present


def test_deleting_there_ends_the_api_here(apim: StandIn, site: Gateway, backend: Backend) -> None:
    site.deploy(rest_api("doomed", backend.port))
    synced(site, "doomed")
    api = api_id(apim, "doomed")
    apim.ask(lambda client: client.delete_api(api))
    assert answers(site, "/doomed/items", 404)
    until(lambda: site.artifact("doomed") == {}, "the gateway has forgotten it")


def test_keys_of_the_developer_portal_open_an_api_made_here(apim: StandIn, site: Gateway, backend: Backend) -> None:
    site.deploy(rest_api("vault", backend.port, policies=[KEY_POLICY]))
    synced(site, "vault")
    api = api_id(apim, "vault")
    local = site.create_key("vault", "local-key")
    key = apim.ask(lambda client: client.create_key(api, "mobile-key"))
    site.secrets.add(key)
    assert answers(site, "/vault/items", 200, key)
    renewed = apim.ask(lambda client: client.regenerate_key(api, "mobile-key"))
    site.secrets.add(renewed)
    assert answers(site, "/vault/items", 200, renewed)
    assert answers(site, "/vault/items", 401, key)
    for mode in ("empty", "wrapped", "404", "upper_case"):
        apim.turn(api_keys_mode=mode)
        site.admin.post("/sync")
        assert site.get("/vault/items", headers=[("API-Key", renewed)]).status == 200, mode
        assert site.get("/vault/items", headers=[("API-Key", local)]).status == 200, mode
    apim.ask(lambda client: client.revoke_key(api, "mobile-key"))
    assert answers(site, "/vault/items", 401, renewed)
    assert site.get("/vault/items", headers=[("API-Key", local)]).status == 200


@pytest.mark.parametrize("when", ["after", "before"])
def test_the_echo_of_an_import_does_not_hand_the_api_over(
    apim: StandIn, site: Gateway, backend: Backend, when: str
) -> None:
    apim.turn(echo_on_import=when, duplicate_events="on")
    name = f"echo-{when}"
    site.deploy(rest_api(name, backend.port))
    synced(site, name)
    api = api_id(apim, name)
    acknowledged(apim, api, "deploy")
    edited = rest_api(name, backend.port, operations=[{"method": "GET", "path": "/edited"}])
    site.served(site.put(edited))
    synced(site, name)
    acknowledged(apim, api, "deploy", 2)
    shown = site.artifact(name)
    assert (shown["origin"], shown["controlPlaneSync"]) == ("gateway_api", "success")
    assert answers(site, f"/{name}/edited", 200)
    assert len(apim.deployed(api)) == 1
    assert {each.get("status") for each in acknowledged(apim, api, "deploy", 2)} <= {"success", None}
    (revision,) = apim.deployed(api)
    apim.ask(lambda client: client.undeploy(api, revision, [SITE]))
    assert answers(site, f"/{name}/edited", 404)


@pytest.mark.conforms("AP-024")
def test_nothing_of_a_cloud_is_asked_for(apim: StandIn, site: Gateway) -> None:
    site.admin.post("/sync")
    asked = {request.path.removeprefix(INTERNAL) for request in apim.requests(INTERNAL)}
    assert "/apis/api-keys" in asked
    cloud = ("deployments", "subscription", "secrets", "manifest", "artifacts", "gateways/", "import-gateway")
    assert not [path for path in asked if any(word in path for word in cloud) and "ws/gateways" not in path]
