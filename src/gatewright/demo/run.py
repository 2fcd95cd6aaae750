"""The demo from start to end: ports, folder, processes, steps, and nothing left behind however it ends."""

import asyncio
import contextlib
import signal
import sys
import time
from typing import Final

import httpx2

from gatewright.demo.asking import NotHeld
from gatewright.demo.children import ChildEnded, tail
from gatewright.demo.parts import NotRegistered, Parts
from gatewright.demo.ports import Ports, PortTaken, settled
from gatewright.demo.screen import Screen
from gatewright.demo.story import Story
from gatewright.demo.workspace import Workspace, WorkspaceError, sweep
from gatewright.hub.apim.client import ApiManagerClientError
from gatewright.hub.client import HubClientError

__all__ = ["Ports", "run"]

HELD: Final = 0
FAILED: Final = 1
INTERRUPTED: Final = 130

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WATCH_S: Final = 0.5
_LOG_LINES: Final = 15


def run(wanted: Ports, *, once: bool, keep: bool = False) -> int:
    """Run it; the exit status: 0 every step held, 1 one did not, 130 interrupted before the last."""
    screen = Screen()
    try:
        sweep()
        ports = settled(wanted)
        with Workspace(keep=keep) as workspace:
            return asyncio.run(_run(workspace, ports, screen, once=once, keep=keep))
    except (PortTaken, WorkspaceError) as error:
        sys.stderr.write(f"error: {error}.\n")
        return FAILED


async def _run(workspace: Workspace, ports: Ports, screen: Screen, *, once: bool, keep: bool) -> int:
    parts = Parts(workspace, ports)
    story = Story(workspace, ports, parts, screen)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    try:
        _greet(screen, story, keep=keep)
        status = await _told(story, stopping, screen)
        if status == HELD and not once:
            status = await _stay(parts, stopping, screen)
        return status
    finally:
        await _end(story, parts, screen)


async def _told(story: Story, stopping: asyncio.Event, screen: Screen) -> int:
    """Run the steps; stop at the first that does not hold, or at a signal."""
    started = time.monotonic()
    telling, stopped = asyncio.create_task(story.run()), asyncio.create_task(stopping.wait())
    await asyncio.wait({telling, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not telling.done():
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
        screen.line()
        screen.line("Interrupted.")
        return INTERRUPTED
    try:
        telling.result()
    except (NotHeld, NotRegistered, HubClientError, ApiManagerClientError, httpx2.HTTPError) as error:
        _explain(screen, str(error) or type(error).__name__, story)
        return FAILED
    except ChildEnded as error:
        _explain(screen, str(error), story, only=error.name)
        return FAILED
    screen.line()
    screen.line(f"All {screen.steps} steps held, in {time.monotonic() - started:.1f} s.")
    return HELD


async def _stay(parts: Parts, stopping: asyncio.Event, screen: Screen) -> int:
    """Until a signal; 1 when a process ends by itself."""
    screen.line("Everything stays up for you to try; Ctrl-C stops it.")
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _WATCH_S)
            screen.line()
            return HELD
        try:
            parts.check()
        except ChildEnded as error:
            screen.line(f"{error}.")
            _show_log(screen, error.name, tail(error.log, _LOG_LINES))
            return FAILED


async def _end(story: Story, parts: Parts, screen: Screen) -> None:
    """Stop everything; a second Ctrl-C does it at once."""
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, parts.kill)
    try:
        await story.close()
        screen.line("Stopping everything.")
        await parts.stop()
    finally:
        parts.kill()


def _greet(screen: Screen, story: Story, *, keep: bool) -> None:
    screen.line("Gatewright demo: control planes, gateways with Envoy, and a backend, all on")
    screen.line("this machine. Below each step: the command that repeats it by hand.")
    screen.line("They need these variables in the other terminal:")
    screen.line()
    for name, value in story.variables.items():
        screen.line(f"  export {name}={value}")
    screen.line()
    if keep:
        screen.line("The folder $D is kept at the end; it holds configuration, state and logs.")
        screen.line()


def _explain(screen: Screen, what: str, story: Story, *, only: str = "") -> None:
    screen.line()
    screen.line(f"This step did not hold: {what}.")
    for name, log in story.logs.items():
        if not only or name == only:
            _show_log(screen, name, tail(log, _LOG_LINES))
    screen.line("With --keep, the folder with all logs stays.")


def _show_log(screen: Screen, name: str, lines: list[str]) -> None:
    if lines:
        screen.line(f"The last words of the {name}:")
        for text in lines:
            screen.line(f"  {text}")
