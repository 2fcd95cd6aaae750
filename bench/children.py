"""The processes of a run, in the order of their start. None of them outlives the benchmark, however that ends."""

import os
from collections.abc import Sequence
from pathlib import Path

from gatewright.demo.children import Child

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "USER", "LOGNAME")
REPOSITORY = Path(__file__).parents[1]


class Children:
    """Starts and stops; a log file for each in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[tuple[Child, float]] = []
        self._ending: set[Child] = set()

    def start(self, name: str, command: Sequence[str], patience_s: float = 3.0) -> Child:
        """Start one; `patience_s` is how long its end may take."""
        child = Child(name, command, log=self._folder / f"{name}.log", cwd=self._folder, environ=environment())
        self._running.append((child, patience_s))
        return child

    async def stop(self, child: Child) -> None:
        """End one."""
        self._ending.add(child)
        patience = next((patience for other, patience in self._running if other is child), 1.0)
        await child.stop(patience)
        self._running = [(other, patience) for other, patience in self._running if other is not child]
        self._ending.discard(child)

    def check(self) -> None:
        """Raises ChildEnded when one has ended by itself."""
        for child, _ in self._running:
            if child not in self._ending:
                child.check()

    async def close(self) -> None:
        """End all, last started first."""
        while self._running:
            await self.stop(self._running[-1][0])

    def kill(self) -> None:
        """End all at once."""
        while self._running:
            self._running.pop()[0].kill()


def environment() -> dict[str, str]:
    """Only what programs need: settings of the user's shell must not change what is measured."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(REPOSITORY)}
