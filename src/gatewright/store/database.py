"""The store: one writer thread that commits, a few reader threads, and the news of committed changes.

Transactions are plain functions on a SQLAlchemy connection. They run in the store's threads, so that a transaction of
five statements crosses threads once and not five times, and so that no task of the event loop waits for the disk.
Writes that wait together share one commit: each has a savepoint of its own, all are on disk before any is answered.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from gatewright.observability import tracing
from gatewright.observability.logging import get_logger
from gatewright.store import dialect, meta
from gatewright.store.encryption import KeyRing
from gatewright.store.errors import KeyFileError, StoreClosed, StoreUnavailable
from gatewright.store.lock import FileLock
from gatewright.store.migrating import migrate
from gatewright.store.rows import ChangeRow

T = TypeVar("T")

_READERS = 2
_LARGEST_BATCH = 64
_QUEUE_LIMIT = 10_000
_log = get_logger(__name__)


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

    def __init__(self, path: Path, *, gateway_id: str, keys: KeyRing | None) -> None:
        self.path = path
        self.gateway_id = gateway_id
        self.problem: StoreUnavailable | None = None
        """Why the last statement failed; None once one has succeeded again."""
        self._keys = keys
        self._loop = asyncio.get_running_loop()
        self._listeners: list[asyncio.Event] = []
        self._queue: queue.Queue[_Job[Any] | None] = queue.Queue(_QUEUE_LIMIT)
        self._closed = False
        self._lock: FileLock | None = None
        self._writing: Engine
        self._reading: Engine
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-read")
        self._writer = threading.Thread(target=self._write_loop, name="store-write", daemon=True)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction; when this returns, it is on disk.

        `work` runs in another thread, touches nothing but the connection, and may be run again after a failed commit.
        Raises StoreUnavailable (nothing was written), and what `work` raises (nothing was written either). A cancelled
        caller takes its work back only as long as it waits in the queue.
        """
        if self._closed:
            raise StoreClosed("the store is closed", "The process is shutting down.")
        job = _Job(work)
        try:
            self._queue.put_nowait(job)
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
        """An event that is set after every commit; the subscriber clears it before it looks."""
        listener = asyncio.Event()
        self._listeners.append(listener)
        return listener

    async def get_meta(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """A small JSON value kept under `name` (users, ids), or None."""
        return await self.read(lambda connection: meta.read(connection, self.gateway_id, name))

    async def set_meta(self, name: str, value: object) -> None:
        """Keep a small JSON value; None removes it."""
        await self.write(lambda connection: meta.write(connection, self.gateway_id, name, value, sealed=False))

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

    async def close(self) -> None:
        """Finish what is queued, then give the data directory free. May be called twice."""
        if self._closed:
            return
        self._closed = True
        await self._loop.run_in_executor(None, self._shut_down)

    # -- in threads ------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take the directory, make or migrate the tables, start the writer. Blocks; see `open_store`."""
        dialect.prepare_file(self.path)
        self._lock = FileLock(self.path.with_name(f"{self.path.name}.lock"))
        self._writing = dialect.writer_engine(self.path)
        self._reading = dialect.reader_engine(self.path, _READERS)
        try:
            with self._writing.begin() as connection:
                migrate(connection)
        except BaseException as problem:
            self._dispose()
            if isinstance(problem, DBAPIError):
                raise dialect.unavailable(problem, self.path) from problem
            raise
        self._writer.start()

    def _shut_down(self) -> None:
        self._queue.put(None)
        self._writer.join()
        self._readers.shutdown(wait=True)
        self._dispose()

    def _dispose(self) -> None:
        self._reading.dispose()
        self._writing.dispose()
        if self._lock is not None:
            self._lock.release()

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._reading.connect() as connection, connection.begin():
                return work(connection)
        except DBAPIError as problem:
            raise self._failed(problem) from problem

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
        job = self._queue.get()
        while job is not None:
            if job.future.set_running_or_notify_cancel():
                batch.append(job)
            if len(batch) >= _LARGEST_BATCH:
                return batch
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return batch
        if batch:
            self._queue.put(None)
            return batch
        return None

    def _commit(self, batch: list[_Job[Any]]) -> None:
        try:
            with self._writing.begin() as connection:
                if len(batch) == 1:
                    batch[0].run(connection)
                else:
                    _run_all(connection, batch)
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is the outcome of these jobs
            if len(batch) > 1:
                # One of them may be too large for the disk: the others must not suffer for it.
                for job in batch:
                    self._commit([job])
                return
            batch[0].error = self._outcome(problem)
        else:
            if self.problem is not None:
                _log.info("the store is available again")
            self.problem = None
        self._answer(batch)

    def _answer(self, batch: list[_Job[Any]]) -> None:
        for job in batch:
            job.answer()
        # The loop may be gone when the process ends by an exception.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._announce)

    def _announce(self) -> None:
        for listener in self._listeners:
            listener.set()

    def _outcome(self, problem: Exception) -> Exception:
        if isinstance(problem, DBAPIError) and not isinstance(problem, IntegrityError):
            return self._failed(problem)
        return problem

    def _failed(self, problem: DBAPIError) -> StoreUnavailable:
        failure = dialect.unavailable(problem, self.path)
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
            if isinstance(problem, DBAPIError) and not isinstance(problem, IntegrityError):
                raise
            job.error = problem


async def open_store(
    url_or_path: str | Path, *, gateway_id: str = "platform-gateway-id", keys: KeyRing | None = None
) -> Store:
    """Open or make the database and bring its tables up to date.

    A path or a `sqlite:///` URL. `keys` encrypts secrets at rest; without it secrets are refused. Raises StoreInUse,
    StoreUnavailable, SchemaMismatch.
    """
    store = Store(dialect.sqlite_path(url_or_path), gateway_id=gateway_id, keys=keys)
    await asyncio.get_running_loop().run_in_executor(None, store.open)
    return store
