"""Credentials that clients of an API present. Only hashes live here."""

import msgspec


class ApiKeyCredential(msgspec.Struct, frozen=True):
    """An active API key of one API.

    `key_hash` is the lower-case hex SHA-256 of the trimmed plain key. `expires_at` is in Unix seconds, None for never.
    """

    api_id: str
    name: str
    key_hash: str
    key_id: str = ""
    issuer: str | None = None
    expires_at: float | None = None
    application_id: str = ""
    application_name: str = ""
