"""Delta ADS over gRPC: the shell around `stream.py`, for Envoys and for relays.

One task reads, one writes; both only feed the machine. Nothing here waits for another router.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import grpc
import grpc.aio
from envoy.service.discovery.v3 import discovery_pb2

from gatewright.observability.logging import get_logger
from gatewright.xds.delivery import Observer
from gatewright.xds.keys import ResourceKey
from gatewright.xds.limits import Limits
from gatewright.xds.metrics import REQUESTS
from gatewright.xds.outcomes import ClusterStates, Node
from gatewright.xds.snapshot import Snapshot
from gatewright.xds.stream import Stream

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD: Final = f"/{SERVICE}/DeltaAggregatedResources"
RELAY_METADATA: Final = "gatewright.relay"
"""Key in the node's metadata by which a router of Gatewright introduces itself."""

MAX_REQUEST_BYTES: Final = 64 << 20
MAX_RESPONSE_BYTES: Final = 256 << 20
MAX_STREAMS: Final = 1_000
MAX_PATH: Final = 100
"""Bytes of a Unix socket's path; the system allows 107."""

PROBE_INTERVAL_S: Final = 0.2
HELLO_TIMEOUT_S: Final = 30.0

ClusterProbe: TypeAlias = Callable[[Sequence[str]], Awaitable[ClusterStates | None]]
"""Asks the Envoy of a router about clusters by name; None when it does not say."""

_OPTIONS: Final = [
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", MAX_RESPONSE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.so_reuseport", 0),
]

_log = get_logger(__name__)

_Request: TypeAlias = discovery_pb2.DeltaDiscoveryRequest
_Context: TypeAlias = "grpc.aio.ServicerContext[_Request, discovery_pb2.DeltaDiscoveryResponse]"


class CannotListen(OSError):
    """The address of the xDS server cannot be used; the text says which and what to do."""


