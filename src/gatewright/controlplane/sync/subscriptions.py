"""Subscriptions: one list per REST API. Subscriptions made at the gateway stay.

Source: control-plane protocol reference 4.5. On purpose other than the original: an API is asked for by the name that
the control plane has for it; one that the control plane has never heard of is not asked for; after the first complete
round those are left out for which subscriptions do not matter; and the deletions of all lists together are looked at
before any of them is believed.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from gatewright.controlplane.handlers.contract import Tools
from gatewright.controlplane.handlers.subscription_events import from_row, subscription_tombstone
from gatewright.controlplane.rest import CallFailed
from gatewright.controlplane.sync.contract import Circumstances
from gatewright.controlplane.sync.diff import control_plane_id
from gatewright.controlplane.sync.report import StepReport
from gatewright.controlplane.sync.shrinkage import Shrinkage
from gatewright.controlplane.sync.traced import traced
from gatewright.deployment.ids import Clock
from gatewright.observability.logging import get_logger
from gatewright.store import StoreUnavailable
from gatewright.store.rows import ArtifactHead, SubscriptionRow
from gatewright.wire.kinds import ArtifactKind
from gatewright.wire.subscriptions import SubscriptionRow as Listed

AT_ONCE: Final = 8
"""Lists that are asked for at the same time."""

MENTIONED: Final = ("subscription-validation", "subscriptionPlans")
"""Documents with one of these words may depend on subscriptions: a policy, and a member of `spec`."""

_NOT_OFFERED: Final = frozenset({403, 404})
"""The control plane does not know the API, or not at this gateway: it says nothing about subscriptions."""

_MOST_ERRORS: Final = 20
_log = get_logger(__name__)
_Lists = list[tuple[ArtifactHead, tuple[Listed, ...]]]


class SubscriptionStep:
    """See Step."""

    def __init__(self, tools: Tools, shrinkage: Shrinkage, clock: Clock) -> None:
        self._tools = tools
        self._subscriptions = tools.deployments.subscriptions
        self._shrinkage = shrinkage
        self._clock = clock
        self._asked: set[str] = set()

    def applies(self, circumstances: Circumstances) -> bool:
        """Not with an API Manager, which has none."""
        return not circumstances.on_prem

    async def run(self, circumstances: Circumstances) -> StepReport:
        """See Step."""
        counts: Counter[str] = Counter()
        errors: list[str] = []
        asked_at = self._clock()
        stored = await self._subscriptions.list()
        used = {row.api_id for row in stored}
        apis = [row for row in await self._tools.deployments.heads() if row.kind == ArtifactKind.REST_API.value]
        self._asked &= {row.uuid for row in apis}
        wanting = used | await self._tools.deployments.mentioning(ArtifactKind.REST_API.value, MENTIONED)
        lists = await self._ask([row for row in apis if self._matters(row, wanting)], errors)
        is_believed, doomed = self._judge(stored, lists, asked_at)
        for api, listed in lists:
            if not listed and api.uuid not in used:
                continue
            await self._replace(
                api,
                [row for row in listed if not self._is_deleted(row, circumstances)],
                asked_at,
                is_believed=is_believed,
                counts=counts,
                errors=errors,
            )
        withheld = 0 if is_believed else doomed
        return StepReport(
            name="subscriptions", counts=dict(counts), errors=tuple(errors[:_MOST_ERRORS]), withheld=withheld
        )

    # -- inside --------------------------------------------------------------------------------------------------------

    def _matters(self, api: ArtifactHead, wanting: set[str]) -> bool:
        if api.origin != "control_plane" and not api.cp_artifact_id:
            return False
        return api.uuid not in self._asked or api.uuid in wanting

    async def _ask(self, apis: Sequence[ArtifactHead], errors: list[str]) -> _Lists:
        gate = asyncio.Semaphore(AT_ONCE)
        lists: _Lists = []

        async def ask(api: ArtifactHead) -> None:
            async with gate:
                answer = await self._tools.rest.subscriptions(control_plane_id(api))
            if isinstance(answer, CallFailed) and answer.status not in _NOT_OFFERED:
                errors.append(str(answer))
                return
            self._asked.add(api.uuid)
            if not isinstance(answer, CallFailed):
                lists.append((api, answer))

        await asyncio.gather(*(ask(api) for api in apis))
        return lists

    def _judge(self, stored: Sequence[SubscriptionRow], lists: _Lists, asked_at: datetime) -> tuple[bool, int]:
        """Whether the deletions that the lists ask for are believed, and how many they are."""
        managed = [row for row in stored if row.origin == "control_plane"]
        named = {api.uuid: {row.id for row in listed} for api, listed in lists}
        doomed = frozenset(
            row.uuid
            for row in managed
            if row.api_id in named and row.uuid not in named[row.api_id] and row.updated_at < asked_at
        )
        is_believed = self._shrinkage.believes("subscriptions", len(managed), doomed)
        if not is_believed:
            _log.warning(
                "the control plane wants to end many subscriptions at once; waiting for a second, equal answer",
                deletions=len(doomed),
                known=len(managed),
            )
        return is_believed, len(doomed)

    def _is_deleted(self, row: Listed, circumstances: Circumstances) -> bool:
        return self._tools.tombstones.since(subscription_tombstone(row.id), circumstances.started)

    async def _replace(
        self,
        api: ArtifactHead,
        listed: Sequence[Listed],
        asked_at: datetime,
        *,
        is_believed: bool,
        counts: Counter[str],
        errors: list[str],
    ) -> None:
        cp_id = control_plane_id(api)
        try:
            correlation_id = str(uuid.uuid4())
            change = self._subscriptions.replace_subscriptions(
                api.uuid,
                [from_row(row, cp_id) for row in listed],
                asked_at=asked_at,
                believes=lambda _known, _doomed: is_believed,
                correlation_id=correlation_id,
            )
            done = await traced(change, correlation_id, "reconcile subscriptions", artifact=api.uuid)
        except StoreUnavailable as problem:
            errors.append(str(problem))
            return
        counts["applied"] += done.applied
        counts["removed"] += done.removed
        counts["unchanged"] += done.unchanged
        errors += [f"{each.reason}: {each.message}" for each in done.ignored]
