"""Keeps one Envoy process running: start, restart with backoff, drain, stop.

The child has its own process group, so that a Ctrl-C at the terminal reaches it only through us, and dies with its
parent (`launcher.py`), so that a killed gateway leaves no orphan that holds the ports.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias

import msgspec

from gatewright.observability.logging import get_logger
from gatewright.router.launcher import CANNOT_EXECUTE
from gatewright.router.output import LONGEST_LINE, LogLines, Problem, pass_through

FIRST_DELAY_S: Final = 0.1
STABLE_AFTER_S: Final = 30.0
"""A run of this length clears the memory of earlier crashes."""

TERMINATE_GRACE_S: Final = 5.0

LAST_WORDS_S: Final = 2.0
"""How long the output of an ended process is waited for."""

State: TypeAlias = Literal["stopped", "starting", "running", "waiting", "stopping"]

_LAUNCHER: Final = Path(__file__).with_name("launcher.py")
_log = get_logger(__name__)


class Exit(msgspec.Struct, frozen=True):
    """How a process ended: its status (negative: a signal), in plain words, and the known problem behind it."""

    status: int
    reason: str
    problem: Problem | None = None


class Supervisor:
    """Runs a command until told to stop.

    `longest_delay_s` bounds the wait before a restart. `access_log` gets what the command writes to its standard output
    (None: our own standard output).
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        longest_delay_s: float = 30.0,
        access_log: BinaryIO | None = None,
        stable_after_s: float = STABLE_AFTER_S,
    ) -> None:
        self.state: State = "stopped"
        self.restarts = 0
        self.last_exit: Exit | None = None
        self._command = list(command)
        self._longest_delay_s = longest_delay_s
        self._stable_after_s = stable_after_s
        self._access_log = access_log
        self._process: asyncio.subprocess.Process | None = None
        self._lines = LogLines()
        self._spawned = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    @property
    def problem(self) -> Problem | None:
        """The known reason why the last run ended, while no new one works."""
        ended = self.state in {"waiting", "starting"} and self.last_exit is not None
        return self.last_exit.problem if ended and self.last_exit is not None else None

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever `state` changes."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Begin; returns at once. Must be called in the thread that lives as long as the child should."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="envoy-supervisor")

    async def stop(self, drain: Callable[[], Awaitable[None]] | None = None) -> None:
        """Drain, then terminate, and kill what does not listen. Safe to call again."""
        starting = self.state == "starting"
        self._become("stopping")
        if starting:
            await self._spawned.wait()
        process = self._process
        if process is not None and process.returncode is None:
            if drain is not None:
                await drain()
            await _end(process)
            if self._task is not None:
                # It ends by itself when it has read the last words.
                await asyncio.wait({self._task}, timeout=LAST_WORDS_S)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._become("stopped")

    async def _run(self) -> None:
        delay = FIRST_DELAY_S
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self.last_exit = await self._once()
            if self.state == "stopping":
                return
            if loop.time() - began >= self._stable_after_s:
                delay = FIRST_DELAY_S
            pause = delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads restarts, guards no secret
            delay = min(delay * 2, self._longest_delay_s)
            self.restarts += 1
            self._become("waiting")
            _log.error("Envoy ended and is started again", reason=self.last_exit.reason, in_seconds=round(pause, 2))
            await asyncio.sleep(pause)

    async def _once(self) -> Exit:
        self._spawned.clear()
        self._become("starting")
        self._lines = LogLines()
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), *self._command,
                stdin=asyncio.subprocess.DEVNULL, stdout=writing, stderr=asyncio.subprocess.PIPE,
                limit=LONGEST_LINE, start_new_session=True,  # uvloop knows no process_group
            )  # fmt: skip
            self._process = process
        except OSError as error:
            os.close(reading)
            return Exit(CANNOT_EXECUTE, f"cannot start a process: {error.strerror}")
        finally:
            os.close(writing)
            self._spawned.set()
        pass_through(reading, self._access_log or sys.stdout.buffer)
        self._become("running")
        try:
            status = await self._follow(process)
        finally:
            if process.returncode is None:
                _signal(process, signal.SIGKILL)
        return Exit(status, _reason(status, self._lines), self._lines.problem)

    async def _follow(self, process: asyncio.subprocess.Process) -> int:
        """Log what the child says until it ends."""
        if process.stderr is None:
            return await process.wait()
        following = asyncio.create_task(self._lines.follow(process.stderr))
        try:
            status = await process.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await following
        finally:
            following.cancel()
        return status

    def _become(self, state: State) -> None:
        if self.state == "stopping" and state not in {"stopped", "stopping"}:
            return
        self.state = state
        for listener in tuple(self._listeners):
            listener()


async def _end(process: asyncio.subprocess.Process) -> None:
    _signal(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(TERMINATE_GRACE_S):
            await process.wait()
    except TimeoutError:
        _log.warning("Envoy does not stop and is killed", pid=process.pid)
        _signal(process, signal.SIGKILL)
        await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """To the child's whole process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _reason(status: int, lines: LogLines) -> str:
    if lines.problem is not None:
        return lines.problem.message
    last = lines.last[-1] if lines.last else ""
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return f"killed by {name}"
    return f"exit status {status}: {last[:300]}" if last else f"exit status {status}"
