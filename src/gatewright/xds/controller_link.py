"""Feeds a relay from a controller elsewhere: a delta ADS client that reconnects for ever and resumes where it was."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TypeAlias

import grpc
import grpc.aio
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2

from gatewright.envoy.resource import Resource
from gatewright.observability.logging import get_logger
from gatewright.xds.keys import PUT_ORDER, ResourceKey
from gatewright.xds.outcomes import Node, Outcome, Refused, Report
from gatewright.xds.relay import Relay
from gatewright.xds.reports import OUTCOMES_PER_REPORT, SYNCED, report_request
from gatewright.xds.server import MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, METHOD, RELAY_METADATA
from gatewright.xds.subscription import ANY
from gatewright.xds.tls import ClientTls, TlsUnusable, client_credentials

FIRST_DELAY_S: Final = 0.2
LONGEST_DELAY_S: Final = 10.0
CONNECT_TIMEOUT_MS: Final = 10_000

_OPTIONS: Final = [
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    ("grpc.max_send_message_length", MAX_REQUEST_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A channel of its own for each attempt: no state of a broken connection is carried over.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.min_reconnect_backoff_ms", CONNECT_TIMEOUT_MS),
]

_Request: TypeAlias = discovery_pb2.DeltaDiscoveryRequest
_Response: TypeAlias = discovery_pb2.DeltaDiscoveryResponse
_Call: TypeAlias = "grpc.aio.StreamStreamCall[_Request, _Response]"

_log = get_logger(__name__)


class ControllerLink:
    """The connection to one of `targets` (`host:port`), which all serve the same; another one when that is lost."""

    def __init__(
        self,
        targets: Sequence[str],
        *,
        tls: ClientTls | None = None,
        longest_delay_s: float = LONGEST_DELAY_S,
    ) -> None:
        self._targets = tuple(targets)
        # The routers of a fleet spread over the controllers.
        self._next = random.randrange(len(self._targets))  # noqa: S311 - spreads load, guards no secret
        self._node = Node(id="")
        self._tls = tls
        self._longest_delay_s = longest_delay_s
        self._relay: Relay | None = None
        self._task: asyncio.Task[None] | None = None
        self._answers: list[_Request] = []
        self._outcomes: dict[tuple[ResourceKey, bool], Outcome] = {}
        self._envoy: tuple[bool, bool] | None = None
        self._news = asyncio.Event()
        self.connected = False
        self.last_error: str | None = None
        self.received = 0

    def start(self, relay: Relay, node: Node) -> None:
        """Begin to connect; the relay serves what it has from disk meanwhile. The node's id is unique in the fleet."""
        self._relay = relay
        self._node = node
        self._task = asyncio.get_running_loop().create_task(self._run(relay), name="controller-link")

    async def stop(self) -> None:
        """End the connection."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self, relay: Relay) -> None:
        delay, failures = FIRST_DELAY_S, 0
        while True:
            self._reset()
            target = self.target
            try:
                await self._session(relay)
                error = "the controller ended the stream"
            except grpc.aio.AioRpcError as failure:
                error = f"{failure.code().name}: {failure.details()}"
            except TlsUnusable as failure:
                error = str(failure)
            failures += 1
            if self.connected:
                delay, failures = FIRST_DELAY_S, 0
            self.connected = False
            # Full jitter: the routers of a fleet do not come back all at once.
            pause = random.uniform(0, delay)  # noqa: S311 - spreads load, guards no secret
            if error != self.last_error:
                _log.warning("no connection to the controller", target=target, why=error)
            self.last_error = error
            self._next = (self._next + 1) % len(self._targets)
            await asyncio.sleep(pause)
            if failures >= len(self._targets):
                # None of them answers.
                delay, failures = min(delay * 2, self._longest_delay_s), 0

    @property
    def target(self) -> str:
        """The controller of the present attempt or connection."""
        return self._targets[self._next]

    async def _session(self, relay: Relay) -> None:
        async with self._channel() as channel:
            call = channel.stream_stream(
                METHOD,
                request_serializer=_Request.SerializeToString,
                response_deserializer=_Response.FromString,
            )(request_iterator=None)
            self._queue(relay.subscribe(self._queue))
            writing = asyncio.create_task(self._write(relay, call))
            # Whatever ends the writer ends the stream: half a conversation would stand still for ever.
            writing.add_done_callback(lambda _: call.cancel())
            try:
                async for response in call:
                    self._on_response(relay, response)
            finally:
                relay.unsubscribe(self._queue)
                writing.cancel()
                with suppress(asyncio.CancelledError, asyncio.InvalidStateError, grpc.aio.AioRpcError):
                    await writing
                call.cancel()

    def _channel(self) -> grpc.aio.Channel:
        if self._tls is None:
            return grpc.aio.insecure_channel(self.target, options=_OPTIONS)
        name = self._tls.server_name
        options = [*_OPTIONS, *([("grpc.ssl_target_name_override", name)] if name else [])]
        return grpc.aio.secure_channel(self.target, client_credentials(self._tls), options=options)

    async def _write(self, relay: Relay, call: _Call) -> None:
        for index, type_url in enumerate(PUT_ORDER):
            request = _Request(
                type_url=type_url,
                resource_names_subscribe=[ANY],
                initial_resource_versions=relay.versions(type_url),
            )
            if not index:
                request.node.CopyFrom(_node(self._node))
            await call.write(request)
            # Early, so that the controller does not take a router at work for one without an Envoy.
            await self._write_reports(call)
        while True:
            await self._news.wait()
            self._news.clear()
            answers, self._answers = self._answers, []
            for request in answers:
                await call.write(request)
            await self._write_reports(call)

    async def _write_reports(self, call: _Call) -> None:
        for report in self._take_reports():
            await call.write(report_request(report))

    def _on_response(self, relay: Relay, response: _Response) -> None:
        self.received += len(response.resources)
        if response.type_url == SYNCED:
            self.connected = True
            self.last_error = None
            _log.info("in step with the controller", target=self.target)
            relay.synced()
            return
        put = [
            Resource(response.type_url, item.name, item.version, item.resource.value)
            for item in response.resources
            if item.resource.type_url == response.type_url
        ]
        relay.absorb(put, [(response.type_url, name) for name in response.removed_resources])
        self._answers.append(_Request(type_url=response.type_url, response_nonce=response.nonce))
        self._news.set()

    # -- reports, at most one outcome for each resource waiting ----------------------------------------------------

    def _queue(self, report: Report) -> None:
        if report.fresh:
            self._outcomes.clear()
        fresh = report.fresh or (self._envoy is not None and self._envoy[1])
        self._envoy = (report.envoy, fresh)
        for outcome in report.outcomes:
            # A refusal of the newest version must not be hidden by the return to the one before.
            about = (outcome.key, isinstance(outcome, Refused))
            self._outcomes.pop(about, None)
            self._outcomes[about] = outcome
        self._news.set()

    def _take_reports(self) -> list[Report]:
        if self._envoy is None:
            return []
        (envoy, fresh), self._envoy = self._envoy, None
        outcomes, self._outcomes = tuple(self._outcomes.values()), {}
        first, rest = outcomes[:OUTCOMES_PER_REPORT], outcomes[OUTCOMES_PER_REPORT:]
        reports = [Report(envoy=envoy, fresh=fresh, outcomes=first)]
        reports.extend(
            Report(envoy=envoy, outcomes=rest[at : at + OUTCOMES_PER_REPORT])
            for at in range(0, len(rest), OUTCOMES_PER_REPORT)
        )
        return reports

    def _reset(self) -> None:
        self._answers.clear()
        self._outcomes.clear()
        self._envoy = None
        self._news = asyncio.Event()


def _node(node: Node) -> base_pb2.Node:
    message = base_pb2.Node(id=node.id, cluster=node.cluster, user_agent_name="gatewright")
    message.metadata.fields[RELAY_METADATA].bool_value = True
    parts = node.build.split(".")
    if len(parts) == 3 and all(part.isdigit() for part in parts):
        version = message.user_agent_build_version.version
        version.major_number, version.minor_number, version.patch = map(int, parts)
    return message
