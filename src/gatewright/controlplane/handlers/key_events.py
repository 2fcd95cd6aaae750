"""Key events and key lists of a control plane as the write path takes them. Pure.

Source: control-plane protocol reference 2.14, 3.10. Never puts a hash into a text.
"""

from datetime import datetime

from gatewright.controlplane.events import moment
from gatewright.deployment import ExpiresIn, KeyEvent
from gatewright.wire.apikeys import ApiKeyRow, sha256_of
from gatewright.wire.events import ApiKeyCreated, ApiKeyUpdated
from gatewright.wire.times import Timestamp


class Malformed(ValueError):
    """The event breaks a rule of its own; the text says which."""


def from_event(payload: ApiKeyCreated | ApiKeyUpdated, user_id: str) -> KeyEvent:
    """Raises Malformed."""
    created = isinstance(payload, ApiKeyCreated)
    return KeyEvent(
        cp_api_id=payload.api_id,
        key_hash=_hash(payload.api_key_hashes),
        name=payload.name if isinstance(payload, ApiKeyCreated) else payload.key_name,
        masked_key=payload.masked_api_key,
        uuid=(payload.uuid or None) if isinstance(payload, ApiKeyCreated) else None,
        external_ref_id=payload.external_ref_id,
        issuer=payload.issuer,
        expires_at=_expiry(payload.expires_at),
        expires_in=None
        if payload.expires_in is None
        else ExpiresIn(payload.expires_in.duration, payload.expires_in.unit),
        created_at=_lenient(payload.created_at) if created and isinstance(payload, ApiKeyCreated) else None,
        updated_at=_lenient(payload.updated_at),
        user_id=user_id,
    )


def from_row(row: ApiKeyRow) -> KeyEvent:
    """An entry of the key list. Raises OverflowError for a time beyond all calendars."""
    return KeyEvent(
        cp_api_id=row.artifact_uuid,
        key_hash=row.sha256,
        name=row.name,
        masked_key=row.masked_api_key,
        uuid=row.uuid or None,
        external_ref_id=row.external_ref_id,
        issuer=row.issuer,
        expires_at=moment(row.expires_at),
        created_at=moment(row.created_at),
        updated_at=moment(row.updated_at),
        user_id=row.created_by,
    )


def key_tombstone(cp_api_id: str, name: str) -> str:
    """How a revoked key is remembered."""
    return f"{cp_api_id}/{name}"


def _hash(hashes: str) -> str:
    """The sha256 of a JSON object inside a string. Raises Malformed."""
    value = sha256_of(hashes)
    if not value:
        raise Malformed("apiKeyHashes is no JSON object with a sha256")
    return value


def _expiry(text: str | None) -> datetime | None:
    """An expiry must be readable: a key that should end must not live for ever."""
    if not text:
        return None
    try:
        return moment(Timestamp.parse(text))
    except (ValueError, OverflowError):
        raise Malformed("expiresAt is no RFC 3339 time") from None


def _lenient(text: str) -> datetime | None:
    """A time that only orders events: unreadable means now."""
    try:
        return moment(Timestamp.parse(text)) if text else None
    except (ValueError, OverflowError):
        return None
