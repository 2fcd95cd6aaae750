"""The last part of a change's trace: from the rollout to the first acknowledgement by Envoy.

Does nothing unless tracing is on. Waits for routers in tasks of its own, a bounded number of them.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from gatewright.deployment.serving import DataPlane, ResourceId, Rolled, ServingBoard
from gatewright.observability import tracing
from gatewright.store.rows import CERTIFICATE, SECRET, ChangeRow

LONGEST_WAIT: Final = 60.0
"""Seconds for a router to say something."""

MOST_WAITING: Final = 5_000
_WITHOUT_ROUTERS: Final = frozenset({CERTIFICATE, SECRET})
"""Kinds of changes that reach routers as part of something else."""


class ChangeTraces:
    """Belongs to one rollout."""

    def __init__(
        self,
        data_plane: DataPlane | None,
        board: ServingBoard,
        version_of: Callable[[ResourceId], str | None],
        *,
        shared: bool,
    ) -> None:
        """`shared`: other controllers write changes too."""
        self._shared = shared
        self._data_plane = data_plane
        self._board = board
        self._version_of = version_of
        self._waits: set[asyncio.Task[None]] = set()

    def read(self, changes: Iterable[ChangeRow]) -> None:
        """These stood in the feed; those of other controllers are followed from here on, to the routers of this one."""
        if not self._shared or not tracing.enabled():
            return
        for change in changes:
            if change.kind not in _WITHOUT_ROUTERS:
                tracing.join(change.correlation_id, "rollout", kind=change.kind)

    def carried(self, changes: Iterable[ChangeRow], started: int) -> None:
        """These are in the memory of this process; what depends on them is looked at again."""
        for change in changes:
            tracing.record(change.correlation_id, "carry out", started)
            tracing.finish(change.correlation_id, "stored")

    def overtaken(self, before: ChangeRow | None, by: ChangeRow) -> None:
        """A newer change of the same artifact came before this one was looked at."""
        if tracing.enabled() and before is not None and before.correlation_id != by.correlation_id:
            tracing.finish(before.correlation_id, "overtaken")

    def rendered(self, changes: Iterable[ChangeRow], started: int) -> None:
        """These changes were put into the snapshot together; follow them to the routers."""
        if not tracing.enabled():
            return
        changes = tuple(changes)
        ended = tracing.now()
        for change in changes:
            tracing.interval(change.correlation_id, "render", started, ended, group=len(changes))
            self._follow(change, ended)

    def close(self) -> None:
        """Stop waiting."""
        for task in tuple(self._waits):
            task.cancel()

    def _follow(self, change: ChangeRow, rendered: int) -> None:
        entry = self._board.get(change.artifact_id)
        if entry is not None and entry.state == "quarantined":
            tracing.finish(change.correlation_id, f"quarantined: {entry.code}", failed=True)
            return
        if entry is None or self._data_plane is None:
            tracing.finish(change.correlation_id, "stored")
            return
        if len(self._waits) >= MOST_WAITING:
            tracing.finish(change.correlation_id, "not followed")
            return
        task = asyncio.create_task(self._until_answered(self._data_plane, change, entry, rendered), name="change-trace")
        self._waits.add(task)
        task.add_done_callback(self._waits.discard)

    async def _until_answered(self, data_plane: DataPlane, change: ChangeRow, entry: Rolled, rendered: int) -> None:
        resources = {key: self._version_of(key) for key in (*entry.resources, *entry.left)}
        answer = await data_plane.first(resources, LONGEST_WAIT)
        router = answer.router
        if router is None or not resources:
            tracing.finish(change.correlation_id, "stored")
            return
        answered = tracing.now()
        sent = min(max(answer.sent or rendered, rendered), answered)
        refused = (router.reason or "refused") if router.state == "refused" else ""
        tracing.interval(change.correlation_id, "send", rendered, sent, router=router.router)
        tracing.interval(
            change.correlation_id, "envoy ack", sent, answered, error=refused, router=router.router, answer=router.state
        )
        outcome = {"accepted": "served", "refused": "refused"}.get(router.state, "no answer")
        tracing.finish(change.correlation_id, outcome, failed=outcome != "served")
