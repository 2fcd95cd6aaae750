"""Subscription plans: one list. Plans made at the gateway stay. Source: control-plane protocol reference 4.4."""

import uuid
from typing import Final

from gatewright.controlplane.handlers.contract import Tools
from gatewright.controlplane.handlers.plan_events import from_row, plan_tombstone
from gatewright.controlplane.rest import CallFailed
from gatewright.controlplane.sync.contract import Circumstances
from gatewright.controlplane.sync.report import StepReport
from gatewright.controlplane.sync.shrinkage import Shrinkage
from gatewright.controlplane.sync.traced import traced
from gatewright.controlplane.words import quoted
from gatewright.deployment import PlanEvent
from gatewright.deployment.ids import Clock
from gatewright.store import StoreUnavailable

_MOST_ERRORS: Final = 20


class PlanStep:
    """See Step."""

    def __init__(self, tools: Tools, shrinkage: Shrinkage, clock: Clock) -> None:
        self._tools = tools
        self._shrinkage = shrinkage
        self._clock = clock

    def applies(self, circumstances: Circumstances) -> bool:
        """Not with an API Manager, which has none."""
        return not circumstances.on_prem

    async def run(self, circumstances: Circumstances) -> StepReport:
        """See Step. A list with an entry that cannot be read ends no plan."""
        asked_at = self._clock()
        listed = await self._tools.rest.plans()
        if isinstance(listed, CallFailed):
            return StepReport(name="plans", errors=(str(listed),))
        wanted: list[PlanEvent] = []
        errors: list[str] = []
        for row in listed:
            if self._tools.tombstones.since(plan_tombstone(row.id), circumstances.started):
                continue
            try:
                wanted.append(from_row(row))
            except OverflowError:
                errors.append(f"plan {quoted(row.id)}: expiryTime is beyond all calendars")
        is_readable = not errors
        try:
            correlation_id = str(uuid.uuid4())
            change = self._tools.deployments.subscriptions.replace_plans(
                wanted,
                asked_at=asked_at,
                believes=lambda known, doomed: is_readable and self._shrinkage.believes("plans", known, doomed),
                correlation_id=correlation_id,
            )
            done = await traced(change, correlation_id, "reconcile plans")
        except StoreUnavailable as problem:
            return StepReport(name="plans", errors=(*errors, str(problem)))
        errors += [f"{each.reason}: {each.message}" for each in done.ignored]
        counts = {"applied": done.applied, "removed": done.removed, "unchanged": done.unchanged}
        withheld = done.withheld if is_readable else 0
        return StepReport(name="plans", counts=counts, errors=tuple(errors[:_MOST_ERRORS]), withheld=withheld)
