"""The connection that a process keeps open to PostgreSQL: it hears of commits, shows that it lives, holds the hold.

The server judges who lives, with its own clock and no other: it ends a session from which nothing has come for
`IDLE_S`, and with it goes the hold, whether the process has died, stands still, or cannot be reached. A holder that
gets no answer for `ANSWER_S` steps down before that, so that there are never two.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

import psycopg

from gatewright.observability.logging import get_logger
from gatewright.store.backend import Held, News
from gatewright.store.postgres_locks import Locks
from gatewright.store.watchdog import Watchdog

BEAT_S: Final = 1.0
ANSWER_S: Final = 3.0
IDLE_S: Final = 6
"""More than `BEAT_S` and `ANSWER_S` together: the holder gives up before the server takes the hold from it."""

_LOOK_S: Final = 0.25
_FIRST_DELAY_S: Final = 0.2
_LONGEST_DELAY_S: Final = 2.0
_FIRST_WITH_IDLE_TIMEOUT: Final = 140000
_log = get_logger(__name__)

Connect = Callable[[], "psycopg.Connection[tuple[object, ...]]"]


class Session(threading.Thread):
    """Reconnects for ever until it is stopped. `news` and `held` are called from its thread and must not block."""

    def __init__(self, connect: Connect, locks: Locks, watchdog: Watchdog, *, me: str, news: News, held: Held) -> None:
        super().__init__(name="store-session", daemon=True)
        self._connect = connect
        self._locks = locks
        self._watchdog = watchdog
        self._me = me
        self._news = news
        self._held = held
        self._holding = False
        self._ending = threading.Event()
        self._lost = False

    def stop(self) -> None:
        """Close the connection, and with it give the hold free. Waits for the thread."""
        self._ending.set()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """The thread."""
        delay = _FIRST_DELAY_S
        while not self._ending.is_set():
            started = time.monotonic()
            try:
                self._live()
            except (psycopg.Error, OSError) as problem:
                if not self._lost:
                    _log.warning(
                        "the session with the database is lost; others may take over", why=_first_line(problem)
                    )
                self._lost = True
            self._tell(holding=False)
            delay = _FIRST_DELAY_S if time.monotonic() - started > _LONGEST_DELAY_S else delay * 2
            self._ending.wait(min(delay, _LONGEST_DELAY_S))

    def _live(self) -> None:
        with self._connect() as connection:
            self._begin(connection)
            if self._lost:
                _log.info("there is a session with the database again")
            self._lost = False
            # What was committed while nobody listened.
            self._news()
            beat_at = 0.0
            while not self._ending.is_set():
                if time.monotonic() >= beat_at:
                    self._beat(connection)
                    beat_at = time.monotonic() + BEAT_S
                for notice in connection.notifies(timeout=_LOOK_S):
                    if notice.payload != self._me:
                        self._news()
                    if time.monotonic() >= beat_at:
                        break

    def _begin(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        wanted = [f"LISTEN {self._locks.channel}", self._locks.show_life]
        if connection.info.server_version >= _FIRST_WITH_IDLE_TIMEOUT:
            wanted.insert(0, f"SET idle_session_timeout = '{IDLE_S}s'")
        with self._watchdog.watch(connection.fileno(), ANSWER_S):
            for statement in wanted:
                connection.execute(statement.encode())

    def _beat(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        """Tell the server that this process lives; take the hold when it is free."""
        with self._watchdog.watch(connection.fileno(), ANSWER_S):
            row = connection.execute(b"SELECT true" if self._holding else self._locks.try_hold.encode()).fetchone()
        if row is not None and row[0] is True:
            self._tell(holding=True)

    def _tell(self, *, holding: bool) -> None:
        if holding != self._holding:
            self._holding = holding
            self._held(holding)


def _first_line(problem: Exception) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]
