"""Traces of changes: off and free by default, one per change; a collector that is away disturbs nothing."""

import io
import json
import socket
import subprocess
import sys
import time
import uuid

import pytest
from otlp_collector import Collector

from gatewright.observability import tracing
from gatewright.observability.logging import configure_logging, correlation, get_logger
from gatewright.observability.otlp import GOODBYE, MOST_OPEN, QUEUE, OtlpConfig, OtlpRecorder
from gatewright.observability.trace_metrics import SPANS, UNTRACED


def recorder(endpoint: str, **options) -> OtlpRecorder:
    made = OtlpRecorder(OtlpConfig(endpoint=endpoint, batch_timeout=0.05, **options))
    tracing.install(made)
    return made


def test_the_trace_of_a_uuid_is_the_uuid():
    assert tracing.trace_id("16408ddb-0cc9-48bc-a35d-6debb8d90c28") == "16408ddb0cc948bca35d6debb8d90c28"
    assert tracing.trace_id("16408DDB-0CC9-48BC-A35D-6DEBB8D90C28") == "16408ddb0cc948bca35d6debb8d90c28"


@pytest.mark.parametrize("given", ["", "release 7", "é" * 300, "\ud800", "00000000-0000-0000-0000-000000000000"])
def test_any_other_correlation_id_has_a_trace_of_its_own(given):
    made = tracing.trace_id(given)
    assert len(made) == 32
    assert int(made, 16) != 0
    assert made == tracing.trace_id(given)
    assert made != tracing.trace_id(given + "x")


