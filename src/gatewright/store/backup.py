"""A copy of a database file, also while a gateway works with it; and the tables of PostgreSQL as SQL."""

import io
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from gatewright.store.errors import StoreError
from gatewright.store.migrating import MIGRATIONS


class BackupFailed(StoreError):
    """There is no usable copy; what was begun is removed."""

    code = "STORE_BACKUP_FAILED"


def back_up(source: Path, target: Path) -> int:
    """Copy a database as it is at one moment, and check the copy; its size in bytes. Raises BackupFailed.

    `target` must not exist; only this user can read it.
    """
    if not source.is_file():
        raise BackupFailed(f"there is no database at {source}", "Name the configuration of the gateway with --config.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        raise BackupFailed(f"{target} exists already", "Choose another name; nothing is overwritten.") from None
    except OSError as problem:
        raise BackupFailed(
            f"cannot make {target}: {problem.strerror}", "Choose a folder that can be written."
        ) from None
    try:
        _copy(source, target)
        return target.stat().st_size
    except sqlite3.Error as problem:
        target.unlink(missing_ok=True)
        raise BackupFailed(
            f"{source} cannot be copied: {problem}", "Check the disk, and that it is a database."
        ) from None
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _copy(source: Path, target: Path) -> None:
    with closing(_read_only(source)) as original, closing(sqlite3.connect(target)) as copy:
        original.backup(copy)
        # One file, without a second one for what was written last.
        copy.execute("PRAGMA journal_mode=DELETE")
        verdict = copy.execute("PRAGMA integrity_check").fetchone()[0]
    if verdict != "ok":
        raise BackupFailed(f"the database is damaged: {verdict}", "Keep this file and restore an older backup.")


def schema_sql() -> str:
    """All tables as SQL for PostgreSQL, for an administrator who makes them himself."""
    from alembic import command  # noqa: PLC0415 - only where it is needed: it costs more than a start
    from alembic.config import Config  # noqa: PLC0415

    from gatewright.store import postgres_text  # noqa: F401, PLC0415 - the types of columns

    out = io.StringIO()
    config = Config(output_buffer=out)
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head", sql=True)
    return out.getvalue()


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
