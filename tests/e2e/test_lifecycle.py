"""An API's life through the management API, as clients of Envoy see it, while another one is called all the time."""

import threading
import time
from collections.abc import Iterator

import pytest
from envoy_harness import Backend
from gateway_processes import Answer, Gateway, rest_api


@pytest.fixture(scope="module")
def neighbour(gateway: Gateway, backend: Backend) -> str:
    """An API that no test touches."""
    gateway.deploy(rest_api("neighbour", backend.port))
    return "/neighbour/items"


@pytest.fixture(autouse=True)
def undisturbed(gateway: Gateway, neighbour: str) -> Iterator[None]:
    with gateway.undisturbed(neighbour):
        yield


@pytest.mark.conforms("MG-069", "MG-070", "DP-166")
def test_deploy_serve_update_undeploy_redeploy_delete(
    gateway: Gateway, backend: Backend, other_backend: Backend
) -> None:
    document = rest_api("life", backend.port)
    assert gateway.get("/life/items").status == 404
    gateway.deploy(document)
    assert gateway.get("/life/items").json["backend"] == "backend"
    key = gateway.create_key("life", "survivor")

    document = rest_api("life", other_backend.port, operations=[{"method": "GET", "path": "/things"}])
    gateway.replace(document)
    assert gateway.get("/life/things").json["backend"] == "other"
    assert gateway.get("/life/items").status == 404

    undeployed = gateway.replace({**document, "spec": {**document["spec"], "deploymentState": "undeployed"}})
    assert undeployed.status == 200
    assert undeployed.json["status"]["state"] == "undeployed"
    refused = gateway.get("/life/things")
    assert (refused.status, refused.json) == (404, {"error": "Not Found"})
    keys = gateway.management.get("/rest-apis/life/api-keys").json()
    assert [listed["name"] for listed in keys["apiKeys"]] == ["survivor"]
    assert gateway.artifact("life")["serving"]["state"] == "undeployed"

    again = gateway.replace(document)
    assert again.json["status"]["state"] == "deployed"
    assert gateway.get("/life/things").status == 200

    gateway.remove("life")
    gone = gateway.get("/life/things")
    assert (gone.status, gone.json) == (404, {"error": "Not Found"})
    assert gateway.artifact("life") == {}
    assert key not in gateway.process.log


@pytest.mark.conforms("DP-160")
def test_a_request_in_flight_survives_deployments(gateway: Gateway, backend: Backend) -> None:
    gateway.deploy(rest_api("slow", backend.port))
    answers = []
    request = threading.Thread(target=lambda: answers.append(gateway.get("/slow/items?delay=1.0")))
    request.start()
    try:
        for number in range(3):
            gateway.deploy(rest_api(f"between-{number}", backend.port))
            gateway.remove(f"between-{number}")
    finally:
        request.join(30)
    assert [answer.status for answer in answers] == [200]
    gateway.remove("slow")


def test_edits_of_a_busy_api_lose_no_request(gateway: Gateway, backend: Backend, other_backend: Backend) -> None:
    """Every edit changes the upstream, so that clusters come and go under the requests."""
    ports = (other_backend.port, backend.port)
    gateway.deploy(rest_api("busy", backend.port))
    with gateway.undisturbed("/busy/items", threads=2) as traffic:
        for number in range(30):
            gateway.replace(rest_api("busy", ports[number % 2], context="/busy", base=f"/b{number}"))
            assert gateway.get("/busy/items").json["path"] == f"/b{number}/items"
        traffic.proceed(20)
    gateway.remove("busy")


def test_an_api_that_comes_and_goes(gateway: Gateway, backend: Backend) -> None:
    document = rest_api("flapping", backend.port)
    for _ in range(10):
        gateway.deploy(document)
        assert gateway.get("/flapping/items").status == 200
        gateway.remove("flapping")
        assert gateway.get("/flapping/items").status == 404


def test_two_apis_share_a_first_segment(gateway: Gateway, backend: Backend, other_backend: Backend) -> None:
    gateway.deploy(rest_api("shop-orders", backend.port, context="/shop/orders"))
    with gateway.undisturbed("/shop/orders/items"):
        gateway.deploy(rest_api("shop-stock", other_backend.port, context="/shop/stock"))
        assert gateway.get("/shop/orders/items").json["backend"] == "backend"
        assert gateway.get("/shop/stock/items").json["backend"] == "other"
        assert gateway.get("/shop/items").status == 404
        gateway.remove("shop-stock")
    assert gateway.get("/shop/stock/items").status == 404
    gateway.remove("shop-orders")


def test_an_api_at_the_root_changes_the_form_without_a_failed_request(
    gateway: Gateway, backend: Backend, other_backend: Backend
) -> None:
    """A wildcard that fits every first segment makes one list of all APIs; the answers of the others stay the same."""
    gateway.deploy(rest_api("steady", backend.port))
    everything = rest_api("root", other_backend.port, context="/", operations=[{"method": "GET", "path": "/*"}])
    with gateway.undisturbed("/steady/items"):
        for _ in range(3):
            gateway.deploy(everything)
            assert gateway.get("/anything/at/all").json["backend"] == "other"
            assert gateway.get("/steady/items").json["backend"] == "backend"
            gateway.remove("root")
            assert gateway.get("/anything/at/all").status == 404
    gateway.remove("steady")


