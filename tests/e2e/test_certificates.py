"""Authorities uploaded at a running gateway, and listener certificates renewed under it."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import gateway_processes as processes
import pytest
from envoy_certificates import Authority
from envoy_harness import Backend
from gateway_processes import HOST, Gateway, rest_api, until

PATH = "/items?close=1"
"""A connection to the backend for every request: trust is asked for at each."""


@pytest.fixture
def authority() -> Authority:
    return Authority("corp root")


@pytest.fixture
def secure(authority: Authority, tmp_path: Path) -> Iterator[Backend]:
    running = Backend("secure", tls=authority.server(tmp_path, "localhost"))
    yield running
    running.stop()


@pytest.mark.conforms("DP-057", "DP-167", "MG-147", "MG-149", "MG-151")
def test_an_authority_comes_and_goes(gateway: Gateway, secure: Backend, backend: Backend, authority: Authority) -> None:
    upstream = {"main": {"url": f"https://localhost:{secure.port}"}}
    gateway.deploy(rest_api("secure", secure.port, upstream=upstream))
    gateway.deploy(rest_api("plain", backend.port))
    assert gateway.get(f"/secure{PATH}").status == 503
    with gateway.undisturbed("/plain/items"):
        uploaded = gateway.management.post("/certificates", json={"name": "corp", "certificate": authority.pem})
        assert uploaded.status_code == 201, uploaded.text
        until(lambda: gateway.get(f"/secure{PATH}").status == 200, "Envoy's workers have what its main thread accepted")
        listed = gateway.management.get("/certificates").json()
        assert [item["subject"] for item in listed["certificates"]] == ["CN=corp root"]
        reloaded = gateway.management.post("/certificates/reload").json()
        assert reloaded["totalBytes"] > len(authority.pem)
        assert gateway.get(f"/secure{PATH}").status == 200
    gateway.stop()
    gateway.start()
    assert until(lambda: gateway.get(f"/secure{PATH}").status == 200, "trust outlives a restart")
    with gateway.undisturbed("/plain/items"):
        deleted = gateway.management.delete(f"/certificates/{uploaded.json()['id']}")
        assert deleted.status_code == 200, deleted.text
        until(lambda: gateway.get(f"/secure{PATH}").status == 503, "Envoy's workers trust it no more")


def test_what_envoy_cannot_trust_is_not_stored(gateway: Gateway, secure: Backend, authority: Authority) -> None:
    """Nothing that a router would refuse stays, and what was trusted before is trusted still."""
    upstream = {"main": {"url": f"https://localhost:{secure.port}"}}
    gateway.deploy(rest_api("steady", secure.port, upstream=upstream))
    first = gateway.management.post("/certificates", json={"name": "first", "certificate": authority.pem})
    assert first.status_code == 201
    again = gateway.management.post("/certificates", json={"name": "again", "certificate": authority.pem * 2})
    names = [item["name"] for item in gateway.management.get("/certificates").json()["certificates"]]
    assert ("again" in names) == (again.status_code == 201), again.text
    assert until(lambda: gateway.get(f"/steady{PATH}").status == 200, "the first one is trusted")


def _presented(port: int) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((HOST, port), timeout=10) as plain, context.wrap_socket(plain) as secure:
        certificate = secure.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


def test_a_renewed_listener_certificate_is_taken_up(tmp_path: Path, authority: Authority) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"

    def renew() -> bytes:
        pem, private = authority.issue("localhost")
        certificate.write_text(pem)
        key.write_text(private)
        return ssl.PEM_cert_to_DER_cert(pem)

    first = renew()
    over = {"router": {"https_enabled": True, "downstream_tls": {"cert_path": str(certificate), "key_path": str(key)}}}
    with processes.Gateway(tmp_path / "gateway", over) as running:
        assert _presented(running.ports["https"]) == first
        certificate.write_text("half written")
        running.process.wait_for_words("renewed certificates cannot be used")
        assert _presented(running.ports["https"]) == first
        second = renew()
        until(lambda: _presented(running.ports["https"]) == second, "the renewed certificate is presented")
