"""A listener that has changed its form gets its routes, all in one piece, and counts as accepted only then."""

from envoy.config.listener.v3 import listener_pb2
from xds_client import Client, Request, cluster, scope

from gatewright.envoy.connection_manager import connection_manager
from gatewright.envoy.flat import FLAT_NAME
from gatewright.envoy.forms import Form
from gatewright.envoy.resource import CLUSTER, LISTENER, ROUTES, SCOPE, Resource, packed, resource
from gatewright.model.gateway import Gateway
from gatewright.xds.limits import Limits
from gatewright.xds.outcomes import Accepted
from gatewright.xds.snapshot import Snapshot
from gatewright.xds.stream import Stream


def listener(form: Form) -> Resource:
    message = listener_pb2.Listener(name="main")
    chain = message.filter_chains.add().filters.add(name="envoy.filters.network.http_connection_manager")
    chain.typed_config.CopyFrom(packed(connection_manager(Gateway(listeners=()), form)))
    return resource(message)


class Site:
    """A stream in the scoped form with two scopes, answered completely."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.scopes = [scope("a", ["c"]), scope("b", ["c"])]
        self.snapshot.apply([cluster("c"), listener("scoped"), *self.scopes])
        # The order of a starting Envoy: it asks for scopes when it has a listener that wants them.
        self.stream = Stream(self.snapshot, now=0.0, limits=Limits())
        self.snapshot.subscribe(self.stream.changed)
        self.client = Client()
        self.client.connect(self.stream, 0.0, (CLUSTER, LISTENER))
        self.client.take_all(0.0)
        self.client.ask(SCOPE, 0.0)
        self.client.run(0.0)
        self.accepted_listeners()
        self.client.sent.clear()

    def change(self, form: Form) -> None:
        self.snapshot.apply([listener(form)])

    def accepted_listeners(self) -> list[str | None]:
        return [o.version for o in self.stream.outcomes() if isinstance(o, Accepted) and o.key[0] == LISTENER]

    def sent(self) -> list[str]:
        return [name for _, name, _ in self.client.sent]


def test_a_start_sends_scopes_once() -> None:
    site = Site()
    assert sorted(r.name for response in site.client.responses for r in response.resources) == ["a", "b", "c", "main"]


def test_scopes_are_sent_again_for_a_new_scoped_listener() -> None:
    site = Site()
    site.change("flat")
    site.client.run(1.0)
    assert site.sent() == ["main"]
    site.client.sent.clear()
    site.change("scoped")
    changed = scope("b", ["c"], "changed")
    site.snapshot.apply([changed])
    site.client.take_all(2.0)
    assert site.sent() == ["main"], "scopes sent now would open the listener with some of them missing"
    site.client.answer(2.0)
    assert site.accepted_listeners() == []
    site.client.take_all(2.0)
    assert sorted(site.sent()) == ["a", "b", "main"]
    site.client.answer(2.0)
    assert site.accepted_listeners() == [listener("scoped").version]


def test_a_removal_while_scopes_are_sent_again_arrives() -> None:
    site = Site()
    site.change("flat")
    site.client.run(1.0)
    site.change("scoped")
    site.snapshot.apply([], [(SCOPE, "a")])
    site.client.run(2.0)
    site.client.run(5.0)
    assert set(site.client.held[SCOPE]) == {"b"}


def test_answers_about_scopes_that_are_under_way_are_waited_for() -> None:
    site = Site()
    site.snapshot.apply([scope("a", ["c"], "changed")])
    site.client.take_all(1.0)
    site.change("scoped")
    site.snapshot.apply([listener("flat")])
    site.snapshot.apply([listener("scoped")])
    site.client.sent.clear()
    site.client.run(1.5)
    assert site.client.held[SCOPE]["a"] == scope("a", ["c"], "changed").version


def test_a_flat_listener_is_accepted_with_its_routes() -> None:
    site = Site()
    site.change("flat")
    site.client.run(1.0)
    assert site.accepted_listeners() == []
    site.client.held[ROUTES] = {}
    routes = Resource(ROUTES, FLAT_NAME, "1", b"")
    site.snapshot.apply([routes])
    site.stream.receive(Request(type_url=ROUTES, resource_names_subscribe=[FLAT_NAME]), 1.0)
    site.client.run(1.0)
    assert site.accepted_listeners() == [listener("flat").version]
