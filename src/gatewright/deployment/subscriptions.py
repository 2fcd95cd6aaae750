"""The write path of subscriptions, their plans and applications, as its callers see it."""

import builtins
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from gatewright.deployment import application_writes, plan_writes, subscription_writes
from gatewright.deployment.artifact_writes import Scope
from gatewright.deployment.ids import Clock, utc_now
from gatewright.deployment.results import Change, Conflict
from gatewright.deployment.subscription_requests import (
    ApplicationEvent,
    Believes,
    PlanEvent,
    PlanPatch,
    PlanRequest,
    SubscriptionEvent,
    SubscriptionFilter,
    SubscriptionRequest,
    always,
)
from gatewright.deployment.subscription_results import (
    ApplicationApplied,
    PlanApplied,
    PlanStored,
    RecordIgnored,
    RecordUnknown,
    Removed,
    Replaced,
    SubscriptionApplied,
    SubscriptionStored,
)
from gatewright.store import Store, StoreUnavailable, applications, plans, subscriptions
from gatewright.store.rows import ApplicationRow, PlanRow, SubscriptionRow

_T = TypeVar("_T")


class Subscriptions:
    """Everything that changes or reads subscriptions, plans and applications.

    Management calls may raise StoreUnavailable; control-plane calls return it as
    `RecordIgnored("STORE_UNAVAILABLE", …)`, the two `replace` calls raise it. Changes go through the feed in the lane
    of revocations.
    """

    def __init__(self, store: Store, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._gateway_id = store.gateway_id
        self._clock = clock

    @property
    def gateway_id(self) -> str:
        """The gateway that everything here belongs to."""
        return self._gateway_id

    # -- plans, management side ------------------------------------------------------------------------------------

    async def create_plan(self, request: PlanRequest, *, correlation_id: str) -> PlanStored:
        """POST. Raises SubscriptionRefused, Conflict."""
        scope = self._scope(correlation_id)
        return await self._write(
            lambda connection: plan_writes.create(connection, scope, request), "Subscription plan already exists"
        )

    async def update_plan(self, uuid: str, patch: PlanPatch, *, correlation_id: str) -> PlanStored:
        """PUT, a partial update. Raises PlanNotFound, SubscriptionRefused, Conflict."""
        scope = self._scope(correlation_id)
        return await self._write(
            lambda connection: plan_writes.update(connection, scope, uuid, patch), "Subscription plan already exists"
        )

    async def delete_plan(self, uuid: str, *, correlation_id: str) -> Change:
        """DELETE. Raises PlanNotFound, PlanInUse."""
        scope = self._scope(correlation_id)
        return await self._store.write(lambda connection: plan_writes.delete(connection, scope, uuid))

    async def plan(self, uuid: str) -> PlanRow | None:
        """The plan with this UUID."""
        return await self._store.read(lambda connection: plans.find(connection, self._gateway_id, uuid))

    async def plans(self) -> builtins.list[PlanRow]:
        """All plans, newest first."""
        return await self._store.read(lambda connection: plans.everything(connection, self._gateway_id))

    # -- subscriptions, management side ----------------------------------------------------------------------------

    async def create(self, request: SubscriptionRequest, *, correlation_id: str) -> SubscriptionStored:
        """POST. Raises SubscriptionRefused, NotFound (API), Conflict."""
        scope = self._scope(correlation_id)
        return await self._write(
            lambda connection: subscription_writes.create(connection, scope, request),
            "Application already subscribed to this API",
        )

    async def update(self, uuid: str, *, status: str | None, correlation_id: str) -> SubscriptionStored:
        """PUT: only the status; None leaves it. Raises SubscriptionNotFound, SubscriptionRefused."""
        scope = self._scope(correlation_id)
        return await self._store.write(
            lambda connection: subscription_writes.update(connection, scope, uuid, status), urgent=True
        )

    async def delete(self, uuid: str, *, correlation_id: str) -> Change:
        """DELETE. Raises SubscriptionNotFound."""
        scope = self._scope(correlation_id)
        return await self._store.write(
            lambda connection: subscription_writes.delete(connection, scope, uuid), urgent=True
        )

    async def get(self, uuid: str) -> SubscriptionRow | None:
        """The subscription with this UUID."""
        return await self._store.read(lambda connection: subscriptions.find(connection, self._gateway_id, uuid))

    async def list(self, filters: SubscriptionFilter | None = None) -> builtins.list[SubscriptionRow]:
        """Subscriptions, newest first. Raises NotFound, SubscriptionRefused for an API filter that names none."""
        wanted = filters or SubscriptionFilter()
        return await self._store.read(
            lambda connection: subscription_writes.matching(connection, self._gateway_id, wanted)
        )

    # -- control-plane side ----------------------------------------------------------------------------------------

    async def apply_plan(
        self, event: PlanEvent, *, update: bool = False, correlation_id: str
    ) -> PlanApplied | RecordUnknown | RecordIgnored:
        """`subscriptionPlan.created`, or with `update` `.updated`."""
        scope = self._scope(correlation_id)
        return await self._apply(lambda connection: plan_writes.apply(connection, scope, event, is_update=update))

    async def remove_plan(self, uuid: str, *, correlation_id: str) -> Removed | RecordIgnored:
        """`subscriptionPlan.deleted`; a plan that subscriptions refer to is kept (`IN_USE`)."""
        scope = self._scope(correlation_id)
        return await self._apply(lambda connection: plan_writes.apply_removal(connection, scope, uuid))

    async def replace_plans(
        self, wanted: Sequence[PlanEvent], *, asked_at: datetime, believes: Believes = always, correlation_id: str
    ) -> Replaced:
        """The complete list of the control plane. Plans made here stay. Nothing changed: nothing is written.

        `asked_at`: when the list was asked for; what has changed since then is left alone. Raises StoreUnavailable.
        """
        scope = self._scope(correlation_id)
        stored = await self.plans()
        listed = [event for event in wanted if event.uuid]
        managed = {row.uuid: row.updated_at for row in stored if row.origin == "control_plane"}
        doomed = _doomed(managed, {event.uuid for event in listed}, asked_at)
        believed = doomed if not doomed or believes(len(managed), doomed) else frozenset()
        differing = plan_writes.differing(stored, listed, scope)
        done = Replaced()
        if differing or believed:
            done = await self._store.write(
                lambda connection: plan_writes.replace(connection, scope, differing, believed, asked_at=asked_at)
            )
        return _summary(done, len(listed) - len(differing), len(doomed) - len(believed))

    def differing_plans(self, stored: Iterable[PlanRow], wanted: Iterable[PlanEvent]) -> builtins.list[PlanEvent]:
        """The entries of a list that `replace_plans` would write."""
        return plan_writes.differing(stored, wanted, self._scope(""))

    def differing(
        self, api_id: str, stored: Iterable[SubscriptionRow], wanted: Iterable[SubscriptionEvent]
    ) -> builtins.list[SubscriptionEvent]:
        """The entries of an API's list that `replace_subscriptions` would write."""
        return subscription_writes.differing(stored, wanted, self._scope(""), api_id)

    async def apply_subscription(
        self, event: SubscriptionEvent, *, update: bool = False, correlation_id: str
    ) -> SubscriptionApplied | RecordUnknown | RecordIgnored:
        """`subscription.created`, or with `update` `.updated`."""
        scope = self._scope(correlation_id)
        return await self._apply(
            lambda connection: subscription_writes.apply(connection, scope, event, is_update=update), urgent=True
        )

    async def remove_subscription(self, uuid: str, *, correlation_id: str) -> Removed | RecordIgnored:
        """`subscription.deleted`."""
        scope = self._scope(correlation_id)
        return await self._apply(
            lambda connection: subscription_writes.apply_removal(connection, scope, uuid), urgent=True
        )

    async def replace_subscriptions(
        self,
        api_id: str,
        wanted: Sequence[SubscriptionEvent],
        *,
        asked_at: datetime,
        believes: Believes = always,
        correlation_id: str,
    ) -> Replaced:
        """The complete list of one API (`api_id` is its local UUID). See `replace_plans`. Raises StoreUnavailable."""
        scope = self._scope(correlation_id)
        stored = await self._store.read(lambda connection: subscriptions.of_api(connection, self._gateway_id, api_id))
        listed = [event for event in wanted if event.uuid]
        managed = {row.uuid: row.updated_at for row in stored if row.origin == "control_plane"}
        doomed = _doomed(managed, {event.uuid for event in listed}, asked_at)
        believed = doomed if not doomed or believes(len(managed), doomed) else frozenset()
        differing = subscription_writes.differing(stored, listed, scope, api_id)
        done = Replaced()
        if differing or believed:
            done = await self._store.write(
                lambda connection: subscription_writes.replace(
                    connection, scope, api_id, differing, believed, asked_at=asked_at
                )
            )
        return _summary(done, len(listed) - len(differing), len(doomed) - len(believed))

    async def apply_application(
        self, event: ApplicationEvent, *, correlation_id: str
    ) -> ApplicationApplied | RecordIgnored:
        """`application.updated`."""
        scope = self._scope(correlation_id)
        return await self._apply(lambda connection: application_writes.apply(connection, scope, event))

    async def application(self, uuid: str) -> ApplicationRow | None:
        """The application with this UUID; None also when it has no keys."""
        return await self._store.read(lambda connection: applications.find(connection, self._gateway_id, uuid))

    async def keys_of_application(self, uuid: str) -> builtins.list[str]:
        """The UUIDs of its keys, also of keys that are not here yet."""
        return await self._store.read(lambda connection: applications.keys_of(connection, self._gateway_id, uuid))

    # -- inside ----------------------------------------------------------------------------------------------------

    def _scope(self, correlation_id: str) -> Scope:
        return Scope(self._gateway_id, self._clock(), correlation_id, pushes=False)

    async def _write(self, work: Callable[[Connection], _T], taken: str) -> _T:
        try:
            return await self._store.write(work)
        except IntegrityError:
            # Only possible when another process writes to the same database.
            raise Conflict(taken) from None

    async def _apply(self, work: Callable[[Connection], _T], *, urgent: bool = False) -> _T | RecordIgnored:
        try:
            return await self._store.write(work, urgent=urgent)
        except IntegrityError:
            return RecordIgnored("INVALID_FIELD", "another write took the same identity at the same moment")
        except StoreUnavailable as problem:
            return RecordIgnored("STORE_UNAVAILABLE", str(problem))


def _doomed(managed: dict[str, datetime], listed: set[str], asked_at: datetime) -> frozenset[str]:
    return frozenset(uuid for uuid, changed in managed.items() if uuid not in listed and changed < asked_at)


def _summary(done: Replaced, unchanged: int, withheld: int) -> Replaced:
    return Replaced(
        applied=done.applied, unchanged=unchanged, removed=done.removed, withheld=withheld, ignored=done.ignored
    )
