"""Keeps one Envoy process running: start, restart with backoff, drain, stop.

The child dies with its parent (parent-death signal), so that a killed gateway leaves no orphan behind.
"""

import asyncio
import ctypes
import os
import random
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

import msgspec

from gatewright.observability.logging import get_logger
from gatewright.router.admin import EnvoyAdmin
from gatewright.router.output import LONGEST_LINE, Output

FIRST_DELAY_S = 0.2
STABLE_AFTER_S = 10.0
TERMINATE_GRACE_S = 5.0
DRAIN_POLL_S = 0.1
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_log = get_logger(__name__)

State = Literal["stopped", "starting", "running", "waiting", "stopping"]


class Exit(msgspec.Struct, frozen=True):
    """How a process ended: its code (negative: a signal) and the reason in plain words."""

    code: int
    reason: str


class Supervisor:
    """Runs a command until told to stop. `delays` in seconds; `drain_s` bounds the wait for open requests."""

    def __init__(
        self, command: Sequence[str], admin: EnvoyAdmin, *, longest_delay_s: float = 30.0, drain_s: float = 15.0
    ) -> None:
        self.state: State = "stopped"
        self.restarts = 0
        self.last_exit: Exit | None = None
        self._command = list(command)
        self._admin = admin
        self._longest_delay_s = longest_delay_s
        self._drain_s = drain_s
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self._process.pid if self._process is not None else None

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever the state changes."""
        self._listeners.append(listener)

    async def start(self) -> None:
        """Begin; returns at once."""
        self._task = asyncio.create_task(self._run(), name="envoy-supervisor")

    async def stop(self) -> None:
        """Drain, then end the process: terminate, and kill when it does not listen."""
        self._become("stopping")
        process = self._process
        if process is not None and process.returncode is None:
            await self._drain()
            await _end(process)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._become("stopped")

    async def _run(self) -> None:
        delay = FIRST_DELAY_S
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            self.last_exit = await self._once()
            if self.state == "stopping":
                return
            if loop.time() - started > STABLE_AFTER_S:
                delay = FIRST_DELAY_S
            self._become("waiting")
            self.restarts += 1
            pause = delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads restarts, not a secret
            _log.error("Envoy ended, starting again", reason=self.last_exit.reason, in_seconds=round(pause, 2))
            await asyncio.sleep(pause)
            delay = min(delay * 2, self._longest_delay_s)

    async def _once(self) -> Exit:
        self._become("starting")
        output = Output()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=LONGEST_LINE,
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()),
            )
        except OSError as error:
            return Exit(127, f"{self._command[0]} cannot be started: {error.strerror}")
        self._process = process
        self._become("running")
        try:
            if process.stdout is not None:
                await output.follow(process.stdout)
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
        return Exit(code, _reason(code, output.last))

    async def _drain(self) -> None:
        if self._drain_s <= 0 or not await self._admin.drain():
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._drain_s
        while loop.time() < deadline:
            active = await self._admin.active_requests()
            if not active:
                return
            await asyncio.sleep(DRAIN_POLL_S)

    def _become(self, state: State) -> None:
        if self.state == "stopping" and state not in {"stopped", "stopping"}:
            return
        self.state = state
        for listener in self._listeners:
            listener()


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), TERMINATE_GRACE_S)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _die_with_parent(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare


def _reason(code: int, last: Sequence[str]) -> str:
    text = "\n".join(last)
    for line in reversed(last):
        if "Address already in use" in line or "cannot bind" in line:
            return f"a port is in use: {line.split('] ')[-1]}. Stop what listens there or set another port"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    critical = [line for line in last if "[critical]" in line]
    return critical[-1].split("] ")[-1] if critical else f"exit status {code}: {text[-300:]}"
