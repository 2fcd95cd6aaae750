"""Times on the wire: RFC 3339 with up to nanoseconds and the sender's own offset, kept as they came.

`performedAt` is a concurrency token: an acknowledgement must repeat the instant and the offset of its event, with
nothing rounded. Python's datetime ends at microseconds, hence this type.
"""

import functools
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_RFC3339 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?(?:(Z)|([+-])(\d{2}):(\d{2}))",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NS: Final = 1_000_000_000
_MS_IN_NS: Final = 1_000_000


@functools.total_ordering
class Timestamp:
    """An instant in nanoseconds since the Unix epoch, and the offset (minutes east of UTC) it is written with.

    Two timestamps are equal when they are the same instant, whatever their offsets.
    """

    __slots__ = ("_offset", "_unix_ns")

    def __init__(self, unix_ns: int, offset_minutes: int = 0) -> None:
        self._unix_ns = unix_ns
        self._offset = offset_minutes

    @classmethod
    def parse(cls, text: str) -> "Timestamp":
        """Read an RFC 3339 time; ValueError when it is none. Digits beyond nanoseconds are cut."""
        match = _RFC3339.fullmatch(text)
        if match is None:
            raise ValueError("not an RFC 3339 time such as 2026-08-01T10:15:30.123Z")
        year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
        try:
            local = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError as error:
            raise ValueError(f"not a valid RFC 3339 time: {error}") from None
        offset = 0
        if match[9]:
            hours, minutes = int(match[10]), int(match[11])
            if hours > 23 or minutes > 59:
                raise ValueError("not a valid RFC 3339 time: offset out of range")
            offset = (hours * 60 + minutes) * (-1 if match[9] == "-" else 1)
        nanoseconds = int((match[7] or "")[:9].ljust(9, "0"))
        seconds = (local - _EPOCH) // timedelta(seconds=1) - offset * 60
        return cls(seconds * _NS + nanoseconds, offset)

    @classmethod
    def from_ms(cls, unix_ms: int) -> "Timestamp":
        """The instant `unix_ms` milliseconds after the epoch, in UTC."""
        return cls(unix_ms * _MS_IN_NS)

    @property
    def unix_ns(self) -> int:
        """Nanoseconds since the epoch; negative before 1970, beyond 64 bits before 1678."""
        return self._unix_ns

    @property
    def unix_ms(self) -> int:
        """Whole milliseconds since the epoch, cut and not rounded."""
        return self._unix_ns // _MS_IN_NS

    @property
    def offset_minutes(self) -> int:
        """The offset this time is written with, in minutes east of UTC."""
        return self._offset

    @property
    def is_zero(self) -> bool:
        """True for 0001-01-01T00:00:00Z, which stands for "no time" on this wire."""
        return self._unix_ns == ZERO_TIME.unix_ns

    def truncated_to_ms(self) -> "Timestamp":
        """The same time with everything below milliseconds cut."""
        return Timestamp(self.unix_ms * _MS_IN_NS, self._offset)

    def text(self) -> str:
        """RFC 3339 in the own offset with up to nanoseconds, trailing zeros left out."""
        seconds, fraction = divmod(self._unix_ns, _NS)
        digits = f".{fraction:09d}".rstrip("0") if fraction else ""
        return f"{self._local(seconds)}{digits}{self._zone()}"

    def seconds_text(self) -> str:
        """RFC 3339 in whole seconds, the precision of envelope timestamps."""
        return f"{self._local(self._unix_ns // _NS)}{self._zone()}"

    def _local(self, unix_seconds: int) -> str:
        local = _EPOCH + timedelta(seconds=unix_seconds + self._offset * 60)
        return f"{local.year:04d}-{local.month:02d}-{local.day:02d}T{local:%H:%M:%S}"

    def _zone(self) -> str:
        if self._offset == 0:
            return "Z"
        hours, minutes = divmod(abs(self._offset), 60)
        return f"{'-' if self._offset < 0 else '+'}{hours:02d}:{minutes:02d}"

    def __eq__(self, other: object) -> bool:
        return self._unix_ns == other.unix_ns if isinstance(other, Timestamp) else NotImplemented

    def __lt__(self, other: "Timestamp") -> bool:
        return self._unix_ns < other.unix_ns if isinstance(other, Timestamp) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._unix_ns)

    def __repr__(self) -> str:
        return f"Timestamp({self.text()})"


ZERO_TIME: Final = Timestamp(-62_135_596_800 * _NS)
"""What an acknowledgement carries for an event that had no time."""


def decode_time(kind: type[Any], value: object) -> object:
    """Hook of msgspec for members of type `Timestamp`."""
    if kind is not Timestamp:
        raise NotImplementedError(f"no decoder for {kind}")
    if not isinstance(value, str):
        raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
    return Timestamp.parse(value)


def encode_time(value: object) -> str:
    """Hook of msgspec for values of type `Timestamp`."""
    if isinstance(value, Timestamp):
        return value.text()
    raise NotImplementedError(f"no encoder for {type(value)}")
