"""What one stream knows about one resource type: wanted, sent, held, refused. Pure bookkeeping of names and versions.

Never holds bodies, so that a router that does not read costs no more than the names of what it lacks.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

ANY = "*"


class Flight(msgspec.Struct, frozen=True):
    """A response on its way: versions and needed clusters by name, or names that were removed. `sent_at` in seconds."""

    nonce: str
    sent_at: float
    puts: dict[str, tuple[str, frozenset[str]]]
    removals: tuple[str, ...] = ()


class Refusal(msgspec.Struct, frozen=True):
    """A version that is not sent again. `retry_at`: except then, because the reason may have gone away."""

    version: str
    reason: str
    retry_at: float | None = None
    retry_after: float = 0.0


class Subscription:
    """State of one type. The stream decides; this only remembers."""

    def __init__(self, type_url: str) -> None:
        self.type_url = type_url
        self.started = False
        self.answered = False
        self.wildcard = False
        self.claimed = False
        self.names: set[str] = set()
        self.held: dict[str, str] = {}
        self.flights: dict[str, Flight] = {}
        self.flying: dict[str, str] = {}
        self.dirty: dict[str, None] = {}
        self.leaving: dict[str, None] = {}
        self.asked: set[str] = set()
        self.perhaps: dict[str, set[str]] = {}
        self.refused: dict[str, Refusal] = {}
        self.suspects: deque[dict[str, str]] = deque()
        self.waiting_since: dict[str, float] = {}
        self.blocked: dict[str, None] = {}

    def visible(self, name: str) -> bool:
        """Whether the router wants the resource of that name."""
        return self.started and (self.wildcard or name in self.names)

    def touch(self, names: Iterable[str]) -> None:
        """These names must be looked at again."""
        self.dirty.update(dict.fromkeys(names))

    def begin_anew(self, names: Iterable[str]) -> None:
        """The router has lost sight of what it holds: `names` are to be sent as at the first time."""
        self.answered = False
        self.asked.update(self.held, self.perhaps)
        self.held.clear()
        for group in self.suspects:
            self.touch(group)
        self.suspects.clear()
        self.touch(self.asked)
        self.touch(names)

    def launch(self, flight: Flight) -> None:
        """A response goes out."""
        self.answered = True
        self.flights[flight.nonce] = flight
        for name in flight.puts:
            self.flying[name] = flight.nonce
            self.dirty.pop(name, None)
            self.waiting_since.pop(name, None)
            self.asked.discard(name)
        for name in flight.removals:
            self.flying[name] = flight.nonce
            self.held.pop(name, None)
            self.leaving.pop(name, None)
            self.asked.discard(name)

    def land(self, nonce: str) -> Flight | None:
        """The answer to a response has come; None for one that is not known."""
        flight = self.flights.pop(nonce, None)
        if flight is not None:
            for name in (*flight.puts, *flight.removals):
                if self.flying.get(name) == nonce:
                    del self.flying[name]
        return flight

    def flying_version(self, name: str) -> str | None:
        """The version that is on its way, if any."""
        nonce = self.flying.get(name)
        put = self.flights[nonce].puts.get(name) if nonce is not None else None
        return None if put is None else put[0]

    def oldest_flight(self) -> Flight | None:
        """The response that has waited longest for its answer."""
        return next(iter(self.flights.values()), None)

    def forget(self, name: str) -> None:
        """The router let go of a name it had subscribed to."""
        self.names.discard(name)
        self.held.pop(name, None)
        self.perhaps.pop(name, None)
        self.refused.pop(name, None)
        self.dirty.pop(name, None)
        self.leaving.pop(name, None)
        self.asked.discard(name)
        self.waiting_since.pop(name, None)
        self.blocked.pop(name, None)
