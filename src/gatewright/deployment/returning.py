"""Routers that are on their way back: right after a start none is connected, and that says nothing.

A router that has lost its controller tries again after some seconds. Until then a change is in the database and nowhere
else, although nobody would call this gateway one without routers. That it had some is kept in the store.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from gatewright.observability.logging import get_logger
from gatewright.store import Store, StoreUnavailable

GRACE_S: Final = 15.0
"""Longest wait for them after a start: a router waits 10 s at most between attempts, and needs some to connect."""

_LOOK_S: Final = 0.1
_NAME: Final = "has_routers"
_log = get_logger(__name__)


class Returning:
    """Whether routers are awaited. Belongs to one event loop."""

    def __init__(self, store: Store, routers: Callable[[], Sequence[str]], *, grace: float = GRACE_S) -> None:
        """`routers` names those that are connected, here or elsewhere, and have an Envoy; `grace` in seconds."""
        self._store = store
        self._routers = routers
        self._grace = grace
        self._noted = False
        self._over = asyncio.Event()

    @property
    def expects_some(self) -> bool:
        """Whether some were there before the start, and none is back yet."""
        return not self._over.is_set()

    async def settled(self, timeout: float) -> bool:  # noqa: ASYNC109 - the caller's deadline
        """Wait until one is back or none is awaited any longer; False after `timeout` s."""
        try:
            async with asyncio.timeout(timeout):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    async def load(self) -> None:
        """Whether there were any; before the first change comes."""
        self._noted = bool(await self._store.get_meta(_NAME))
        if not self._noted:
            self._over.set()

    async def run(self) -> None:
        """Wait for them, and note that there are some, or none any more; ends when that is noted."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._grace
        while self.expects_some and not self._routers() and loop.time() < end:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(_LOOK_S)
        self._over.set()
        if self._noted and not self._routers():
            _log.warning("no router has come back since the start; what is deployed is stored only")
            self._noted = not await self._note(None)
        while not self._noted:
            await asyncio.sleep(10 * _LOOK_S)
            self._noted = bool(self._routers()) and await self._note(True)

    async def _note(self, there_are: bool | None) -> bool:
        try:
            await self._store.set_meta(_NAME, there_are)
        except StoreUnavailable:
            return False
        return True
