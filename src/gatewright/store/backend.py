"""What the store asks of a database. SQLite and PostgreSQL each have a module of their own."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from gatewright.store.controllers import LiveController
from gatewright.store.errors import StoreUnavailable

News = Callable[[], None]
"""Another process has committed something, or may have."""

Held = Callable[[bool], None]
"""Whether this process is the one that works for all that share the database."""


class Backend:
    """One database, seen from one process. The methods without words here do nothing where a file is enough.

    All of them block and are called from threads of the store.
    """

    where = ""
    """The database, for people; no secrets."""

    path: Path | None = None
    """Its file, if it is one."""

    is_shared = False
    """Whether several processes may use it at the same time."""

    id = ""
    """Of this process among those that share the database."""

    readers = 1
    """Transactions that read at the same time."""

    patience_s = 0.0
    """How long a lost connection is tried again before its transaction is given up."""

    opening_patience_s = 0.0
    """The same at the start, when a server may still be starting itself."""

    def open(self) -> None:
        """Before anything else. Raises StoreInUse, StoreUnavailable."""

    def writer_engine(self) -> Engine:
        """One connection for the writer thread."""
        raise NotImplementedError

    def reader_engine(self) -> Engine:
        """Connections that cannot write; each transaction sees one moment."""
        raise NotImplementedError

    def unavailable(self, problem: DBAPIError) -> StoreUnavailable:
        """What a driver error means for people."""
        raise NotImplementedError

    def is_lost(self, problem: DBAPIError) -> bool:  # noqa: ARG002 - a file has no connection to lose
        """Whether the connection is gone and the transaction may be tried again on another."""
        return False

    def lock_schema(self, connection: Connection) -> None:
        """Until the transaction ends nobody else migrates."""

    def watched(self, connection: Connection, *, writing: bool) -> AbstractContextManager[object]:  # noqa: ARG002
        """A server that no longer answers must not hold a thread for ever."""
        return contextlib.nullcontext()

    def begun(self, connection: Connection) -> None:
        """A writing transaction has begun: from now on no other of this gateway runs."""

    def committing(self, connection: Connection, token: str) -> None:
        """Its last statements: leave `token` behind, tell the others."""

    def has_committed(self, connection: Connection, token: str) -> bool:  # noqa: ARG002
        """Whether the transaction that left `token` behind was committed, although nobody said so."""
        return False

    def live(self, connection: Connection) -> list[LiveController]:  # noqa: ARG002
        """The processes that share the database, this one among them."""
        return []

    def report(self, connection: Connection, report: object) -> None:
        """Leave plain data behind for the others."""

    def leave(self, connection: Connection) -> None:
        """This process ends."""

    def follow(self, news: News, held: Held) -> None:  # noqa: ARG002
        """Tell of others' commits and of the hold until `release`. A file belongs to one process: it holds it."""
        held(True)

    def release(self) -> None:
        """Give everything back. May be called twice."""
