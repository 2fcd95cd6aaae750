"""The protocol of one connection, message by message, without I/O."""

import itertools

import pytest
from xds_client import Client, Request, Response, cluster, listener, scope

from gatewright.envoy.resource import CLUSTER, LISTENER, ROUTES, SCOPE, SECRET, Resource
from gatewright.xds.keys import key_of
from gatewright.xds.limits import Limits
from gatewright.xds.outcomes import Accepted, ClusterStates, Outcome, Refused, Report
from gatewright.xds.reports import SYNCED, report_request
from gatewright.xds.snapshot import Snapshot
from gatewright.xds.stream import Stream


class Rig:
    """A snapshot, a stream and a client with a clock in between."""

    def __init__(self, *resources: Resource, limits: Limits | None = None, relay: bool = False) -> None:
        self.now = 100.0
        self.snapshot = Snapshot()
        if resources:
            self.snapshot.apply(resources)
        self.client = Client()
        self.stream = self.open(limits=limits, relay=relay)

    def open(self, *, limits: Limits | None = None, relay: bool = False) -> Stream:
        stream = Stream(self.snapshot, now=self.now, limits=limits, relay=relay)
        self.snapshot.subscribe(stream.changed)
        return stream

    def connected(self) -> "Rig":
        self.client.connect(self.stream, self.now)
        self.client.run(self.now)
        self.stream.outcomes()
        return self

    def put(self, *resources: Resource, remove: tuple[tuple[str, str], ...] = ()) -> None:
        self.snapshot.apply(resources, remove)

    def take(self) -> list[Response]:
        return self.client.take_all(self.now)

    def outcomes(self) -> list[Outcome]:
        return self.stream.outcomes()


def names(responses: list[Response]) -> list[tuple[str, list[str], list[str]]]:
    """Type, resources and removals of each response."""
    short = {CLUSTER: "cluster", LISTENER: "listener", SCOPE: "scope"}
    return [
        (short.get(r.type_url, r.type_url), [item.name for item in r.resources], list(r.removed_resources))
        for r in responses
    ]


def test_clusters_come_before_listeners_before_scopes() -> None:
    rig = Rig(scope("s", ["c"]), listener("l"), cluster("c"))
    rig.client.connect(rig.stream, rig.now)

    first = names(rig.take())
    rig.client.answer(rig.now)
    rig.client.answer(rig.now)

    assert first == [("cluster", ["c"], []), ("listener", ["l"], [])]
    assert names(rig.take()) == [("scope", ["s"], [])]


def test_nothing_is_answered_before_the_snapshot_is_loaded() -> None:
    rig = Rig()
    rig.client.connect(rig.stream, rig.now)
    before = rig.take()

    rig.put()

    assert before == []
    assert names(rig.take()) == [("cluster", [], []), ("listener", [], []), ("scope", [], [])]


def test_a_scope_waits_for_the_answer_about_its_new_cluster() -> None:
    rig = Rig(listener("l")).connected()
    rig.put(scope("s", ["c"]), cluster("c"))

    sent = names(rig.take())
    rig.client.answer(rig.now)

    assert sent == [("cluster", ["c"], [])]
    assert names(rig.take()) == [("scope", ["s"], [])]


def test_a_scope_whose_clusters_are_there_does_not_wait_for_others() -> None:
    rig = Rig(listener("l"), cluster("old"), scope("s", ["old"])).connected()
    rig.put(scope("s", ["old"], "new"), cluster("other"))

    assert names(rig.take()) == [("cluster", ["other"], []), ("scope", ["s"], [])]


def test_a_scope_does_not_wait_for_ever() -> None:
    rig = Rig(listener("l")).connected()
    rig.put(scope("s", ["c"]), cluster("c", dns=True))
    rig.take()
    assert rig.stream.wake_at is not None

    rig.now += Limits().warm_wait_s
    later = names(rig.take())

    assert later == [("scope", ["s"], [])]


def test_a_cluster_that_warms_delays_only_its_own_scope() -> None:
    rig = Rig(listener("l")).connected()
    rig.put(scope("slow", ["slow"]), cluster("slow", dns=True))
    rig.take()  # no answer: Envoy withholds it while the cluster warms
    rig.now += 0.2
    rig.put(scope("fast", ["fast"]), cluster("fast"))
    rig.take()
    rig.now += 0.2

    asked = rig.stream.curious_about(rig.now)
    active = {"fast": rig.client.held[CLUSTER]["fast"]}
    rig.stream.observed(ClusterStates(active=active, warming={"slow": "x"}))

    assert set(asked) == {"slow", "fast"}
    assert names(rig.take()) == [("scope", ["fast"], [])]
    assert Accepted((CLUSTER, "fast"), active["fast"]) in rig.outcomes()


