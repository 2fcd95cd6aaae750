"""Defaults, the sentinel, and effective names."""

from typing import Any

import pytest

from gatewright.artifacts.vhosts import VhostDefaults, Vhosts, effective_vhosts, materialised, split_vhosts

DEFAULTS = VhostDefaults(main="gw.example.org", sandbox="sandbox.example.org")
NO_SANDBOX = VhostDefaults(main="*", sandbox="")


def test_several_names() -> None:
    assert split_vhosts(" a.org; b.org ;;a.org") == ("a.org", "b.org")


@pytest.mark.parametrize(
    ("written", "defaults", "main", "sandbox"),
    [
        (None, VhostDefaults(), ("*",), "sandbox-*"),
        (None, DEFAULTS, ("gw.example.org",), "sandbox.example.org"),
        (None, NO_SANDBOX, ("*",), None),
        ({}, DEFAULTS, ("gw.example.org",), "sandbox.example.org"),
        ({"main": "a;b;a"}, DEFAULTS, ("a", "b"), "sandbox.example.org"),
        ({"main": " ; "}, DEFAULTS, ("gw.example.org",), "sandbox.example.org"),
        ({"main": "a", "sandbox": " s "}, DEFAULTS, ("a",), "s"),
        (
            {"main": "_gateway_default_", "sandbox": "_gateway_default_"},
            DEFAULTS,
            ("gw.example.org",),
            "sandbox.example.org",
        ),
        ({"main": "a", "sandbox": "_gateway_default_"}, NO_SANDBOX, ("a",), None),
    ],
)
def test_effective(written: Any, defaults: VhostDefaults, main: tuple[str, ...], sandbox: str | None) -> None:
    assert effective_vhosts(written, defaults) == Vhosts(main=main, sandbox=sandbox)


@pytest.mark.parametrize(
    ("written", "defaults", "stored"),
    [
        (None, VhostDefaults(), {"main": "*", "sandbox": "sandbox-*"}),
        (None, NO_SANDBOX, {"main": "*"}),
        ({"main": "_gateway_default_"}, DEFAULTS, {"main": "gw.example.org"}),
        ({"main": "a", "sandbox": "_gateway_default_"}, DEFAULTS, {"main": "a", "sandbox": "sandbox.example.org"}),
        ({"main": "a", "sandbox": "_gateway_default_"}, NO_SANDBOX, {"main": "a"}),
        ({"main": "a;b"}, DEFAULTS, {"main": "a;b"}),
    ],
)
def test_written_out(written: Any, defaults: VhostDefaults, stored: dict[str, str]) -> None:
    spec = {"displayName": "x"} | ({} if written is None else {"vhosts": written})
    assert materialised(spec, defaults) == {"displayName": "x", "vhosts": stored}
