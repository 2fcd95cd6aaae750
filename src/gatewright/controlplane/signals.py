"""What goes into the link's machine and what comes out of it: plain values, named for what happened or has to be done.

Pure. `attempt` numbers the attempts to connect; the machine ignores what arrives of an earlier one.
"""

from typing import Literal

import msgspec

from gatewright.controlplane.problems import Problem

# -- inputs ------------------------------------------------------------------------------------------------------------


class Start(msgspec.Struct, frozen=True):
    """Begin to connect."""


class Stop(msgspec.Struct, frozen=True):
    """End for good."""


class Tick(msgspec.Struct, frozen=True):
    """Time has passed."""


class RetryNow(msgspec.Struct, frozen=True):
    """Something changed (the token): do not wait for the next attempt."""


class Discovered(msgspec.Struct, frozen=True):
    """What the well-known document said.

    `found`: on-prem at `path`. `absent`: the host answered that there is none. `unsure`: an answer that may change by
    itself (5xx, 429, no answer in time). `unreachable`: no connection at all; `problem` says why.
    """

    attempt: int
    kind: Literal["found", "absent", "unsure", "unreachable"]
    path: str = ""
    problem: Problem | None = None


class Opened(msgspec.Struct, frozen=True):
    """The upgrade succeeded."""

    attempt: int


class OpenFailed(msgspec.Struct, frozen=True):
    """No connection. `status` is the HTTP status of the answer to the upgrade, None when there was no answer."""

    attempt: int
    problem: Problem
    status: int | None = None
    retry_after: float = 0.0


class Received(msgspec.Struct, frozen=True):
    """A message: text frames are str, binary frames bytes."""

    attempt: int
    data: str | bytes


class Pinged(msgspec.Struct, frozen=True):
    """A PING arrived; the shell has answered it."""

    attempt: int


class Ended(msgspec.Struct, frozen=True):
    """The connection is gone. `code` is None without a close frame."""

    attempt: int
    code: int | None = None
    reason: str = ""


Input = Start | Stop | Tick | RetryNow | Discovered | Opened | OpenFailed | Received | Pinged | Ended


# -- effects -----------------------------------------------------------------------------------------------------------


class Discover(msgspec.Struct, frozen=True):
    """Ask for the well-known document."""

    attempt: int


class Open(msgspec.Struct, frozen=True):
    """Connect; `path` is the discovered one, empty in cloud mode."""

    attempt: int
    path: str


class Drop(msgspec.Struct, frozen=True):
    """End this attempt's connection: with a close frame when `code` is set, else by closing the TCP connection."""

    attempt: int
    code: int | None = None
    reason: str = ""


class Linked(msgspec.Struct, frozen=True):
    """The connection is acknowledged: everything that runs at a connect may start."""

    attempt: int
    gateway_id: str
    connection_id: str
    path: str


class Unlinked(msgspec.Struct, frozen=True):
    """An acknowledged connection is over."""

    attempt: int


class Dispatch(msgspec.Struct, frozen=True):
    """An event for the queues."""

    text: str


class Remember(msgspec.Struct, frozen=True):
    """Keep the discovered path over restarts."""

    path: str


class Failed(msgspec.Struct, frozen=True):
    """Something to show and to log; the next attempt is in `delay` seconds."""

    problem: Problem
    delay: float


Effect = Discover | Open | Drop | Linked | Unlinked | Dispatch | Remember | Failed
Effects = tuple[Effect, ...]
