"""What a reconcile found and did. Pure."""

from collections.abc import Mapping
from datetime import datetime

import msgspec


class StepReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One list. `counts` by what was done; `errors` are sentences; `withheld` deletions wait for a second answer."""

    name: str
    counts: Mapping[str, int] = msgspec.field(default_factory=dict)
    errors: tuple[str, ...] = ()
    withheld: int = 0
    seconds: float = 0.0


class Reconcile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All of it. `trigger`: connect, interval, request, overflow, missed, retry or confirmation.

    `correlation_id`: of the run, in its log lines and its trace; each change has its own.
    """

    at: datetime
    trigger: str
    seconds: float
    correlation_id: str = ""
    steps: tuple[StepReport, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """All that is not zero, by step and kind of difference."""
        return {f"{step.name}.{what}": count for step in self.steps for what, count in step.counts.items() if count}

    @property
    def errors(self) -> tuple[str, ...]:
        """What went wrong, of all steps."""
        return tuple(error for step in self.steps for error in step.errors)

    @property
    def withheld(self) -> int:
        """Deletions that wait for a second, equal answer."""
        return sum(step.withheld for step in self.steps)
