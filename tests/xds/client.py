"""What an Envoy does with delta ADS responses, as far as the protocol is concerned, without an Envoy.

It applies responses in order as they arrive, refuses resources marked bad and keeps the others of the same response,
and answers when it is told to.
"""

from collections.abc import Iterable

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import scoped_route_pb2
from envoy.service.discovery.v3 import discovery_pb2

from gatewright.envoy.resource import CLUSTER, LISTENER, SCOPE, Resource, resource
from gatewright.xds.needs import clusters_needed
from gatewright.xds.stream import Stream

BAD = "BAD"
Request = discovery_pb2.DeltaDiscoveryRequest
Response = discovery_pb2.DeltaDiscoveryResponse


def cluster(name: str, content: str = "", *, bad: bool = False, dns: bool = False) -> Resource:
    kind = cluster_pb2.Cluster.STRICT_DNS if dns else cluster_pb2.Cluster.STATIC
    return resource(cluster_pb2.Cluster(name=name, type=kind, alt_stat_name=content + (BAD if bad else "")))


def listener(name: str, content: str = "", *, bad: bool = False) -> Resource:
    return resource(listener_pb2.Listener(name=name, stat_prefix=content + (BAD if bad else "")))


def scope(name: str, needs: Iterable[str], content: str = "", *, bad: bool = False) -> Resource:
    message = scoped_route_pb2.ScopedRouteConfiguration(name=name)
    message.route_configuration.name = content + (BAD if bad else "")
    host = message.route_configuration.virtual_hosts.add(name="h", domains=["*"])
    for needed in sorted(needs):
        host.routes.add().route.cluster = needed
    return resource(message)


class Client:
    """One Envoy; `connect` begins a new stream and brings along what it holds."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, str]] = {CLUSTER: {}, LISTENER: {}, SCOPE: {}}
        self.needs: dict[str, frozenset[str]] = {}
        self.waiting: list[Request] = []
        self.sent: list[tuple[str, str, str]] = []
        self.responses: list[Response] = []
        self.stream: Stream | None = None

    def connect(self, stream: Stream, now: float, types: Iterable[str] = (CLUSTER, LISTENER, SCOPE)) -> None:
        self.stream = stream
        self.waiting.clear()
        self.sent.clear()
        for type_url in types:
            self.ask(type_url, now)

    def ask(self, type_url: str, now: float) -> None:
        assert self.stream is not None
        self.stream.receive(Request(type_url=type_url, initial_resource_versions=self.held[type_url]), now)

    def take(self, now: float) -> Response | None:
        """Receive one response, if there is one, and apply it."""
        assert self.stream is not None
        response = self.stream.next_response(now)
        if response is not None:
            self.responses.append(response)
            self._apply(response)
        return response

    def take_all(self, now: float) -> list[Response]:
        taken = []
        while (response := self.take(now)) is not None:
            taken.append(response)
        return taken

    def answer(self, now: float, index: int = 0) -> Request | None:
        """Send the answer that has waited longest (or another one)."""
        assert self.stream is not None
        if not self.waiting:
            return None
        request = self.waiting.pop(min(index, len(self.waiting) - 1))
        self.stream.receive(request, now)
        return request

    def run(self, now: float) -> None:
        """Take and answer until nothing is left to do at this time."""
        while self.take_all(now) or self.waiting:
            while self.answer(now) is not None:
                pass

    def _apply(self, response: Response) -> None:
        held = self.held[response.type_url]
        errors = []
        for item in response.resources:
            self.sent.append((response.type_url, item.name, item.version))
            if BAD.encode() in item.resource.value:
                errors.append(item.name)
                continue
            held[item.name] = item.version
            if response.type_url == SCOPE:
                self.needs[item.name] = clusters_needed(Resource(SCOPE, item.name, item.version, item.resource.value))
        for name in response.removed_resources:
            held.pop(name, None)
            if response.type_url == SCOPE:
                self.needs.pop(name, None)
        answer = Request(type_url=response.type_url, response_nonce=response.nonce)
        if errors:
            words = (
                f"Error adding/updating cluster(s) {', '.join(errors)}: no" if response.type_url == CLUSTER else "no"
            )
            answer.error_detail.message = words
        self.waiting.append(answer)
