"""The sample backend, a program of its own: pets and books as JSON. `python -m gatewright.demo.backend --port 8081`."""

import argparse
import json
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

PETS: Final = {
    1: {"id": 1, "name": "Bella", "category": {"id": 1, "name": "dogs"}, "status": "available"},
    2: {"id": 2, "name": "Milo", "category": {"id": 2, "name": "cats"}, "status": "pending"},
    3: {"id": 3, "name": "Coco", "category": {"id": 3, "name": "parrots"}, "status": "sold"},
}
BOOKS: Final = [
    {"id": 1, "title": "The Blind Owl", "author": "Sadegh Hedayat"},
    {"id": 2, "title": "Momo", "author": "Michael Ende"},
]
_LARGEST_BODY: Final = 1024 * 1024
_IDLE_S: Final = 30


def answer(method: str, path: str) -> tuple[int, Any]:
    """Status and body for a request."""
    parts = [part for part in urlsplit(path).path.split("/") if part]
    if parts == ["books"]:
        return 200, BOOKS
    if parts == ["store", "inventory"]:
        return 200, {"available": 1, "pending": 1, "sold": 1}
    if parts == ["pet", "findByStatus"]:
        return 200, list(PETS.values())
    if len(parts) == 2 and parts[0] == "pet" and parts[1].isascii() and parts[1].isdigit():
        pet = PETS.get(int(parts[1][:9]))
        return (200, pet) if pet else (404, {"code": 404, "message": "there is no such pet"})
    return 200, {"method": method, "path": path}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S

    def _reply(self) -> None:
        length = self.headers.get("content-length", "0")
        size = int(length) if length.isascii() and length.isdigit() else 0
        if size > _LARGEST_BODY:
            self.close_connection = True
            status, body = 413, {"message": "the body is too large"}
        else:
            self.rfile.read(size)
            status, body = answer(self.command, self.path)
        text = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = _reply  # noqa: N815 - names of the base class

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - signature of the base class
        """Every request is one line of the log."""
        sys.stderr.write(f"{self.command} {self.path} {args[1] if len(args) > 1 else format}\n")


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="gatewright.demo.backend", description="A sample backend: pets and books.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8081)
    options = parser.parse_args(arguments)
    try:
        server = ThreadingHTTPServer((options.host, options.port), _Handler)
    except OSError as error:
        sys.stderr.write(f"error: the backend cannot listen on {options.host}:{options.port}: {error.strerror}\n")
        return 1
    server.daemon_threads = True
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