def test_precedence_of_operations(gateway: Gateway, backend: Backend) -> None:
    operations = [{"method": "GET", "path": path} for path in ("/*", "/{id}", "/exact", "/a/{x}/c", "/a/b/*")]
    gateway.deploy(rest_api("order", backend.port, operations=operations))
    assert gateway.get("/order/exact").status == 200
    assert gateway.get("/order/a/b/c").json["path"] == "/a/b/c"
    assert gateway.get("/order/deep/er/than/one").json["path"] == "/deep/er/than/one"
    assert gateway.get("/order/exact", method="POST").status == 404
    gateway.remove("order")


@pytest.mark.parametrize(
    ("base", "context", "asked", "received"),
    [
        ("/v2", "/bases", "/bases/items?x=1", "/v2/items?x=1"),
        ("", "/bases", "/bases/items", "/items"),
        ("/v2/", "/bases/$version", "/bases/v1.0/items", "/v2/items"),
    ],
)
def test_base_paths_are_joined(
    gateway: Gateway, backend: Backend, base: str, context: str, asked: str, received: str
) -> None:
    gateway.deploy(rest_api("bases", backend.port, context=context, base=base))
    answer = gateway.get(asked)
    assert (answer.status, answer.json["path"]) == (200, received)
    gateway.remove("bases")


def test_hosts(gateway: Gateway, backend: Backend, other_backend: Backend) -> None:
    vhosts = {"main": "api.example.com", "sandbox": "sandbox-api.example.com"}
    upstream = {
        "main": {"url": f"http://127.0.0.1:{backend.port}"},
        "sandbox": {"url": f"http://127.0.0.1:{other_backend.port}"},
    }
    gateway.deploy(rest_api("hosted", backend.port, vhosts=vhosts, upstream=upstream))
    assert gateway.get("/hosted/items", host="api.example.com").json["backend"] == "backend"
    assert gateway.get("/hosted/items", host="sandbox-api.example.com").json["backend"] == "other"
    assert gateway.get("/hosted/items", host="elsewhere.example.com").status == 404
    gateway.remove("hosted")


@pytest.mark.conforms("DP-034")
def test_an_api_on_a_host_of_its_own_hides_no_other(gateway: Gateway, backend: Backend) -> None:
    gateway.deploy(rest_api("everywhere", backend.port))
    gateway.deploy(rest_api("special", backend.port, vhosts={"main": "special.example.com"}))
    assert gateway.get("/special/items", host="special.example.com").status == 200
    assert gateway.get("/everywhere/items", host="special.example.com").status == 200
    assert gateway.get("/special/items", host="other.example.com").status == 404
    assert gateway.get("/everywhere/items", host="other.example.com").status == 200
    gateway.remove("everywhere")
    gateway.remove("special")


@pytest.mark.conforms("DP-049")
def test_an_upstream_by_reference(gateway: Gateway, backend: Backend, other_backend: Backend) -> None:
    """All addresses of the definition take part."""
    urls = [{"url": f"http://127.0.0.1:{port}"} for port in (other_backend.port, backend.port)]
    definitions = [{"name": "pool", "upstreams": urls}]
    upstream = {"main": {"ref": "pool"}}
    gateway.deploy(rest_api("referred", backend.port, upstreamDefinitions=definitions, upstream=upstream))
    assert {gateway.get("/referred/items").json["backend"] for _ in range(10)} == {"other", "backend"}
    gateway.remove("referred")


@pytest.mark.conforms("DP-161")
def test_a_document_that_is_refused_changes_nothing(gateway: Gateway, backend: Backend) -> None:
    gateway.deploy(rest_api("kept", backend.port))
    refused = gateway.put(rest_api("kept", backend.port, context="no-slash"))
    assert refused.status == 400
    assert refused.json["errors"][0]["field"] == "spec.context"
    assert gateway.get("/kept/items").status == 200
    assert gateway.management.get("/rest-apis/kept").json()["spec"]["context"] == "/kept"
    gateway.remove("kept")


def test_many_writers_at_once(gateway: Gateway, backend: Backend) -> None:
    """Everything that was acknowledged is served, whatever the order."""
    answers: dict[int, Answer] = {}

    def write(number: int) -> None:
        answers[number] = gateway.post(rest_api(f"many-{number}", backend.port))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert {answer.status for answer in answers.values()} == {201}
    for answer in answers.values():
        gateway.served(answer)
    assert {gateway.get(f"/many-{number}/items").status for number in range(20)} == {200}
    for number in range(20):
        assert gateway.delete(f"many-{number}").status == 200


def test_a_change_is_served_within_a_moment(gateway: Gateway, backend: Backend) -> None:
    """A generous bound: it notices a wait for the next poll, not a busy machine."""
    took = []
    for number in range(5):
        began = time.monotonic()
        gateway.deploy(rest_api("swift", backend.port, context=f"/swift-{number}"))
        took.append(time.monotonic() - began)
        gateway.remove("swift")
    assert min(took) < 1.0, took