def test_the_scope_of_a_cluster_that_is_known_to_warm_waits_longer() -> None:
    rig = Rig(listener("l"), cluster("old"), scope("s", ["old"])).connected()
    rig.put(scope("s", ["slow"]), cluster("slow", dns=True))
    rig.take()
    rig.now += 0.2
    rig.stream.observed(ClusterStates(active={}, warming={"slow": "x"}))

    rig.now += 5
    early = rig.take()
    rig.now += Limits().known_warm_wait_s

    assert early == []
    assert names(rig.take()) == [("scope", ["s"], [])]


def test_a_router_without_a_probe_is_believed_to_have_fixed_addresses_at_once() -> None:
    rig = Rig(listener("l")).connected()
    rig.put(scope("slow", ["slow"]), cluster("slow", dns=True))
    rig.take()
    rig.now += 0.5
    rig.put(scope("fast", ["fast"]), cluster("fast"))
    rig.take()
    rig.now += Limits().presume_s

    assert names(rig.take()) == [("scope", ["fast"], [])]
    assert any(outcome.key == (CLUSTER, "fast") for outcome in rig.outcomes())


def test_clusters_that_warm_are_held_back_until_a_starting_router_asks_for_listeners() -> None:
    rig = Rig(cluster("fixed"), cluster("dns", dns=True), listener("l"))
    rig.client.connect(rig.stream, rig.now, types=[CLUSTER])
    first = names(rig.take())
    rig.client.answer(rig.now)

    rig.client.ask(LISTENER, rig.now)

    assert first == [("cluster", ["fixed"], [])]
    assert names(rig.take()) == [("cluster", ["dns"], []), ("listener", ["l"], [])]


def test_removals_go_the_other_way_round_and_clusters_last() -> None:
    rig = Rig(listener("l"), cluster("c"), scope("s", ["c"])).connected()
    rig.now += 10
    rig.put(remove=((CLUSTER, "c"), (SCOPE, "s")))

    first = names(rig.take())
    rig.client.answer(rig.now)

    assert first == [("scope", [], ["s"])]
    assert names(rig.take()) == [("cluster", [], ["c"])]


def test_a_cluster_stays_while_the_last_good_version_of_a_scope_uses_it() -> None:
    rig = Rig(listener("l"), cluster("old"), scope("s", ["old"])).connected()
    rig.put(scope("s", ["new"], bad=True), cluster("new"), remove=((CLUSTER, "old"),))
    rig.client.run(rig.now)
    kept = dict(rig.client.held[CLUSTER])

    rig.put(scope("s", ["new"], "fixed"))
    rig.client.run(rig.now)

    assert "old" in kept
    assert set(rig.client.held[CLUSTER]) == {"new"}


def test_good_resources_beside_a_bad_one_are_taken_and_the_bad_one_is_named() -> None:
    rig = Rig(listener("l"), cluster("c")).connected()
    good = [scope(f"good{n}", ["c"]) for n in range(6)]
    bad = scope("bad", ["c"], bad=True)
    rig.put(*good[:3], bad, *good[3:])

    rig.client.run(rig.now)
    outcomes = rig.outcomes()

    assert {r.name for r in good} <= set(rig.client.held[SCOPE])
    assert [o for o in outcomes if isinstance(o, Refused)] == [Refused((SCOPE, "bad"), bad.version, "no")]
    assert {o.key for o in outcomes if isinstance(o, Accepted)} == {key_of(r) for r in good}


def test_suspects_are_sent_with_other_bytes_because_envoy_skips_what_it_believes_to_know() -> None:
    rig = Rig(listener("l"), cluster("c")).connected()
    good = scope("good", ["c"])
    rig.put(good, scope("bad", ["c"], bad=True))

    rig.client.run(rig.now)
    bodies = [item.resource.value for r in rig.client.responses for item in r.resources if item.name == "good"]

    assert bodies[0] == good.body
    assert bodies[1] != good.body
    assert bodies[1].startswith(good.body)


