"""Counting in fixed windows: a window begins with the first event and lasts for its length. Memory only."""

import heapq
import time
from collections.abc import Callable

import msgspec


class Window(msgspec.Struct, frozen=True):
    """A window after an event was counted: how many it has seen, and the seconds until it ends."""

    count: int
    ends_in_s: float


class _Open(msgspec.Struct):
    began: float
    ends: float
    count: int = 0


class FixedWindows:
    """Counters by key. One that has ended is forgotten, so that there are as many as keys that were used lately.

    `clock` gives seconds and never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, _Open] = {}
        self._ends: list[tuple[float, str]] = []

    def __len__(self) -> int:
        """How many windows are open."""
        return len(self._open)

    def count(self, key: str, window_s: float) -> Window:
        """Count an event. A window whose length is another now goes on from its own beginning."""
        now = self._clock()
        self._forget(now)
        window = self._open.get(key)
        if window is None or now >= window.began + window_s:
            window = self._open[key] = _Open(began=now, ends=0.0)
        if window.ends != window.began + window_s:
            window.ends = window.began + window_s
            heapq.heappush(self._ends, (window.ends, key))
        window.count += 1
        return Window(window.count, window.ends - now)

    def _forget(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            _, key = heapq.heappop(self._ends)
            window = self._open.get(key)
            if window is not None and window.ends <= now:
                del self._open[key]
