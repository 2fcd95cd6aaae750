"""The hub's database: one SQLite file, one thread that writes, threads that read.

A change is one transaction holding the rows and the events that announce them. Events are handed to the loop in
commit order before the change is acknowledged to anybody. `synchronous=FULL`: what was acknowledged survives a power
cut too (measured 0.5 ms per commit on an SSD).

Plain threads and not SQLAlchemy's asyncio layer: a transaction is then one switch of threads instead of one for each
statement.
"""

import asyncio
import sqlite3
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from gatewright.hub.config import Clock
from gatewright.hub.migrating import migrate
from gatewright.hub.problems import HubStartError
from gatewright.hub.tables import SCHEMA_VERSION, events, meta
from gatewright.hub.vault import KEY_FILE, Unsealable, Vault
from gatewright.wire.envelope import encode_envelope
from gatewright.wire.times import Timestamp

T = TypeVar("T")

EVENT = "event"
"""Purpose under which the bodies of events with plain tokens are sealed."""

_READERS = 2
_VAULT_CHECK = "vault_check"
_PLAIN_TOKENS = ("subscription.",)

_INSERT_EVENT = insert(events)
"""Statements of the hot paths are built once: building one costs more than running it."""


class Published(msgspec.Struct, frozen=True):
    """An event that is committed: its sequence number, its gateway and the text that goes over the wire."""

    seq: int
    gateway_id: str
    body: str


class Schema(msgspec.Struct, frozen=True):
    """What a database file holds: its version, kept in SQLite's user_version, and how an earlier file gets there."""

    version: int
    migrate: Callable[[Connection, int], None]


HUB_SCHEMA: Final = Schema(SCHEMA_VERSION, migrate)


class Unit:
    """One transaction: its connection, its time, the vault, and the events that leave with it."""

    def __init__(self, connection: Connection, now: Timestamp, vault: Vault) -> None:
        self.connection = connection
        self.now = now
        self.vault = vault
        self.events: list[Published] = []

    def emit(self, gateway_id: str, kind: str, payload: object, *, user_id: str = "", correlation_id: str = "") -> None:
        """Announce something to one gateway, under a correlation id of its own unless one is given.

        Raises EventTooLarge, which undoes the whole transaction.
        """
        correlation_id = correlation_id or str(uuid.uuid4())
        body = encode_envelope(kind, payload, correlation_id=correlation_id, at=self.now, user_id=user_id)
        row = self.connection.execute(
            _INSERT_EVENT,
            {
                "gateway_id": gateway_id,
                "correlation_id": correlation_id,
                "type": kind,
                "action": _action(kind),
                "body": self.vault.seal(body, EVENT) if kind.startswith(_PLAIN_TOKENS) else body,
                "created_at": self.now.unix_ms,
            },
        )
        self.events.append(Published(int(row.lastrowid), gateway_id, body))


class Store:
    """Open from `open` to `close`. Both run on the event loop that later calls `read` and `write`."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        vault: Vault,
        on_events: Callable[[list[Published]], None],
        schema: Schema = HUB_SCHEMA,
    ) -> None:
        self.vault = vault
        self._path = path
        self._clock = clock
        self._on_events = on_events
        self._schema = schema
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._writer = ThreadPoolExecutor(1, "hub-write")
        self._readers = ThreadPoolExecutor(_READERS, "hub-read")

    async def open(self) -> None:
        """Open or make the file. Raises HubStartError."""
        await self._in(self._writer, self._open)

    async def close(self) -> None:
        """Wait for what is under way, then close the file."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._writer.shutdown)
        await loop.run_in_executor(None, self._readers.shutdown)
        if self._connection is not None:
            self._connection.close()
        if self._engine is not None:
            self._engine.dispose()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a reading thread, on the state of the last commit."""
        return await self._in(self._readers, lambda: self._read(work))

    async def write(self, work: Callable[[Unit], T]) -> T:
        """Run `work` as one transaction. An exception undoes all of it."""
        loop = asyncio.get_running_loop()
        return await self._in(self._writer, lambda: self._write(work, loop))

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def _open(self) -> None:
        engine = create_engine(f"sqlite:///{self._path}", connect_args={"check_same_thread": False})
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        try:
            with engine.begin() as connection:
                found = connection.execute(text("PRAGMA user_version")).scalar_one()
                _refuse_later_schema(self._path, found, self._schema.version)
                self._schema.migrate(connection, found)
                self._check_vault(connection)
        except SQLAlchemyError as error:
            engine.dispose()
            raise HubStartError(
                "HUB_DATABASE_UNUSABLE",
                f"The hub's database {self._path} cannot be opened: {_cause(error)}. "
                "Restore it from a backup, or move it away to start anew.",
            ) from error
        except HubStartError:
            engine.dispose()
            raise
        self._path.chmod(0o600)
        self._engine = engine

    def _check_vault(self, connection: Connection) -> None:
        known = connection.execute(select(meta.c.value).where(meta.c.key == _VAULT_CHECK)).scalar()
        if known is None:
            mark = self.vault.seal(_VAULT_CHECK, _VAULT_CHECK)
            connection.execute(insert(meta).values(key=_VAULT_CHECK, value=mark))
            return
        try:
            self.vault.unseal(known, _VAULT_CHECK)
        except Unsealable:
            raise HubStartError(
                "HUB_KEY_UNUSABLE",
                f"{self._path} was written with another key than the one in {KEY_FILE} beside it. "
                "Restore that file from a backup, or use another data directory.",
            ) from None

    def _read(self, work: Callable[[Connection], T]) -> T:
        with self._opened().connect() as connection:
            return work(connection)

    def _write(self, work: Callable[[Unit], T], loop: asyncio.AbstractEventLoop) -> T:
        connection = self._writing()
        with connection.begin():
            unit = Unit(connection, Timestamp(self._clock()).truncated_to_ms(), self.vault)
            result = work(unit)
        # Scheduled by the thread that committed, hence in commit order and ahead of the caller's own wake-up.
        if unit.events:
            loop.call_soon_threadsafe(self._on_events, unit.events)
        return result

    def _writing(self) -> Connection:
        """The writer's own connection, kept open between changes."""
        if self._connection is None:
            self._connection = self._opened().connect()
        return self._connection

    def _opened(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("the hub's store is not open")
        return self._engine


def _refuse_later_schema(path: Path, found: int, known: int) -> None:
    if found > known:
        raise HubStartError(
            "HUB_DATABASE_TOO_NEW",
            f"{path} was written by a later release (schema {found}, this one knows {known}). "
            "Start that release, or use another data directory.",
        )


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # SQLAlchemy begins transactions itself (`_begin`); the driver must not.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # The single writer never has to upgrade a read lock; readers are not blocked by it in WAL mode.
    connection.exec_driver_sql("BEGIN")


def _action(kind: str) -> str:
    """Class of an event in the log: CREATE, DELETE or UPDATE."""
    if kind.endswith((".created", ".deployed")):
        return "CREATE"
    return "DELETE" if kind.endswith((".deleted", ".undeployed")) else "UPDATE"


def _cause(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