def test_a_refused_version_is_never_sent_again_but_a_new_one_is() -> None:
    rig = Rig(listener("l"), cluster("c")).connected()
    rig.put(scope("s", ["c"], bad=True))
    rig.client.run(rig.now)
    rig.outcomes()
    rig.client.sent.clear()

    rig.put(cluster("other"))
    rig.now += 1000
    rig.client.run(rig.now)
    meanwhile = [sent for sent in rig.client.sent if sent[0] == SCOPE]
    rig.put(fixed := scope("s", ["c"], "fixed"))
    rig.client.run(rig.now)

    assert meanwhile == []
    assert rig.client.held[SCOPE] == {"s": fixed.version}
    assert rig.outcomes()[-1] == Accepted((SCOPE, "s"), fixed.version)


def test_a_version_refused_before_is_reported_again_when_it_comes_back() -> None:
    rig = Rig(listener("l"), cluster("c")).connected()
    good, bad = scope("s", ["c"]), scope("s", ["c"], bad=True)
    for resource in (good, bad, good):
        rig.put(resource)
        rig.client.run(rig.now)
    rig.outcomes()

    rig.put(bad)
    rig.client.run(rig.now)

    assert rig.outcomes() == [Refused((SCOPE, "s"), bad.version, "no")]
    assert rig.client.held[SCOPE] == {"s": good.version}


def test_a_scope_whose_cluster_was_refused_is_refused_with_the_reason_and_heals_with_it() -> None:
    rig = Rig(listener("l")).connected()
    routes = scope("s", ["c"])
    rig.put(cluster("c", bad=True), routes)
    rig.client.run(rig.now)
    refused = {o.key: o.reason for o in rig.outcomes() if isinstance(o, Refused)}

    rig.put(cluster("c", "fixed"))
    rig.client.run(rig.now)

    assert refused[SCOPE, "s"].startswith("its cluster c was refused: ")
    assert rig.client.held[SCOPE] == {"s": routes.version}


@pytest.mark.parametrize("text", ["cannot bind '0.0.0.0:80': Address already in use"])
def test_a_passing_reason_is_tried_again_with_growing_waits(text: str) -> None:
    rig = Rig(cluster("c")).connected()
    rig.put(listener("l"))
    attempts = []
    for _ in range(60):
        for response in rig.take():
            attempts.append(rig.now)
            refusal = Request(type_url=LISTENER, response_nonce=response.nonce)
            refusal.error_detail.message = text
            rig.stream.receive(refusal, rig.now)
        rig.client.waiting.clear()
        rig.now += 1.0

    waits = [round(b - a) for a, b in itertools.pairwise(attempts)]
    assert waits[:5] == [1, 2, 4, 8, 16]


def test_changes_while_an_answer_is_awaited_become_one() -> None:
    rig = Rig(listener("l"), cluster("c"), scope("s", ["c"])).connected()
    rig.put(scope("s", ["c"], "1"))
    rig.take()
    for n in range(2, 6):
        rig.put(scope("s", ["c"], str(n)))
    quiet = rig.take()
    rig.client.answer(rig.now)

    sent = rig.take()

    assert quiet == []
    assert names(sent) == [("scope", ["s"], [])]
    current = rig.snapshot.get((SCOPE, "s"))
    assert current is not None
    assert sent[0].resources[0].version == current.version


def test_a_silent_router_costs_names_only() -> None:
    rig = Rig(listener("l"), cluster("c")).connected()
    for n in range(1000):
        rig.put(scope("s", ["c"], str(n)))
    waiting = rig.stream._subs[SCOPE]

    assert list(waiting.dirty) == ["s"]
    assert not waiting.flights


def test_a_router_that_comes_back_is_sent_only_what_differs() -> None:
    rig = Rig(listener("l"), cluster("c"), scope("a", ["c"]), scope("b", ["c"])).connected()
    rig.put(scope("b", ["c"], "new"), remove=((SCOPE, "a"),))
    rig.now += 10

    again = rig.open()
    rig.client.connect(again, rig.now)
    rig.client.responses.clear()
    rig.client.run(rig.now)

    assert [entry for entry in names(rig.client.responses) if entry[1] or entry[2]] == [
        ("scope", ["b"], []),
        ("scope", [], ["a"]),
    ]
    assert {o.key for o in again.outcomes()} == {(LISTENER, "l"), (CLUSTER, "c"), (SCOPE, "a"), (SCOPE, "b")}


