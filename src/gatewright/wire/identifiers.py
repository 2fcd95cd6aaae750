"""Identifiers that both ends derive in the same way: deterministic etags, hashes, new time-ordered ids."""

import hashlib
import uuid

from gatewright.wire.times import Timestamp


def derived_uuid(identifier: str, at: Timestamp) -> str:
    """The deterministic UUID v7 of an id and a time: etag of deployments, subscriptions and plans.

    Bytes 0-5 are Unix milliseconds, 6-15 the first ten bytes of SHA-256 of the id, then version and variant are set.
    """
    milliseconds = (at.unix_ms & (1 << 48) - 1).to_bytes(6, "big")
    return _as_version_7(milliseconds + hashlib.sha256(identifier.encode()).digest()[:10])


def api_key_etag(artifact_id: str, name: str, updated_at: Timestamp) -> str:
    """Etag of an API key, from its artifact, its name and its last change in Unix nanoseconds."""
    seed = f"{artifact_id}:{name}:{updated_at.unix_ns}"
    return _as_version_7(hashlib.sha256(seed.encode()).digest()[:16])


def token_hash(plain: str) -> str:
    """Lower-case hex SHA-256 of a registration token, an API key or a subscription token."""
    return hashlib.sha256(plain.encode()).hexdigest()


def new_uuid7(unix_ms: int, random: bytes) -> str:
    """A fresh time-ordered id. `random` holds at least ten unpredictable bytes."""
    if len(random) < 10:
        raise ValueError("a UUID v7 needs ten random bytes")
    return _as_version_7((unix_ms & (1 << 48) - 1).to_bytes(6, "big") + random[:10])


def _as_version_7(raw: bytes) -> str:
    value = bytearray(raw)
    value[6] = value[6] & 0x0F | 0x70
    value[8] = value[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(value)))
