"""Listeners: TLS, server header, path options, access log. Real Envoy."""

import json
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from envoy_certificates import Authority
from envoy_harness import Backend, call, raw_request
from envoy_site import Site, document

from gatewright.model.gateway import AccessLog, Tls


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def secure(start_site: Callable[..., Site], authority: Authority, backend: Backend) -> Site:
    certificate, key = authority.issue("gateway.test")
    site = start_site(tls=Tls(certificate, key), access_log=AccessLog("json"))
    site.deploy(api=document("/api", ["GET /x", "GET /a/*"], url=f"http://127.0.0.1:{backend.port}"))
    site.envoy.wait_for_port(site.tls_port)
    return site


def client(authority: Authority, **limits: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem)
    for name, value in limits.items():
        setattr(context, name, value)
    return context


@pytest.mark.conforms("DP-001", "DP-002")
def test_https_serves_what_http_serves(secure: Site, authority: Authority) -> None:
    tls = client(authority)
    reply = call(secure.tls_port, "/api/x", tls=tls)
    assert (reply.status, reply.json["headers"]["x-forwarded-proto"]) == (200, "https")
    for name in ("ready", "healthy"):
        assert call(secure.tls_port, f"/_gateway-health/{name}", tls=tls).json == {"status": name}
        assert secure.get(f"/_gateway-health/{name}").json == {"status": name}


def test_protocols_are_negotiated(secure: Site, authority: Authority) -> None:
    negotiated = client(authority)
    negotiated.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("127.0.0.1", secure.tls_port), timeout=5)
    with plain, negotiated.wrap_socket(plain, server_hostname="gateway.test") as sock:
        assert sock.selected_alpn_protocol() == "h2"


def test_versions_are_limited(
    start_site: Callable[..., Site], secure: Site, authority: Authority, backend: Backend
) -> None:
    old = client(authority, maximum_version=ssl.TLSVersion.TLSv1_2)
    assert call(secure.tls_port, "/api/x", tls=old).status == 200
    site = start_site(tls=Tls(*authority.issue("gateway.test"), minimum_version="TLS1_3"))
    site.deploy(api=document("/api", ["GET /x"], url=f"http://127.0.0.1:{backend.port}"))
    site.envoy.wait_for_port(site.tls_port)
    assert call(site.tls_port, "/api/x", tls=client(authority)).status == 200
    with pytest.raises(ssl.SSLError):
        call(site.tls_port, "/api/x", tls=old)


def test_a_new_certificate_needs_no_new_listener(secure: Site, authority: Authority) -> None:
    before = json.loads(secure.envoy.admin("/stats?format=json&filter=listener_manager.listener_(added|modified)"))
    certificate, key = authority.issue("gateway.test", "renewed.test")
    first, second = secure.gateway.listeners
    secure.push(listeners=(first, msgspec.structs.replace(second, tls=Tls(certificate, key))))
    plain = socket.create_connection(("127.0.0.1", secure.tls_port), timeout=5)
    with plain, client(authority).wrap_socket(plain, server_hostname="renewed.test"):
        pass
    after = json.loads(secure.envoy.admin("/stats?format=json&filter=listener_manager.listener_(added|modified)"))
    assert before == after
    assert before["stats"]


def test_access_log_lines(secure: Site) -> None:
    assert secure.get("/api/x?log=me", headers=[("user-agent", "tester")]).status == 200
    line = next(
        json.loads(text) for text in _lines_until(secure, '"path":"/api/x?log=me"') if '"/api/x?log=me"' in text
    )
    assert (line["meth"], line["respCd"], line["upPath"], line["ua"]) == ("GET", 200, "/x?log=me", "tester")


def _lines_until(site: Site, text: str) -> list[str]:
    """The log once it holds `text`."""
    deadline = time.monotonic() + 15
    while text not in site.envoy.log() and time.monotonic() < deadline:
        time.sleep(0.02)
    return site.envoy.log().splitlines()


@pytest.mark.conforms("DP-028")
def test_normalisation_can_be_off(start_site: Callable[..., Site], backend: Backend) -> None:
    site = start_site(normalize_path=False)
    site.deploy(api=document("/api", ["GET /x", "GET /w/*"], url=f"http://127.0.0.1:{backend.port}"))
    assert site.get("/api/x").status == 200
    assert site.get("//api/x").status == 404
    assert site.get("/api//x").status == 404
    assert site.get("/api/w/../x").json["path"] == "/w/../x"
    assert site.get("/api/w//x").json["path"] == "/w//x"


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("KEEP_UNCHANGED", 200),
        ("REJECT_REQUEST", 400),
        ("UNESCAPE_AND_REDIRECT", 307),
        ("UNESCAPE_AND_FORWARD", 200),
    ],
)
def test_escaped_slashes(start_site: Callable[..., Site], backend: Backend, action: str, status: int) -> None:
    site = start_site(escaped_slashes=action)
    site.deploy(api=document("/api", ["GET /a/*"], url=f"http://127.0.0.1:{backend.port}"))
    reply = site.get("/api/a/b%2Fc")
    assert reply.status == status
    if status == 200:
        assert reply.json["path"] == ("/a/b%2Fc" if action == "KEEP_UNCHANGED" else "/a/b/c")
    if status == 307:
        assert reply.headers["location"].endswith("/api/a/b/c")


def test_the_server_header_is_the_configured_one(start_site: Callable[..., Site], backend: Backend) -> None:
    site = start_site(server_header="mine", server_header_transformation="APPEND_IF_ABSENT")
    site.deploy(api=document("/api", ["GET /x"], url=f"http://127.0.0.1:{backend.port}"))
    assert site.get("/api/x").headers["server"].startswith("echo")
    assert site.get("/none").headers["server"] == "mine"


def test_hostile_requests_do_not_reach_an_upstream(start_site: Callable[..., Site], backend: Backend) -> None:
    site = start_site()
    site.deploy(api=document("/api", ["GET /x"], url=f"http://127.0.0.1:{backend.port}"))
    backend.requests.clear()
    assert raw_request(site.port, b"GET /api/x\x00 HTTP/1.1\r\nhost: a\r\n\r\n").status == 400
    assert raw_request(site.port, b"CONNECT api:80 HTTP/1.1\r\nhost: api:80\r\n\r\n").status in {403, 404}
    assert raw_request(site.port, b"GET /api/x HTTP/1.1\r\n\r\n").status == 400
    assert site.get("/api/x", headers=[("x-big", "y" * 100_000)]).status == 431
    assert backend.requests == []
