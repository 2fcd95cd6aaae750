"""Virtual hosts through real Envoy, in both forms."""

from typing import Any

import pytest
from envoy_harness import Backend, Reply
from envoy_site import Site, document

from gatewright.model.gateway import VirtualHosts


def documents(backend: Backend, other: Backend, form: str) -> dict[str, Any]:
    url = lambda name: f"http://127.0.0.1:{backend.port}/{name}"  # noqa: E731
    both = {"main": {"url": url("main")}, "sandbox": {"url": f"http://127.0.0.1:{other.port}/sandbox"}}
    found: dict[str, Any] = {
        "everywhere": document("/app", ["GET /x", "GET /only-everywhere"], url=url("everywhere")),
        "exact": document("/app", ["GET /x"], url=url("exact"), vhosts={"main": "API.Example.com"}),
        "suffix": document("/app", ["GET /x", "GET /only-suffix"], url=url("suffix"), vhosts={"main": "*.example.com"}),
        "duplicate": document("/app", ["GET /dup"], url=url("dup"), vhosts={"main": "api.example.COM:8443"}),
        "list": document("/list", ["GET /x"], url=url("list"), vhosts={"main": "a.test; b.test;;a.test"}),
        "prefix": document("/pre", ["GET /x"], url=url("prefix"), vhosts={"main": "dev-*"}),
        "sandboxed": document("/sbx", ["GET /x"], upstream=both),
        "own-sandbox": document("/own", ["GET /x"], upstream=both, vhosts={"main": "*", "sandbox": "try.test"}),
    }
    if form == "flat":
        found["root"] = document("/", ["PUT /*"], url=url("root"))
    return found


@pytest.fixture(scope="module", params=["scoped", "flat"])
def gateway(request: pytest.FixtureRequest, start_site: Any, backend: Backend, other_backend: Backend) -> Site:
    site: Site = start_site()
    site.deploy(**documents(backend, other_backend, request.param))
    assert site.index.form == request.param
    return site


def reached(reply: Reply) -> str:
    assert reply.status == 200, (reply.status, reply.body)
    return str(reply.json["path"])


@pytest.mark.conforms("DP-030")
def test_a_host_that_the_api_does_not_name_is_not_found(gateway: Site) -> None:
    reply = gateway.get("/list/x", host="c.test")
    assert (reply.status, reply.body) == (404, b'{"error":"Not Found"}')


@pytest.mark.conforms("DP-031")
def test_several_hosts(gateway: Site) -> None:
    for host in ("a.test", "b.test", "B.TEST", "b.test:8080"):
        assert reached(gateway.get("/list/x", host=host)) == "/list/x"


def test_the_most_specific_host_wins(gateway: Site) -> None:
    assert reached(gateway.get("/app/x", host="api.example.com")) == "/exact/x"
    assert reached(gateway.get("/app/x", host="other.example.com")) == "/suffix/x"
    assert reached(gateway.get("/app/x", host="example.com")) == "/everywhere/x"


def test_ports_do_not_matter(gateway: Site) -> None:
    assert reached(gateway.get("/app/x", host="api.example.com:8443")) == "/exact/x"
    assert reached(gateway.get("/app/x", host="other.example.com:1")) == "/suffix/x"
    assert reached(gateway.get("/pre/x", host="dev-7:8080")) == "/prefix/x"


def test_less_specific_hosts_fill_in_what_is_not_there(gateway: Site) -> None:
    """Deploying one API on a host must not hide the others from it (differs from DP-034 on purpose)."""
    assert reached(gateway.get("/app/only-suffix", host="api.example.com")) == "/suffix/only-suffix"
    assert reached(gateway.get("/app/only-everywhere", host="api.example.com")) == "/everywhere/only-everywhere"
    assert reached(gateway.get("/app/only-everywhere", host="x.example.com")) == "/everywhere/only-everywhere"
    assert gateway.get("/app/only-suffix", host="other.test").status == 404


def test_hosts_that_differ_in_case_or_port_are_one(gateway: Site) -> None:
    assert reached(gateway.get("/app/dup", host="api.example.com")) == "/dup/dup"


@pytest.mark.conforms("DP-032", "DP-035")
def test_sandbox_hosts_go_to_the_sandbox_upstream(gateway: Site) -> None:
    sandbox = gateway.get("/sbx/x", host="sandbox-a.test:8080")
    assert (sandbox.json["backend"], sandbox.json["path"]) == ("other", "/sandbox/x")
    main = gateway.get("/sbx/x", host="a.test")
    assert (main.json["backend"], main.json["path"]) == ("backend", "/main/x")


@pytest.mark.conforms("DP-033")
def test_without_a_sandbox_upstream_the_sandbox_host_is_not_found(gateway: Site) -> None:
    for path in ("/app/x", "/list/x", "/own/x", "/"):
        assert gateway.get(path, host="sandbox-a").body == b'{"error":"Not Found"}'
        assert gateway.get(path, host="sandbox-a", method="PUT").status == 404


def test_a_sandbox_host_of_its_own(gateway: Site) -> None:
    assert gateway.get("/own/x", host="try.test").json["backend"] == "other"
    assert gateway.get("/own/x", host="elsewhere.test").json["backend"] == "backend"


@pytest.mark.parametrize("form", ["scoped", "flat"])
def test_configured_domains_stand_for_the_defaults(
    start_site: Any, backend: Backend, other_backend: Backend, form: str
) -> None:
    vhosts = VirtualHosts(main_domains=("One.test", "two.test:443"), sandbox_domains=("sand.test",))
    site: Site = start_site(vhosts=vhosts)
    site.deploy(**documents(backend, other_backend, form))
    assert reached(site.get("/app/x", host="one.test")) == "/everywhere/x"
    assert reached(site.get("/app/x", host="two.test")) == "/everywhere/x"
    unknown = site.get("/app/x", host="three.test")
    assert (unknown.status, unknown.body) == (404, b'{"error":"Not Found"}')
    assert site.get("/_gateway-health/ready", host="three.test").status == 200
    assert site.get("/sbx/x", host="sand.test").json["backend"] == "other"
    assert site.get("/app/x", host="sand.test").status == 404
