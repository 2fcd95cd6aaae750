"""Identifiers and the clock of the write path. Pure apart from randomness and the time of day."""

import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

Clock = Callable[[], datetime]
"""Gives the current time as an aware datetime in UTC."""

_ID = re.compile(r"[!-~]{1,64}")


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def new_uuid(now: datetime) -> str:
    """A UUID v7 of `now` (RFC 9562): 48 bits of Unix milliseconds, then random bits."""
    milliseconds = int(now.timestamp() * 1000) & (1 << 48) - 1
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0x2 << 62 | secrets.randbits(62)
    return str(UUID(int=value))


def canonical_uuid(text: str) -> str | None:
    """The usual spelling of a UUID, or None when `text` is not one."""
    try:
        return str(UUID(text.strip()))
    except ValueError:
        return None


def usable_id(text: str) -> bool:
    """Whether an id from outside may become a row's id: 1 to 64 visible ASCII characters."""
    return _ID.fullmatch(text) is not None


def milliseconds(time: datetime) -> datetime:
    """`time` in UTC, truncated to milliseconds, as deployments are compared."""
    time = time.astimezone(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
