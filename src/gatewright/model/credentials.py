"""Credentials that clients of an API present. Only hashes live here."""

import msgspec

from gatewright.model.subscriptions import Subscription


class ApiKeyCredential(msgspec.Struct, frozen=True):
    """An active API key of one API.

    `key_hash` is the lower-case hex SHA-256 of the trimmed plain key. `expires_at` is in Unix seconds, None for never.
    `application_id` is what people call the application that the key belongs to, empty when there is none.
    """

    api_id: str
    name: str
    key_hash: str
    key_id: str = ""
    issuer: str | None = None
    expires_at: float | None = None
    application_id: str = ""
    application_name: str = ""
    application_uuid: str = ""


Credential = ApiKeyCredential | Subscription
"""What lets a client in."""
