"""Runs the steps one after another; one reconcile at a time, requests that come meanwhile share the next one."""

import asyncio
import uuid
from collections.abc import Callable, Sequence

import msgspec

from gatewright.controlplane import metrics
from gatewright.controlplane.sync.contract import Circumstances, Step
from gatewright.controlplane.sync.report import Reconcile, StepReport
from gatewright.deployment.ids import Clock
from gatewright.observability import tracing
from gatewright.observability.logging import correlation, get_logger

_log = get_logger(__name__)


class Reconciler:
    """`now` is the event loop's clock in seconds, `on_prem` tells the present mode."""

    def __init__(
        self, steps: Sequence[Step], *, clock: Clock, now: Callable[[], float], on_prem: Callable[[], bool]
    ) -> None:
        self._steps = steps
        self._clock = clock
        self._now = now
        self._on_prem = on_prem
        self._lock = asyncio.Lock()
        self._next: asyncio.Task[Reconcile] | None = None
        self._tasks: set[asyncio.Task[Reconcile]] = set()
        self.last: Reconcile | None = None

    async def run(self, trigger: str) -> Reconcile:
        """Reconcile; the answer is of a run that began after this call."""
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._turn(trigger), name="reconcile")
            self._tasks.add(self._next)
            self._next.add_done_callback(self._tasks.discard)
        return await asyncio.shield(self._next)

    async def stop(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _turn(self, trigger: str) -> Reconcile:
        async with self._lock:
            self._next = None
            return await self._reconcile(trigger)

    async def _reconcile(self, trigger: str) -> Reconcile:
        run_id = str(uuid.uuid4())
        with correlation(run_id), tracing.run(run_id, "reconcile", trigger=trigger):
            report = await self._run(trigger, run_id)
            failed = bool(report.errors)
            outcome = "incomplete" if failed else "complete"
            tracing.finish(run_id, outcome, failed=failed, **{**report.counts, "withheld": report.withheld})
            return report

    async def _run(self, trigger: str, run_id: str) -> Reconcile:
        at, started = self._clock(), self._now()
        circumstances = Circumstances(self._on_prem(), started)
        reports = [await self._step(step, circumstances, run_id) for step in self._steps if step.applies(circumstances)]
        seconds = round(self._now() - started, 4)
        report = Reconcile(at=at, trigger=trigger, correlation_id=run_id, seconds=seconds, steps=tuple(reports))
        self.last = report
        metrics.RECONCILES.labels("incomplete" if report.errors else "complete").inc()
        metrics.RECONCILE_SECONDS.observe(report.seconds)
        for step in reports:
            for what, count in step.counts.items():
                metrics.DRIFT.labels(f"{step.name}.{what}").set(count)
        log = _log.warning if report.errors else _log.info
        log("reconciled", trigger=trigger, seconds=report.seconds, errors=list(report.errors[:5]), **report.counts)
        return report

    async def _step(self, step: Step, circumstances: Circumstances, run_id: str) -> StepReport:
        started, traced = self._now(), tracing.now()
        try:
            report = await step.run(circumstances)
        except Exception as error:  # noqa: BLE001 - a fault in one step must not keep the others from running
            name = type(step).__name__
            _log.error("a step of the reconcile failed", step=name, exc_info=error)
            report = StepReport(name=name, errors=(f"internal error: {type(error).__name__}",))
        # Only how many: the words of an error may quote what a control plane sent.
        errors = f"{len(report.errors)} errors" if report.errors else ""
        tracing.record(run_id, report.name, traced, error=errors, **report.counts)
        return msgspec.structs.replace(report, seconds=round(self._now() - started, 4))
