"""How long to wait between attempts. Pure; random numbers and times come in."""

from collections.abc import Callable

Random = Callable[[], float]
"""Uniform in [0, 1)."""

_MOST_DOUBLINGS = 60


def full_jitter(failures: int, initial: float, longest: float, random: Random) -> float:
    """Seconds to wait after `failures` (at least 1) failures in a row: anything up to a bound that doubles.

    The whole range is used, so that gateways that lost their control plane together do not come back together.
    """
    bound = min(longest, initial * 2.0 ** min(max(failures, 1) - 1, _MOST_DOUBLINGS))
    return bound * random()


def at_longest(longest: float, random: Random) -> float:
    """Seconds to wait after a refusal: the longest delay, spread over its last quarter."""
    return longest * (0.75 + 0.25 * random())
