"""The keys and subscriptions that routers must know now: active, not expired, by API. Memory only, a container.

A key or subscription is put in or taken out alone: an API may have very many.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from gatewright.model.credentials import ApiKeyCredential, Credential
from gatewright.model.subscriptions import WINDOWS, Subscription
from gatewright.store.rows import ApiKeyRow, ApplicationRow
from gatewright.store.subscriptions import Serving


class Credentials(Mapping[str, Sequence[Credential]]):
    """API → its keys in the order of their ids, then its subscriptions in the order of theirs."""

    def __init__(self) -> None:
        self._by_api: dict[str, dict[str, ApiKeyCredential]] = {}
        self._api_of: dict[str, str] = {}
        self._expiries: list[tuple[float, str]] = []
        self._subscriptions = _Subscriptions()

    def __getitem__(self, api_id: str) -> Sequence[Credential]:
        """Never raises: an API without credentials has an empty list."""
        # Rendering may happen in another thread: each look at a dictionary is one step.
        keys = sorted(self._by_api.get(api_id, {}).items())
        return [*(key for _, key in keys), *self._subscriptions.of_api(api_id)]

    def __iter__(self) -> Iterator[str]:
        """APIs with at least one key or subscription."""
        return iter(self._by_api.keys() | self._subscriptions.by_api.keys())

    def __len__(self) -> int:
        """APIs with at least one key or subscription."""
        return len(self._by_api.keys() | self._subscriptions.by_api.keys())

    def __contains__(self, api_id: object) -> bool:
        """Whether the API has a key or a subscription."""
        return api_id in self._by_api or api_id in self._subscriptions.by_api

    def count(self, api_id: str) -> int:
        """How many keys and subscriptions an API has."""
        return len(self._by_api.get(api_id, ())) + len(self._subscriptions.by_api.get(api_id, ()))

    def put(
        self, rows: Iterable[ApiKeyRow], now: datetime, applications: Mapping[str, ApplicationRow] | None = None
    ) -> None:
        """Take in keys as they are stored; those that may not be used any more go out.

        `applications`: the one of each key that has one, by the key's UUID.
        """
        applications = applications or {}
        for row in rows:
            if row.status != "active" or (row.expires_at is not None and row.expires_at <= now):
                self.remove(row.uuid)
                continue
            self.remove(row.uuid)
            credential = _credential(row, applications.get(row.uuid))
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
        """Take all keys and subscriptions of an API out."""
        for key_id in self._by_api.pop(api_id, {}):
            self._api_of.pop(key_id, None)
        self._subscriptions.remove_api(api_id)

    def put_subscriptions(self, rows: Iterable[Serving]) -> set[str]:
        """Take in subscriptions as they are stored; the APIs concerned."""
        concerned: set[str] = set()
        for row in rows:
            concerned |= self._subscriptions.put(row)
        return concerned

    def remove_subscriptions(self, uuids: Iterable[str], plan_ids: Iterable[str]) -> set[str]:
        """Take out the subscriptions with these UUIDs, and all of these plans; the APIs concerned."""
        doomed = {*uuids, *(uuid for plan_id in plan_ids for uuid in self._subscriptions.of_plan(plan_id))}
        concerned: set[str] = set()
        for uuid in doomed:
            concerned |= self._subscriptions.remove(uuid)
        return concerned

    def clear(self) -> None:
        """Forget everything."""
        self._by_api.clear()
        self._api_of.clear()
        self._expiries.clear()
        self._subscriptions = _Subscriptions()

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


class _Subscriptions:
    """Active subscriptions by API, and by the plan that they refer to."""

    def __init__(self) -> None:
        self.by_api: dict[str, dict[str, Subscription]] = {}
        self._of: dict[str, tuple[str, str]] = {}
        self._by_plan: dict[str, set[str]] = {}

    def of_api(self, api_id: str) -> list[Subscription]:
        return [subscription for _, subscription in sorted(self.by_api.get(api_id, {}).items())]

    def of_plan(self, plan_id: str) -> set[str]:
        return self._by_plan.get(plan_id, set())

    def put(self, one: Serving) -> set[str]:
        row, plan_id = one.row, one.row.plan_id or ""
        concerned = self.remove(row.uuid) | {row.api_id}
        self.by_api.setdefault(row.api_id, {})[row.uuid] = _subscription(one)
        self._of[row.uuid] = (row.api_id, plan_id)
        self._by_plan.setdefault(plan_id, set()).add(row.uuid)
        return concerned

    def remove(self, uuid: str) -> set[str]:
        api_id, plan_id = self._of.pop(uuid, ("", ""))
        if not api_id:
            return set()
        del self.by_api[api_id][uuid]
        if not self.by_api[api_id]:
            del self.by_api[api_id]
        self._by_plan[plan_id].discard(uuid)
        if not self._by_plan[plan_id]:
            del self._by_plan[plan_id]
        return {api_id}

    def remove_api(self, api_id: str) -> None:
        for uuid in list(self.by_api.get(api_id, {})):
            self.remove(uuid)


def _credential(row: ApiKeyRow, application: ApplicationRow | None) -> ApiKeyCredential:
    return ApiKeyCredential(
        api_id=row.api_id,
        name=row.name,
        key_hash=row.key_hash,
        key_id=row.uuid,
        issuer=row.issuer,
        expires_at=None if row.expires_at is None else row.expires_at.timestamp(),
        application_id=application.handle if application else "",
        application_name=application.name if application else "",
        application_uuid=application.uuid if application else "",
    )


def _subscription(one: Serving) -> Subscription:
    row, plan = one.row, one.plan
    return Subscription(
        api_id=row.api_id,
        subscription_id=row.uuid,
        token_hash=row.token_hash,
        application_id=row.application_id or "",
        limit=max(0, plan.limit_count or 0) if plan else 0,
        window_s=WINDOWS.get((plan.limit_unit or "").lower(), 0) if plan else 0,
        stops=plan.stop_on_quota_reach if plan else False,
        plan_name=plan.name if plan else "",
        billing_customer_id=row.billing_customer_id or "",
        billing_subscription_id=row.billing_subscription_id or "",
    )
