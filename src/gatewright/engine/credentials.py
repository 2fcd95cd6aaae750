"""Credentials in memory, by API and hash. Fed by the router's snapshot, one resource for each API."""

from collections.abc import Sequence

from gatewright.model.credentials import ApiKeyCredential


class Credentials:
    """All credentials that the engine's policies may accept. Replaced per API as a whole, so never half there."""

    def __init__(self) -> None:
        self._by_api: dict[str, dict[str, ApiKeyCredential]] = {}

    def replace(self, api_id: str, credentials: Sequence[ApiKeyCredential]) -> None:
        """These and no others are the credentials of an API from now on."""
        self._by_api[api_id] = {credential.key_hash: credential for credential in credentials}

    def forget(self, api_id: str) -> None:
        """The API has none any more."""
        self._by_api.pop(api_id, None)

    def find(self, api_id: str, key_hash: str) -> ApiKeyCredential | None:
        """The credential of this API with this hash."""
        return self._by_api.get(api_id, {}).get(key_hash)
