"""The recent events of the link, for people: a bounded list in memory. Never holds payloads."""

from collections import deque
from datetime import datetime

import msgspec


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    """`what` is an event type or a step of the link, `outcome` a word, `detail` a sentence or empty."""

    at: datetime
    what: str
    outcome: str
    subject: str = ""
    detail: str = ""
    correlation_id: str = ""
    duration_ms: float | None = None


class Journal:
    """The last entries, newest last."""

    def __init__(self, limit: int = 200) -> None:
        self._entries: deque[Entry] = deque(maxlen=limit)

    def add(self, entry: Entry) -> None:
        """Note an entry; the oldest goes when there are too many."""
        self._entries.append(entry)

    def entries(self) -> tuple[Entry, ...]:
        """All that are kept."""
        return tuple(self._entries)
