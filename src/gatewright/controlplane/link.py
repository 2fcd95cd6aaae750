"""The link as a machine without I/O: inputs, a clock and random numbers in; effects out.

    disconnected ──start──► connecting ──ack──► connected ──lost──► reconnecting ─┐
                                ▲  └──failed──► reconnecting ── delay ────────────┤
                                │  └──refused─► refused ────── longest delay ─────┤
                                └─────────────────────────────────────────────────┘

An attempt is: ask the well-known document unless the answer is known, open the socket, wait for `connection.ack`.
Every attempt has a number; what belongs to an earlier one is ignored, so a shell may report late. Nothing ends the
machine but `stop`. Times in seconds of a clock that never goes back. Reference: control-plane protocol, section 1.
"""

import enum
from typing import Final

import msgspec

from gatewright.controlplane import advice
from gatewright.controlplane.advice import Problem
from gatewright.controlplane.backoff import Random, at_longest, full_jitter
from gatewright.wire.acks import ConnectionAck, decode_connection_ack
from gatewright.wire.failures import Undecodable
from gatewright.wire.paths import (
    ACK_TIMEOUT,
    CLOSE_NORMAL,
    CLOSE_UNAUTHENTICATED,
    DISCOVERY_TIMEOUT,
    HANDSHAKE_TIMEOUT,
    HEARTBEAT_TIMEOUT,
    PERMANENT_STATUSES,
    REASON_SHUTDOWN,
    rest_base,
    websocket_url,
    well_known_url,
)

SETTLED_AFTER: Final = 10.0
"""A connection that lasted shorter counts as a failed attempt, so that a server that drops at once is not hammered."""


class LinkState(enum.StrEnum):
    """What people see."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    REFUSED = "refused"


class Mode(enum.StrEnum):
    """`on_prem` when the control plane announced a path of its own."""

    CLOUD = "cloud"
    ON_PREM = "on_prem"


# Effects


class Discover(msgspec.Struct, frozen=True):
    """Ask the well-known document, without credentials; answer with `discovered`."""

    attempt: int
    url: str


class Open(msgspec.Struct, frozen=True):
    """Open the socket; answer with `opened` or `failed`."""

    attempt: int
    url: str


class Drop(msgspec.Struct, frozen=True):
    """Give up whatever this attempt has under way, without a close frame."""

    attempt: int


class CloseSocket(msgspec.Struct, frozen=True):
    """Close the socket politely."""

    attempt: int
    code: int
    reason: str


class Connected(msgspec.Struct, frozen=True):
    """The connection is acknowledged; from now on messages are events."""

    attempt: int
    ack: ConnectionAck
    mode: Mode
    rest_base: str


class Lost(msgspec.Struct, frozen=True):
    """A connection that was announced with `Connected` is gone."""

    attempt: int
    problem: Problem


Effect = Discover | Open | Drop | CloseSocket | Connected | Lost


class LinkConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`host` as configured; delays in seconds; `known_path` when a path was discovered before."""

    host: str
    reconnect_initial: float
    reconnect_max: float
    known_path: str = ""


class _Phase(enum.Enum):
    IDLE = 0
    DISCOVERING = 1
    OPENING = 2
    ACKNOWLEDGING = 3
    OPEN = 4
    WAITING = 5


