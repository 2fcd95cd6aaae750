"""Who watches gateways and deployments. A slow watcher starts over instead of being fed from a growing queue."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

_MAX_WAITING: Final = 1000


class Touched(msgspec.Struct, frozen=True):
    """Something changed: a gateway by UUID, an artifact's deployments by id, or both ids for one status row.

    `handle` names what was removed, when it was.
    """

    gateway_id: str = ""
    artifact_id: str = ""
    handle: str = ""


class Watcher:
    """One subscription: changes in order, or None for "start over"."""

    def __init__(self) -> None:
        self._changes: asyncio.Queue[Touched | None] = asyncio.Queue(_MAX_WAITING)
        self._closed = asyncio.Event()

    def tell(self, change: Touched) -> None:
        """Add a change; beyond the bound all waiting ones are dropped for one "start over"."""
        try:
            self._changes.put_nowait(change)
        except asyncio.QueueFull:
            while not self._changes.empty():
                self._changes.get_nowait()
            self._changes.put_nowait(None)

    def end(self) -> None:
        """No more changes will come."""
        self._closed.set()

    async def changes(self, idle: float) -> AsyncIterator[list[Touched | None]]:
        """Groups of changes; an empty group after `idle` seconds without any. Ends after `end`."""
        while not self._closed.is_set():
            group = await self._next(idle)
            while not self._changes.empty() and len(group) < _MAX_WAITING:
                group.append(self._changes.get_nowait())
            yield group

    async def _next(self, idle: float) -> list[Touched | None]:
        waiting = asyncio.ensure_future(self._changes.get())
        ending = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait({waiting, ending}, timeout=idle, return_when=asyncio.FIRST_COMPLETED)
            return [waiting.result()] if waiting.done() else []
        finally:
            waiting.cancel()
            ending.cancel()


class Watchers:
    """All subscriptions."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self._ended = False

    @contextmanager
    def subscribed(self) -> Iterator[Watcher]:
        """A subscription for as long as the block runs."""
        watcher = Watcher()
        if self._ended:
            watcher.end()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def tell(self, *changes: Touched) -> None:
        """Tell everybody."""
        for watcher in self._watchers:
            for change in changes:
                watcher.tell(change)

    def end(self) -> None:
        """End every subscription, now and later."""
        self._ended = True
        for watcher in self._watchers:
            watcher.end()
