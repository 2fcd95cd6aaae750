"""What reaches the upstream, and what the client gets when it does not answer. Real Envoy."""

import re
import socket
import threading
import time
from collections import Counter
from typing import Any

import pytest
from envoy_harness import Backend, free_port
from envoy_site import Site, document


def to(port: int, base: str = "", host: str = "127.0.0.1") -> str:
    return f"http://{host}:{port}{base}"


@pytest.fixture(scope="module")
def silent_port() -> Any:
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(scope="module")
def gateway(site: Site, backend: Backend, other_backend: Backend, silent_port: int) -> Site:
    port = backend.port
    both = {"upstreams": [{"url": to(port)}, {"url": to(other_backend.port)}]}
    weighted = {"upstreams": [{"url": to(port), "weight": 0}, {"url": to(other_backend.port), "weight": 5}]}
    ref = {"main": {"ref": "pool"}}
    site.deploy(
        based=document("/w/v1.0", ["GET /{c}/{t}", "GET /foo", "GET /sub/*"], url=to(port, "/api/v2")),
        bare=document("/bare", ["GET /foo", "GET /sub/*", "GET /{x}/y/*"], url=to(port)),
        wild=document("/wild", ["GET /*"], url=to(port)),
        wildbase=document("/wildbase", ["GET /*"], url=to(port, "/b")),
        slash=document("/slash", ["GET /foo", "GET /", "GET /*"], url=to(port, "/api/")),
        dots=document("/d.t/v1.0", ["GET /x(1)/{id}", "GET /*"], url=to(port, "/a.b")),
        named=document("/named", ["GET /x", "POST /x"], url=to(port, host="localhost")),
        manual=document(
            "/manual", ["GET /x"], upstream={"main": {"url": to(port, host="localhost"), "hostRewrite": "manual"}}
        ),
        nowhere=document("/nowhere", ["GET /x"], url="http://does-not-exist.invalid"),
        refused=document("/refused", ["GET /x", "POST /x"], url=to(free_port())),
        slow=document(
            "/slow",
            [
                {"method": "GET", "path": "/short", "resilience": {"timeout": "300ms"}},
                {"method": "GET", "path": "/endless", "resilience": {"timeout": "0s"}},
                {"method": "GET", "path": "/api"},
                {"method": "GET", "path": "/idle", "resilience": {"timeout": "0s", "idleTimeout": "400ms"}},
            ],
            url=to(silent_port),
            resilience={"timeout": "700ms"},
        ),
        endless=document("/endless", [{"method": "GET", "path": "/x", "resilience": {"timeout": "0s"}}], url=to(port)),
        pool=document(
            "/pool", ["GET /x"], upstream=ref, upstreamDefinitions=[{"name": "pool", "basePath": "/p", **both}]
        ),
        weighted=document("/weighted", ["GET /x"], upstream=ref, upstreamDefinitions=[{"name": "pool", **weighted}]),
    )
    return site


@pytest.mark.conforms("DP-036", "DP-037", "DP-039")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/w/v1.0/us/sea?x=1", "/api/v2/us/sea?x=1"),
        ("/w/v1.0/foo", "/api/v2/foo"),
        ("/w/v1.0/foo/", "/api/v2/foo/"),
        ("/w/v1.0/sub", "/api/v2/sub"),
        ("/w/v1.0/sub/x/", "/api/v2/sub/x/"),
        ("/bare/foo/", "/foo/"),
        ("/bare/sub/bar", "/sub/bar"),
        ("/bare/a/y", "/a/y"),
        ("/bare/a/y/z", "/a/y/z"),
        ("/wild", "/"),
        ("/wild/", "/"),
        ("/wild/x/y/", "/x/y/"),
        ("/wild?q", "/?q"),
        ("/wildbase", "/b"),
        ("/wildbase/x", "/b/x"),
        ("/d.t/v1.0/x(1)/7", "/a.b/x(1)/7"),
        ("/d.t/v1.0/other", "/a.b/other"),
    ],
)
def test_path_at_the_backend(gateway: Site, path: str, expected: str) -> None:
    reply = gateway.get(path)
    assert (reply.status, reply.json["path"]) == (200, expected)


def test_a_slash_at_the_end_of_an_upstream_url_is_not_doubled(gateway: Site) -> None:
    assert gateway.get("/slash/foo").json["path"] == "/api/foo"
    assert gateway.get("/slash").json["path"] == "/api/"
    assert gateway.get("/slash/x").json["path"] == "/api/x"


@pytest.mark.conforms("DP-041", "DP-042")
def test_host_header(gateway: Site, backend: Backend) -> None:
    assert gateway.get("/named/x", host="client.test:81").json["headers"]["host"] == "localhost"
    assert gateway.get("/bare/foo", host="client.test").json["headers"]["host"] == "127.0.0.1"
    assert gateway.get("/manual/x", host="client.test:81").json["headers"]["host"] == "client.test:81"


