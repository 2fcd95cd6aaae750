"""The machine with a turned clock: every transition, every failure, and sequences that nobody would write down."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.controlplane import problems
from gatewright.controlplane.link import STABLE_AFTER, Link, State
from gatewright.controlplane.problems import Problem
from gatewright.controlplane.signals import (
    Discover,
    Discovered,
    Dispatch,
    Drop,
    Ended,
    Failed,
    Linked,
    Open,
    Opened,
    OpenFailed,
    Pinged,
    Received,
    Remember,
    RetryNow,
    Start,
    Stop,
    Tick,
    Unlinked,
)

ACK = json.dumps({"type": "connection.ack", "gatewayId": "g", "connectionId": "c"})
PASSING = Problem("X", "passing")


def make(random: float = 0.5, **options) -> Link:
    return Link(**{"initial": 1.0, "maximum": 300.0, "random": lambda: random, **options})


def opening(link: Link, now: float = 0.0, answer: str = "absent", path: str = "") -> int:
    """Bring a machine that is about to connect to the point where the socket is being opened."""
    link.handle(Discovered(link.attempt, answer, path), now)
    return link.attempt


def linked(link: Link, now: float = 0.0, **discovery) -> int:
    link.handle(Start(), now)
    attempt = opening(link, now, **discovery)
    link.handle(Opened(attempt), now)
    link.handle(Received(attempt, ACK), now)
    assert link.state is State.CONNECTED
    return attempt


def delay_of(effects) -> float:
    return next(effect.delay for effect in effects if isinstance(effect, Failed))


def test_discovery_comes_first_and_its_path_is_used():
    link = make()
    assert link.handle(Start(), 0) == (Discover(1),)
    effects = link.handle(Discovered(1, "found", "/internal/data/v1"), 0)
    assert effects == (Remember("/internal/data/v1"), Open(1, "/internal/data/v1"))
    assert link.path == "/internal/data/v1"


@pytest.mark.parametrize("answer", ["absent", "unsure"])
@pytest.mark.conforms("CP-006")
def test_a_discovery_without_a_path_means_cloud(answer):
    link = make()
    link.handle(Start(), 0)
    assert link.handle(Discovered(1, answer), 0) == (Open(1, ""),)


@pytest.mark.conforms("CP-007", "CP-008")
def test_discovery_is_asked_once_per_attempt_until_it_gave_a_path():
    link = make()
    link.handle(Start(), 0)
    attempt = opening(link)
    link.handle(OpenFailed(attempt, PASSING), 0)
    assert link.handle(Tick(), 1000) == (Discover(2),)
    opening(link, 1000, "found", "/p")
    link.handle(OpenFailed(2, PASSING), 1000)
    assert link.handle(Tick(), 2000) == (Open(3, "/p"),)


def test_an_unreachable_host_is_not_dialled_in_cloud_mode():
    link = make()
    link.handle(Start(), 0)
    effects = link.handle(Discovered(1, "unreachable", problem=PASSING), 0)
    assert effects == (Failed(PASSING, 0.5),)


@pytest.mark.parametrize("answer", ["absent", "unsure"])
def test_a_path_of_an_earlier_run_survives_failures_of_discovery(answer):
    link = make(remembered="/p")
    assert link.handle(Start(), 0) == (Discover(1),)
    assert link.handle(Discovered(1, answer), 0) == (Open(1, "/p"),)


def test_an_on_prem_server_that_is_still_starting_is_no_refusal():
    link = make(remembered="/p")
    link.handle(Start(), 0)
    opening(link)
    link.handle(OpenFailed(1, problems.upgrade_refused(404), 404), 0)
    assert link.state is State.RECONNECTING


@pytest.mark.parametrize("status", [401, 403, 404, 409, 422])
@pytest.mark.conforms("CP-023")
def test_a_refusal_is_a_state_and_is_tried_again_at_the_longest_interval(status):
    link = make()
    link.handle(Start(), 0)
    opening(link)
    effects = link.handle(OpenFailed(1, problems.upgrade_refused(status), status), 0)
    assert link.state is State.REFUSED
    assert 225 <= delay_of(effects) <= 300
    assert link.handle(Tick(), 300) == (Discover(2),)


@pytest.mark.parametrize("status", [400, 429, 500, 502, 503, None])
@pytest.mark.conforms("CP-024")
def test_other_failures_are_retried_without_end(status):
    link = make()
    link.handle(Start(), 0)
    now = 0.0
    for attempt in range(1, 50):
        assert link.attempt == attempt
        opening(link, now)
        effects = link.handle(OpenFailed(attempt, PASSING, status), now)
        assert link.state is State.RECONNECTING
        assert delay_of(effects) <= 300
        now = link.deadline
        link.handle(Tick(), now)


@pytest.mark.conforms("CP-025", "CP-026", "AP-022")
def test_waits_double_up_to_the_maximum_with_full_jitter():
    for random in (0.0, 0.25, 0.999):
        link = make(random)
        link.handle(Start(), 0)
        for failures in range(12):
            opening(link)
            effects = link.handle(OpenFailed(link.attempt, PASSING), 0)
            assert delay_of(effects) == pytest.approx(random * min(2.0**failures, 300.0))
            link.handle(RetryNow(), 0)


def test_a_server_that_asks_for_patience_gets_it():
    link = make(0.0)
    link.handle(Start(), 0)
    opening(link)
    assert delay_of(link.handle(OpenFailed(1, PASSING, 429, retry_after=7.0), 0)) == 7.0
    link.handle(RetryNow(), 0)
    opening(link)
    assert delay_of(link.handle(OpenFailed(2, PASSING, 503, retry_after=3600.0), 0)) == 300.0


@pytest.mark.conforms("CP-027")
def test_waits_start_over_after_a_connection_that_held():
    link = make()
    link.handle(Start(), 0)
    for _ in range(8):
        opening(link)
        link.handle(OpenFailed(link.attempt, PASSING), 0)
        link.handle(RetryNow(), 0)
    attempt = opening(link)
    link.handle(Opened(attempt), 0)
    link.handle(Received(attempt, ACK), 0)
    effects = link.handle(Ended(attempt, 1000), STABLE_AFTER)
    assert delay_of(effects) == 0.5


def test_a_server_that_drops_at_once_is_not_hammered():
    link = make(0.999)
    linked(link)
    delays = []
    for _ in range(6):
        delays.append(delay_of(link.handle(Ended(link.attempt, 1000), 1.0)))
        link.handle(RetryNow(), 1.0)
        attempt = opening(link, 1.0)
        link.handle(Opened(attempt), 1.0)
        link.handle(Received(attempt, ACK), 1.0)
    assert delays == sorted(delays)
    assert delays[-1] > 30


@pytest.mark.parametrize("code", [None, 1000, 1001, 1008])
@pytest.mark.conforms("CP-028")
def test_a_lost_connection_comes_back_after_a_jittered_wait(code):
    link = make()
    attempt = linked(link)
    effects = link.handle(Ended(attempt, code, "bye"), 100)
    assert effects[0] == Unlinked(attempt)
    assert link.state is State.RECONNECTING
    assert delay_of(effects) <= 1.0


@pytest.mark.parametrize("when", ["greeting", "linked"])
def test_4401_is_a_refusal(when):
    link = make()
    link.handle(Start(), 0)
    attempt = opening(link)
    link.handle(Opened(attempt), 0)
    if when == "linked":
        link.handle(Received(attempt, ACK), 0)
    link.handle(Ended(attempt, 4401, "Invalid or expired API key"), 1)
    assert link.state is State.REFUSED


@pytest.mark.conforms("CP-013", "CP-016")
@pytest.mark.parametrize("ack", [ACK, ACK.encode(), '{"type":"connection.ack"}'])
def test_connected_from_the_acknowledgement_on(ack):
    link = make()
    link.handle(Start(), 0)
    attempt = opening(link)
    link.handle(Opened(attempt), 0)
    assert link.state is State.CONNECTING
    (effect,) = link.handle(Received(attempt, ack), 0)
    assert isinstance(effect, Linked)
    assert link.state is State.CONNECTED


@pytest.mark.conforms("CP-014", "AP-015")
def test_silence_after_the_upgrade_ends_the_attempt_after_5_s():
    link = make()
    link.handle(Start(), 0)
    attempt = opening(link)
    link.handle(Opened(attempt), 10)
    assert link.handle(Tick(), 14.9) == ()
    drop, failed = link.handle(Tick(), 15)
    assert drop == Drop(attempt)
    assert failed.problem.code == "LINK_NO_ACK"


@pytest.mark.conforms("CP-015")
@pytest.mark.parametrize(
    "message",
    [
        '{"type":"error","message":"maximum connection limit reached (1000)"}',
        '{"type":"api.deleted"}',
        "garbage",
        b"\xff",
    ],
)
def test_any_other_first_message_ends_the_attempt_unread(message):
    link = make()
    link.handle(Start(), 0)
    attempt = opening(link)
    link.handle(Opened(attempt), 0)
    effects = link.handle(Received(attempt, message), 0)
    assert effects[0] == Drop(attempt)
    assert not any(isinstance(effect, Dispatch) for effect in effects)
    assert link.state is State.RECONNECTING


@pytest.mark.conforms("CP-029")
def test_a_close_while_waiting_for_the_acknowledgement_is_a_failure():
    link = make()
    link.handle(Start(), 0)
    attempt = opening(link)
    link.handle(Opened(attempt), 0)
    assert delay_of(link.handle(Ended(attempt, 1000), 0)) == 0.5


@pytest.mark.conforms("CP-033", "AP-021")
def test_only_pings_keep_a_connection():
    link = make()
    attempt = linked(link)
    for second in range(1, 35):
        link.handle(Received(attempt, "{}"), second)
    link.handle(Pinged(attempt), 30)
    assert link.handle(Tick(), 64) == ()
    effects = link.handle(Tick(), 65)
    assert effects[:2] == (Drop(attempt), Unlinked(attempt))
    assert link.state is State.RECONNECTING


@pytest.mark.conforms("CP-038")
def test_binary_frames_are_ignored():
    link = make()
    attempt = linked(link)
    assert link.handle(Received(attempt, b"{}"), 1) == ()
    assert link.handle(Received(attempt, "{}"), 1) == (Dispatch("{}"),)


@pytest.mark.conforms("CP-030", "CP-031")
def test_stop_ends_at_once_in_every_state():
    waiting = make()
    waiting.handle(Start(), 0)
    waiting.handle(Discovered(1, "unreachable"), 0)
    assert waiting.handle(Stop(), 0) == ()
    assert waiting.deadline is None
    assert waiting.handle(Tick(), 1e9) == ()

    live = make()
    attempt = linked(live)
    assert live.handle(Stop(), 1) == (Drop(attempt, 1000, "Gateway shutting down"), Unlinked(attempt))
    assert live.state is State.DISCONNECTED


def test_what_belongs_to_an_earlier_attempt_is_ignored():
    link = make()
    attempt = linked(link)
    link.handle(Ended(attempt), 1)
    link.handle(RetryNow(), 1)
    for late in (
        Opened(attempt),
        Received(attempt, ACK),
        Ended(attempt, 4401),
        Pinged(attempt),
        OpenFailed(attempt, PASSING),
    ):
        assert link.handle(late, 2) == ()
    assert link.state is State.CONNECTING


def test_a_shell_that_never_answers_does_not_hang_the_machine():
    link = make()
    link.handle(Start(), 0)
    now = 0.0
    for _ in range(40):
        assert link.deadline is not None
        now = link.deadline
        link.handle(Tick(), now)
    assert link.attempt > 10


_kinds = st.sampled_from(["found", "absent", "unsure", "unreachable"])
_inputs = st.lists(
    st.tuples(
        st.sampled_from(
            ["start", "tick", "retry", "discovered", "opened", "failed", "ack", "message", "ping", "ended"]
        ),
        st.integers(-1, 0),
        _kinds,
        st.sampled_from([None, 401, 404, 429, 500, 1000, 4401]),
        st.floats(0, 400),
        st.floats(0, 0.999),
    ),
    max_size=80,
)


def _input(name, attempt, kind, number):
    match name:
        case "discovered":
            return Discovered(attempt, kind, "/p" if kind == "found" else "")
        case "failed":
            refusal = number in {401, 404}
            return OpenFailed(attempt, Problem("X", "x", refusal=refusal), number)
        case "ended":
            return Ended(attempt, number)
        case "ack":
            return Received(attempt, ACK)
        case "message":
            return Received(attempt, "{}")
        case "opened":
            return Opened(attempt)
        case "ping":
            return Pinged(attempt)
    return {"start": Start(), "tick": Tick(), "retry": RetryNow()}[name]


@given(_inputs, st.booleans())
@settings(max_examples=300, deadline=None)
def test_invariants_hold_in_any_sequence(steps, remembered):
    now = 0.0
    chance = [0.5]
    link = Link(initial=1, maximum=60, random=lambda: chance[0], remembered="/p" if remembered else "")
    link.handle(Start(), now)
    known = remembered
    is_linked = False
    for name, offset, kind, number, passed, random in steps:
        now += passed
        chance[0] = random
        before = link.state
        for effect in link.handle(_input(name, link.attempt + offset, kind, number), now):
            match effect:
                case Remember():
                    known = True
                case Open(path=path):
                    assert path if known else True, "a cloud-mode connect to a host that is known to be on-prem"
                case Linked():
                    assert not is_linked
                    is_linked = True
                case Unlinked():
                    assert is_linked
                    is_linked = False
                case Dispatch():
                    assert is_linked
                    assert before is State.CONNECTED
                case Failed(delay=delay):
                    assert 0 <= delay <= 60
        assert is_linked == (link.state is State.CONNECTED)
        assert link.deadline is not None
    effects = link.handle(Stop(), now)
    assert any(isinstance(effect, Unlinked) for effect in effects) == is_linked
    assert link.handle(Start(), now) == ()
