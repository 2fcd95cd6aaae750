"""Runs the parts of a process in the foreground: start in order, wait for a signal, stop in reverse order."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

import uvloop

from gatewright.observability.logging import get_logger

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_log = get_logger(__name__)


class Part(Protocol):
    """Something that runs until it is stopped."""

    async def start(self) -> None:
        """Returns when it works. Raises what keeps it from working."""
        ...

    async def stop(self) -> None:
        """Ends it, within a bounded time."""
        ...


def _nothing() -> None:
    """What most do once all parts have started."""


def run(
    parts: Callable[[], Sequence[Part]],
    ready: str,
    *,
    expected: tuple[type[Exception], ...],
    started: Callable[[], None] = _nothing,
) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code.

    `parts` makes them inside the event loop. `ready` is logged, and `started` called, when all have started.
    `expected` errors at the start are told in one line; others are faults of ours and keep their trace.
    """
    return uvloop.run(_run(parts, ready, expected, started))


async def _run(
    parts: Callable[[], Sequence[Part]],
    ready: str,
    expected: tuple[type[Exception], ...],
    tell_started: Callable[[], None],
) -> int:
    signalled = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, signalled.set)
    started: list[Part] = []
    try:
        for part in parts():
            starting = asyncio.create_task(part.start())
            if not await _before(starting, signalled):
                return 0
            started.append(part)
        tell_started()
        _log.info(ready)
        await signalled.wait()
    except expected as error:
        print(f"gatewright: {error}", file=sys.stderr)
        return EXIT_FAILED
    else:
        return 0
    finally:
        for part in reversed(started):
            await _stopped(part)


async def _stopped(part: Part) -> None:
    """One part that cannot stop must not keep the others from stopping."""
    try:
        await part.stop()
    except Exception:  # noqa: BLE001 - told, and the next part is stopped
        _log.exception("a part of the process did not stop cleanly", part=type(part).__name__)


async def _before(starting: "asyncio.Task[None]", signalled: asyncio.Event) -> bool:
    """Wait for a part to start; False when a signal came first."""
    signal_wait = asyncio.create_task(_signal(signalled))
    await asyncio.wait([starting, signal_wait], return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        signal_wait.cancel()
        starting.result()
        return True
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
    return False


async def _signal(signalled: asyncio.Event) -> None:
    await signalled.wait()
