"""The reference behaviour of `api-key-auth`. Source: policies reference 3.1, data plane reference 23."""

import hashlib

import msgspec

from gatewright.model.credentials import ApiKeyCredential
from gatewright.policies.applications import metadata_of
from gatewright.policies.contract import AuthContext, Continue, Decision, RequestHeaders, Respond, Services

AUTH_TYPE = "apikey"
LONGEST_KEY = 512
REJECTION_BODY = b'{"error":"Unauthorized","message":"Valid API key required"}'


class ApiKeyAuth(msgspec.Struct, frozen=True):
    """Reads the key from `header`, cuts `prefix` (in any letter case) and looks its hash up."""

    header: str
    prefix: str = ""

    def on_request_headers(self, request: RequestHeaders, services: Services) -> Decision:
        """Continue without the key header, or answer 401. All reasons look the same from outside."""
        key = presented_key(request.first(self.header), self.prefix)
        if key is None:
            return _rejection(request)
        found = services.credentials.find(request.api.api_id, key_hash(key))
        if found is None or not _acceptable(found, request.api.api_id, services):
            return _rejection(request)
        return Continue(
            remove_headers=(self.header.lower(),),
            metadata=metadata_of(found),
            auth=AuthContext(
                authenticated=True,
                auth_type=AUTH_TYPE,
                token_id=found.key_hash,
                properties={
                    "ApplicationID": found.application_id,
                    "ApplicationName": found.application_name,
                },
                previous=request.auth,
            ),
        )


def presented_key(value: str | None, prefix: str) -> str | None:
    """The trimmed key in a header value; None when there is none, the prefix is missing, or it is absurdly long."""
    if value is None:
        return None
    if prefix:
        if value[: len(prefix)].lower() != prefix.lower():
            return None
        value = value[len(prefix) :]
    key = value.strip(" \t\r\n\v\f")
    if not key or len(key.encode("utf-8", "surrogateescape")) > LONGEST_KEY:
        return None
    return key


def key_hash(key: str) -> str:
    """Lower-case hex SHA-256 of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _acceptable(credential: ApiKeyCredential, api_id: str, services: Services) -> bool:
    if credential.api_id != api_id:
        return False
    if services.api_key_issuer and credential.issuer != services.api_key_issuer:
        return False
    return credential.expires_at is None or services.now() < credential.expires_at


def _rejection(request: RequestHeaders) -> Respond:
    return Respond(
        status=401,
        headers={"content-type": "application/json"},
        body=REJECTION_BODY,
        auth=AuthContext(authenticated=False, auth_type=AUTH_TYPE, previous=request.auth),
    )
