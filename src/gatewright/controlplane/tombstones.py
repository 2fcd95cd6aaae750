"""What was deleted a short while ago, so that a list that is older than the deletion does not bring it back."""

from collections import OrderedDict
from collections.abc import Callable


class Tombstones:
    """Ids and when they were deleted, in seconds of `now`; the oldest go when there are too many."""

    def __init__(self, now: Callable[[], float], limit: int = 10_000) -> None:
        self._now = now
        self._limit = limit
        self._at: OrderedDict[str, float] = OrderedDict()

    def put(self, identifier: str) -> None:
        """It is deleted now."""
        self._at.pop(identifier, None)
        self._at[identifier] = self._now()
        while len(self._at) > self._limit:
            self._at.popitem(last=False)

    def since(self, identifier: str, moment: float) -> bool:
        """Whether it was deleted at `moment` or later."""
        return self._at.get(identifier, -1.0) >= moment
