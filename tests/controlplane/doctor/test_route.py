"""Addresses of the settings and proxies of the environment."""

import pytest

from gatewright.controlplane.doctor import setup
from gatewright.controlplane.doctor.route import Address, address_of, proxies_of


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("cp.example", Address("cp.example", 443)),
        ("cp.example:9243", Address("cp.example", 9243)),
        ("[::1]:9243", Address("::1", 9243)),
        ("10.0.0.1", Address("10.0.0.1", 443)),
        ("", None),
        ("https://cp.example", None),
        ("cp.example/", None),
        ("cp.example:0", None),
        ("cp.example:port", None),
        ("user@cp.example", None),
        ("cp example", None),
        ("[::1", None),
    ],
)
def test_addresses(host, address):
    assert address_of(host) == address


def test_an_address_in_words():
    assert [str(Address("::1", 1)), str(Address("a", 2))] == ["[::1]:1", "a:2"]


@pytest.mark.parametrize(
    ("environment", "socket", "rest"),
    [
        ({}, None, None),
        ({"https": "http://p:1"}, "http://p:1", "http://p:1"),
        ({"https": "p:1"}, "http://p:1", "http://p:1"),
        ({"http": "http://p:1"}, None, None),
        ({"all": "http://p:1"}, None, "http://p:1"),
        ({"wss": "http://p:1"}, "http://p:1", None),
        ({"socks": "http://p:1"}, "socks5h://p:1", None),
        ({"wss": "http://w:1", "https": "http://p"}, "http://w:1", "http://p:80"),
    ],
)
def test_proxies(environment, socket, rest):
    found = proxies_of(environment, bypassed=False)
    shown = [None if each is None else str(each) for each in (found.socket, found.rest)]
    assert shown == [socket, rest]


def test_a_bypass_wins():
    assert proxies_of({"https": "http://p:1"}, bypassed=True).socket is None


@pytest.mark.parametrize("url", ["http://", "http://p:port"])
def test_a_proxy_that_is_no_url(url):
    found = proxies_of({"https": url}, bypassed=False)
    assert found.broken == "HTTPS_PROXY"
    assert setup.proxy(found).code == "LINK_PROXY_REFUSED"


def test_credentials_of_a_proxy_are_not_shown():
    found = proxies_of({"https": "http://someone:sesame@p:1"}, bypassed=False)
    assert "sesame" not in f"{found!r} {found.socket} {setup.proxy(found)}"


def test_socks_without_its_library(monkeypatch):
    monkeypatch.setattr(setup, "find_spec", lambda _name: None)
    finding = setup.proxy(proxies_of({"https": "socks5://p:1"}, bypassed=False))
    assert (finding.state, finding.code) == ("failed", "LINK_PROXY_REFUSED")
