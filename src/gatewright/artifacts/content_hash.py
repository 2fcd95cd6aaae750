"""One identity for equal content: canonical JSON and its SHA-256.

Pure.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder(order="sorted")


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON with sorted members and without blanks; equal documents give equal bytes."""
    return _encoder.encode(document)


def content_hash(document: Mapping[str, Any]) -> str:
    """Lower-case hex SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical_json(document)).hexdigest()
