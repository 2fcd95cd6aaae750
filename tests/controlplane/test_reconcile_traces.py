"""Changes that a reconcile makes are traced one by one, and linked with its run."""

import io
import json
from collections.abc import Iterator

import pytest
from controlplane_lab import rest_api, until
from otlp_collector import Collector

from gatewright.observability import tracing
from gatewright.observability.logging import configure_logging
from gatewright.observability.otlp import OtlpConfig, OtlpRecorder
from gatewright.wire.archives import write_batch
from gatewright.xds.outcomes import Accepted, Node

BASE = "/api/internal/v1"


class Lists:
    """What the control plane lists."""

    def __init__(self, hostile) -> None:
        self.rows: list[dict] = []
        self.documents: dict[str, dict] = {}
        hostile.answers["GET", f"{BASE}/deployments"] = lambda _request: (200, {"deployments": self.rows})
        hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = lambda _request: (200, self.batch())
        hostile.answers["POST", f"{BASE}/artifacts/exists"] = (200, {"artifacts": []})

    def put(self, name: str, document: dict) -> None:
        self.documents[f"d-{name}"] = document
        self.rows.append(
            {
                "artifactId": name,
                "deploymentId": f"d-{name}",
                "kind": "RestApi",
                "state": "DEPLOYED",
                "deployedAt": "2026-08-01T10:00:00.000Z",
                "etag": f"etag-{name}",
            }
        )

    def batch(self) -> bytes:
        return write_batch({key: ("api.yaml", json.dumps(each).encode()) for key, each in self.documents.items()})


@pytest.fixture
def lists(hostile) -> Lists:
    return Lists(hostile)


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    recorder = OtlpRecorder(OtlpConfig(endpoint=running.endpoint, batch_timeout=0.05))
    tracing.install(recorder)
    yield running
    tracing.install(None)
    recorder.close()
    running.stop()


def by_artifact(collector: Collector, name: str) -> dict[str, dict]:
    return {root["attributes"]["artifact"]: root for root in collector.roots(name)}


async def test_each_change_of_a_reconcile_has_a_trace_up_to_the_router(
    site, hostile, hostile_settings, lists, collector
):
    log = io.StringIO()
    configure_logging("gw", log_format="json", stream=log)
    for number in range(12):
        lists.put(f"a{number}", rest_api(f"h{number}"))
    lists.put("bad", {**rest_api("bad"), "spec": {}})
    site.routers.connected("r1", Node("r1"), "127.0.0.1")
    try:
        async with site.linked(hostile_settings(deletion_minimum=50)) as plane:
            await hostile.peer()
            await until(lambda: plane.status().last_reconcile, 60)
            await until(lambda: all(site.deployments.status(f"a{n}").state == "pending" for n in range(12)), 60)
            site.routers.outcomes("r1", [Accepted((each.type_url, each.name), each.version) for each in site.snapshot])
            await until(lambda: len(by_artifact(collector, "reconcile deploy")) == 13, 60)
            first = plane.status().last_reconcile
            again = await plane.reconcile()
            lists.rows = [row for row in lists.rows if row["artifactId"] not in {"a0", "bad"}]
            lists.rows[0] |= {"state": "UNDEPLOYED", "deployedAt": "2026-08-01T10:00:01.000Z", "etag": "etag-later"}
            last = await plane.reconcile()
            site.routers.disconnected("r1")
            await until(lambda: collector.roots("reconcile delete") and collector.roots("reconcile undeployed"), 60)
            await until(lambda: len(collector.roots("reconcile")) == 3, 60)
    finally:
        configure_logging("gw")

    run, steps = collector.whole(tracing.trace_id(first.correlation_id))
    assert run["attributes"]["trigger"] == "connect"
    assert (run["attributes"]["outcome"], run["attributes"]["deployments.deployed"]) == ("incomplete", 12)
    assert "deployments" in [step["name"] for step in steps]
    assert len(steps) < 12, "changes are not steps of the run"
    roots = by_artifact(collector, "reconcile deploy")
    for number in range(12):
        root, steps = collector.whole(tracing.trace_id(f"etag-a{number}"))
        assert root["id"] == roots[f"a{number}"]["id"]
        assert root["links"] == [run["trace"]]
        assert root["attributes"]["outcome"] == "served"
        names = [step["name"] for step in steps]
        assert sorted(names) == sorted(["admit", "store", "compile", "render", "send", "envoy ack"])
    assert (roots["bad"]["failed"], roots["bad"]["attributes"]["outcome"]) == (True, "refused")

    unchanged, _ = collector.whole(tracing.trace_id(again.correlation_id))
    assert unchanged["attributes"]["deployments.unchanged"] == 12
    changed = collector.roots("reconcile delete") + collector.roots("reconcile undeployed")
    assert [root["links"] for root in changed] == [[tracing.trace_id(last.correlation_id)]] * 2
    lines = [json.loads(line) for line in log.getvalue().splitlines() if line.startswith("{")]
    told = next(line for line in lines if line["msg"] == "reconciled")
    assert (told["correlation_id"], told["trace_id"]) == (first.correlation_id, run["trace"])
    acknowledged = {line["correlation_id"] for line in lines if line["msg"] == "deployment acknowledged"}
    assert {f"etag-a{number}" for number in range(12)} <= acknowledged
