"""How the steps find out whether something holds: by asking until it does, but not for ever."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import httpx2

from gatewright.demo.parts import Parts
from gatewright.demo.ports import HOST
from gatewright.demo.screen import Step

START_S: Final = 30.0
CHANGE_S: Final = 15.0
_PAUSE_S: Final = 0.005


class NotHeld(Exception):
    """Something that the demo shows did not happen."""


class Asking:
    """A visitor of one gateway, and patience for everything else."""

    def __init__(self, parts: Parts, http_port: int) -> None:
        self._parts = parts
        self._visitor = httpx2.AsyncClient(trust_env=False, timeout=CHANGE_S, base_url=f"http://{HOST}:{http_port}")

    async def close(self) -> None:
        """Close connections."""
        await self._visitor.aclose()

    async def status(self, path: str) -> int:
        """What the gateway answers to a call."""
        return (await self._visitor.get(path)).status_code

    async def expect(self, step: Step, status: int, path: str, headers: Mapping[str, str] | None = None) -> None:
        """Call until the answer is `status`; changes take a moment. NotHeld when that does not come in time."""

        async def call() -> bool:
            answer = await self._visitor.get(path, headers=headers)
            step.result = str(answer.status_code)
            return answer.status_code == status

        await self.until(call, f"{path} answers {status}", CHANGE_S)

    async def until(
        self, probe: Callable[[], bool] | Callable[[], Awaitable[bool]], what: str, timeout_s: float = CHANGE_S
    ) -> None:
        """Wait until `probe` holds. Raises NotHeld, and ChildEnded when a process ends meanwhile."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._parts.check()
            answer: Any = probe()
            if (await answer) if isinstance(answer, Awaitable) else answer:
                return
            if time.monotonic() > deadline:
                raise NotHeld(f"waited {timeout_s:.0f} s in vain: {what}")
            await asyncio.sleep(_PAUSE_S)

    async def answers(self, url: str, status: int) -> bool:
        """Whether a call is answered so; False while nobody listens."""
        try:
            return await self.status(url) == status
        except httpx2.TransportError:
            return False

    async def is_serving(self) -> bool:
        """Whether Envoy answers at all."""
        return await self.answers("/", 404)
