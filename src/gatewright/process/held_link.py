"""The link to the control plane, of whichever controller holds it; the others stand by.

Everything that must be done once for all controllers hangs on the link: events, reconciles, acknowledgements, and the
outbox. Should two work at once for a moment, the write path takes every change once and a push repeats what it said.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from gatewright.controlplane.plane import ControlPlane
from gatewright.observability.logging import get_logger
from gatewright.store import Store
from gatewright.store.rows import ArtifactRow

_log = get_logger(__name__)


class HeldLink:
    """Starts a link when this process comes to hold the database's hold, ends it when that is lost."""

    def __init__(self, store: Store, make: Callable[[], ControlPlane], holder: Callable[[], str]) -> None:
        """`make` gives a link that has not been started; `holder` names the controller that holds the connection."""
        self._store = store
        self._make = make
        self._holder = holder
        self._changed = store.subscribe_to_hold()
        self._link = make()
        self._running = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to connect if this process is the one; returns at once."""
        if self._link.configured and not self._store.held:
            _log.info("this controller stands by; another one holds the connection to the control plane")
        await self._follow()
        self._task = asyncio.create_task(self._run(), name="held-link")

    async def stop(self) -> None:
        """End the link."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._link.stop()

    def describe(self) -> Mapping[str, Any]:
        """The status of the link; `standby` names who holds the connection."""
        shown = self._link.describe()
        if self._running or not self._link.configured:
            return shown
        return {**shown, "state": "standby", "advice": self._elsewhere()}

    async def sync(self) -> Mapping[str, Any]:
        """Reconcile now; `error` says why that is impossible."""
        return await self._link.sync() if self._here else {"error": self._elsewhere()}

    async def drift(self, names: Sequence[str]) -> Mapping[str, Any]:
        """Compare with what the control plane wants; `error` says why that is impossible."""
        return await self._link.drift(names) if self._here else {"error": self._elsewhere()}

    async def plan(self, names: Sequence[str]) -> Mapping[str, Any]:
        """What a sync to the API Manager would do; `error` says why that cannot be told."""
        return await self._link.plan(names) if self._here else {"error": self._elsewhere()}

    async def api_manager(self, rows: Iterable[ArtifactRow]) -> Mapping[str, Any]:
        """The sync to an API Manager; `apis` by local UUID."""
        return await self._link.api_manager(rows)

    async def state(self, row: ArtifactRow) -> dict[str, Any] | None:
        """How far one API is on its way to an API Manager; None where that is not known."""
        return await self._link.bottom_up.state(row)

    async def departed(self, local_id: str) -> None:
        """Returns when an API Manager has been told of a deletion, or when nobody here can wait for that."""
        if self._running:
            await self._link.bottom_up.departed(local_id)

    @property
    def _here(self) -> bool:
        return self._running or not self._link.configured

    def _elsewhere(self) -> str:
        holder = self._holder()
        if not holder:
            return "No controller holds the connection to the control plane just now; one takes it within seconds."
        return f"Controller {holder} holds the connection to the control plane: ask that one."

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._follow()
            except Exception:  # noqa: BLE001 - the next change of the hold must find somebody who looks
                _log.exception("the link could not follow the hold")

    async def _follow(self) -> None:
        if self._store.held and not self._running:
            if self._store.is_shared and self._link.configured:
                _log.info("this controller holds the connection to the control plane")
            self._running = True
            await self._link.start()
        elif self._running and not self._store.held:
            _log.warning("this controller no longer holds the connection to the control plane")
            self._running = False
            ended, self._link = self._link, self._make()
            await ended.stop()
