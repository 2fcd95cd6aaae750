"""Whatever the order of updates, answers, waits and reconnects: the router ends up with what it should have."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from xds_client import Client, cluster, listener, scope

from gatewright.envoy.resource import CLUSTER, LISTENER, SCOPE, Resource
from gatewright.xds.limits import Limits
from gatewright.xds.outcomes import Accepted, Refused
from gatewright.xds.snapshot import Snapshot
from gatewright.xds.stream import Stream

CLUSTERS = ["c0", "c1", "c2"]
SCOPES = ["s0", "s1", "s2", "s3"]
NEVER = 1e12

contents = st.sampled_from(["a", "b", "c"])
rarely = st.sampled_from([False, False, False, True])


class Convergence(RuleBasedStateMachine):
    """Routes wait for their clusters without limit here, so that "make before break" must hold without exception."""

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.snapshot = Snapshot()
        self.client = Client()
        self.limits = Limits(
            warm_wait_s=NEVER, known_warm_wait_s=NEVER, presume_s=NEVER, response_bytes=300, first_scopes_bytes=600
        )
        self.bad: set[tuple[str, str, str]] = set()
        self.refused: set[tuple[str, str, str]] = set()
        self.told: dict[tuple[str, str], str | None] = {}
        self.put([listener("l")], [])
        self.cancel = lambda: None
        self.connect()

    def put(self, resources: list[Resource], removed: list[tuple[str, str]]) -> None:
        self.bad |= {(r.type_url, r.name, r.version) for r in resources if b"BAD" in r.body}
        self.snapshot.apply(resources, removed)

    def connect(self) -> None:
        self.cancel()
        stream = Stream(self.snapshot, now=self.now, limits=self.limits)
        self.cancel = self.snapshot.subscribe(stream.changed)
        self.refused.clear()
        self.told.clear()
        self.client.connect(stream, self.now)

    @rule(name=st.sampled_from(SCOPES), needs=st.sets(st.sampled_from(CLUSTERS), min_size=1, max_size=2),
          content=contents, bad=rarely, bad_cluster=rarely, cluster_content=contents)  # fmt: skip
    def deploy(
        self, name: str, needs: set[str], content: str, bad: bool, bad_cluster: bool, cluster_content: str
    ) -> None:
        missing = [c for c in sorted(needs) if self.snapshot.get((CLUSTER, c)) is None]
        new = [cluster(c, cluster_content, bad=bad_cluster) for c in missing]
        self.put([scope(name, needs, content, bad=bad), *new], self.unused(name, needs))

    @rule(name=st.sampled_from(SCOPES))
    def undeploy(self, name: str) -> None:
        self.put([], [(SCOPE, name), *self.unused(name, set())])

    @rule(name=st.sampled_from(CLUSTERS), content=contents, bad=rarely)
    def change_cluster(self, name: str, content: str, bad: bool) -> None:
        if self.snapshot.get((CLUSTER, name)) is not None:
            self.put([cluster(name, content, bad=bad)], [])

    @rule(content=contents, bad=rarely)
    def change_listener(self, content: str, bad: bool) -> None:
        self.put([listener("l", content, bad=bad)], [])

    def unused(self, name: str, needs: set[str]) -> list[tuple[str, str]]:
        """Clusters that no scope needs once `name` has new needs: what a renderer removes."""
        used = set(needs)
        for other in self.snapshot.of_type(SCOPE):
            if other != name:
                used |= self.snapshot.needs((SCOPE, other))
        return [(CLUSTER, c) for c in self.snapshot.of_type(CLUSTER) if c not in used]

    @rule(count=st.integers(1, 5))
    def send(self, count: int) -> None:
        for _ in range(count):
            if self.client.take(self.now) is None:
                break
        self.listen()

    @rule(index=st.integers(0, 3), count=st.integers(1, 4))
    def answer(self, index: int, count: int) -> None:
        for _ in range(count):
            types = [request.type_url for request in self.client.waiting]
            if types:
                # Answers of one type come in order; those of different types do not.
                self.client.answer(self.now, types.index(types[min(index, len(types) - 1)]))
        self.listen()

    @rule(seconds=st.sampled_from([0.05, 0.2, 5.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def reconnect(self) -> None:
        self.connect()

    def listen(self) -> None:
        """Note what the machine says, and that no refused version is sent again."""
        again = self.refused & set(self.client.sent)
        assert not again
        assert self.client.stream is not None
        for outcome in self.client.stream.outcomes():
            if isinstance(outcome, Accepted):
                self.told[outcome.key] = outcome.version
            elif isinstance(outcome, Refused) and not outcome.reason.startswith("its cluster"):
                assert (*outcome.key, outcome.version) in self.bad
                self.refused.add((*outcome.key, outcome.version))
        self.client.sent.clear()

    @invariant()
    def no_route_without_its_cluster(self) -> None:
        if not hasattr(self, "client"):
            return
        for name, needs in self.client.needs.items():
            missing = needs - set(self.client.held[CLUSTER])
            assert not missing, f"{name} points at {missing}"

    def teardown(self) -> None:
        if not hasattr(self, "client"):
            return
        for _ in range(12):
            self.now += 6.0
            self.client.run(self.now)
            self.listen()
        self.no_route_without_its_cluster()
        for type_url in (CLUSTER, LISTENER, SCOPE):
            self.settled(type_url)

    def settled(self, type_url: str) -> None:
        held = self.client.held[type_url]
        for name, current in self.snapshot.of_type(type_url).items():
            is_bad = (type_url, name, current.version) in self.bad
            if is_bad:
                assert held.get(name) != current.version
            elif self.possible(type_url, name):
                assert held.get(name) == current.version, f"{type_url} {name}"
                told = self.told.get((type_url, name))
                assert told == current.version, f"{type_url} {name}: told {told}, is {current.version}"
        for name in held:
            if name not in self.snapshot.of_type(type_url):
                assert type_url == CLUSTER, f"{type_url} {name} should be gone"
                assert name in self.used() or self.keeps_an_old_scope(), f"cluster {name} should be gone"

    def used(self) -> set[str]:
        return {c for needs in self.client.needs.values() for c in needs}

    def keeps_an_old_scope(self) -> bool:
        """After a reconnect nobody knows what a scope needs whose newest version was refused."""
        scopes = self.snapshot.of_type(SCOPE)
        return any(scopes[name].version != version for name, version in self.client.held[SCOPE].items())

    def possible(self, type_url: str, name: str) -> bool:
        """Whether everything that the resource needs exists in some version."""
        return all(c in self.client.held[CLUSTER] for c in self.snapshot.needs((type_url, name)))


Convergence.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


class TestConvergence(Convergence.TestCase):
    """Collected by pytest."""
