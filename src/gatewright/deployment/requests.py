"""What callers ask of the write path: key requests of the management API, key events of a control plane, filters.

Pure values. Sources: management API reference 13.1, control-plane protocol reference 2.14.
"""

from datetime import datetime

import msgspec
from pydantic import SecretStr


class ExpiresIn(msgspec.Struct, frozen=True):
    """A relative expiry. `unit`: seconds, minutes, hours, days, weeks, months (30 days)."""

    duration: int
    unit: str


class Caller(msgspec.Struct, frozen=True):
    """Who calls. `admin` sees and revokes the keys of others."""

    user: str
    admin: bool = False


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Create or update a key. Without `plain_key` one is generated (`source: local`), with it `external`."""

    name: str | None = None
    plain_key: SecretStr | None = None
    expires_at: datetime | None = None
    expires_in: ExpiresIn | None = None
    external_ref_id: str | None = None
    issuer: str | None = None


class KeyEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`apikey.created`, `apikey.updated` or an entry of the key list of a control plane.

    `cp_api_id` is the id as the control plane writes it. `key_hash` is the sha256 entry of its `apiKeyHashes`.
    """

    cp_api_id: str
    key_hash: str
    name: str = ""
    masked_key: str = ""
    uuid: str | None = None
    external_ref_id: str | None = None
    issuer: str | None = None
    expires_at: datetime | None = None
    expires_in: ExpiresIn | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    user_id: str = ""


class ArtifactFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions on a list, combined with AND; None or empty matches everything."""

    display_name: str | None = None
    version: str | None = None
    context: str | None = None
    state: str | None = None
