"""The original's metrics, with their labels, from a gateway that has done something of everything."""

import re
from pathlib import Path

import gateway_processes as processes
import httpx2
import pytest
from envoy_harness import Backend
from gateway_processes import HOST, rest_api

NAMES = {
    "api_operations_total": {"operation", "status", "api_type"},
    "api_operation_duration_seconds_count": {"operation", "api_type"},
    "apis_total": {"api_type", "status"},
    "validation_errors_total": {"operation", "error_type"},
    "snapshot_generation_duration_seconds_count": {"type"},
    "snapshot_generation_total": {"type", "status", "trigger"},
    "snapshot_size": {"resource_type"},
    "routes_per_api_count": set(),
    "xds_clients_connected": set(),
    "xds_stream_requests_total": {"operation"},
    "xds_snapshot_ack_total": {"status"},
    "http_requests_total": {"method", "endpoint", "status_code"},
    "http_request_duration_seconds_count": {"method", "endpoint"},
    "http_request_size_bytes_count": {"endpoint"},
    "http_response_size_bytes_count": {"endpoint"},
    "concurrent_requests": set(),
    "up": set(),
    "info": {"version", "storage_type", "build_date"},
}


@pytest.mark.conforms("OP-078")
def test_the_originals_series_are_there(tmp_path: Path, backend: Backend) -> None:
    with processes.Gateway(tmp_path / "gateway", {"controller": {"metrics": {"enabled": True}}}) as gateway:
        gateway.deploy(rest_api("counted", backend.port))
        assert gateway.post({"kind": "RestApi"}).status == 400
        text = httpx2.get(f"http://{HOST}:{gateway.ports['metrics']}/metrics", trust_env=False).text
    seen: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^gateway_controller_(\w+)(?:\{([^}]*)\})? ", text, re.MULTILINE):
        seen.setdefault(name, set()).update(re.findall(r"(\w+)=", labels))
    missing = {
        name: labels - seen.get(name, set())
        for name, labels in NAMES.items()
        if name not in seen or labels - seen[name]
    }
    assert not missing
    assert 'gateway_controller_snapshot_size{resource_type="cluster"} 1.0' in text
