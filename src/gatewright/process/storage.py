"""Settings → the database: a file, or a PostgreSQL server."""

import asyncio
from pathlib import Path
from typing import Final

from gatewright.settings.storage import Storage
from gatewright.settings.tree import Settings
from gatewright.store import Store, open_store
from gatewright.store.encryption import KeyFile, KeyRing, load_key_ring
from gatewright.store.errors import KeyFileError, StoreUnavailable
from gatewright.store.lock import FileLock, lock_of
from gatewright.store.postgres_target import PostgresTarget

_LEAST_TIMEOUT_S: Final = 5
_PROOF: Final = "gatewright"
_PROOF_NAME: Final = "encryption.proof"


async def store_of(settings: Settings, keys: KeyRing | None) -> Store:
    """Open the database of a configuration; an immutable gateway begins with an empty one. Raises StoreError."""
    if settings.immutable_gateway.enabled:
        await asyncio.to_thread(discard, place_of(settings.controller.storage))
    return await open_store(place_of(settings.controller.storage), gateway_id=gateway_id(settings), keys=keys)


def key_ring(settings: Settings, *, make_missing: bool) -> KeyRing:
    """The configured encryption keys. Raises KeyFileError."""
    return load_key_ring(
        [
            KeyFile(version=key.version, path=Path(key.file))
            for provider in settings.controller.encryption.providers
            for key in provider.keys
        ],
        create_missing=make_missing,
    )


async def check_keys(store: Store) -> None:
    """That the keys here are those of the other controllers. Raises KeyFileError, StoreUnavailable.

    Otherwise a secret that is stored through one of them could not be read by the others.
    """
    mine = store.seal(_PROOF)
    agreed = str(await store.agree_on(_PROOF_NAME, mine))
    try:
        same = store.unseal(agreed) == _PROOF
    except KeyFileError:
        same = False
    if not same:
        raise KeyFileError(
            f"the encryption keys are not those with which {store.where} was written",
            "Give all controllers of this gateway the same files in controller.encryption.providers, old keys below "
            "the new one.",
        )
    if not store.is_current(agreed):
        await store.set_meta(_PROOF_NAME, mine)


def gateway_id(settings: Settings) -> str:
    """What tells this gateway's rows from those of others in the same database."""
    return settings.controller.server.gateway_id


def place_of(storage: Storage) -> Path | PostgresTarget:
    """Where the database is. Raises StoreUnavailable."""
    if storage.type == "postgres":
        return _target(storage)
    if storage.type != "sqlite":
        raise StoreUnavailable(
            f"storage of type {storage.type} is not supported", "Set controller.storage.type to postgres or sqlite."
        )
    path = Path(storage.database.path or storage.sqlite.path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def discard(place: Path | PostgresTarget) -> None:
    """Remove a database file, unless a process works with it. Raises StoreInUse, StoreUnavailable."""
    if not isinstance(place, Path):
        raise StoreUnavailable("an immutable gateway needs a database file", "Set controller.storage.type to sqlite.")
    lock = FileLock(lock_of(place))
    try:
        for ending in ("", "-wal", "-shm", "-journal"):
            place.with_name(place.name + ending).unlink(missing_ok=True)
    except OSError as problem:
        raise StoreUnavailable(
            f"the database {place} cannot be removed: {problem.strerror}", "Make its folder writable for this user."
        ) from problem
    finally:
        lock.release()


def _target(storage: Storage) -> PostgresTarget:
    """`storage.database` overrides `storage.postgres` where it says something; a DSN replaces the single values."""
    from gatewright.store.postgres_url import target_of  # noqa: PLC0415 - the driver; a file's users do not pay for it

    own, unified = storage.postgres, storage.database
    timeout = int((unified.connect_timeout or own.connect_timeout).total_seconds())
    values: dict[str, str | int] = {
        "connect_timeout": timeout if timeout >= 1 else _LEAST_TIMEOUT_S,
        "application_name": unified.application_name or own.application_name,
    }
    dsn = unified.dsn.get_secret_value() or own.dsn.get_secret_value()
    if not dsn:
        password = unified.password.get_secret_value() or own.password.get_secret_value()
        options = {name.lower(): value for name, value in unified.options.items()}
        values |= {
            "host": unified.host or own.host,
            "port": unified.port or own.port,
            "dbname": unified.database or own.database,
            "user": unified.user or own.user,
            "sslmode": str(options.get("sslmode") or own.sslmode).lower(),
            **({"password": password} if password else {}),
        }
    return target_of(
        dsn,
        max_connections=unified.max_open_conns or own.max_open_conns,
        lifetime_s=(unified.conn_max_lifetime or own.conn_max_lifetime).total_seconds(),
        idle_s=(unified.conn_max_idle_time or own.conn_max_idle_time).total_seconds(),
        **values,
    )
