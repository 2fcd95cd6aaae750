"""The list of API keys of one kind of artifact; the answer is a bare array."""

from typing import Any, Final

import msgspec

from gatewright.wire.codec import Wire, decode_array
from gatewright.wire.failures import Undecodable
from gatewright.wire.identifiers import api_key_etag
from gatewright.wire.times import Timestamp

ACTIVE: Final = "active"
REVOKED: Final = "revoked"
SOURCE_EXTERNAL: Final = "external"
HASH_ALGORITHM: Final = "sha256"


class ApiKeyRow(Wire, frozen=True, kw_only=True):
    """One key. `api_key_hashes` is an object here; a string that holds one, as in events, is read too."""

    etag: str = ""
    uuid: str = ""
    name: str = ""
    masked_api_key: str = ""
    api_key_hashes: dict[str, Any] | str = msgspec.field(default_factory=dict)
    artifact_uuid: str = ""
    status: str = ""
    created_at: Timestamp | None = None
    created_by: str = ""
    updated_at: Timestamp | None = None
    expires_at: Timestamp | None = None
    source: str = ""
    external_ref_id: str | None = None
    issuer: str | None = None

    @property
    def sha256(self) -> str:
        """The hash that counts; empty when there is none."""
        return sha256_of(self.api_key_hashes)

    @property
    def usable(self) -> bool:
        """False for keys that a gateway treats as absent: not active, or without a SHA-256."""
        return self.status.lower() == ACTIVE and bool(self.sha256)

    def etag_or_derived(self) -> str:
        """The etag as sent, else the one that both ends derive."""
        if self.etag or self.updated_at is None:
            return self.etag
        return api_key_etag(self.artifact_uuid, self.name, self.updated_at)


def sha256_of(hashes: dict[str, Any] | str) -> str:
    """The hash that counts, out of an object or of a JSON object inside a string; empty when there is none."""
    if isinstance(hashes, str):
        try:
            hashes = msgspec.json.decode(hashes, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ""
    value = hashes.get(HASH_ALGORITHM)
    return value if isinstance(value, str) else ""


def decode_api_keys(body: bytes) -> tuple[ApiKeyRow, ...] | Undecodable:
    """Read the answer of `GET /{collection}/api-keys`."""
    return decode_array(body, ApiKeyRow, "API keys")
