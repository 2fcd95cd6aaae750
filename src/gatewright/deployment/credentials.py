"""The API keys that routers must know now: active, not expired, by API. Memory only; pure apart from being a container.

A key is put in or taken out alone: an API may have very many.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from gatewright.model.credentials import ApiKeyCredential
from gatewright.store.rows import ApiKeyRow


class Credentials(Mapping[str, Sequence[ApiKeyCredential]]):
    """API → its credentials, in the order of their ids."""

    def __init__(self) -> None:
        self._by_api: dict[str, dict[str, ApiKeyCredential]] = {}
        self._api_of: dict[str, str] = {}
        self._expiries: list[tuple[float, str]] = []

    def __getitem__(self, api_id: str) -> Sequence[ApiKeyCredential]:
        """Never raises: an API without keys has an empty list."""
        keys = self._by_api.get(api_id)
        return [keys[key_id] for key_id in sorted(keys)] if keys else ()

    def __iter__(self) -> Iterator[str]:
        """APIs with at least one key."""
        return iter(self._by_api)

    def __len__(self) -> int:
        """APIs with at least one key."""
        return len(self._by_api)

    def __contains__(self, api_id: object) -> bool:
        """Whether the API has a key."""
        return api_id in self._by_api

    def put(self, rows: Iterable[ApiKeyRow], now: datetime) -> None:
        """Take in keys as they are stored; those that may not be used any more go out."""
        for row in rows:
            if row.status != "active" or (row.expires_at is not None and row.expires_at <= now):
                self.remove(row.uuid)
                continue
            self.remove(row.uuid)
            credential = _credential(row)
            self._by_api.setdefault(row.api_id, {})[row.uuid] = credential
            self._api_of[row.uuid] = row.api_id
            if credential.expires_at is not None:
                heapq.heappush(self._expiries, (credential.expires_at, row.uuid))

    def remove(self, key_id: str) -> None:
        """Take one key out."""
        api_id = self._api_of.pop(key_id, None)
        if api_id is not None:
            keys = self._by_api[api_id]
            del keys[key_id]
            if not keys:
                del self._by_api[api_id]

    def remove_api(self, api_id: str) -> None:
        """Take all keys of an API out."""
        for key_id in self._by_api.pop(api_id, {}):
            self._api_of.pop(key_id, None)

    def clear(self) -> None:
        """Forget everything."""
        self._by_api.clear()
        self._api_of.clear()
        self._expiries.clear()

    def next_expiry(self) -> float | None:
        """Unix seconds of the next expiry that may change something."""
        return self._expiries[0][0] if self._expiries else None

    def expire(self, now: datetime) -> set[str]:
        """Take out what has expired; the APIs concerned."""
        concerned: set[str] = set()
        seconds = now.timestamp()
        while self._expiries and self._expiries[0][0] <= seconds:
            _, key_id = heapq.heappop(self._expiries)
            api_id = self._api_of.get(key_id)
            if api_id is None:
                continue
            # The key may have been given a later expiry meanwhile: then it has a later entry too.
            expires_at = self._by_api[api_id][key_id].expires_at
            if expires_at is not None and expires_at <= seconds:
                self.remove(key_id)
                concerned.add(api_id)
        return concerned


def _credential(row: ApiKeyRow) -> ApiKeyCredential:
    return ApiKeyCredential(
        api_id=row.api_id,
        name=row.name,
        key_hash=row.key_hash,
        key_id=row.uuid,
        issuer=row.issuer,
        expires_at=None if row.expires_at is None else row.expires_at.timestamp(),
    )
