"""Derived identifiers, against values worked out by hand from their definition."""

import hashlib
import uuid

import pytest

from gatewright.wire.identifiers import api_key_etag, derived_uuid, new_uuid7, token_hash
from gatewright.wire.times import Timestamp

DEPLOYMENT = "0198f1d2-6c3a-7d2e-9a51-5f1c6f0a9b10"
AT = Timestamp.parse("2026-08-01T10:15:30.123Z")


def test_derived_uuid_follows_its_definition() -> None:
    result = uuid.UUID(derived_uuid(DEPLOYMENT, AT))
    digest = hashlib.sha256(DEPLOYMENT.encode()).digest()
    assert result.version == 7
    assert result.bytes[:6] == (1_785_579_330_123).to_bytes(6, "big")
    assert result.bytes[6] == digest[0] & 0x0F | 0x70
    assert result.bytes[7] == digest[1]
    assert result.bytes[8] == digest[2] & 0x3F | 0x80
    assert result.bytes[9:] == digest[3:10]


def test_derived_uuid_depends_on_milliseconds_only() -> None:
    finer = Timestamp(AT.unix_ns + 999_999)
    assert derived_uuid(DEPLOYMENT, AT) == derived_uuid(DEPLOYMENT, finer)
    assert derived_uuid(DEPLOYMENT, AT) != derived_uuid(DEPLOYMENT, Timestamp(AT.unix_ns + 1_000_000))


def test_api_key_etag_follows_its_definition() -> None:
    result = uuid.UUID(api_key_etag("a", "orders-key", AT))
    digest = hashlib.sha256(b"a:orders-key:1785579330123000000").digest()
    assert result.version == 7
    assert result.bytes[:6] == digest[:6]
    assert result.bytes[9:] == digest[9:16]


def test_tokens_are_hashed_plainly() -> None:
    assert token_hash("test") == "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def test_new_ids_are_ordered_by_time() -> None:
    first, second = new_uuid7(1_000, bytes(10)), new_uuid7(1_001, bytes(10))
    assert first < second
    assert uuid.UUID(first).version == 7
    with pytest.raises(ValueError, match="random"):
        new_uuid7(1, b"short")
