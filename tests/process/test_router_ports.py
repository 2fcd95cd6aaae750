"""Health and metrics of a router: before it has a configuration, while it serves, and after it has lost its Envoy."""

from pathlib import Path

import httpx2
import pytest
from gateway_processes import HOST, Gateway, free_ports, until


def ask(port: int, path: str, method: str = "GET") -> httpx2.Response:
    return httpx2.request(method, f"http://{HOST}:{port}{path}", trust_env=False, timeout=30)


def answers(port: int) -> bool:
    try:
        return ask(port, "/health").status_code > 0
    except httpx2.TransportError:
        return False


@pytest.mark.conforms("OP-074")
def test_unhealthy_until_the_first_snapshot(tmp_path: Path) -> None:
    controller = Gateway(tmp_path / "controller", role="controller")
    remote = {"remote_controller": {"host": HOST, "xds_port": controller.ports["xds"]}}
    router = Gateway(tmp_path / "router", {"gatewright": remote}, role="router")
    router.ports |= {name: controller.ports[name] for name in ("http", "https")}
    router.configuration["router"] = controller.configuration["router"]
    port = router.ports["router_admin"]
    router.launch()
    until(lambda: answers(port), "the port is open before there is anything to serve")
    before = ask(port, "/health")
    assert before.status_code == 503
    assert (before.json()["status"], before.json()["reason"]) == ("unhealthy", "policy engine is unhealthy")
    with controller:
        until(lambda: ask(port, "/health").status_code == 200, "it is healthy once it has its first snapshot")
        assert ask(port, "/health").json()["status"] == "healthy"
        assert ask(port, "/health", "POST").status_code == 405
        assert ask(port, "/config_dump").status_code == 404
        router.stop()


def test_metrics_are_those_of_envoy(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    over = {"policy_engine": {"metrics": {"enabled": True, "port": port}}}
    with Gateway(tmp_path, over) as gateway:
        assert gateway.get("/nothing").status == 404
        until(lambda: 'envoy_response_code_class="4"' in ask(port, "/metrics").text, "the request is counted")
        found = ask(port, "/metrics")
        assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "\npolicy_engine_up 1\n" in found.text
        assert "\ngatewright_router_ready 1\n" in found.text
        assert "envoy_http_downstream_rq_total" in found.text
        assert ask(port, "/health").status_code == 404


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with Gateway(tmp_path / "one") as first:
        second = Gateway(tmp_path / "two", {"policy_engine": {"admin": {"port": first.ports["router_admin"]}}})
        process = second.launch()
        assert process.wait_for_end() == 1
        assert process.said(f"the router's health port cannot listen on {HOST}:{first.ports['router_admin']}")
