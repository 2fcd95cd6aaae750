"""Child processes that never outlive this one: the kernel kills them when it dies, and it ends their whole group.

Each child has a session of its own, so that Ctrl-C reaches only the demo, which then stops them in order.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_TAIL_BYTES: Final = 64 * 1024
_libc = ctypes.CDLL(None, use_errno=True)


class ChildEnded(Exception):
    """A child has ended although it should run. `log` is where its last words are."""

    def __init__(self, name: str, status: int, log: Path) -> None:
        self.name = name
        self.log = log
        super().__init__(f"{name} has ended by itself ({_words(status)})")


class Child:
    """One running child; output goes to a file."""

    def __init__(self, name: str, command: Sequence[str], *, log: Path, cwd: Path, environ: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=dict(environ),
                start_new_session=True,
                preexec_fn=_dies_with(os.getpid()),  # noqa: PLW1509 - this process has one thread when it starts children
            )

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its group."""
        return self._process.pid

    def check(self) -> None:
        """Raises ChildEnded when it does not run any more."""
        status = self._process.poll()
        if status is not None:
            raise ChildEnded(self.name, status, self.log)

    async def stop(self, patience_s: float) -> None:
        """Ask it to end; after `patience_s` seconds end it. Nothing of its group is left afterwards."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._process.wait, patience_s)
        self.kill()

    def kill(self) -> None:
        """End it and its group at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def tail(self, lines: int) -> list[str]:
        """Its last words."""
        return tail(self.log, lines)


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a file; none when it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.split("\n") if line.strip()][-lines:]


def _dies_with(parent: int) -> Callable[[], None]:
    """Runs in the child between fork and exec: SIGKILL it when its parent dies, also if that has happened already."""

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare


def _words(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-status).name}"
    return f"exit status {status}"
