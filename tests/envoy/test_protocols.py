"""HTTP/2 from clients, streaming in both directions. Real Envoy."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import grpc
import pytest
from envoy_certificates import Authority
from envoy_harness import Backend
from envoy_site import Site, document

from gatewright.model.gateway import Tls


class Streamer:
    """Sends one chunk, waits until told, sends the other."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.go_on = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._server.accept()
            with connection:
                connection.recv(65536)
                head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                connection.sendall(head + b"9\r\ndata: 1\n\n\r\n")
                self.go_on.wait(10)
                connection.sendall(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    def stop(self) -> None:
        self.go_on.set()
        self._server.close()
        self._thread.join(5)


@pytest.fixture
def streamer() -> Iterator[Streamer]:
    running = Streamer()
    yield running
    running.stop()


@pytest.mark.conforms("DP-090")
def test_event_streams_are_not_held_back(site: Site, streamer: Streamer) -> None:
    site.deploy(sse=document("/sse", ["GET /events"], url=f"http://127.0.0.1:{streamer.port}"))
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as client:
        client.sendall(b"GET /sse/events HTTP/1.1\r\nhost: a\r\n\r\n")
        received = b""
        while b"data: 1" not in received:
            received += client.recv(65536)
        assert b"data: 2" not in received
        streamer.go_on.set()
        while b"data: 2" not in received:
            received += client.recv(65536)


@pytest.mark.parametrize("form", ["scoped", "flat"])
def test_http2_clients_reach_http1_upstreams(start_site: Callable[..., Site], backend: Backend, form: str) -> None:
    """gRPC's client speaks HTTP/2; what it makes of the answer does not matter here."""
    authority = Authority()
    site = start_site(tls=Tls(*authority.issue("gateway.test")))
    documents = {"api": document("/two", ["POST /x"], url=f"http://127.0.0.1:{backend.port}")}
    if form == "flat":
        documents["root"] = document("/", ["GET /*"], url=f"http://127.0.0.1:{backend.port}")
    site.deploy(**documents)
    site.envoy.wait_for_port(site.tls_port)
    backend.requests.clear()
    secure = grpc.ssl_channel_credentials(authority.pem.encode())
    named = [("grpc.ssl_target_name_override", "gateway.test")]
    for channel in (
        grpc.insecure_channel(f"127.0.0.1:{site.port}"),
        grpc.secure_channel(f"127.0.0.1:{site.tls_port}", secure, named),
    ):
        with channel:
            for path in ("/two/x", "/two/unknown"):
                with contextlib.suppress(grpc.RpcError):
                    channel.unary_unary(path, lambda b: b, lambda b: b)(b"", timeout=10)
    assert backend.requests == ["POST /x", "POST /x"]
