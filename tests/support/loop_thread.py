"""An event loop in a thread of its own, for servers that tests without a loop talk to. It leaves nothing open."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE = 20.0


class LoopThread:
    """Runs from the beginning until `close`."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._stay()), daemon=True)
        self._thread.start()
        self._ready.wait()

    def do(self, work: Coroutine[Any, Any, T], patience: float = PATIENCE) -> T:
        """Run it there; `patience` in seconds."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(patience)

    def close(self) -> None:
        """End what is under way. A loop that only stops leaves sockets to the garbage of some later test."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._end.set)
            self._thread.join(PATIENCE)

    async def _stay(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self._ready.set()
        await self._end.wait()
