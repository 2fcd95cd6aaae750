"""The store: one writer thread that commits, a few reader threads, and the news of committed changes.

Transactions are plain functions on a SQLAlchemy connection. They run in the store's threads, so that a transaction of
five statements crosses threads once and not five times, and so that no task of the event loop waits for the disk.
Writes that wait together share one commit: each has a savepoint of its own, all are on disk before any is answered.
"""

import asyncio
import contextlib
import itertools
import queue
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from gatewright.observability import tracing
from gatewright.observability.logging import get_logger
from gatewright.store import meta
from gatewright.store.backend import Backend
from gatewright.store.controllers import LiveController
from gatewright.store.encryption import KeyRing
from gatewright.store.errors import KeyFileError, StoreClosed, StoreUnavailable
from gatewright.store.migrating import migrate
from gatewright.store.postgres_target import PostgresTarget, is_postgres
from gatewright.store.rows import ChangeRow
from gatewright.store.sqlite import SqliteBackend, sqlite_path

T = TypeVar("T")

_LARGEST_BATCH = 64
_QUEUE_LIMIT = 10_000
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0
_log = get_logger(__name__)


_URGENT, _ORDINARY, _END = range(3)


class _Job(Generic[T]):
    """A transaction on its way: what to do, and where its outcome goes."""

    def __init__(self, work: Callable[[Connection], T]) -> None:
        self.work = work
        self.future: Future[T] = Future()
        self.result: T
        self.error: Exception | None = None

    def run(self, connection: Connection) -> None:
        """Run inside a transaction that the caller commits. Raises what `work` raises."""
        self.error = None
        self.result = self.work(connection)

    def answer(self) -> None:
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Store:
    """Transactions of one gateway. Belongs to the event loop that opened it."""

    def __init__(self, backend: Backend, *, gateway_id: str, keys: KeyRing | None) -> None:
        self.where = backend.where
        self.path = backend.path
        self.gateway_id = gateway_id
        self.problem: StoreUnavailable | None = None
        """Why the last statement failed; None once one has succeeded again."""
        self.held = False
        """Whether this process does what one alone may do for all that share the database."""
        self.is_shared = backend.is_shared
        """Whether other processes may use the same database."""
        self.process_id = backend.id
        """Of this process among those; empty where it is alone."""
        self._backend = backend
        self._keys = keys
        self._loop = asyncio.get_running_loop()
        self._listeners: list[asyncio.Event] = []
        # What is urgent first, then in the order of arrival; the end of all comes after everything.
        self._queue: queue.PriorityQueue[tuple[int, int, _Job[Any] | None]] = queue.PriorityQueue(_QUEUE_LIMIT)
        self._arrivals = itertools.count()
        self._closed = False
        self._down_since = 0.0
        self._hold_listeners: list[asyncio.Event] = []
        self._writing: Engine
        self._reading: Engine
        self._readers = ThreadPoolExecutor(backend.readers, thread_name_prefix="store-read")
        self._writer = threading.Thread(target=self._write_loop, name="store-write", daemon=True)

    async def write(self, work: Callable[[Connection], T], *, urgent: bool = False) -> T:
        """Run `work` in a transaction; when this returns, it is on disk. `urgent` work overtakes what waits.

        `work` runs in another thread, touches nothing but the connection, and may be run again after a failed commit.
        Raises StoreUnavailable (nothing was written), and what `work` raises (nothing was written either). A cancelled
        caller takes its work back only as long as it waits in the queue.
        """
        if self._closed:
            raise StoreClosed("the store is closed", "The process is shutting down.")
        job = _Job(work)
        try:
            self._queue.put_nowait((_URGENT if urgent else _ORDINARY, next(self._arrivals), job))
        except queue.Full:
            raise StoreUnavailable(
                f"{_QUEUE_LIMIT} writes are waiting for the disk", "Check the disk; try again later."
            ) from None
        with tracing.span("store"):
            result = await asyncio.wrap_future(job.future)
        if tracing.enabled():
            _trace(result)
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a consistent snapshot, in another thread. Raises StoreUnavailable."""
        if self._closed:
            raise StoreClosed("the store is closed", "The process is shutting down.")
        return await self._loop.run_in_executor(self._readers, self._read, work)

    def subscribe(self) -> asyncio.Event:
        """An event that is set after every commit, also of others; the subscriber clears it before it looks."""
        listener = asyncio.Event()
        self._listeners.append(listener)
        return listener

    def subscribe_to_hold(self) -> asyncio.Event:
        """An event that is set when `held` changes; the subscriber clears it before it looks."""
        listener = asyncio.Event()
        self._hold_listeners.append(listener)
        return listener

    async def get_meta(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """A small JSON value kept under `name` (users, ids), or None."""
        return await self.read(lambda connection: meta.read(connection, self.gateway_id, name))

    async def set_meta(self, name: str, value: object) -> None:
        """Keep a small JSON value; None removes it."""
        await self.write(lambda connection: meta.write(connection, self.gateway_id, name, value, sealed=False))

    async def agree_on(self, name: str, value: object) -> Any:  # noqa: ANN401 - any JSON value
        """Keep a small JSON value unless one is kept already; the one that is kept, the same for everybody who asks."""

        def first(connection: Connection) -> Any:  # noqa: ANN401
            kept = meta.read(connection, self.gateway_id, name)
            if kept is None:
                meta.write(connection, self.gateway_id, name, value, sealed=False)
            return value if kept is None else kept

        return await self.write(first)

    async def live_processes(self) -> list[LiveController]:
        """All that share the database and live, this one among them; none for a file."""
        return await self.read(self._backend.live)

    async def report(self, report: object) -> None:
        """Leave plain data behind for the other processes."""
        await self.write(lambda connection: self._backend.report(connection, report))

    async def get_secret(self, name: str) -> str | None:
        """A secret kept under `name`, decrypted, or None. Raises KeyFileError."""
        sealed = await self.read(lambda connection: meta.read(connection, self.gateway_id, name, sealed=True))
        return None if sealed is None else self._key_ring().decrypt(sealed).decode()

    async def set_secret(self, name: str, value: str | None) -> None:
        """Keep a secret, encrypted; None removes it. Raises KeyFileError."""
        sealed = None if value is None else self._key_ring().encrypt(value.encode())
        await self.write(lambda connection: meta.write(connection, self.gateway_id, name, sealed, sealed=True))

    def seal(self, value: str) -> str:
        """The envelope of a secret that stands inside a document. Raises KeyFileError."""
        return self._key_ring().encrypt(value.encode("utf-8", "surrogatepass"))

    def unseal(self, envelope: str) -> str:
        """The secret in an envelope. Raises KeyFileError."""
        return self._key_ring().decrypt(envelope).decode("utf-8", "surrogatepass")

    def is_current(self, envelope: str) -> bool:
        """Whether it was made with the key that encrypts now. Raises KeyFileError when there are no keys."""
        return self._key_ring().current(envelope)

    async def close(self) -> None:
        """Finish what is queued, then give the data directory free. May be called twice."""
        if self._closed:
            return
        self._closed = True
        await self._loop.run_in_executor(None, self._shut_down)

    # -- in threads ------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take the database, make or migrate the tables, start the writer. Blocks; see `open_store`."""
        self._backend.open()
        self._writing = self._backend.writer_engine()
        self._reading = self._backend.reader_engine()
        try:
            self._with_patience(self._migrate, self._backend.opening_patience_s)
        except BaseException as problem:
            self._dispose()
            if isinstance(problem, DBAPIError):
                raise self._backend.unavailable(problem) from problem
            raise
        self._recovered()
        self._writer.start()
        self._backend.follow(self._others_committed, self._hold_changed)

    def _migrate(self, _again: bool) -> None:
        with self._writing.begin() as connection:
            self._backend.lock_schema(connection)
            migrate(connection)

    def _shut_down(self) -> None:
        self._queue.put((_END, 0, None))
        self._writer.join()
        if self.is_shared and self.problem is None:
            with contextlib.suppress(DBAPIError), self._writing.begin() as connection:
                self._backend.leave(connection)
        self._readers.shutdown(wait=True)
        self._dispose()

    def _dispose(self) -> None:
        self._reading.dispose()
        self._writing.dispose()
        self._backend.release()

    def _read(self, work: Callable[[Connection], T]) -> T:
        def attempt(_again: bool) -> T:
            with (
                self._reading.connect() as connection,
                self._backend.watched(connection, writing=False),
                connection.begin(),
            ):
                return work(connection)

        try:
            result = self._with_patience(attempt)
        except DBAPIError as problem:
            raise self._failed(problem) from problem
        if self._down_since:
            self._recovered()
        return result

    def _with_patience(self, attempt: Callable[[bool], T], patience_s: float | None = None) -> T:
        """Try again as long as the connection is what fails; `attempt` is told whether it runs again.

        The patience counts from the first failure of all: while the database is away, only the first callers wait.
        """
        patience_s = self._backend.patience_s if patience_s is None else patience_s
        pause, again = _FIRST_PAUSE_S, False
        while True:
            try:
                return attempt(again)
            except DBAPIError as problem:
                if not self._backend.is_lost(problem):
                    raise
                self._down_since = self._down_since or time.monotonic()
                if self._closed or time.monotonic() - self._down_since > patience_s:
                    raise
                self._failed(problem)
                again = True
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _write_loop(self) -> None:
        while True:
            batch = self._next_batch()
            if batch is None:
                return
            if batch:
                self._commit(batch)

    def _next_batch(self) -> list[_Job[Any]] | None:
        """What waits now, at most `_LARGEST_BATCH`; None at the end."""
        batch: list[_Job[Any]] = []
        _, _, job = self._queue.get()
        while job is not None:
            if job.future.set_running_or_notify_cancel():
                batch.append(job)
            if len(batch) >= _LARGEST_BATCH:
                return batch
            try:
                _, _, job = self._queue.get_nowait()
            except queue.Empty:
                return batch
        if batch:
            self._queue.put((_END, 0, None))
            return batch
        return None

    def _commit(self, batch: list[_Job[Any]]) -> None:
        try:
            self._with_patience(self._transaction(batch))
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is the outcome of these jobs
            lost = isinstance(problem, DBAPIError) and self._backend.is_lost(problem)
            if len(batch) > 1 and not lost:
                # One of them may be too large for the disk: the others must not suffer for it.
                for job in batch:
                    self._commit([job])
                return
            outcome = self._outcome(problem)
            for job in batch:
                job.error = outcome
        else:
            self._recovered()
        self._answer(batch)

    def _transaction(self, batch: list[_Job[Any]]) -> Callable[[bool], None]:
        """What commits these jobs, once, however often it is called: a commit may be lost to us but not to the disk."""
        token = uuid.uuid4().hex

        def attempt(again: bool) -> None:
            with (
                self._writing.connect() as connection,
                self._backend.watched(connection, writing=True),
                connection.begin(),
            ):
                self._backend.begun(connection)
                if again and self._backend.has_committed(connection, token):
                    return
                if len(batch) == 1:
                    batch[0].run(connection)
                else:
                    _run_all(connection, batch)
                self._backend.committing(connection, token)

        return attempt

    def _answer(self, batch: list[_Job[Any]]) -> None:
        for job in batch:
            if isinstance(job.error, DataError):
                job.error = self._outcome(job.error)
            job.answer()
        # The loop may be gone when the process ends by an exception.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._announce)

    def _recovered(self) -> None:
        if self.problem is not None:
            _log.info("the store is available again")
        self.problem = None
        self._down_since = 0.0

    def _announce(self) -> None:
        for listener in self._listeners:
            listener.set()

    def _others_committed(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._announce)

    def _hold_changed(self, held: bool) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._announce_hold, held)

    def _announce_hold(self, held: bool) -> None:
        self.held = held
        for listener in self._hold_listeners:
            listener.set()

    def _outcome(self, problem: Exception) -> Exception:
        if isinstance(problem, DataError):
            # The value is at fault, and the next write is not.
            return self._backend.unavailable(problem)
        if isinstance(problem, DBAPIError) and not isinstance(problem, IntegrityError):
            return self._failed(problem)
        return problem

    def _failed(self, problem: DBAPIError) -> StoreUnavailable:
        failure = self._backend.unavailable(problem)
        if self.problem is None:
            _log.error("the store is unavailable", error=failure.message, advice=failure.advice)
        self.problem = failure
        # A connection that has seen an I/O error may keep failing after the cause is gone.
        self._writing.dispose()
        self._reading.dispose()
        return failure

    def _key_ring(self) -> KeyRing:
        if self._keys is None:
            raise KeyFileError("no encryption key is configured", "Set controller.encryption.providers.")
        return self._keys


