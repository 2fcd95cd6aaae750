"""Credentials in memory, by API. Fed by the router's snapshot, one resource for the routes and credentials of APIs."""

from collections.abc import Sequence

import msgspec

from gatewright.model.credentials import ApiKeyCredential
from gatewright.model.subscriptions import Subscription


class _OfApi(msgspec.Struct, frozen=True):
    keys: dict[str, ApiKeyCredential]
    by_token: dict[str, Subscription]
    by_application: dict[str, Subscription]


_NOTHING = _OfApi({}, {}, {})


class Credentials:
    """All credentials that the engine's policies may accept. Replaced per API as a whole, so never half there."""

    def __init__(self) -> None:
        self._by_api: dict[str, _OfApi] = {}

    def replace(
        self, api_id: str, keys: Sequence[ApiKeyCredential], subscriptions: Sequence[Subscription] = ()
    ) -> None:
        """These and no others are the credentials of an API from now on.

        Of several subscriptions that name one application the first counts.
        """
        self._by_api[api_id] = _OfApi(
            {key.key_hash: key for key in keys},
            {one.token_hash: one for one in subscriptions},
            {one.application_id: one for one in reversed(subscriptions) if one.application_id},
        )

    def forget(self, api_id: str) -> None:
        """The API has none any more."""
        self._by_api.pop(api_id, None)

    def find(self, api_id: str, key_hash: str) -> ApiKeyCredential | None:
        """The key of this API with this hash."""
        return self._by_api.get(api_id, _NOTHING).keys.get(key_hash)

    def subscription(self, api_id: str, token_hash: str) -> Subscription | None:
        """The subscription of this API with this hash of its token."""
        return self._by_api.get(api_id, _NOTHING).by_token.get(token_hash)

    def subscription_of(self, api_id: str, application: str) -> Subscription | None:
        """The subscription of this API that names this application."""
        return self._by_api.get(api_id, _NOTHING).by_application.get(application)
