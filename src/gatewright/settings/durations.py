"""Durations in Go's notation (`1h30m`, `1.5s`), which every configuration file of the original uses. Pure."""

import re
from datetime import timedelta
from fractions import Fraction

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek letter mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,  # not in Go; a harmless superset
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([^\d.]*)")
_MAX_NS = 2**63 - 1


def parse_duration(text: str) -> timedelta:
    """The duration that `text` says. ValueError with Go's words; `d` (24 hours) is accepted besides Go's units."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return timedelta(0)
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    total, position = Fraction(0), 0
    while position < len(rest):
        part = _PART.match(rest, position)
        if part is None:
            raise ValueError(f'time: invalid duration "{text}"')
        number, unit = part.groups()
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in _UNITS_NS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        total += Fraction(number.rstrip(".")) * _UNITS_NS[unit]
        position = part.end()
    if total > _MAX_NS:
        raise ValueError(f'time: invalid duration "{text}"')
    return from_nanoseconds(sign * int(total))


def from_nanoseconds(count: int) -> timedelta:
    """Whole microseconds, rounded towards zero. ValueError beyond Go's 292 years."""
    if abs(count) > _MAX_NS:
        raise ValueError(f"duration of {count} ns is out of range")
    micros = abs(count) // 1000
    return timedelta(microseconds=micros if count >= 0 else -micros)


def format_duration(value: timedelta) -> str:
    """Go's notation: `15m0s`, `1.5s`, `500ms`, `0s`."""
    micros = value // timedelta(microseconds=1)
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    if micros == 0:
        return "0s"
    if micros < 1_000:
        return f"{sign}{micros}\u00b5s"
    if micros < 1_000_000:
        return f"{sign}{_decimal(micros, 1_000)}ms"
    hours, micros = divmod(micros, 3_600_000_000)
    minutes, micros = divmod(micros, 60_000_000)
    seconds = f"{_decimal(micros, 1_000_000)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _decimal(count: int, scale: int) -> str:
    whole, part = divmod(count, scale)
    digits = str(part).rjust(len(str(scale)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