def _trace(result: object) -> None:
    """A change that is on disk now is followed to the routers."""
    change = result if isinstance(result, ChangeRow) else getattr(result, "change", None)
    if isinstance(change, ChangeRow):
        tracing.stored(change.correlation_id)


def _run_all(connection: Connection, batch: list[_Job[Any]]) -> None:
    """Each job in its savepoint; a job that refuses undoes only itself. Raises what concerns the database itself."""
    for job in batch:
        try:
            with connection.begin_nested():
                job.run(connection)
        except Exception as problem:
            if isinstance(problem, DBAPIError) and not isinstance(problem, IntegrityError | DataError):
                raise
            job.error = problem


async def open_store(
    where: str | Path | PostgresTarget, *, gateway_id: str = "platform-gateway-id", keys: KeyRing | None = None
) -> Store:
    """Open or make the database and bring its tables up to date.

    A path, a `sqlite:///` or `postgresql://` URL, or a target. `keys` encrypts secrets at rest; without it secrets are
    refused. Raises StoreInUse, StoreUnavailable, SchemaMismatch.
    """
    store = Store(await asyncio.to_thread(_backend, where, gateway_id), gateway_id=gateway_id, keys=keys)
    await asyncio.get_running_loop().run_in_executor(None, store.open)
    return store


def _backend(where: str | Path | PostgresTarget, gateway_id: str) -> Backend:
    """Imports the driver of a server only where there is one: it costs a file's users a tenth of their start."""
    if isinstance(where, str) and is_postgres(where):
        from gatewright.store.postgres_url import target_of  # noqa: PLC0415

        where = target_of(where)
    if isinstance(where, PostgresTarget):
        from gatewright.store.postgres import PostgresBackend  # noqa: PLC0415

        return PostgresBackend(where, gateway_id=gateway_id)
    return SqliteBackend(sqlite_path(where))
