"""Times and numbers in words. Pure, but for the clock that callers may leave out."""

from collections.abc import Mapping
from datetime import UTC, datetime


def duration(seconds: object) -> str:
    """A length of time with its two largest units: 3 d 4 h, 5 m 2 s, 12 s."""
    if not isinstance(seconds, int | float):
        return ""
    whole = int(max(0, seconds))
    units = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
    parts: list[tuple[int, str]] = []
    for unit, size in units:
        count, whole = divmod(whole, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count) or "0 s"


def ago(at: object, now: datetime | None = None) -> str:
    """How long ago an RFC 3339 time was; the text itself when it is none."""
    if not isinstance(at, str) or not at:
        return ""
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return at
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return f"{duration(((now or datetime.now(UTC)) - moment).total_seconds())} ago"


def until(at: object, now: datetime | None = None) -> str:
    """In how long an RFC 3339 time comes: `in 5 s`, or `now`; the text itself when it is none."""
    if not isinstance(at, str) or not at:
        return ""
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return at
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return f"in {duration(seconds)}" if seconds >= 1 else "now"


def counts(numbers: object) -> str:
    """The numbers of a table that are not zero: 2 deployed, 1 deleted.

    Names with a dot are grouped by what precedes it: deployments 2 deployed, 1 deleted; keys 3 stored.
    """
    if not isinstance(numbers, Mapping):
        return ""
    flat = numbers.get("counts") if isinstance(numbers.get("counts"), Mapping) else numbers
    groups: dict[str, list[str]] = {}
    for name, value in (flat or {}).items():
        if isinstance(value, int) and not isinstance(value, bool) and value:
            group, _, what = str(name).rpartition(".")
            groups.setdefault(group, []).append(f"{value} {what}")
    return "; ".join(f"{group} {', '.join(parts)}".strip() for group, parts in groups.items())
