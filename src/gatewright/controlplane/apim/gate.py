"""How many APIs may be tried now: all that the pool allows, or one at a time while API Manager is out of order.

Two failures in a row that speak of API Manager itself close the gate; then single tries are spaced by growing random
waits, and the first success opens it again. Pure: times in seconds of any clock that never goes back.
"""

from collections.abc import Callable
from typing import Final

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 20.0
_CLOSES_AT: Final = 2


class Gate:
    """The state; `random` gives 0 to 1."""

    def __init__(self, size: int, random: Callable[[], float]) -> None:
        self._size = size
        self._random = random
        self._failures = 0
        self._until = 0.0

    @property
    def closed(self) -> bool:
        """Whether API Manager counts as out of order."""
        return self._failures >= _CLOSES_AT

    def slots(self, now: float, running: int) -> int:
        """How many more may be started."""
        if now < self._until:
            return 0
        return max(0, (1 if self.closed else self._size) - running)

    def wait(self, now: float) -> float:
        """Seconds until anything may be started."""
        return max(0.0, self._until - now)

    def succeeded(self) -> bool:
        """API Manager has done its work. True: the gate was closed, so what failed meanwhile may be tried at once."""
        closed, self._failures, self._until = self.closed, 0, 0.0
        return closed

    def failed(self, now: float, retry_after: float) -> None:
        """API Manager itself was the reason of a failure; it may say when to come back."""
        self._failures += 1
        wait = 0.0
        if self.closed:
            longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self._failures - _CLOSES_AT, 10))
            wait = longest * (0.5 + 0.5 * self._random())
        self._until = max(self._until, now + max(wait, retry_after))
