"""Databases that come from elsewhere: a file of this product to PostgreSQL, a file of the original to either."""

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from gatewright.deployment.document_rules import KINDS
from gatewright.deployment.takeover.original import NotTheOriginals, Original
from gatewright.deployment.takeover.taking import Taken, take_over
from gatewright.process.storage import gateway_id, place_of, store_of
from gatewright.settings.tree import Settings
from gatewright.store.encryption import KeyRing
from gatewright.store.errors import StoreUnavailable
from gatewright.store.lock import FileLock
from gatewright.store.migrating import migrate
from gatewright.store.moving import gateways, move, refuse_unless_empty
from gatewright.store.postgres_target import PostgresTarget
from gatewright.store.sqlite import SqliteBackend


def move_to_postgres(source: Path, settings: Settings, tell: Callable[[str], None]) -> dict[str, int]:
    """All rows of this gateway, or none; how many, by table. Raises StoreError."""
    from gatewright.store.postgres import PostgresBackend  # noqa: PLC0415 - the driver of a server

    target = place_of(settings.controller.storage)
    if not isinstance(target, PostgresTarget):
        raise StoreUnavailable(
            "the configuration names no PostgreSQL server", "Set controller.storage.type to postgres in --config."
        )
    if not source.is_file():
        raise StoreUnavailable(f"there is no database at {source}", "Name the file of the stopped gateway.")
    wanted = gateway_id(settings)
    lock = FileLock(source.with_name(f"{source.name}.lock"))
    backend = PostgresBackend(target, gateway_id=wanted)
    writing = backend.writer_engine()
    try:
        with tempfile.TemporaryDirectory(prefix="gatewright-move-") as folder:
            # A copy is brought to this release's schema; the file itself stays as it is.
            reading = _copy(source, Path(folder) / "gateway.db")
            with reading.writer_engine().begin() as old, writing.begin() as new:
                migrate(old)
                if wanted not in gateways(old):
                    raise StoreUnavailable(
                        f"{source} has nothing of the gateway {wanted}",
                        f"Set controller.server.gateway_id to one of: {', '.join(gateways(old)) or 'none is there'}.",
                    )
                backend.lock_schema(new)
                migrate(new)
                backend.begun(new)
                refuse_unless_empty(new, wanted, target.where)
                return move(old, new, wanted, lambda table, done, total: tell(f"{table}: {done} of {total}"))
    except DBAPIError as problem:
        raise backend.unavailable(problem) from problem
    finally:
        writing.dispose()
        backend.release()
        lock.release()


async def take_over_original(source: Path, settings: Settings, keys: KeyRing, from_gateway: str) -> Taken:
    """The original's rows of one gateway. Raises StoreError."""
    with Original(source) as original:
        known = original.gateways()
        wanted = from_gateway or (known[0] if len(known) == 1 else gateway_id(settings))
        if wanted not in known:
            raise NotTheOriginals(
                f"{source} has nothing of the gateway {wanted}",
                f"Name one with --from-gateway: {', '.join(known) or 'the file has none'}.",
            )
        store = await store_of(settings, keys)
        try:
            credentials = {described.kind: described.credentials for described in KINDS.values()}
            return await take_over(original, wanted, store, credentials)
        finally:
            await store.close()


def _copy(source: Path, target: Path) -> SqliteBackend:
    reading = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    with closing(reading) as original, closing(sqlite3.connect(target)) as copy:
        original.backup(copy)
    return SqliteBackend(target)
