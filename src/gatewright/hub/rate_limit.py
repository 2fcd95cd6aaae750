"""At most so many connection attempts of one address in a sliding minute. Pure but for its memory, which is bounded."""

from collections import OrderedDict, deque
from typing import Final

_WINDOW_NS: Final = 60 * 1_000_000_000
_MAX_ADDRESSES: Final = 10_000


class SlidingWindow:
    """Attempts by address; refused ones do not count."""

    def __init__(self, per_minute: int) -> None:
        self._limit = per_minute
        self._attempts: OrderedDict[str, deque[int]] = OrderedDict()

    def admit(self, address: str, now_ns: int) -> bool:
        """True when one more attempt is within the limit."""
        seen = self._attempts.setdefault(address, deque())
        self._attempts.move_to_end(address)
        while len(self._attempts) > _MAX_ADDRESSES:
            self._attempts.popitem(last=False)
        while seen and seen[0] <= now_ns - _WINDOW_NS:
            seen.popleft()
        if len(seen) >= self._limit:
            return False
        seen.append(now_ns)
        return True