class AdsServer:
    """Serves a snapshot to any number of routers."""

    def __init__(
        self,
        snapshot: Snapshot,
        observer: Observer,
        *,
        limits: Limits | None = None,
        probe: ClusterProbe | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._observer = observer
        self._limits = limits or Limits()
        self._probe = probe
        self._server: grpc.aio.Server | None = None
        self._sessions: dict[str, _Session] = {}
        self.port = 0

    async def start(self, address: str, *, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen on `host:port` (port 0: any free one); returns the port. CannotListen when that is impossible."""
        return await self._start(address, credentials)

    async def start_local(self, path: Path) -> None:
        """Listen on a Unix socket that only its owner can use. A file left by an earlier run is replaced."""
        if len(str(path).encode()) > MAX_PATH:
            raise CannotListen(f"the path {path} is too long for a Unix socket (at most {MAX_PATH} bytes)")
        _make_way(path)
        await self._start(f"unix:{path}", None)
        _make_private(path)

    async def stop(self, grace: float = 0.0) -> None:
        """End all streams; `grace` in seconds."""
        if self._server is not None:
            for session in tuple(self._sessions.values()):
                session.end()
            await self._server.stop(grace)
            self._server = None

    async def _start(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=MAX_STREAMS)
        handler = grpc.stream_stream_rpc_method_handler(
            self._serve,
            request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
            response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {METHOD.rpartition("/")[2]: handler}),)
        )
        try:
            if credentials is None:
                self.port = server.add_insecure_port(address)
            else:
                self.port = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise CannotListen(f"cannot serve xDS on {address}: is the port in use by another process?") from error
        self._server = server
        try:
            await server.start()
        except BaseException:
            await self.stop()
            raise
        return self.port

    async def _serve(self, requests: AsyncIterator[_Request], context: _Context) -> None:
        """One stream, from its first request to its end."""
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                hello = await anext(requests)
        except (TimeoutError, StopAsyncIteration):
            return
        node = _node(hello)
        name = await self._enter(node)
        now = asyncio.get_running_loop().time()
        stream = Stream(self._snapshot, now=now, relay=node.relay, limits=self._limits)
        session = _Session(self._snapshot, self._observer, name, stream, self._probe)
        self._sessions[name] = session
        self._observer.connected(name, node, context.peer())
        try:
            session.receive(hello)
            await session.run(requests, context)
        finally:
            session.close()
            if self._sessions.get(name) is session:
                del self._sessions[name]
                self._observer.disconnected(name)

    async def _enter(self, node: Node) -> str:
        """A name for the stream, unique among the connected ones.

        The id of a relay is its own, so its new connection replaces the old one; Envoys may share an id.
        """
        wanted = node.id or "unnamed"
        old = self._sessions.get(wanted)
        if old is not None and node.relay:
            old.end()
            del self._sessions[wanted]
            self._observer.disconnected(wanted)
            return wanted
        name, count = wanted, 1
        while name in self._sessions:
            count += 1
            name = f"{wanted}#{count}"
        return name


class _Session:
    """The two tasks of one stream around its machine."""

    def __init__(
        self,
        snapshot: Snapshot,
        observer: Observer,
        name: str,
        stream: Stream,
        probe: ClusterProbe | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._observer = observer
        self._name = name
        self._probe = probe
        self._probing: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._ended = False
        self._stream = stream
        self._unsubscribe = snapshot.subscribe(self._changed)

    def receive(self, request: _Request) -> None:
        """Feed one request and pass on what it says about resources."""
        REQUESTS.labels(operation="receive").inc()
        self._stream.receive(request, self._loop.time())
        self._flush()
        self._news.set()

    def end(self) -> None:
        """Let the stream end soon."""
        self._ended = True
        self._news.set()

    def close(self) -> None:
        """The stream is over."""
        self._ended = True
        self._unsubscribe()
        if self._probing is not None:
            self._probing.cancel()

    async def run(self, requests: AsyncIterator[_Request], context: _Context) -> None:
        """Until either side ends the stream."""
        reading = asyncio.create_task(self._read(requests))
        try:
            await self._write(context)
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError, grpc.aio.UsageError):
                await reading

    async def _read(self, requests: AsyncIterator[_Request]) -> None:
        try:
            async for request in requests:
                self.receive(request)
        finally:
            self.end()

    async def _write(self, context: _Context) -> None:
        while not self._ended:
            self._news.clear()
            while not self._ended and (response := self._stream.next_response(self._loop.time())) is not None:
                self._flush()
                REQUESTS.labels(operation="send").inc()
                await context.write(response)
                self._observer.sent(self._name, _keys(response))
            self._flush()
            self._look_for_warming()
            await self._wait()

    async def _wait(self) -> None:
        """Until there is news, or the machine wants to be asked again."""
        at = self._stream.wake_at
        alarm = self._loop.call_at(at, self._news.set) if at is not None else None
        try:
            await self._news.wait()
        finally:
            if alarm is not None:
                alarm.cancel()

    def _changed(self, keys: tuple[tuple[str, str], ...]) -> None:
        self._stream.changed(keys)
        self._news.set()

    def _flush(self) -> None:
        if outcomes := self._stream.outcomes():
            self._observer.outcomes(self._name, outcomes)
        for report in self._stream.reports():
            self._observer.reported(self._name, report)

    def _look_for_warming(self) -> None:
        if self._probe is None or (self._probing is not None and not self._probing.done()):
            return
        names = self._stream.curious_about(self._loop.time())
        if names:
            self._probing = asyncio.create_task(self._ask(self._probe, names))

    async def _ask(self, probe: ClusterProbe, names: list[str]) -> None:
        states = await probe(names)
        if states is not None:
            self._stream.observed(states)
            self._news.set()
        await asyncio.sleep(PROBE_INTERVAL_S)
        self._news.set()


def _keys(response: discovery_pb2.DeltaDiscoveryResponse) -> Iterator[ResourceKey]:
    """What a response is about; made only when somebody looks."""
    for resource in response.resources:
        yield response.type_url, resource.name
    for name in response.removed_resources:
        yield response.type_url, name


def _make_way(path: Path) -> None:
    path.unlink(missing_ok=True)


def _make_private(path: Path) -> None:
    path.chmod(0o600)


def _node(hello: _Request) -> Node:
    node = hello.node
    version = node.user_agent_build_version.version
    build = f"{version.major_number}.{version.minor_number}.{version.patch}" if version.major_number else ""
    relay = bool(node.metadata.fields[RELAY_METADATA].bool_value) if RELAY_METADATA in node.metadata.fields else False
    return Node(id=node.id[:200], cluster=node.cluster[:200], relay=relay, build=build)
