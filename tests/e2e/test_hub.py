"""A hub, a gateway and Envoy as real processes: what is done at either side arrives at the other, also later."""

import subprocess
from collections.abc import Iterator

import pytest
import yaml
from envoy_harness import Backend
from gateway_processes import KEY_POLICY, PROGRAM, Gateway, Hub, rest_api, until

from gatewright.wire.kinds import PROJECT_ANNOTATION

EDGE = "edge"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Hub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture(scope="module")
def edge(hub: Hub, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that is registered and connected, with an API of its own that no test touches."""
    over = hub.over(hub.register(EDGE))
    with Gateway(tmp_path_factory.mktemp("edge"), over) as gateway:
        gateway.wait_for_link()
        gateway.deploy(rest_api("neighbour", backend.port))
        yield gateway


@pytest.fixture
def undisturbed(edge: Gateway) -> Iterator[None]:
    with edge.undisturbed("/neighbour/items"):
        yield


def deploy(hub: Hub, handle: str, port: int, **spec: object) -> str:
    """Deploy at the hub, and wait for what the gateway says of it."""
    document = yaml.safe_dump(rest_api(handle, port, **spec))
    deployed = hub.ask(lambda client: client.deploy(document, [EDGE]))
    return settled(hub, deployed.artifact.id)


def settled(hub: Hub, artifact: str) -> str:
    views = hub.ask(lambda client: client.deployments(artifact=artifact, wait=20))
    return views[0].status if views else ""


def answers(gateway: Gateway, path: str, status: int, key: str = "") -> bool:
    headers = [("API-Key", key)] if key else []
    return bool(until(lambda: gateway.get(path, headers=headers).status == status, f"{path} answers {status}"))


@pytest.mark.usefixtures("undisturbed")
def test_deploy_key_revoke_undeploy_deploy_again_delete(hub: Hub, edge: Gateway, backend: Backend) -> None:
    assert deploy(hub, "pets", backend.port, policies=[KEY_POLICY]) == "DEPLOYED"
    # Acknowledged means served: the very next request finds it.
    assert edge.get("/pets/items").status == 401
    artifact = edge.artifact("pets")
    assert (artifact["origin"], artifact["serving"]["state"]) == ("control_plane", "served")

    key = hub.ask(lambda client: client.create_key("pets", "visitor")).api_key
    edge.secrets.add(key)
    hub.secrets.add(key)
    assert answers(edge, "/pets/items", 200, key)
    hub.ask(lambda client: client.revoke_key("pets", "visitor"))
    assert answers(edge, "/pets/items", 401, key)

    hub.ask(lambda client: client.undeploy("pets", [EDGE]))
    assert settled(hub, "pets") == "UNDEPLOYED"
    assert edge.get("/pets/items").status == 404

    hub.ask(lambda client: client.deploy_again("pets", [EDGE]))
    assert settled(hub, "pets") == "DEPLOYED"
    assert edge.get("/pets/items").status == 401

    hub.ask(lambda client: client.delete_artifact("pets"))
    assert answers(edge, "/pets/items", 404)
    until(lambda: edge.artifact("pets") == {}, "the gateway has forgotten it")


@pytest.mark.usefixtures("undisturbed")
def test_an_api_made_at_the_gateway_arrives_at_the_hub(hub: Hub, edge: Gateway, backend: Backend) -> None:
    edge.deploy(rest_api("books", backend.port, annotations={PROJECT_ANNOTATION: "default"}))

    def arrived() -> bool:
        listed = hub.ask(lambda client: client.artifacts(origin="gateway_api"))
        return any(artifact.handle == "books" for artifact in listed)

    until(arrived, "the API arrives at the hub")
    until(lambda: edge.artifact("books")["controlPlaneSync"] == "success", "the gateway knows")
    assert edge.get("/books/items").status == 200
    edge.remove("books")


@pytest.mark.usefixtures("undisturbed")
def test_a_document_that_is_no_good_is_told_to_the_hub(hub: Hub, edge: Gateway, backend: Backend) -> None:
    """The hub takes what is well formed; whether it can be served, the gateway says."""
    policy = {"name": "nobody-provides-this", "version": "v1"}
    assert deploy(hub, "doomed", backend.port, policies=[policy]) == "FAILED"
    view = hub.ask(lambda client: client.deployments(artifact="doomed"))[0]
    assert view.reason
    assert edge.get("/doomed/items").status == 404
    assert deploy(hub, "doomed", backend.port) == "DEPLOYED"
    assert edge.get("/doomed/items").status == 200
    hub.ask(lambda client: client.delete_artifact("doomed"))
    assert answers(edge, "/doomed/items", 404)


def test_what_happens_while_the_gateway_is_away(hub: Hub, edge: Gateway, backend: Backend) -> None:
    for handle in ("stays", "goes", "leaves"):
        assert deploy(hub, handle, backend.port, policies=[KEY_POLICY]) == "DEPLOYED"
    old = hub.ask(lambda client: client.create_key("stays", "old")).api_key
    assert answers(edge, "/stays/items", 200, old)
    edge.stop()
    document = yaml.safe_dump(rest_api("comes", backend.port))
    hub.ask(lambda client: client.deploy(document, [EDGE]))
    hub.ask(lambda client: client.delete_artifact("goes"))
    hub.ask(lambda client: client.undeploy("leaves", [EDGE]))
    new = hub.ask(lambda client: client.create_key("stays", "new")).api_key
    hub.ask(lambda client: client.revoke_key("stays", "old"))
    for secret in (old, new):
        edge.secrets.add(secret)
        hub.secrets.add(secret)
    edge.start()
    # The old state serves at once; the new one comes with the first reconcile.
    assert edge.get("/neighbour/items").status == 200
    assert answers(edge, "/comes/items", 200)
    assert answers(edge, "/goes/items", 404)
    assert answers(edge, "/leaves/items", 404)
    assert answers(edge, "/stays/items", 200, new)
    assert answers(edge, "/stays/items", 401, old)
    assert settled(hub, "comes") == "DEPLOYED"
    report = until(lambda: edge.link.get("lastReconcile"), "the reconcile is over")
    assert report["error"] is None
    for handle in ("stays", "leaves", "comes"):
        hub.ask(lambda client, handle=handle: client.delete_artifact(handle))
        assert answers(edge, f"/{handle}/items", 404)


def command(hub: Hub, *arguments: str, given: str = "") -> str:
    """A command of the program about the hub, with its standard input; what it printed."""
    ran = subprocess.run(
        [*PROGRAM, "hub", *arguments, "--data-dir", str(hub.data_dir)],
        input=given, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_subscription_and_plan_are_changed_by_command(hub: Hub, edge: Gateway, backend: Backend) -> None:
    policy = {"name": "subscription-validation", "version": "v1"}
    assert deploy(hub, "metered", backend.port, policies=[policy]) == "DEPLOYED"
    command(hub, "plans", "create", "Two", "--limit", "2/day")
    issued = hub.ask(lambda client: client.create_subscription("metered", plan="two"))
    token, subscription = issued.subscription_token, issued.subscription.id
    for process in (edge, hub):
        process.secrets.add(token)

    def answer(status: int) -> bool:
        found = edge.get("/metered/items", headers=[("Subscription-Key", token)]).status
        return bool(found == status)

    until(lambda: answer(200), "the subscription is there")
    command(hub, "subscriptions", "change", subscription, "--status", "inactive")
    until(lambda: answer(403), "it ends")
    command(hub, "subscriptions", "change", subscription, "--status", "active")
    until(lambda: answer(429), "it is there again, and its quota is used up in the end")
    command(hub, "plans", "change", "two", "--no-stop")
    until(lambda: answer(200), "the plan does not stop any more")
    plan = hub.ask(lambda client: client.plan("two"))
    assert (plan.throttle_limit_count, plan.throttle_limit_unit.lower(), plan.stop_on_quota_reach) == (2, "day", False)
    command(hub, "subscriptions", "change", subscription, "--plan", "none")
    assert hub.ask(lambda client: client.subscriptions("metered"))[0].plan == ""

    made = hub.ask(lambda client: client.create_key("metered", "till")).key.uuid
    command(hub, "applications", "create", "Mobile", "--key", made)
    command(hub, "applications", "change", "mobile", "--name", "Mobiles")
    view = hub.ask(lambda client: client.application("mobile"))
    assert (view.name, view.keys) == ("Mobiles", (made,))
    command(hub, "applications", "change", "mobile", "--key", "none")
    assert hub.ask(lambda client: client.application("mobile")).keys == ()
    hub.ask(lambda client: client.delete_artifact("metered"))

    command(hub, "change-gateway", EDGE, "--description", "of the shop", "--endpoint", "https://edge.example")
    command(hub, "change-gateway", EDGE, "--display-name", "The edge")
    gateway = hub.ask(lambda client: client.gateway(EDGE))
    said = (gateway.display_name, gateway.description, gateway.endpoints, gateway.connections)
    assert said == ("The edge", "of the shop", ("https://edge.example",), 1)


def test_secrets_of_the_hub_through_their_life(hub: Hub, edge: Gateway, backend: Backend) -> None:
    def reaches(path: str) -> bool:
        return bool(edge.get("/tenants/items").json["path"] == path)

    command(hub, "secrets", "create", "tenant", given="first-of-tenant\n")
    upstream = f'http://127.0.0.1:{backend.port}/{{{{ secret "tenant" }}}}'
    assert deploy(hub, "tenants", backend.port, upstream={"main": {"url": upstream}}) == "DEPLOYED"
    assert reaches("/first-of-tenant/items")
    assert "ACTIVE" in command(hub, "secrets", "list")
    command(hub, "secrets", "deprecate", "tenant")
    command(hub, "secrets", "change", "tenant", given="second-of-tenant\n")
    assert edge.admin.post("/sync").status_code == 200
    edge.stop()
    edge.start()
    edge.wait_for_link()
    until(lambda: edge.link.get("lastReconcile"), "the reconcile is over")
    assert reaches("/first-of-tenant/items"), "what is deprecated stays where it is"
    hub.stop()
    hub.start()
    assert "DEPRECATED" in command(hub, "secrets", "list")
    command(hub, "secrets", "activate", "tenant")
    edge.wait_for_link()
    assert edge.admin.post("/sync").status_code == 200
    until(lambda: reaches("/second-of-tenant/items"), "the new value is used")
    hub.ask(lambda client: client.delete_artifact("tenants"))
    command(hub, "secrets", "delete", "tenant")
    assert "tenant" not in command(hub, "secrets", "list")


@pytest.mark.usefixtures("undisturbed")
def test_going_back_to_what_was_deployed_before(hub: Hub, edge: Gateway, backend: Backend) -> None:
    for path in ("/first", "/second"):
        assert deploy(hub, "rolled", backend.port, operations=[{"method": "GET", "path": path}]) == "DEPLOYED"
    assert [edge.get(f"/rolled{path}").status for path in ("/first", "/second")] == [404, 200]
    oldest = hub.ask(lambda client: client.history("rolled"))[-1].id
    assert oldest in command(hub, "history", "rolled")
    assert "/first" in command(hub, "history", "rolled", oldest)
    assert "DEPLOYED" in command(hub, "restore", "rolled", oldest)
    assert [edge.get(f"/rolled{path}").status for path in ("/first", "/second")] == [200, 404]
    hub.ask(lambda client: client.delete_artifact("rolled"))


def test_a_hub_that_dies_and_comes_back(hub: Hub, edge: Gateway, backend: Backend) -> None:
    assert deploy(hub, "steady", backend.port) == "DEPLOYED"
    with edge.undisturbed("/neighbour/items", "/steady/items") as traffic:
        hub.kill()
        link = until(lambda: (link := edge.link)["state"] != "connected" and link, "the gateway notices")
        assert link["lastError"]["message"]
        assert link["lastError"]["advice"]
        # The management side goes on.
        edge.deploy(rest_api("meanwhile", backend.port))
        assert edge.get("/meanwhile/items").status == 200
        traffic.proceed(50)
        hub.start()
        edge.wait_for_link()
        assert deploy(hub, "after", backend.port) == "DEPLOYED"
        assert edge.get("/after/items").status == 200
    edge.remove("meanwhile")
    for handle in ("steady", "after"):
        hub.ask(lambda client, handle=handle: client.delete_artifact(handle))


def test_a_gateway_that_is_killed_in_the_middle(hub: Hub, edge: Gateway, backend: Backend) -> None:
    """The deployment is owed: it is fetched, served and acknowledged after the restart."""
    document = yaml.safe_dump(rest_api("owed", backend.port))
    deployed = hub.ask(lambda client: client.deploy(document, [EDGE]))
    edge.kill()
    edge.start()
    assert answers(edge, "/owed/items", 200)
    assert settled(hub, deployed.artifact.id) == "DEPLOYED"
    hub.ask(lambda client: client.delete_artifact("owed"))


def test_a_token_that_is_rotated(hub: Hub, edge: Gateway, backend: Backend) -> None:
    """The new token is put into the configuration and the gateway restarted, while the old one still works."""
    issued = hub.ask(lambda client: client.rotate_token(EDGE, overlap_seconds=60))
    edge.configuration["controller"]["controlplane"]["token"] = issued.token
    edge.secrets.add(issued.token)
    hub.secrets.add(issued.token)
    edge.stop()
    edge.start()
    edge.wait_for_link()
    assert deploy(hub, "rotated", backend.port) == "DEPLOYED"
    hub.ask(lambda client: client.delete_artifact("rotated"))


def test_a_gateway_that_is_unregistered_is_refused_and_serves_on(hub: Hub, edge: Gateway, backend: Backend) -> None:
    with edge.undisturbed("/neighbour/items") as traffic:
        hub.ask(lambda client: client.delete_gateway(EDGE))
        link = edge.wait_for_link("refused")
        assert "token" in link["lastError"]["message"]
        traffic.proceed(20)
        edge.deploy(rest_api("alone", backend.port))
        assert edge.get("/alone/items").status == 200
