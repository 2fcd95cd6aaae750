"""Cuts connections whose server has not answered in time.

A statement on a half-open connection waits for ever: the driver has no timeout for an answer, and the kernel sees
nothing wrong where a proxy or a pooler still takes the bytes. A cut connection fails at once, and its thread goes on.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator


class Watchdog:
    """One thread for all connections of a store; started with the first that is watched."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._watched: dict[int, float] = {}
        self._thread: threading.Thread | None = None
        self._stopped = False

    @contextlib.contextmanager
    def watch(self, descriptor: int, seconds: float) -> Iterator[None]:
        """Cut the connection of this descriptor unless the block ends in time."""
        # Our own descriptor: the other may be closed meanwhile, and its number given to another connection.
        mine = os.dup(descriptor)
        with self._news:
            self._watched[mine] = time.monotonic() + seconds
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._run, name="store-watchdog", daemon=True)
                self._thread.start()
            self._news.notify()
        try:
            yield
        finally:
            with self._news:
                self._watched.pop(mine, None)
                os.close(mine)

    def stop(self) -> None:
        """End the thread; may be called twice."""
        with self._news:
            self._stopped = True
            self._news.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with self._news:
            while not self._stopped:
                now = time.monotonic()
                for descriptor in [mine for mine, deadline in self._watched.items() if deadline <= now]:
                    del self._watched[descriptor]
                    _cut(descriptor)
                first = min(self._watched.values(), default=None)
                self._news.wait(None if first is None else max(0.0, first - now))


def _cut(descriptor: int) -> None:
    """End both directions; the descriptor itself stays its owner's."""
    with contextlib.suppress(OSError):
        connection = socket.socket(fileno=os.dup(descriptor))
        with connection:
            connection.shutdown(socket.SHUT_RDWR)
