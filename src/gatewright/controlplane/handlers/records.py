"""Outcomes of the write path for plans, subscriptions and applications, as outcomes of events. Pure."""

from gatewright.controlplane.handlers.contract import Outcome
from gatewright.deployment.subscription_results import (
    ApplicationApplied,
    PlanApplied,
    RecordIgnored,
    RecordUnknown,
    Removed,
    SubscriptionApplied,
)


def outcome_of(
    result: PlanApplied | SubscriptionApplied | ApplicationApplied | Removed | RecordUnknown | RecordIgnored,
) -> Outcome:
    """What became of the event; none of these events is acknowledged."""
    match result:
        case RecordUnknown() | Removed(change=None):
            return Outcome("unknown")
        case RecordIgnored(reason=reason, message=message):
            return Outcome("failed" if reason == "STORE_UNAVAILABLE" else "refused", f"{reason}: {message}")
    return Outcome("applied")