class Link:
    """One link. Call from one thread; every method answers what has to be done now."""

    def __init__(self, config: LinkConfig, random: Random) -> None:
        self._config = config
        self._random = random
        self._phase = _Phase.IDLE
        self._attempt = 0
        self._failures = 0
        self._path = config.known_path
        self._deadline: float | None = None
        self._opened_at = 0.0
        self.state = LinkState.DISCONNECTED
        self.since = 0.0
        self.problem: Problem | None = None
        self.reconnects = 0
        self.ack: ConnectionAck | None = None

    @property
    def mode(self) -> Mode:
        """On-prem exactly while a path is known."""
        return Mode.ON_PREM if self._path else Mode.CLOUD

    @property
    def attempt(self) -> int:
        """Number of the present or last attempt."""
        return self._attempt

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._failures

    @property
    def wake_at(self) -> float | None:
        """When `tick` has to be called at the latest; None: not before another input."""
        return self._deadline

    # -- inputs ----------------------------------------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """Begin. A machine that was started before goes on as it is."""
        return self._connect(now) if self._phase is _Phase.IDLE else []

    def stop(self, now: float) -> list[Effect]:
        """End for good: 1000 on a live connection, anything else is dropped."""
        phase, self._phase = self._phase, _Phase.IDLE
        attempt = self._attempt
        self._attempt += 1
        self._deadline = None
        self._enter(LinkState.DISCONNECTED, now)
        if phase is _Phase.OPEN:
            lost = Lost(attempt, Problem("LINK_STOPPED", "The gateway is stopping."))
            return [lost, CloseSocket(attempt, CLOSE_NORMAL, REASON_SHUTDOWN)]
        return [] if phase in {_Phase.IDLE, _Phase.WAITING} else [Drop(attempt)]

    def retry_now(self, now: float) -> list[Effect]:
        """End a wait early."""
        return self._connect(now) if self._phase is _Phase.WAITING else []

    def tick(self, now: float) -> list[Effect]:
        """The clock has moved."""
        if self._deadline is None or now < self._deadline:
            return []
        match self._phase:
            case _Phase.WAITING:
                return self._connect(now)
            case _Phase.DISCOVERING:
                return [Drop(self._attempt), *self._open(now)]
            case _Phase.OPENING:
                return self._fail(now, advice.no_answer("Opening the connection", HANDSHAKE_TIMEOUT), drop=True)
            case _Phase.ACKNOWLEDGING:
                return self._fail(now, advice.no_answer("Waiting for connection.ack", ACK_TIMEOUT), drop=True)
            case _Phase.OPEN:
                return self._fail(now, advice.silent(HEARTBEAT_TIMEOUT), drop=True)
            case _Phase.IDLE:
                return []

    def discovered(self, attempt: int, gateway_path: str, now: float) -> list[Effect]:
        """The well-known document named a path, or there is none (empty). A path is kept for good."""
        if attempt != self._attempt or self._phase is not _Phase.DISCOVERING:
            return []
        self._path = gateway_path
        return self._open(now)

    def opened(self, attempt: int, now: float) -> list[Effect]:
        """The upgrade was accepted."""
        if attempt != self._attempt or self._phase is not _Phase.OPENING:
            return []
        self._phase = _Phase.ACKNOWLEDGING
        self._deadline = now + ACK_TIMEOUT
        self._opened_at = now
        return []

    def failed(self, attempt: int, problem: Problem, now: float, *, status: int | None = None) -> list[Effect]:
        """The socket could not be opened; `status` when there was an HTTP answer."""
        if attempt != self._attempt or self._phase is not _Phase.OPENING:
            return []
        return self._fail(now, problem, refused=status in PERMANENT_STATUSES)

    def first_message(self, attempt: int, message: str | bytes, now: float) -> list[Effect]:
        """The first message of a connection; whatever is no acknowledgement ends it unread."""
        if attempt != self._attempt or self._phase is not _Phase.ACKNOWLEDGING:
            return []
        ack = decode_connection_ack(message)
        if isinstance(ack, Undecodable):
            return self._fail(now, advice.wrong_first_message(ack.reason), drop=True)
        self._phase = _Phase.OPEN
        self._deadline = now + HEARTBEAT_TIMEOUT
        self.ack = ack
        self.problem = None
        self._enter(LinkState.CONNECTED, now)
        return [Connected(attempt, ack, self.mode, rest_base(self._config.host, self._path))]

    def pinged(self, attempt: int, now: float) -> list[Effect]:
        """A PING arrived: the only thing that counts as a sign of life."""
        if attempt == self._attempt and self._phase is _Phase.OPEN:
            self._deadline = now + HEARTBEAT_TIMEOUT
        return []

    def closed(self, attempt: int, code: int | None, reason: str, now: float) -> list[Effect]:
        """The socket is gone. `code` None: without a close frame."""
        if attempt != self._attempt or self._phase not in {_Phase.ACKNOWLEDGING, _Phase.OPEN}:
            return []
        if code == CLOSE_UNAUTHENTICATED:
            return self._fail(now, advice.unauthenticated(), refused=True)
        return self._fail(now, advice.closed(code, reason))

    # -- inside ----------------------------------------------------------------------------------------------------

    def _connect(self, now: float) -> list[Effect]:
        self._attempt += 1
        if self._attempt > 1:
            self.reconnects += 1
        self._enter(LinkState.CONNECTING, now)
        if self._path:
            return self._open(now)
        self._phase = _Phase.DISCOVERING
        self._deadline = now + DISCOVERY_TIMEOUT
        return [Discover(self._attempt, well_known_url(self._config.host))]

    def _open(self, now: float) -> list[Effect]:
        self._phase = _Phase.OPENING
        self._deadline = now + HANDSHAKE_TIMEOUT
        return [Open(self._attempt, websocket_url(self._config.host, self._path))]

    def _fail(self, now: float, problem: Problem, *, refused: bool = False, drop: bool = False) -> list[Effect]:
        effects: list[Effect] = [Drop(self._attempt)] if drop else []
        if self._phase is _Phase.OPEN:
            effects.insert(0, Lost(self._attempt, problem))
            if now - self.since >= SETTLED_AFTER:
                self._failures = 0
        self._failures += 1
        self._phase = _Phase.WAITING
        self.problem = problem
        longest = self._config.reconnect_max
        if refused:
            delay = at_longest(longest, self._random)
        else:
            delay = full_jitter(self._failures, self._config.reconnect_initial, longest, self._random)
        self._deadline = now + delay
        self._enter(LinkState.REFUSED if refused else LinkState.RECONNECTING, now)
        return effects

    def _enter(self, state: LinkState, now: float) -> None:
        if state is not self.state:
            self.state = state
            self.since = now
