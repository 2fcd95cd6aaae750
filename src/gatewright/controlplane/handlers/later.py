"""Work of handlers that waits for something else, outside of the queues. Bounded.

In a queue it would keep a worker from what it waits for.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from gatewright.observability.logging import get_logger

LIMIT: Final = 2_000
_log = get_logger(__name__)


class Later:
    """Belongs to one event loop. What is unfinished at `stop` is found again by the next reconcile."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How much is under way."""
        return len(self._tasks)

    def run(self, work: Coroutine[Any, Any, None]) -> bool:
        """Begin; False when there is too much already."""
        if len(self._tasks) >= self._limit:
            work.close()
            return False
        task = asyncio.create_task(work, name="later")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return True

    async def stop(self) -> None:
        """End all of it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("postponed work failed", error=repr(task.exception()))