def test_the_library_is_not_loaded_unless_tracing_is_on():
    code = (
        "import sys, gatewright.process.run, gatewright.controlplane.plane;"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_switched_off_it_does_nothing():
    assert not tracing.enabled()
    tracing.begin("c", "deploy")
    with correlation("c"), tracing.span("fetch"):
        pass
    tracing.settle("c", "applied")


def test_steps_hang_below_the_change_that_they_belong_to(collector: Collector):
    one, other = str(uuid.uuid4()), "no uuid"
    made = recorder(collector.endpoint, service_version="1.2.3", resource_attributes={"site": "north"})
    tracing.begin(one, "api.deployed", artifact="a-1")
    tracing.begin(other, "api.undeployed")
    with correlation(one), tracing.span("fetch", batch=3):
        pass
    with correlation(other), pytest.raises(ValueError, match="secret words"), tracing.span("admit"):
        raise ValueError("secret words of a document")
    tracing.stored(one)
    tracing.settle(one, "applied")
    tracing.settle(other, "refused", failed=True)
    tracing.finish(one, "served")
    made.close()

    root, steps = collector.whole(tracing.trace_id(one))
    assert root["name"] == "api.deployed"
    assert root["attributes"] == {
        "artifact": "a-1",
        "correlation_id": one,
        "answer": "applied",
        "outcome": "served",
    }
    assert [step["name"] for step in steps] == ["fetch"]
    assert root["start"] <= steps[0]["start"] <= steps[0]["end"] <= root["end"]
    assert not root["failed"]
    resource = root["resource"]
    assert resource["service.name"] == "gateway-controller"
    assert (resource["service.version"], resource["site"]) == ("1.2.3", "north")

    root, steps = collector.whole(tracing.trace_id(other))
    assert (root["failed"], root["error"]) == (True, "refused")
    assert (steps[0]["failed"], steps[0]["error"]) == (True, "ValueError")


def test_what_never_began_or_has_ended_gets_no_steps(collector: Collector):
    made = recorder(collector.endpoint)
    cid = str(uuid.uuid4())
    with correlation(cid), tracing.span("store"):
        pass
    tracing.begin(cid, "first")
    tracing.finish(cid, "served")
    tracing.record(cid, "late", tracing.now())
    made.close()
    _, steps = collector.whole(tracing.trace_id(cid))
    assert steps == []


def test_traces_that_nobody_ends_are_bounded(collector: Collector):
    made = recorder(collector.endpoint)
    first = str(uuid.uuid4())
    tracing.begin(first, "forgotten")
    for _ in range(MOST_OPEN):
        tracing.begin(str(uuid.uuid4()), "deploy")
    root, _ = collector.whole(tracing.trace_id(first))
    assert root["attributes"]["outcome"] == "unfinished"
    made.close()


def test_a_run_has_its_steps_and_each_change_a_trace_that_is_linked_with_it(collector: Collector):
    made = recorder(collector.endpoint)
    run, changed, same, broken = (str(uuid.uuid4()) for _ in range(4))
    with correlation(run), tracing.run(run, "reconcile", trigger="connect"):
        for each in (changed, same, broken):
            with correlation(each):
                assert tracing.consider(each, "reconcile deploy", artifact=each)
                assert not tracing.consider(each, "reconcile deploy"), "it is looked at already"
                with tracing.span("store"):
                    pass
                if each == changed:
                    tracing.stored(each)
                tracing.settle(each, "applied", failed=each == broken)
        tracing.record(run, "deployments", tracing.now(), deployed=1)
        tracing.finish(run, "complete", deployed=1)
    tracing.finish(changed, "served")
    made.close()

    root, steps = collector.whole(tracing.trace_id(run))
    assert (root["name"], root["links"]) == ("reconcile", [])
    assert root["attributes"] == {"trigger": "connect", "correlation_id": run, "deployed": 1, "outcome": "complete"}
    assert [(step["name"], step["attributes"]) for step in steps] == [("deployments", {"deployed": 1})]
    root, steps = collector.whole(tracing.trace_id(changed))
    assert root["links"] == [tracing.trace_id(run)]
    assert (root["attributes"]["outcome"], [step["name"] for step in steps]) == ("served", ["store"])
    root, steps = collector.whole(tracing.trace_id(broken))
    assert (root["failed"], [step["name"] for step in steps]) == (True, ["store"])
    assert collector.trace(tracing.trace_id(same)) == [], "nothing changed"


def test_an_event_keeps_its_trace_when_a_reconcile_looks_at_the_same_change(collector: Collector):
    made = recorder(collector.endpoint)
    cid, run = str(uuid.uuid4()), str(uuid.uuid4())
    tracing.begin(cid, "api.deployed")
    with tracing.run(run, "reconcile"):
        assert not tracing.consider(cid, "reconcile deploy")
    tracing.finish(cid, "served")
    made.close()
    root, _ = collector.whole(tracing.trace_id(cid))
    assert (root["name"], root["attributes"]["outcome"]) == ("api.deployed", "served")
    root, _ = collector.whole(tracing.trace_id(run))
    assert (root["failed"], root["attributes"]["outcome"]) == (True, "unfinished")


def test_what_another_controller_stored_is_followed_and_what_is_known_is_not_begun_again(collector: Collector):
    made = recorder(collector.endpoint)
    own, other = str(uuid.uuid4()), str(uuid.uuid4())
    tracing.begin(own, "POST /rest-apis")
    for each in (own, other):
        tracing.join(each, "rollout", kind="RestApi")
        tracing.record(each, "compile", tracing.now())
        tracing.settle(each, "201")
    tracing.finish(other, "served")
    made.close()
    assert collector.whole(tracing.trace_id(own))[0]["name"] == "POST /rest-apis"
    root, steps = collector.whole(tracing.trace_id(other))
    assert (root["name"], root["attributes"]["outcome"], len(steps)) == ("rollout", "served", 1)


def counted(outcome: str) -> float:
    return SPANS.labels(outcome)._value.get()


def test_a_huge_run_into_a_collector_that_is_silent_is_bounded_and_counted():
    """Five thousand changes at once, and nobody takes a span."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        made = recorder(f"127.0.0.1:{deaf.getsockname()[1]}")
        dropped, untraced = counted("dropped"), UNTRACED._value.get()
        run = str(uuid.uuid4())
        with tracing.run(run, "reconcile"):
            for _ in range(5_000):
                cid = str(uuid.uuid4())
                if tracing.consider(cid, "reconcile deploy"):
                    with correlation(cid), tracing.span("store"):
                        pass
                    tracing.stored(cid)
                    tracing.settle(cid, "applied")
                    tracing.finish(cid, "served")
        # Whole traces were given up, and so there was room for what each of the others still had to tell.
        assert made._processor.waiting <= QUEUE
        assert UNTRACED._value.get() - untraced > 5_000 - QUEUE
        assert counted("dropped") == dropped
        for _ in range(QUEUE):
            cid = str(uuid.uuid4())
            tracing.begin(cid, "api.deployed")
            tracing.finish(cid, "served")
        assert made._processor.waiting == QUEUE
        assert counted("dropped") > dropped
        assert len(made._open) == len(made._runs) == 0
        made.close()


@pytest.mark.parametrize("kind", ["refused", "silent", "failing"])
def test_a_collector_that_is_away_slow_or_broken_disturbs_nothing(kind):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        failing = Collector(refuse=True) if kind == "failing" else None
        if kind == "silent":
            deaf.listen(1)
        made = recorder(failing.endpoint if failing else f"127.0.0.1:{deaf.getsockname()[1]}")
        started = time.monotonic()
        for _ in range(2_500):
            cid = str(uuid.uuid4())
            tracing.begin(cid, "deploy")
            with correlation(cid), tracing.span("fetch"):
                pass
            tracing.finish(cid, "served")
        # Nobody waited for the collector, whose own patience is ten seconds for every batch.
        assert time.monotonic() - started < 30
        began_to_stop = time.monotonic()
        made.close()
        assert time.monotonic() - began_to_stop < GOODBYE + 10
        if failing:
            failing.stop()


def test_log_lines_carry_both_ids():
    stream = io.StringIO()
    configure_logging("gw", log_format="json", stream=stream)
    made = recorder("127.0.0.1:9")
    try:
        with correlation("release 7"):
            get_logger("test").info("inside")
        tracing.install(None)
        with correlation("release 7"):
            get_logger("test").info("switched off")
    finally:
        made.close()
        configure_logging("gw")
    inside, off = [json.loads(line) for line in stream.getvalue().splitlines() if '"test"' in line]
    assert (inside["correlation_id"], inside["trace_id"]) == ("release 7", tracing.trace_id("release 7"))
    assert "trace_id" not in off
