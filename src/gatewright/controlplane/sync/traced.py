"""What a reconcile changes, one by one: log lines carry the change's id, and it has a trace, linked with the run's."""

from collections.abc import Awaitable
from typing import TypeVar

from gatewright.deployment.results import KeyIgnored, Refused
from gatewright.deployment.subscription_results import Replaced
from gatewright.observability import tracing
from gatewright.observability.logging import correlation

T = TypeVar("T")


async def traced(work: Awaitable[T], correlation_id: str, name: str, **attributes: tracing.Value) -> T:
    """Do `work`, which may change something under this correlation id. A trace is left only if it does, or fails."""
    with correlation(correlation_id):
        if not tracing.consider(correlation_id, name, **attributes):
            return await work
        outcome, failed = "failed", True
        try:
            result = await work
            failed = isinstance(result, Refused | KeyIgnored)
            outcome = "refused" if failed else "applied"
            if isinstance(result, Replaced) and (result.applied or result.removed):
                # Several changes in one transaction, which the store cannot tell from none.
                tracing.stored(correlation_id)
        finally:
            tracing.settle(correlation_id, outcome, failed=failed)
        return result