@pytest.mark.conforms("DP-043", "DP-044", "DP-045", "DP-047")
def test_headers_that_envoy_adds_and_removes(gateway: Site) -> None:
    forged = [
        ("x-envoy-original-path", "/forged"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
        ("x-envoy-max-retries", "5"),
        ("x-envoy-retry-on", "5xx"),
        ("x-gatewright-scope", "/plain"),
        ("x-gatewright-credential", "forged"),
        ("x-mine", "kept"),
    ]
    for path in ("/named/x", "/w/v1.0/a/b"):
        seen = gateway.get(path + "?q=1", headers=forged).json["headers"]
        assert seen["x-envoy-original-path"] == path + "?q=1"
        assert seen["x-envoy-expected-rq-timeout-ms"] == "60000"
        assert seen["x-mine"] == "kept"
        gone = {name for name, _ in forged} - {"x-envoy-original-path", "x-mine"}
        assert not gone & set(seen)
        assert not {"x-forwarded-for", "x-envoy-attempt-count", "x-envoy-internal"} & set(seen)
        assert seen["x-forwarded-proto"] == "http"


@pytest.mark.conforms("DP-046")
def test_request_id(gateway: Site) -> None:
    assert re.fullmatch(r"[0-9a-f-]{36}", gateway.get("/bare/foo").json["headers"]["x-request-id"])
    kept = gateway.get("/bare/foo", headers=[("x-request-id", "mine-1")]).json["headers"]["x-request-id"]
    assert kept == "mine-1"


@pytest.mark.conforms("DP-048")
def test_response_headers(gateway: Site) -> None:
    reply = gateway.get("/bare/foo")
    assert reply.headers["server"] == "WSO2 API Platform"
    assert reply.headers["x-envoy-upstream-service-time"].isdigit()
    assert not {name for name in reply.headers if name.startswith("x-gatewright")}


def test_an_upstreams_own_404_stays_what_it_is(gateway: Site) -> None:
    reply = gateway.get("/bare/foo?status=404")
    assert (reply.status, reply.json["backend"]) == (404, "backend")


@pytest.mark.conforms("DP-052")
def test_a_name_that_does_not_resolve(gateway: Site) -> None:
    reply = gateway.get("/nowhere/x")
    assert (reply.status, reply.body) == (503, b"no healthy upstream")


@pytest.mark.conforms("DP-053")
def test_refused_connection_and_route_timeout(gateway: Site) -> None:
    assert gateway.get("/refused/x").status == 503
    reply = gateway.get("/slow/short")
    assert (reply.status, reply.body) == (504, b"upstream request timeout")


@pytest.mark.conforms("DP-054", "DP-055")
def test_timeouts_of_operation_and_api(gateway: Site) -> None:
    def took(path: str) -> float:
        begin = time.monotonic()
        assert gateway.get(path).status in {504, 408}
        return time.monotonic() - begin

    assert 0.25 <= took("/slow/short") < 0.65
    assert 0.65 <= took("/slow/api") < 2
    assert 0.35 <= took("/slow/idle") < 2
    unlimited = gateway.get("/endless/x")
    assert "x-envoy-expected-rq-timeout-ms" not in unlimited.json["headers"]
    limited: list[int] = []
    waiting = threading.Thread(target=lambda: limited.append(_status_within(gateway, "/slow/endless", 1.2)))
    waiting.start()
    waiting.join(5)
    assert limited == [0]


def _status_within(gateway: Site, path: str, seconds: float) -> int:
    """The status, or 0 when nothing came in time."""
    from envoy_harness import raw_request  # noqa: PLC0415

    try:
        return raw_request(gateway.port, f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode(), timeout=seconds).status
    except TimeoutError:
        return 0


@pytest.mark.conforms("DP-056")
def test_no_retries(gateway: Site, backend: Backend) -> None:
    backend.requests.clear()
    assert gateway.get("/named/x?status=503").status == 503
    assert gateway.get("/named/x?status=502", headers=[("x-envoy-retry-on", "5xx")]).status == 502
    assert len(backend.requests) == 2


def test_a_slot_that_refers_to_a_definition_uses_all_its_endpoints(gateway: Site) -> None:
    """Differs from DP-049 on purpose."""
    replies = [gateway.get("/pool/x").json for _ in range(6)]
    assert Counter(r["backend"] for r in replies) == {"backend": 3, "other": 3}
    assert {r["path"] for r in replies} == {"/p/x"}


def test_weight_zero_takes_an_endpoint_out(gateway: Site) -> None:
    assert {gateway.get("/weighted/x").json["backend"] for _ in range(5)} == {"other"}


@pytest.mark.conforms("DP-060")
def test_upgrades_are_refused(gateway: Site) -> None:
    upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-key", "eA=="),
        ("sec-websocket-version", "13"),
    ]
    assert gateway.get("/bare/foo", headers=upgrade).status == 403


@pytest.mark.conforms("DP-087")
def test_large_uploads_pass(gateway: Site) -> None:
    reply = gateway.get("/named/x", method="POST", body=b"x" * 10_485_760)
    assert (reply.status, len(reply.json["body"])) == (200, 10_485_760)
