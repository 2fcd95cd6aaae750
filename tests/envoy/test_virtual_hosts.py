"""The plan of virtual hosts, without Envoy."""

import msgspec
import pytest

from gatewright.envoy.virtual_hosts import covers, plan_hosts
from gatewright.model.gateway import VirtualHosts
from gatewright.model.routes import PathMatch, Rewrite, Route

DEFAULTS = VirtualHosts()


def route(vhost: str, path: str = "/a", api_id: str = "one") -> Route:
    return Route(
        name=f"GET|{path}|{vhost}", api_id=api_id, vhost=vhost, method="GET", operation_path=path,
        path=PathMatch("exact", path, path), headers=(), rank=(0, (), 0, 0, 0), first_segment="a",
        rewrite=Rewrite("keep", "", ""), upstream="u",
    )  # fmt: skip


def planned(*routes: Route, vhosts: VirtualHosts = DEFAULTS) -> dict[str, list[str]]:
    return {d: [r.name for r in plan.routes] for plan in plan_hosts(routes, vhosts) for d in plan.domains}


def test_less_specific_hosts_come_after_the_own_routes() -> None:
    found = planned(route("*", "/everywhere"), route("*.b.c", "/suffix"), route("a.b.c", "/exact"))
    assert found["a.b.c"] == ["GET|/exact|a.b.c", "GET|/suffix|*.b.c", "GET|/everywhere|*"]
    assert found["*.b.c"] == ["GET|/suffix|*.b.c", "GET|/everywhere|*"]
    assert found["*"] == ["GET|/everywhere|*"]


def test_the_sandbox_default_is_a_wall() -> None:
    found = planned(route("*", "/main"), route("sandbox-x", "/exact"), route("other-*", "/other"))
    assert found["sandbox-*"] == []
    assert found["sandbox-x"] == ["GET|/exact|sandbox-x"]
    assert found["other-*"] == ["GET|/other|other-*", "GET|/main|*"]
    assert "sandbox-*" not in planned(route("a.b"))


def test_hidden_routes_are_left_out() -> None:
    found = planned(route("*"), route("a.b"), route("a.b", api_id="two"))
    assert found["a.b"] == ["GET|/a|a.b"]


def test_domains_are_one_whatever_their_case_and_port() -> None:
    assert set(planned(route("A.b"), route("a.B:80"), route("a.b:*"), route("[::1]:80"))) == {"a.b", "[::1]"}


def test_configured_domains_of_the_defaults() -> None:
    vhosts = VirtualHosts(main_domains=("one", "two"), sandbox_domains=("three",))
    found = planned(route("*"), route("sandbox-*", "/s"), vhosts=vhosts)
    assert found == {"one": ["GET|/a|*"], "two": ["GET|/a|*"], "three": ["GET|/s|sandbox-*"]}


def test_no_wall_when_sandbox_and_main_are_the_same() -> None:
    assert planned(route("*"), vhosts=VirtualHosts("*", "*")) == {"*": ["GET|/a|*"]}
    assert planned(route("*"), vhosts=VirtualHosts("*", "")) == {"*": ["GET|/a|*"]}


@pytest.mark.parametrize(
    ("general", "domain", "expected"),
    [("*", "a", True), ("*.b", "a.b", True), ("*.b", "*.a.b", True), ("a-*", "a-b", True), ("a-*", "a-b-*", True),
     ("*.b", "a-*", False), ("a-*", "*.b", False), ("*.a.b", "*.b", False), ("a", "*", False), ("*", "*", False),
     ("a", "b", False)],
)  # fmt: skip
def test_cover(general: str, domain: str, expected: bool) -> None:
    assert covers(general, domain) is expected


def test_order_inside_a_host_is_by_rank() -> None:
    second, first = route("*", "/b"), msgspec.structs.replace(route("*", "/c"), rank=(0, (), -1, 0, 0))
    assert planned(second, first)["*"] == ["GET|/c|*", "GET|/b|*"]
