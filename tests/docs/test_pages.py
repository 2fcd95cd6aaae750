"""The commands of the documentation do what the pages say: real processes, in an empty folder."""

import importlib.util
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_DOCS = Path(__file__).parents[2] / "docs"
_MODULE = "documentation_pages"
if _MODULE not in sys.modules:
    _spec = importlib.util.spec_from_file_location(_MODULE, Path(__file__).with_name("pages.py"))
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[_MODULE] = _loaded = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_loaded)

from documentation_pages import Reader  # noqa: E402 - needs the lines above

from postgres_server.server import Server  # noqa: E402 - sorted with those

PORTS = {
    9090: "APIP_GW_CONTROLLER_SERVER_API_PORT",
    9092: "APIP_GW_CONTROLLER_ADMIN_SERVER_PORT",
    9091: "APIP_GW_CONTROLLER_METRICS_PORT",
    18000: "APIP_GW_CONTROLLER_SERVER_XDS_PORT",
    8080: "APIP_GW_ROUTER_LISTENER_PORT",
    8443: "APIP_GW_ROUTER_HTTPS_PORT",
    9002: "APIP_GW_POLICY_ENGINE_ADMIN_PORT",
    9003: "APIP_GW_POLICY_ENGINE_METRICS_PORT",
}
"""Ports of a gateway with the variables that move them."""

OTHER_PORTS = (9243, 9443, 8081, 8082)
"""Of a hub, a stand-in for API Manager, and backends of the pages."""

PASSWORD = r"password +(\S+)"

RUN = {
    "try-it.md": [PASSWORD],
    "connect-cloud.md": [],
    "connect-api-manager.md": [],
    "bottom-up-api-manager.md": [PASSWORD],
    "stand-in-api-manager.md": [],
    "install-containers.md": [],
    "tls.md": [PASSWORD],
    "secrets.md": [PASSWORD],
    "troubleshoot.md": [],
    "upgrade.md": [],
}
"""Pages whose commands are run, with what `…` in their commands stands for, in order."""


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    moved = dict(zip((*PORTS, *OTHER_PORTS), _free_ports(len(PORTS) + len(OTHER_PORTS)), strict=True))
    environ = {variable: str(moved[port]) for port, variable in PORTS.items()}
    replaced = {
        "hub start --as api-manager": f"hub start --as api-manager --port {moved[9443]}",
        "hub start\n": f"hub start --port {moved[9243]}\n",
    }
    with Reader(tmp_path, moved, environ, replaced=replaced) as running:
        yield running


def test_high_availability(tmp_path: Path, postgres_server: Server) -> None:
    """Here the files of the page say all ports; the database is a server of its own."""
    named = (9090, 9092, 18000, 19090, 19092, 18001, 8080, 8081)
    moved = dict(zip(named, _free_ports(len(named)), strict=True))
    with Reader(tmp_path, moved, {"DATABASE_URL": postgres_server.url(postgres_server.database())}) as reader:
        reader.follow((_DOCS / "high-availability.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [name for name in RUN if (_DOCS / name).exists()])
def test_a_page_does_what_it_says(name: str, reader: Reader) -> None:
    reader.follow((_DOCS / name).read_text(encoding="utf-8"), RUN[name])
