"""Everything that only SQLite needs: connecting, the begin of a transaction, the meaning of its errors."""

import os
import sqlite3
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from gatewright.store.backend import Backend
from gatewright.store.errors import StoreUnavailable
from gatewright.store.lock import FileLock, lock_of

BUSY_TIMEOUT_S = 5.0
_CACHE_KIB = 8192

_ADVICE = {
    "SQLITE_FULL": ("the disk is full", "Free space on it; the next write is tried anew, no restart is needed."),
    "SQLITE_IOERR": (
        "the disk refuses to read or write",
        "Check the disk, its quota and the size limits of this user.",
    ),
    "SQLITE_READONLY": ("the database is read-only", "Make the file and its directory writable for this user."),
    "SQLITE_CANTOPEN": ("the file cannot be opened", "Make its directory exist and writable for this user."),
    "SQLITE_PERM": ("access is denied", "Make the file and its directory writable for this user."),
    "SQLITE_BUSY": ("another program has locked the database", "Close the program that has the file open."),
    "SQLITE_LOCKED": ("another program has locked the database", "Close the program that has the file open."),
    "SQLITE_CORRUPT": (
        "the database is damaged",
        "Stop the gateway, keep a copy of the file and restore a backup; the routers go on with what they have.",
    ),
    "SQLITE_NOTADB": (
        "the file is not a database",
        "Move it away and restore a backup, or set another storage path.",
    ),
}


def sqlite_path(url_or_path: str | Path) -> Path:
    """The file that a path or a `sqlite:///` URL names. Raises StoreUnavailable for other URLs."""
    text = str(url_or_path)
    if text.startswith("sqlite:///"):
        text = text.removeprefix("sqlite:///")
    elif "://" in text:
        raise StoreUnavailable(
            f"storage of type {text.partition(':')[0]!r} is not supported",
            "Use a file path, sqlite:///path or postgresql://user@host/database for the storage.",
        )
    if not text or text.startswith(":memory:"):
        raise StoreUnavailable("the storage path is empty", "Set the path of a database file.")
    return Path(text).absolute()


class SqliteBackend(Backend):
    """A database file of one process."""

    readers = 2

    def __init__(self, path: Path) -> None:
        self.path: Path = path
        self.where = str(path)
        self._lock: FileLock | None = None

    def open(self) -> None:
        """Make the file and take its directory. Raises StoreInUse, StoreUnavailable."""
        _prepare_file(self.path)
        self._lock = FileLock(lock_of(self.path))

    def writer_engine(self) -> Engine:
        """Its transactions take the write lock at their begin."""
        return _engine(self.path, readers=0)

    def reader_engine(self) -> Engine:
        """See Backend."""
        return _engine(self.path, readers=self.readers)

    def unavailable(self, problem: DBAPIError) -> StoreUnavailable:
        """See Backend."""
        return unavailable(problem, self.path)

    def release(self) -> None:
        """Give the directory free."""
        if self._lock is not None:
            self._lock.release()


def _prepare_file(path: Path) -> None:
    """Make the directory and an empty database file that only this user can read. Raises StoreUnavailable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as problem:
        raise StoreUnavailable(
            f"cannot open the database {path}: {problem.strerror}",
            "Make the file and its directory writable for this user, or set another storage path.",
        ) from problem


def _engine(path: Path, *, readers: int) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
        poolclass=QueuePool,
        pool_size=readers or 1,
        max_overflow=0,
        pool_reset_on_return=None,
    )
    begin = "BEGIN" if readers else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own idea of transactions leaves DDL and SELECT outside of them.
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"cache_size=-{_CACHE_KIB}",
            "temp_store=MEMORY",
            *(("query_only=ON",) if readers else ()),
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def unavailable(problem: DBAPIError | sqlite3.Error, path: Path) -> StoreUnavailable:
    """What a driver error means for people."""
    origin = problem.orig if isinstance(problem, DBAPIError) else problem
    name = str(getattr(origin, "sqlite_errorname", "") or "")
    family = "_".join(name.split("_")[:2])
    what, advice = _ADVICE.get(family, ("the database refuses the statement", "See the log for its own words."))
    return StoreUnavailable(f"{what}: {path} ({origin})", advice)
