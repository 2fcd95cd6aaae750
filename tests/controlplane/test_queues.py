"""The queues: order per artifact, independence between artifacts, revocations first, coalescing, batches, bounds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.controlplane.events import Event, Route
from gatewright.controlplane.queues import Backlog
from gatewright.wire.events import ApiKeyCreated, ApiKeyRevoked, DeletionEvent, DeploymentEvent
from gatewright.wire.kinds import ArtifactKind
from gatewright.wire.times import Timestamp

KIND = ArtifactKind.REST_API


def deploy(api: str, number: int = 1, at: int | None = None, *, deployed: bool = True) -> Event:
    payload = DeploymentEvent(
        kind=KIND,
        artifact_id=api,
        deployed=deployed,
        deployment_id=f"d{number}",
        performed_at=Timestamp.from_ms(number if at is None else at),
    )
    return Event(
        type="api.deployed" if deployed else "api.undeployed", payload=payload, correlation_id=f"{api}-{number}"
    )


def delete(api: str) -> Event:
    return Event(type="api.deleted", payload=DeletionEvent(kind=KIND, artifact_id=api), correlation_id=f"{api}-del")


def key(api: str, name: str) -> Event:
    return Event(type="apikey.created", payload=ApiKeyCreated(api_id=api, name=name), correlation_id=f"{api}-{name}")


def revoke(api: str, name: str) -> Event:
    return Event(
        type="apikey.revoked", payload=ApiKeyRevoked(api_id=api, key_name=name), correlation_id=f"{api}-rev-{name}"
    )


def put(backlog: Backlog, event: Event) -> bool:
    match event.payload:
        case ApiKeyCreated(api_id=api, name=name):
            return backlog.put(event, Route(api, subject=name))
        case ApiKeyRevoked(api_id=api, key_name=name):
            return backlog.put(event, Route(api, urgent=True, subject=name))
        case DeploymentEvent(artifact_id=api) | DeletionEvent(artifact_id=api):
            return backlog.put(event, Route(api))
    raise AssertionError


def taken(backlog: Backlog) -> list[str]:
    return [job.event.correlation_id for job in backlog.take()]


def test_one_artifact_in_order_others_in_parallel():
    backlog = Backlog()
    for event in (deploy("a"), key("a", "k"), deploy("b")):
        put(backlog, event)
    first = backlog.take()
    second = backlog.take()
    assert {job.event.correlation_id for job in (*first, *second)} == {"a-1", "b-1"}
    assert backlog.take() == ()
    for job in (*first, *second):
        backlog.done(job)
    assert taken(backlog) == ["a-k"]


def test_a_newer_deployment_takes_the_place_of_a_waiting_one():
    backlog = Backlog()
    for event in (deploy("a", 1), key("a", "k"), deploy("a", 2), deploy("a", 3), deploy("a", 2)):
        put(backlog, event)
    assert len(backlog) == 2
    (job,) = backlog.take()
    assert job.event.correlation_id == "a-3"
    put(backlog, deploy("a", 4))
    backlog.done(job)
    (job,) = backlog.take()
    assert job.event.correlation_id == "a-k"
    backlog.done(job)
    assert taken(backlog) == ["a-4"]


def test_an_undeployment_is_never_swallowed():
    backlog = Backlog()
    for event in (deploy("a", 1), deploy("a", 2, deployed=False), deploy("a", 3)):
        put(backlog, event)
    assert len(backlog) == 3


def test_a_deletion_voids_what_waits():
    backlog = Backlog()
    for event in (deploy("a", 1), key("a", "k"), delete("a"), deploy("a", 5)):
        put(backlog, event)
    assert len(backlog) == 2
    (job,) = backlog.take()
    assert job.event.correlation_id == "a-del"


def test_a_revocation_overtakes_and_voids_what_it_revokes():
    backlog = Backlog()
    for event in (deploy("a"), key("a", "k"), key("a", "other"), revoke("a", "k")):
        put(backlog, event)
    urgent = backlog.take_urgent()
    assert urgent is not None
    assert backlog.take() == (), "what came before waits until the revocation has run"
    backlog.done(urgent)
    seen = []
    while jobs := backlog.take():
        seen += [job.event.correlation_id for job in jobs]
        for job in jobs:
            backlog.done(job)
    assert seen == ["a-1", "a-other"]


def test_a_revocation_runs_again_after_what_is_under_way():
    backlog = Backlog()
    put(backlog, key("a", "k"))
    (running,) = backlog.take()
    put(backlog, revoke("a", "k"))
    put(backlog, key("a", "k"))
    urgent = backlog.take_urgent()
    assert urgent is not None
    backlog.done(urgent)
    assert backlog.take() == ()
    backlog.done(running)
    (again,) = backlog.take()
    assert again.event.correlation_id == "a-rev-k"
    backlog.done(again)
    assert taken(backlog) == ["a-k"]


def test_many_ready_deployments_come_as_one_batch():
    backlog = Backlog(batch_size=50)
    for number in range(120):
        put(backlog, deploy(f"api-{number}"))
    sizes = []
    while jobs := backlog.take():
        sizes.append(len(jobs))
    assert sizes == [50, 50, 20]


def test_few_come_one_by_one():
    backlog = Backlog()
    for number in range(3):
        put(backlog, deploy(f"api-{number}"))
    assert [len(backlog.take()) for _ in range(4)] == [1, 1, 1, 0]


def test_a_full_queue_refuses_but_still_takes_revocations():
    backlog = Backlog(limit=3)
    assert all(put(backlog, deploy(f"api-{number}")) for number in range(3))
    assert not put(backlog, deploy("one-more"))
    assert put(backlog, revoke("api-1", "k"))
    assert len(backlog) == 4


def test_finished_lanes_leave_nothing_behind():
    backlog = Backlog()
    for number in range(100):
        put(backlog, deploy(f"api-{number}"))
        put(backlog, revoke(f"api-{number}", "k"))
    while (job := backlog.take_urgent()) is not None:
        backlog.done(job)
    while jobs := backlog.take():
        for job in jobs:
            backlog.done(job)
    assert len(backlog) == 0
    assert backlog._lanes == {}


_steps = st.lists(
    st.tuples(st.sampled_from("durxkt"), st.sampled_from("ab"), st.sampled_from(["k", "l"]), st.integers(1, 9)),
    max_size=60,
)


def _event(action: str, api: str, name: str, number: int) -> Event:
    if action in "du":
        return deploy(api, number, deployed=action == "d")
    return {"x": delete(api), "k": key(api, name), "r": revoke(api, name)}[action]


def _apply(target: dict, event: Event) -> None:
    """What a gateway does with an event, in miniature."""
    match event.payload:
        case DeploymentEvent(artifact_id=api, deployed=deployed, performed_at=at):
            if at > target.get((api, "at"), Timestamp.from_ms(-1)):
                target[api, "at"], target[api] = at, deployed
        case DeletionEvent(artifact_id=api):
            for entry in [entry for entry in target if api in entry]:
                del target[entry]
        case ApiKeyCreated(api_id=api, name=name):
            target[api, "key", name] = True
        case ApiKeyRevoked(api_id=api, key_name=name):
            target.pop((api, "key", name), None)


class _Workers:
    """Takes work and finishes it, in an order that the test chooses."""

    def __init__(self, backlog: Backlog) -> None:
        self.backlog = backlog
        self.state: dict = {}
        self.running: list = []

    def take(self) -> None:
        self.running += self.backlog.take()
        if (urgent := self.backlog.take_urgent()) is not None:
            self.finish(urgent)

    def finish(self, job) -> None:
        _apply(self.state, job.event)
        self.backlog.done(job)

    def drain(self) -> None:
        while len(self.backlog) or self.running:
            self.take()
            if self.running:
                self.finish(self.running.pop())


@given(_steps)
@settings(max_examples=300, deadline=None)
def test_any_sequence_ends_where_serial_handling_would(steps):
    """Keys and deployments end as if every event had been handled alone, in order."""
    workers, expected = _Workers(Backlog(batch_from=2)), {}
    for action, api, name, number in steps:
        if action == "t":
            workers.take()
            if workers.running and number > 4:
                workers.finish(workers.running.pop(0))
            continue
        put(workers.backlog, _event(action, api, name, number))
        _apply(expected, _event(action, api, name, number))
    workers.drain()
    for entry in {*workers.state, *expected}:
        if len(entry) > 1:
            assert workers.state.get(entry) == expected.get(entry)


def test_an_urgent_event_that_voids_nothing_runs_now_and_again_in_its_place():
    backlog = Backlog()
    first, ending = key("s", "one"), key("s", "end")
    assert backlog.put(first, Route("s", subject="one"))
    assert backlog.put(ending, Route("s", urgent=True, repeats=True))
    assert len(backlog) == 3
    urgent = backlog.take_urgent()
    assert urgent.event is ending
    assert backlog.take() == ()
    backlog.done(urgent)
    seen = []
    while jobs := backlog.take():
        seen += [job.event for job in jobs]
        for job in jobs:
            backlog.done(job)
    assert seen == [first, ending]
    assert len(backlog) == 0
