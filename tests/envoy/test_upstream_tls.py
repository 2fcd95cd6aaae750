"""HTTPS upstreams: whose certificate is believed. Real Envoy."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from envoy_certificates import Authority
from envoy_harness import Backend
from envoy_site import Site, document

from gatewright.model.gateway import UpstreamTls


@pytest.fixture(scope="module")
def trusted() -> Authority:
    return Authority("trusted")


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory, trusted: Authority) -> Iterator[dict[str, Backend]]:
    folder = tmp_path_factory.mktemp("certificates")
    contexts = {
        "good": trusted.server(folder, "localhost"),
        "address": trusted.server(folder, "127.0.0.1"),
        "wrong-name": trusted.server(folder, "elsewhere.test"),
        "unknown": Authority("unknown").server(folder, "localhost"),
    }
    running = {name: Backend(name, tls=context) for name, context in contexts.items()}
    yield running
    for backend in running.values():
        backend.stop()


@pytest.fixture
def with_trust(
    start_site: Callable[..., Site], backends: dict[str, Backend], trusted: Authority, tmp_path: Path
) -> Callable[..., Site]:
    """A site with APIs for all backends and given upstream TLS settings."""

    def start(**settings: Any) -> Site:
        bundle = tmp_path / "system.pem"
        bundle.write_text(settings.pop("system", trusted.pem))
        site = start_site(upstream_tls=UpstreamTls(trusted_ca_file=str(bundle), **settings))
        hosts = {"address": "127.0.0.1"}
        site.deploy(
            **{
                name: document(f"/{name}", ["GET /x"], url=f"https://{hosts.get(name, 'localhost')}:{backend.port}")
                for name, backend in backends.items()
            }
        )
        return site

    return start


def statuses(site: Site) -> dict[str, int]:
    return {name: site.get(f"/{name}/x").status for name in ("good", "address", "wrong-name", "unknown")}


def test_by_default_authority_and_name_must_be_right(with_trust: Callable[..., Site]) -> None:
    site = with_trust()
    assert statuses(site) == {"good": 200, "address": 200, "wrong-name": 503, "unknown": 503}
    assert site.get("/good/x").json["headers"]["x-forwarded-proto"] == "http"


@pytest.mark.conforms("DP-057")
def test_an_authority_added_later(with_trust: Callable[..., Site], trusted: Authority) -> None:
    site = with_trust(system=Authority("somebody else").pem)
    assert statuses(site) == {"good": 503, "address": 503, "wrong-name": 503, "unknown": 503}
    bundle = site.gateway.upstream_tls.trusted_ca_file
    site.push(upstream_tls=UpstreamTls(trusted_ca_file=bundle, custom_ca=trusted.pem))
    assert statuses(site) == {"good": 200, "address": 200, "wrong-name": 503, "unknown": 503}


@pytest.mark.conforms("DP-058")
def test_names_may_be_left_unchecked(with_trust: Callable[..., Site]) -> None:
    assert statuses(with_trust(verify_host_name=False)) == {
        "good": 200, "address": 200, "wrong-name": 200, "unknown": 503,
    }  # fmt: skip


@pytest.mark.conforms("DP-059")
def test_verification_may_be_off(with_trust: Callable[..., Site]) -> None:
    assert set(statuses(with_trust(verify_certificate=False)).values()) == {200}


def test_several_endpoints_with_names_and_addresses(
    with_trust: Callable[..., Site], backends: dict[str, Backend]
) -> None:
    site = with_trust()
    urls = [f"https://localhost:{backends['good'].port}", f"https://127.0.0.1:{backends['address'].port}"]
    definition = {"name": "pool", "upstreams": [{"url": url} for url in urls]}
    site.deploy(
        pool=document("/pool", ["GET /x"], upstream={"main": {"ref": "pool"}}, upstreamDefinitions=[definition]),
    )
    seen = {(r.status, r.json["backend"]) for r in (site.get("/pool/x") for _ in range(4))}
    assert seen == {(200, "good"), (200, "address")}


def test_several_names_take_each_their_own(with_trust: Callable[..., Site], backends: dict[str, Backend]) -> None:
    site = with_trust()
    urls = [f"https://localhost:{backends['good'].port}", f"https://good.localhost:{backends['good'].port}"]
    definition = {"name": "pool", "upstreams": [{"url": url} for url in urls]}
    site.deploy(
        pool=document("/pool", ["GET /x"], upstream={"main": {"ref": "pool"}}, upstreamDefinitions=[definition]),
    )
    assert {site.get("/pool/x").status for _ in range(4)} == {200, 503}  # the certificate names localhost only
