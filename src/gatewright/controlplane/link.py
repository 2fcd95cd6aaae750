"""The connection to the control plane as a state machine without I/O: inputs and a clock in, effects out.

    disconnected ──Start──► connecting ──ack──► connected ──lost──► reconnecting ─┐
                                ▲  ├──failed──► reconnecting ── jittered wait ────┤
                                │  └──refused─► refused ────── longest wait ──────┤
                                └─────────────────────────────────────────────────┘

`Link.handle(input, now)` returns what the shell has to do; `Link.deadline` is when it wants a `Tick`. Times are seconds
of a monotonic clock. Sources: control-plane protocol reference 1.2, 1.5 to 1.12. On purpose other than the original:
full jitter, also after a lost connection; a refusal is a visible state and never an exit; once a host is known to be
on-prem, no failure of a later discovery leads to a connect in cloud mode.
"""

import enum
from collections.abc import Callable
from typing import Final

import msgspec

from gatewright.controlplane import problems
from gatewright.controlplane.problems import Problem
from gatewright.controlplane.signals import (
    Discover,
    Discovered,
    Dispatch,
    Drop,
    Effects,
    Ended,
    Failed,
    Input,
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
from gatewright.wire.acks import decode_connection_ack
from gatewright.wire.failures import Undecodable
from gatewright.wire.paths import (
    ACK_TIMEOUT,
    CLOSE_NORMAL,
    CLOSE_UNAUTHENTICATED,
    DISCOVERY_TIMEOUT,
    HANDSHAKE_TIMEOUT,
    HEARTBEAT_TIMEOUT,
    REASON_SHUTDOWN,
)

STABLE_AFTER: Final = 10.0
"""Seconds. A shorter connection counts as a failed attempt, so that a server that drops at once is not hammered."""

_GRACE: Final = 2.0
"""What the shell gets beyond the limits that it keeps itself."""
_MOST_DOUBLINGS: Final = 60


class State(enum.StrEnum):
    """What is shown to people."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    REFUSED = "refused"


class _Phase(enum.Enum):
    IDLE = enum.auto()
    DISCOVERING = enum.auto()
    OPENING = enum.auto()
    GREETING = enum.auto()
    LINKED = enum.auto()
    WAITING = enum.auto()
    STOPPED = enum.auto()


class Link:
    """The machine. `random` gives numbers in [0, 1); `remembered` is the path of an earlier run, empty for none."""

    def __init__(self, *, initial: float, maximum: float, random: Callable[[], float], remembered: str = "") -> None:
        self._initial = initial
        self._maximum = max(initial, maximum)
        self._random = random
        self._remembered = remembered
        self._cached = False
        self._unsure = False
        self._phase = _Phase.IDLE
        self._state = State.DISCONNECTED
        self._attempt = 0
        self._failures = 0
        self._linked_at = 0.0
        self._deadline: float | None = None

    @property
    def state(self) -> State:
        """What to show."""
        return self._state

    @property
    def attempt(self) -> int:
        """Number of the present attempt."""
        return self._attempt

    @property
    def failures(self) -> int:
        """Failed attempts in a row."""
        return self._failures

    @property
    def deadline(self) -> float | None:
        """When a `Tick` is due at the latest; None: there is nothing to wait for."""
        return self._deadline

    @property
    def waiting(self) -> bool:
        """Between two attempts."""
        return self._phase is _Phase.WAITING

    @property
    def path(self) -> str:
        """The gateway path in on-prem mode, known from a discovery now or earlier; empty otherwise."""
        return self._remembered

    def handle(self, item: Input, now: float) -> Effects:
        """Take one input at `now`; what has to be done, in this order."""
        if self._phase is _Phase.STOPPED:
            return ()
        match item:
            case Start():
                return self._begin(now) if self._phase is _Phase.IDLE else ()
            case RetryNow():
                return self._begin(now) if self._phase is _Phase.WAITING else ()
            case Stop():
                return self._stop()
            case Tick():
                return self._tick(now) if self._deadline is not None and now >= self._deadline else ()
        return self._happened(item, now) if item.attempt == self._attempt else ()

    def _happened(self, item: Discovered | Opened | OpenFailed | Received | Pinged | Ended, now: float) -> Effects:
        match item:
            case Discovered():
                return self._discovered(item, now) if self._phase is _Phase.DISCOVERING else ()
            case Opened():
                return self._opened(now)
            case OpenFailed():
                return self._open_failed(item, now) if self._phase is _Phase.OPENING else ()
            case Received():
                return self._received(item.data, now)
            case Pinged():
                return self._pinged(now)
            case Ended():
                return self._ended(item, now)

    # -- transitions ---------------------------------------------------------------------------------------------------

    def _begin(self, now: float) -> Effects:
        self._attempt += 1
        self._state = State.CONNECTING
        if self._cached:
            return self._open(now)
        self._enter(_Phase.DISCOVERING, now + DISCOVERY_TIMEOUT + _GRACE)
        return (Discover(self._attempt),)

    def _open(self, now: float) -> Effects:
        self._enter(_Phase.OPENING, now + HANDSHAKE_TIMEOUT + _GRACE)
        return (Open(self._attempt, self._remembered),)

    def _discovered(self, answer: Discovered, now: float) -> Effects:
        self._unsure = answer.kind == "unsure"
        if answer.kind == "found" and answer.path:
            known, self._remembered, self._cached = self._remembered, answer.path, True
            remember: Effects = (Remember(answer.path),) if known != answer.path else ()
            return remember + self._open(now)
        if answer.kind == "unreachable":
            # The connection would fail in the same way, or reach an on-prem host that has just come up in cloud mode.
            return self._fail(answer.problem or problems.not_answered("discovery", DISCOVERY_TIMEOUT), now)
        return self._open(now)

    def _opened(self, now: float) -> Effects:
        if self._phase is _Phase.OPENING:
            self._enter(_Phase.GREETING, now + ACK_TIMEOUT)
        return ()

    def _open_failed(self, failure: OpenFailed, now: float) -> Effects:
        problem = failure.problem
        if failure.status == 404:
            # The path may have moved, or the server has not got so far yet after its own start.
            self._cached = False
            if self._unsure or self._remembered:
                problem = msgspec.structs.replace(problem, refusal=False)
        return self._fail(problem, now, at_least=failure.retry_after)

    def _received(self, data: str | bytes, now: float) -> Effects:
        if self._phase is _Phase.LINKED:
            return (Dispatch(data),) if isinstance(data, str) else ()
        if self._phase is not _Phase.GREETING:
            return ()
        ack = decode_connection_ack(data)
        if isinstance(ack, Undecodable):
            return (Drop(self._attempt), *self._fail(problems.wrong_ack(_named(data, ack)), now))
        self._state = State.CONNECTED
        self._linked_at = now
        self._enter(_Phase.LINKED, now + HEARTBEAT_TIMEOUT)
        return (Linked(self._attempt, ack.gateway_id, ack.connection_id, self._remembered),)

    def _pinged(self, now: float) -> Effects:
        # Nothing else counts as a sign of life, events neither (reference 1.8).
        if self._phase is _Phase.LINKED:
            self._deadline = now + HEARTBEAT_TIMEOUT
        return ()

    def _ended(self, end: Ended, now: float) -> Effects:
        if self._phase is _Phase.LINKED:
            return self._lost(_end_problem(end, problems.lost(end.code, end.reason)), now)
        if self._phase in {_Phase.GREETING, _Phase.OPENING}:
            return self._fail(_end_problem(end, problems.closed_early(end.code, end.reason)), now)
        return ()

    def _tick(self, now: float) -> Effects:
        match self._phase:
            case _Phase.WAITING:
                return self._begin(now)
            case _Phase.DISCOVERING:
                # The shell keeps the limit itself; it did not come back, so nothing is known.
                return self._discovered(Discovered(self._attempt, "unsure"), now)
            case _Phase.LINKED:
                return (Drop(self._attempt), *self._lost(problems.silent(HEARTBEAT_TIMEOUT), now))
            case _Phase.OPENING:
                problem = problems.not_answered("opening the connection", HANDSHAKE_TIMEOUT)
            case _:
                problem = problems.no_ack(ACK_TIMEOUT)
        return (Drop(self._attempt), *self._fail(problem, now))

    def _stop(self) -> Effects:
        was_linked = self._phase is _Phase.LINKED
        is_open = self._phase in {_Phase.OPENING, _Phase.GREETING, _Phase.LINKED}
        self._state = State.DISCONNECTED
        self._enter(_Phase.STOPPED, None)
        effects: Effects = (Drop(self._attempt, CLOSE_NORMAL, REASON_SHUTDOWN),) if is_open else ()
        return (*effects, Unlinked(self._attempt)) if was_linked else effects

    def _lost(self, problem: Problem, now: float) -> Effects:
        if now - self._linked_at >= STABLE_AFTER:
            self._failures = 0
        return (Unlinked(self._attempt), *self._fail(problem, now))

    def _fail(self, problem: Problem, now: float, *, at_least: float = 0.0) -> Effects:
        if problem.refusal:
            self._state = State.REFUSED
            # A little spread, so that a fleet that was refused together does not ask together for ever.
            delay = self._maximum * (0.75 + 0.25 * self._random())
        else:
            self._state = State.RECONNECTING
            ceiling = min(self._initial * 2.0 ** min(self._failures, _MOST_DOUBLINGS), self._maximum)
            delay = max(self._random() * ceiling, min(at_least, self._maximum))
        self._failures += 1
        self._enter(_Phase.WAITING, now + delay)
        return (Failed(problem, delay),)

    def _enter(self, phase: _Phase, deadline: float | None) -> None:
        self._phase = phase
        self._deadline = deadline


def _end_problem(end: Ended, otherwise: Problem) -> Problem:
    return problems.token_refused(end.reason) if end.code == CLOSE_UNAUTHENTICATED else otherwise


def _named(data: str | bytes, failure: Undecodable) -> str:
    """Why it is no acknowledgement; an `error` message's own words, as a full control plane sends them."""
    try:
        tree = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return failure.reason
    if isinstance(tree, dict) and tree.get("type") == "error" and isinstance(tree.get("message"), str):
        return f"error: {tree['message']}"
    return failure.reason
