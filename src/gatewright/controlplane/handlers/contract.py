"""What a handler is, and what it may use."""

import asyncio
from collections.abc import Callable
from typing import Final, Literal, Protocol

import msgspec

from gatewright.controlplane.acks import Acknowledger
from gatewright.controlplane.echoes import Echoes
from gatewright.controlplane.events import Event, Route
from gatewright.controlplane.handlers.later import Later
from gatewright.controlplane.platform_secrets import PlatformSecrets
from gatewright.controlplane.rest import Rest
from gatewright.controlplane.tombstones import Tombstones
from gatewright.deployment import Deployments

Word = Literal["applied", "stale", "echo", "unknown", "refused", "mismatch", "failed", "postponed"]
"""`failed`: temporary, the next reconcile may mend it; `refused`: breaks a rule; `postponed`: it is tried again;
`echo`: it repeats what this gateway itself has sent.
"""


class Outcome(msgspec.Struct, frozen=True):
    """What became of an event. `detail` never quotes its payload."""

    word: Word
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Whether it was not carried out."""
        return self.word in {"refused", "failed", "mismatch"}


class Handler(Protocol):
    """One event type or several."""

    def route(self, event: Event) -> Route:
        """Where it queues."""
        ...

    async def handle(self, event: Event, document: bytes | None = None) -> Outcome:
        """Do it. `document` is the definition when a batch download has brought it already."""
        ...

    def broken(self, event: Event, error: Exception) -> None:
        """`handle` raised, which only a fault of ours does: say so to whoever waits for an answer."""
        ...


STORED_AT_ONCE: Final = 32
"""Enough to share a commit; few enough that reading them keeps the event loop from others for some ms only."""


class Tools(msgspec.Struct, frozen=True):
    """What handlers work with. `now` is the event loop's clock in seconds.

    `turns` bounds how many documents are read, checked and stored at the same time; nobody waits for the network in it.
    """

    deployments: Deployments
    rest: Rest
    acks: Acknowledger
    tombstones: Tombstones
    secrets: PlatformSecrets
    later: Later
    echoes: Echoes
    turns: asyncio.Semaphore
    now: Callable[[], float]
