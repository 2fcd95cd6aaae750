"""One trace per change, from the event or the request to the first acknowledgement by Envoy; with real processes."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from envoy_harness import Backend
from gateway_processes import KEY_POLICY, Gateway, Hub, rest_api, until
from otlp_collector import Collector

from gatewright.observability.tracing import trace_id

EDGE = "edge"
STEPS = ["event received", "fetch", "admit", "store", "compile", "render", "send", "envoy ack"]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Hub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture(scope="module")
def edge(hub: Hub, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    over = {**hub.over(hub.register(EDGE)), "tracing": {"enabled": True, "endpoint": collector.endpoint}}
    with Gateway(tmp_path_factory.mktemp("edge"), over) as gateway:
        gateway.wait_for_link()
        yield gateway


def link_event(edge: Gateway, what: str) -> dict[str, str]:
    """The newest event of a type in the page of recent link events."""

    def found() -> dict[str, str] | None:
        events = edge.admin.get("/status").json()["controlPlane"]["events"]
        return next((each for each in events if each["what"] == what), None)

    return dict(until(found, f"{what} was handled"))


def test_a_deployment_from_event_to_envoy(hub: Hub, edge: Gateway, collector: Collector, backend: Backend) -> None:
    document = yaml.safe_dump(rest_api("traced", backend.port, policies=[KEY_POLICY]))
    deployed = hub.ask(lambda client: client.deploy(document, [EDGE]))
    (view,) = hub.ask(lambda client: client.deployments(artifact=deployed.artifact.id, wait=20))
    assert view.status == "DEPLOYED"

    correlation = link_event(edge, "api.deployed")["correlationId"]
    root, steps = collector.whole(trace_id(correlation))
    assert root["trace"] == uuid.UUID(correlation).hex
    assert root["name"] == "api.deployed"
    assert root["attributes"]["artifact"] == deployed.artifact.id
    assert root["attributes"]["outcome"] == "served"
    assert [step["name"] for step in steps] == STEPS
    assert not [step for step in [root, *steps] if step["failed"]]
    assert steps[-1]["attributes"]["answer"] == "accepted"
    # In this order, none before the event, and the trace ends with Envoy's word.
    assert root["start"] <= min(step["start"] for step in steps)
    assert max(step["end"] for step in steps) <= root["end"]
    until(lambda: edge.process.said(f"trace_id={uuid.UUID(correlation).hex}"), "the log names the trace")


def test_a_key_and_its_revocation(hub: Hub, edge: Gateway, collector: Collector, backend: Backend) -> None:
    document = yaml.safe_dump(rest_api("keyed", backend.port, policies=[KEY_POLICY]))
    deployed = hub.ask(lambda client: client.deploy(document, [EDGE]))
    hub.ask(lambda client: client.deployments(artifact=deployed.artifact.id, wait=20))
    key = hub.ask(lambda client: client.create_key("keyed", "visitor")).api_key
    edge.secrets.add(key)
    hub.secrets.add(key)
    correlation = link_event(edge, "apikey.created")["correlationId"]
    root, steps = collector.whole(trace_id(correlation))
    assert [step["name"] for step in steps] == ["event received", "store", "render", "send", "envoy ack"]
    assert root["attributes"]["outcome"] == "served"
    hub.ask(lambda client: client.revoke_key("keyed", "visitor"))
    correlation = link_event(edge, "apikey.revoked")["correlationId"]
    root, steps = collector.whole(trace_id(correlation))
    assert (root["attributes"]["outcome"], steps[-1]["name"]) == ("served", "envoy ack")


def test_a_deployment_that_cannot_be_served(hub: Hub, edge: Gateway, collector: Collector, backend: Backend) -> None:
    document = yaml.safe_dump(rest_api("doomed", backend.port, policies=[{"name": "nobody-has-it", "version": "v1"}]))
    deployed = hub.ask(lambda client: client.deploy(document, [EDGE]))
    hub.ask(lambda client: client.deployments(artifact=deployed.artifact.id, wait=20))
    events = edge.admin.get("/status").json()["controlPlane"]["events"]
    correlation = next(each["correlationId"] for each in events if each.get("subject") == deployed.artifact.id)
    root, steps = collector.whole(trace_id(correlation))
    assert root["failed"]
    assert root["attributes"]["outcome"] == "refused"
    assert [step["error"] for step in steps if step["failed"]] == ["InvalidArtifact"]


def test_a_change_through_the_management_api(edge: Gateway, collector: Collector, backend: Backend) -> None:
    answer = edge.management.post(
        "/rest-apis", json=rest_api("local", backend.port), headers={"x-correlation-id": "release 7"}
    )
    assert answer.status_code == 201
    assert answer.headers["x-correlation-id"] == "release 7"
    root, steps = collector.whole(trace_id("release 7"))
    assert root["name"] == "POST /api/management/v1/rest-apis"
    assert root["attributes"]["correlation_id"] == "release 7"
    assert (root["attributes"]["answer"], root["attributes"]["outcome"]) == ("201", "served")
    assert [step["name"] for step in steps] == ["admit", "store", "compile", "render", "send", "envoy ack"]

    refused = edge.management.post("/rest-apis", json={"kind": "RestApi"}, headers={"x-correlation-id": "release 8"})
    assert refused.status_code == 400
    root, _ = collector.whole(trace_id("release 8"))
    assert (root["failed"], root["attributes"]["outcome"]) == (True, "400")


def test_requests_are_traced_by_envoy(edge: Gateway, collector: Collector, backend: Backend) -> None:
    edge.deploy(rest_api("visited", backend.port, operations=[{"method": "GET", "path": "/items/{id}"}], base="/shop"))
    given = uuid.uuid4().hex
    headers = [("traceparent", f"00-{given}-00f067aa0ba902b7-01")]
    reply = edge.get("/visited/items/7?api-key=canary-in-the-query", headers=headers)
    assert reply.json["headers"]["traceparent"].split("-")[1] == given

    def spans() -> list[dict[str, Any]] | None:
        found = collector.trace(given)
        return found if len(found) == 2 else None

    server, client = until(spans, "both spans have come")
    assert (server["parent"], client["parent"]) == ("00f067aa0ba902b7", server["id"])
    assert server["resource"]["service.name"] == "router"
    assert server["attributes"]["http.route"] == "/visited/items/{id}"
    assert server["attributes"]["http.url"].endswith("/visited/items/7")
    assert server["attributes"]["peer.service"] == "127.0.0.1"
    assert "canary" not in str([server, client])


def test_the_collector_goes_away(edge: Gateway, collector: Collector, backend: Backend) -> None:
    collector.stop()
    for number in range(5):
        edge.deploy(rest_api(f"alone-{number}", backend.port))
        assert edge.get(f"/alone-{number}/items").status == 200
