"""`health` against processes that are ready, that are not, and that are not there."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest


class _Answers(BaseHTTPRequestHandler):
    status = 200
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b'{"ready": false, "reason": "CONFIGURATION_NOT_LOADED"}')

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[tuple[type[_Answers], str]]:
    answers = type("Answers", (_Answers,), {"status": 200, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    file = tmp_path / "config.toml"
    port = server.server_address[1]
    file.write_text(f"[controller.admin_server]\nport = {port}\n[router]\nlistener_port = {port}\n")
    yield answers, str(file)
    server.shutdown()
    server.server_close()


def test_ready(run, listening) -> None:
    answers, file = listening
    ran = run("health", "--config", file)
    assert (ran.code, ran.out) == (0, "controller: ready\nrouter: ready\n")
    assert answers.asked == ["/api/admin/v1/ready", "/_gateway-health/ready"]


def test_not_ready(run, listening) -> None:
    answers, file = listening
    answers.status = 503
    ran = run("health", "controller", "--config", file)
    assert ran.code == 1
    assert "not ready" in ran.err
    assert "CONFIGURATION_NOT_LOADED" in ran.err


def test_nobody_there(run, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[router]\nlistener_port = 1\n")
    ran = run("health", "router", "--config", str(file))
    assert ran.code == 3
    assert "nobody answers at 127.0.0.1 port 1" in ran.err
