"""Everything that only PostgreSQL needs: connecting, the order of commits, the meaning of its errors.

Writing transactions of one gateway run one after another, whichever process they are of, as they do with SQLite: each
begins by taking a lock that the server gives free once its commit can be seen. Therefore sequence numbers become
visible in their order, and a check in a transaction holds until its commit.
"""

import os
import socket
import time
import uuid
from contextlib import AbstractContextManager
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, exc, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from gatewright.store import controllers, postgres_text  # noqa: F401 - the types of columns
from gatewright.store.backend import Backend, Held, News
from gatewright.store.controllers import LiveController, Me
from gatewright.store.errors import StoreUnavailable
from gatewright.store.postgres_locks import SCHEMA, locks_of
from gatewright.store.postgres_session import Session
from gatewright.store.postgres_target import PostgresTarget
from gatewright.store.watchdog import Watchdog

MOST_READERS: Final = 4
WRITE_S: Final = 30.0
"""Seconds in which the server has to answer everything of one writing transaction."""

READ_S: Final = 90.0
_PATIENCE_S: Final = 10.0
_OPENING_PATIENCE_S: Final = 30.0
_LOCK_S: Final = 10
_SETTINGS: Final = (
    # A process that stands still in a transaction must not keep the others from writing.
    f"SET lock_timeout = '{_LOCK_S}s'; SET idle_in_transaction_session_timeout = '10s'; SET statement_timeout = '60s';"
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3;"
)
_READING: Final = "SET default_transaction_isolation = 'repeatable read'; SET default_transaction_read_only = on;"
_CHECK: Final = "Check that the server runs and can be reached, and controller.storage.postgres."
_ADVICE: Final = {
    "28": ("the server refuses the user", "Check user, password and pg_hba.conf of the server."),
    "3D": ("there is no such database", "Create it, or correct the name in controller.storage.postgres."),
    "53100": ("the disk of the server is full", "Free space on it; the next write is tried anew."),
    "53300": ("the server takes no further connections", "Raise its max_connections, or lower max_open_conns here."),
    "53": ("the server is short of resources", "See its log."),
    "42501": (
        "the user has too few rights",
        (
            "Let the owner of the database run the output of `gatewright store schema`, and grant this user SELECT, "
            "INSERT, UPDATE and DELETE on all its tables and USAGE on its sequences."
        ),
    ),
    "42P01": (
        "a table is missing",
        "Restore the database from a backup, or run the output of `gatewright store schema`.",
    ),
    "25006": ("the server takes no writes (a standby?)", "Name the primary, or all servers separated by commas."),
    "55P03": ("another process of this gateway holds the database for too long", "See the logs of the others."),
    "57014": ("the server took too long", "See its log and its load."),
    "22": ("the database cannot hold a value", "See the server's own words."),
}
_LOST: Final = ("08", "57P", "25006", "55P03", "40001", "40P01", "53300")
_WORDS: Final = (
    ("password authentication failed", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ("no password supplied", "28P01"),
    ("is not permitted to log in", "28000"),
    ('role "', "28000"),
    ('database "', "3D000"),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
    ("too many connections", "53300"),
)
"""While a connection is made the driver passes on the server's words, but not its code."""

_TOLD: Final = text("SELECT pg_notify(:channel, :me)")
_LOCK: Final = text("SELECT pg_advisory_xact_lock(:key)")


class PostgresBackend(Backend):
    """A database that several processes share."""

    is_shared = True
    patience_s = _PATIENCE_S
    opening_patience_s = _OPENING_PATIENCE_S

    def __init__(self, target: PostgresTarget, *, gateway_id: str) -> None:
        self.where = target.where
        self.id = uuid.uuid4().hex
        self.readers = max(1, min(MOST_READERS, target.max_connections - 2))
        self.locks = locks_of(gateway_id, self.id)
        name = f"{socket.gethostname()}:{os.getpid()}"
        self.me = Me(gateway_id, self.id, name, self.locks.process, controllers.microseconds())
        self._target = target
        self._watchdog = Watchdog()
        self._session: Session | None = None

    def writer_engine(self) -> Engine:
        """See Backend."""
        return self._engine(1, _SETTINGS)

    def reader_engine(self) -> Engine:
        """See Backend."""
        return self._engine(self.readers, _SETTINGS + _READING)

    def unavailable(self, problem: DBAPIError) -> StoreUnavailable:
        """See Backend."""
        return unavailable(problem.orig or problem, self.where)

    def is_lost(self, problem: DBAPIError) -> bool:
        """See Backend."""
        if problem.connection_invalidated:
            return True
        if isinstance(problem, exc.OperationalError | exc.InterfaceError) and not _state(problem.orig):
            return True
        return _state(problem.orig).startswith(_LOST)

    def lock_schema(self, connection: Connection) -> None:
        """See Backend."""
        connection.execute(_LOCK, {"key": SCHEMA})

    def watched(self, connection: Connection, *, writing: bool) -> AbstractContextManager[object]:
        """See Backend."""
        driver: Any = connection.connection.driver_connection
        return self._watchdog.watch(driver.fileno(), WRITE_S if writing else READ_S)

    def begun(self, connection: Connection) -> None:
        """See Backend."""
        connection.execute(_LOCK, {"key": self.locks.write})

    def committing(self, connection: Connection, token: str) -> None:
        """See Backend."""
        controllers.say(connection, self.me, token=token)
        connection.execute(_TOLD, {"channel": self.locks.channel, "me": self.me.id})

    def has_committed(self, connection: Connection, token: str) -> bool:
        """See Backend."""
        return controllers.last_token(connection, self.me) == token

    def live(self, connection: Connection) -> list[LiveController]:
        """See Backend."""
        return controllers.live(connection, self.me, self.locks)

    def report(self, connection: Connection, report: object) -> None:
        """See Backend."""
        controllers.say(connection, self.me, report=report)

    def leave(self, connection: Connection) -> None:
        """See Backend."""
        controllers.forget(connection, self.me)

    def follow(self, news: News, held: Held) -> None:
        """See Backend."""
        self._session = Session(
            self._connect_for_session, self.locks, self._watchdog, me=self.me.id, news=news, held=held
        )
        self._session.start()

    def release(self) -> None:
        """See Backend."""
        if self._session is not None:
            self._session.stop()
        self._watchdog.stop()

    def _engine(self, size: int, settings: str) -> Engine:
        engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: self._connected(settings),
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=0,
            pool_recycle=max(1, round(self._target.lifetime_s)),
            use_native_hstore=False,
        )
        idle = self._target.idle_s

        @event.listens_for(engine, "checkin")
        def used(_connection: object, record: ConnectionPoolEntry) -> None:
            record.info["used_at"] = time.monotonic()

        @event.listens_for(engine, "checkout")
        def wanted(_connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
            if time.monotonic() - record.info.get("used_at", time.monotonic()) > idle:
                raise exc.DisconnectionError

        return engine

    def _connected(self, settings: str) -> "psycopg.Connection[Any]":
        connection = psycopg.connect(self._target.conninfo.get_secret_value())
        try:
            with self._watchdog.watch(connection.fileno(), WRITE_S):
                connection.autocommit = True
                connection.execute(settings.encode())
                connection.autocommit = False
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_for_session(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self._target.conninfo.get_secret_value(), autocommit=True)


def unavailable(problem: BaseException, where: str) -> StoreUnavailable:
    """What a driver error means for people."""
    state = _state(problem)
    words = " ".join(str(problem).split())
    what, advice = next(
        (meaning for start, meaning in _ADVICE.items() if state.startswith(start)),
        ("the server cannot be reached", _CHECK)
        if not state or state.startswith(("08", "57P"))
        else ("the database refuses the statement", "See the log for its own words."),
    )
    return StoreUnavailable(f"{what}: {where} ({words})", advice)


def _state(problem: BaseException | None) -> str:
    """The server's code for what happened; empty where there is none."""
    code = str(getattr(problem, "sqlstate", None) or "")
    if code or not isinstance(problem, psycopg.OperationalError):
        return code
    words = str(problem)
    return next((meant for said, meant in _WORDS if said in words), "") if "FATAL:" in words else ""
