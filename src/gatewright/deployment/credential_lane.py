"""The lane of revocations: changed keys, subscriptions and plans on their way into memory, before everything else.

May read the store and write the `Credentials` of the rollout; rendering them is the rollout's.
"""

import msgspec
from sqlalchemy import Connection

from gatewright.deployment.credentials import Credentials
from gatewright.deployment.ids import Clock
from gatewright.store import Store, StoreUnavailable, api_keys, applications, subscriptions
from gatewright.store.rows import API_KEY, SUBSCRIPTION, SUBSCRIPTION_PLAN, ApiKeyRow, ApplicationRow, ChangeRow


class CredentialRows(msgspec.Struct, frozen=True):
    """Keys with the applications that they belong to (by the key's UUID), and subscriptions with their plans."""

    keys: list[ApiKeyRow]
    applications: dict[str, ApplicationRow]
    subscriptions: list[subscriptions.Serving]


class Taken(msgspec.Struct, frozen=True):
    """What a round took in: the changes, and the APIs whose credentials are others now."""

    changes: tuple[ChangeRow, ...]
    api_ids: frozenset[str]


def read_everything(connection: Connection, gateway_id: str) -> CredentialRows:
    """All that routers must know now, expired keys among them."""
    return CredentialRows(
        api_keys.active(connection, gateway_id),
        applications.everything(connection, gateway_id),
        subscriptions.serving(connection, gateway_id),
    )


class CredentialLane:
    """Changes that wait, the newest of each entity."""

    def __init__(self, store: Store, credentials: Credentials, clock: Clock) -> None:
        self._store = store
        self._credentials = credentials
        self._clock = clock
        self.waiting: dict[tuple[str, str], ChangeRow] = {}

    def add(self, change: ChangeRow) -> None:
        """One more."""
        self.waiting[change.kind, change.entity_id] = change

    def load(self, rows: CredentialRows) -> None:
        """These and no others are there."""
        self._credentials.clear()
        self._credentials.put(rows.keys, self._clock(), rows.applications)
        self._credentials.put_subscriptions(rows.subscriptions)

    async def take(self) -> Taken:
        """Bring memory up to what is stored for everything that waits. Raises StoreUnavailable; then it waits on."""
        batch, self.waiting = self.waiting, {}
        key_ids = [entity for kind, entity in batch if kind == API_KEY]
        subscription_ids = [entity for kind, entity in batch if kind == SUBSCRIPTION]
        plan_ids = [entity for kind, entity in batch if kind == SUBSCRIPTION_PLAN]
        try:
            rows = await self._store.read(
                lambda connection: _read_some(connection, self._store.gateway_id, key_ids, subscription_ids, plan_ids)
            )
        except StoreUnavailable:
            self.waiting = batch | self.waiting
            raise
        changed = tuple(batch.values())
        concerned = {change.artifact_id for change in changed if change.kind != SUBSCRIPTION_PLAN}
        for change in changed:
            if change.kind == API_KEY:
                if change.entity_id == change.artifact_id:
                    self._credentials.remove_api(change.artifact_id)
                self._credentials.remove(change.entity_id)
        self._credentials.put(rows.keys, self._clock(), rows.applications)
        concerned |= self._credentials.remove_subscriptions(subscription_ids, plan_ids)
        concerned |= self._credentials.put_subscriptions(rows.subscriptions)
        return Taken(changed, frozenset(concerned))


def _read_some(
    connection: Connection, gateway_id: str, key_ids: list[str], subscription_ids: list[str], plan_ids: list[str]
) -> CredentialRows:
    return CredentialRows(
        api_keys.some(connection, gateway_id, key_ids),
        applications.of_keys(connection, gateway_id, key_ids),
        subscriptions.serving_some(connection, gateway_id, subscription_ids, plan_ids),
    )
