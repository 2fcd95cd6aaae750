"""The registry and its exposition."""

from prometheus_client import CollectorRegistry, Counter

from gatewright.observability.metrics import REGISTRY, exposition


def test_a_declared_metric_is_exposed_in_both_formats() -> None:
    registry = CollectorRegistry()
    Counter("things_total", "Things.", registry=registry).inc(2)
    body, content_type = exposition(registry=registry)
    assert content_type.startswith("text/plain")
    assert b"things_total 2.0" in body
    body, content_type = exposition("application/openmetrics-text; version=1.0.0", registry)
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_the_process_itself_is_measured() -> None:
    body, _ = exposition()
    assert b"process_resident_memory_bytes" in body
    assert REGISTRY.get_sample_value("process_start_time_seconds")
