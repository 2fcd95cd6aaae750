"""API keys without a database: making, hashing, masking, naming, expiry.

Pure apart from randomness. Sources: management API reference 13.1, 13.3, 13.4; control-plane protocol reference 2.14.
"""

import hashlib
import re
import secrets
from datetime import UTC, datetime, timedelta

from gatewright.deployment.requests import ExpiresIn
from gatewright.deployment.results import KeyRefused

PREFIX = "apip_"
NAME_MIN = 3
NAME_MAX = 63
_NAME = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
_HASH = re.compile(r"[0-9a-f]{64}")
_UNITS = {
    "seconds": timedelta(seconds=1),
    "minutes": timedelta(minutes=1),
    "hours": timedelta(hours=1),
    "days": timedelta(days=1),
    "weeks": timedelta(weeks=1),
    "months": timedelta(days=30),
}


def new_key() -> str:
    """A plain key: `apip_` and 64 hex characters of 32 random bytes."""
    return PREFIX + secrets.token_hex(32)


def hash_of(plain: str) -> str:
    """What is stored: lower-case hex SHA-256 of the trimmed key."""
    return hashlib.sha256(plain.strip().encode()).hexdigest()


def is_hash(text: str) -> bool:
    """Whether `text` is a lower-case hex SHA-256."""
    return _HASH.fullmatch(text) is not None


def mask_of(plain: str) -> str:
    """What is shown: the last five characters; nothing of a key that is not longer."""
    trimmed = plain.strip()
    return f"***{trimmed[-5:]}" if len(trimmed) > 5 else "********"


def check_name(name: str) -> None:
    """Raises KeyRefused (`NAME`) with the original's text."""
    problem = None
    if len(name) < NAME_MIN:
        problem = f"is too short (minimum {NAME_MIN} characters required)"
    elif len(name) > NAME_MAX:
        problem = f"is too long (maximum {NAME_MAX} characters allowed)"
    elif not _NAME.fullmatch(name):
        problem = (
            "must be lowercase alphanumeric with hyphens or underscores"
            " (no consecutive separators, cannot start/end with hyphen or underscore)"
        )
    if problem is not None:
        raise KeyRefused("NAME", f"failed to generate API key: invalid name: API key name {problem}")


def suggest_name(handle: str) -> str:
    """A name out of the artifact's handle and eight random characters, valid and at most 63 characters long."""
    text = f"{handle}-key-{secrets.token_urlsafe(6)}".lower()
    text = re.sub(r"[ _]", "-", text)
    text = re.sub(r"[^a-z0-9-]", "", text)
    # Cut in front, so that a long handle leaves the random part alone (the original cuts it off).
    return re.sub(r"-+", "-", text)[-NAME_MAX:].strip("-")


def expiry(expires_at: datetime | None, expires_in: ExpiresIn | None, now: datetime) -> datetime | None:
    """The absolute expiry, None for never; `expires_at` wins. Raises KeyRefused (`EXPIRY_…`)."""
    if expires_at is None and expires_in is not None:
        unit = _UNITS.get(expires_in.unit)
        if unit is None:
            raise KeyRefused(
                "EXPIRY_UNIT", f"failed to generate API key: unsupported expiration unit: {expires_in.unit}"
            )
        try:
            expires_at = now + unit * expires_in.duration
        except OverflowError:
            raise KeyRefused(
                "EXPIRY_INVALID", f"failed to generate API key: {expires_in.duration} {expires_in.unit} is too long"
            ) from None
    if expires_at is None:
        return None
    expires_at = expires_at.astimezone(UTC)
    if expires_at <= now:
        raise KeyRefused(
            "EXPIRY_PAST",
            "failed to generate API key: API key expiration time must be in the future,"
            f" got: {expires_at.isoformat()} (current time: {now.isoformat()})",
        )
    return expires_at
