"""The shell around the link's machine: does what it says and tells it what happened.

Sockets, tasks and a timer, no rules. The reader only reads: what it gives to `on_event` must go into a queue. Belongs
to one event loop.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any, Final, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gatewright.controlplane.credentials import Credentials
from gatewright.controlplane.discovery import discover
from gatewright.controlplane.link import Link, State
from gatewright.controlplane.problems import Problem
from gatewright.controlplane.rest import Rest
from gatewright.controlplane.signals import (
    Discover,
    Discovered,
    Dispatch,
    Drop,
    Effect,
    Ended,
    Failed,
    Input,
    Linked,
    Open,
    Opened,
    OpenFailed,
    Pinged,
    Received,
    Remember,
    RetryNow,
    Start,
    Stop,
    Tick,
    Unlinked,
)
from gatewright.controlplane.trust import TlsUnusable, Trust, certificate_end
from gatewright.controlplane.websocket import OPEN_ERRORS, open_failure, open_socket
from gatewright.observability.logging import get_logger
from gatewright.wire.paths import websocket_url

_SEND_TIMEOUT: Final = 10.0
_STOP_TIMEOUT: Final = 3.0
TOKEN_CHECK: Final = 5.0
"""Seconds between two looks at the token while there is none, or it is refused."""
_FAIRNESS: Final = 100
"""Messages read in one go before others get their turn."""

_NO_TOKEN: Final = Problem(
    "LINK_TOKEN_UNUSABLE",
    "there is no registration token that can be sent",
    "Set controller.controlplane.token to the token that the control plane gave for this gateway.",
    refusal=True,
)
_log = get_logger(__name__)


class Observer(Protocol):
    """Who hears of the link. Nothing here may block."""

    def on_linked(self, linked: Linked) -> None:
        """The connection is acknowledged."""
        ...

    def on_unlinked(self) -> None:
        """An acknowledged connection is over."""
        ...

    def on_event(self, text: str) -> None:
        """A text message arrived."""
        ...

    def on_failed(self, problem: Problem, delay: float) -> None:
        """An attempt or a connection failed; the next attempt is in `delay` seconds."""
        ...

    def on_state(self, state: State) -> None:
        """The state is another one."""
        ...


class Connection:
    """One gateway's connection. `remember` keeps the discovered path over restarts."""

    def __init__(
        self,
        host: str,
        link: Link,
        *,
        rest: Rest,
        trust: Trust,
        credentials: Credentials,
        observer: Observer,
        remember: Callable[[str], Awaitable[None]],
    ) -> None:
        self._host = host
        self._link = link
        self._rest = rest
        self._trust = trust
        self._credentials = credentials
        self._observer = observer
        self._remember = remember
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._attempt: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None
        self._timer: asyncio.Handle | None = None
        self._armed_for: float | None = None
        self._shown = link.state
        self.certificate_end: datetime | None = None

    def start(self) -> None:
        """Begin to connect."""
        self._feed(Start())

    async def stop(self) -> None:
        """Say goodbye where there is a connection, and end all tasks; at most some seconds."""
        self._feed(Stop())
        if self._closing:
            await asyncio.wait(self._closing, timeout=_STOP_TIMEOUT)
        rest = list(self._tasks)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def retry_now(self) -> None:
        """Do not wait for the next attempt."""
        self._feed(RetryNow())

    async def send(self, text: str) -> bool:
        """Send a text message; False when there is no acknowledged connection or it does not take it in time."""
        socket = self._socket
        if socket is None or self._link.state is not State.CONNECTED:
            return False
        try:
            async with asyncio.timeout(_SEND_TIMEOUT):
                await socket.send(text)
        except (ConnectionClosed, TimeoutError, OSError):
            return False
        return True

    # -- machine and effects -------------------------------------------------------------------------------------------

    def _feed(self, item: Input) -> None:
        loop = asyncio.get_running_loop()
        for effect in self._link.handle(item, loop.time()):
            self._perform(effect)
        if self._link.state is not self._shown:
            self._shown = self._link.state
            self._observer.on_state(self._shown)
        self._arm(loop)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        deadline = self._link.deadline
        if self._timer is not None:
            # The handle itself cannot be asked: uvloop gives one without a time for what is due at once.
            if self._armed_for == deadline and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._armed_for = deadline
        self._timer = None if deadline is None else loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._feed(Tick())

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Dispatch(text):
                self._observer.on_event(text)
            case Discover(attempt):
                self._run(self._discover(attempt))
            case Open(attempt, path):
                self._attempt = self._run(self._open(attempt, path))
            case Drop(_, code, reason):
                self._drop(code, reason)
            case Linked():
                self._observer.on_linked(effect)
            case Unlinked():
                self._observer.on_unlinked()
            case Remember(path):
                self._run(self._keep(path))
            case Failed(problem, delay):
                self._observer.on_failed(problem, delay)
                if problem.refusal:
                    self._run(self._watch_token(self._link.attempt))

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _drop(self, code: int | None, reason: str) -> None:
        socket, self._socket = self._socket, None
        if socket is None:
            if self._attempt is not None:
                self._attempt.cancel()
        elif code is None:
            socket.transport.abort()
        else:
            task = self._run(_close(socket, code, reason))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    # -- tasks ---------------------------------------------------------------------------------------------------------

    async def _discover(self, attempt: int) -> None:
        try:
            await self._prepare()
            answer = await discover(self._rest, attempt)
        except TlsUnusable as error:
            answer = Discovered(attempt, "unreachable", problem=error.problem)
        self._feed(answer)

    async def _prepare(self) -> ssl.SSLContext:
        """Token and TLS files as they are now."""
        await self._credentials.read()
        context = await asyncio.to_thread(self._trust.context)
        await self._rest.use_tls(context)
        return context

    async def _open(self, attempt: int, path: str) -> None:
        try:
            context = await self._prepare()
        except TlsUnusable as error:
            self._feed(OpenFailed(attempt, error.problem))
            return
        if not self._credentials.usable():
            self._feed(OpenFailed(attempt, _NO_TOKEN))
            return

        url = websocket_url(self._host, path)
        try:
            socket = await open_socket(url, self._credentials.token, context, lambda: self._feed(Pinged(attempt)))
        except OPEN_ERRORS as error:
            self._feed(open_failure(attempt, error, self._host))
            return
        if attempt != self._link.attempt:
            socket.transport.abort()
            return
        self._socket = socket
        self.certificate_end = certificate_end(socket.transport.get_extra_info("ssl_object"))
        self._rest.use_path(path)
        self._feed(Opened(attempt))
        await self._read(attempt, socket)

    async def _read(self, attempt: int, socket: ClientConnection) -> None:
        count = 0
        try:
            while True:
                self._feed(Received(attempt, await socket.recv()))
                count += 1
                if count % _FAIRNESS == 0:
                    await asyncio.sleep(0)
        except ConnectionClosed:
            pass
        finally:
            if self._socket is socket:
                self._socket = None
        self._feed(Ended(attempt, _code(socket.close_code), socket.close_reason or ""))

    async def _keep(self, path: str) -> None:
        try:
            await self._remember(path)
        except Exception as error:  # noqa: BLE001 - without it only the next start is a little less sure
            _log.warning("the path of the control plane was not kept", error=str(error))

    async def _watch_token(self, attempt: int) -> None:
        """A new token need not wait for the next attempt."""
        while self._link.attempt == attempt and self._link.waiting:
            await asyncio.sleep(TOKEN_CHECK)
            if await self._credentials.read() and self._link.attempt == attempt:
                self.retry_now()


def _code(code: int | None) -> int | None:
    """The code of a close frame; 1005 and 1006 only ever stand for its absence."""
    return None if code in {1005, 1006} else code


async def _close(socket: ClientConnection, code: int, reason: str) -> None:
    with contextlib.suppress(ConnectionClosed, OSError, TimeoutError):
        await socket.close(code, reason)