def test_clusters_of_a_returning_router_stay_until_it_has_said_what_its_scopes_are() -> None:
    rig = Rig(listener("l"), cluster("old"), scope("s", ["old"])).connected()
    rig.put(scope("s", ["new"]), cluster("new"), remove=((CLUSTER, "old"),))
    again = rig.open()
    rig.client.connect(again, rig.now, types=[CLUSTER, LISTENER])
    rig.client.run(rig.now)
    kept = dict(rig.client.held[CLUSTER])

    rig.client.ask(SCOPE, rig.now)
    rig.client.run(rig.now)

    assert "old" in kept
    assert set(rig.client.held[CLUSTER]) == {"new"}


def test_a_big_first_sync_comes_in_bounded_messages() -> None:
    clusters = [cluster(f"c{n}", "x" * 1000) for n in range(50)]
    rig = Rig(*clusters, listener("l"), limits=Limits(response_bytes=10_000)).connected()

    sizes = [sum(len(item.resource.value) for item in r.resources) for r in rig.client.responses]
    assert max(sizes) <= 10_000
    assert len(rig.client.held[CLUSTER]) == 50


def test_named_types_are_answered_by_name_and_what_is_missing_is_said() -> None:
    rig = Rig(cluster("c"), listener("l")).connected()
    secret = Resource(SECRET, "certificate", "v1", b"")
    rig.put(secret, Resource(SECRET, "other", "v1", b""))

    rig.stream.receive(Request(type_url=SECRET, resource_names_subscribe=["certificate"]), rig.now)
    found = rig.stream.next_response(rig.now)
    rig.stream.receive(Request(type_url=ROUTES, resource_names_subscribe=["nothing"]), rig.now)
    missing = rig.stream.next_response(rig.now)

    assert found is not None
    assert [item.name for item in found.resources] == ["certificate"]
    assert missing is not None
    assert list(missing.removed_resources) == ["nothing"]


def test_a_resource_asked_for_again_is_sent_again() -> None:
    rig = Rig(Resource(SECRET, "s", "v1", b""))
    rig.stream.receive(Request(type_url=SECRET, resource_names_subscribe=["s"]), rig.now)
    first = rig.stream.next_response(rig.now)
    assert first is not None
    rig.stream.receive(Request(type_url=SECRET, response_nonce=first.nonce), rig.now)

    rig.stream.receive(Request(type_url=SECRET, resource_names_unsubscribe=["s"]), rig.now)
    rig.stream.receive(Request(type_url=SECRET, resource_names_subscribe=["s"]), rig.now)
    second = rig.stream.next_response(rig.now)

    assert second is not None
    assert [item.name for item in second.resources] == ["s"]


def test_types_and_answers_that_nobody_knows_are_ignored() -> None:
    rig = Rig(cluster("c"), listener("l")).connected()
    rig.stream.receive(Request(type_url="type.googleapis.com/unknown.Thing"), rig.now)
    rig.stream.receive(Request(type_url=CLUSTER, response_nonce="9999"), rig.now)

    assert rig.take() == []
    assert rig.outcomes() == []


def relay_connected(rig: Rig) -> list[Response]:
    for type_url in (CLUSTER, "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
                     SECRET, LISTENER, ROUTES, SCOPE):  # fmt: skip
        rig.stream.receive(Request(type_url=type_url, resource_names_subscribe=["*"]), rig.now)
    responses = []
    while (response := rig.stream.next_response(rig.now)) is not None:
        responses.append(response)
    return responses


def test_a_relay_gets_everything_in_order_without_waiting_and_a_mark_at_the_end() -> None:
    rig = Rig(scope("s", ["c"]), listener("l"), cluster("c"), relay=True)

    responses = relay_connected(rig)

    order = [r.type_url for r in responses if r.resources or r.type_url == SYNCED]
    assert order == [CLUSTER, LISTENER, SCOPE, SYNCED]


def test_the_answer_of_a_relay_says_nothing_but_its_report_does() -> None:
    rig = Rig(scope("s", ["c"]), listener("l"), cluster("c"), relay=True)
    for response in relay_connected(rig):
        rig.stream.receive(Request(type_url=response.type_url, response_nonce=response.nonce), rig.now)
    report = Report(envoy=True, outcomes=(Accepted((CLUSTER, "c"), "v"), Refused((SCOPE, "s"), "w", "no")))

    rig.stream.receive(report_request(report), rig.now)

    assert rig.outcomes() == []
    assert rig.stream.reports() == [report]


def test_only_a_relay_is_believed_to_report() -> None:
    rig = Rig(cluster("c"), listener("l")).connected()

    rig.stream.receive(report_request(Report(envoy=True)), rig.now)

    assert rig.stream.reports() == []
