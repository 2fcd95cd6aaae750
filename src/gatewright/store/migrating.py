"""Bringing the tables to this release, inside the transaction that the caller commits.

Alembic is imported only when there is something to do: it costs more than the rest of a start.
"""

import re
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from gatewright.store.errors import SchemaMismatch

HEAD = "0007"
"""The newest revision; a test compares it with the migration files."""

MIGRATIONS = Path(__file__).parent / "migrations"
_REVISION = re.compile(r"[0-9]{4}")


def migrate(connection: Connection) -> None:
    """Upgrade to `HEAD`. Raises SchemaMismatch when the database is newer or somebody else's."""
    current = current_revision(connection)
    if current == HEAD:
        return
    if current is None and inspect(connection).has_table("artifacts"):
        raise SchemaMismatch(
            "the database has tables that Gatewright did not make",
            "Set another storage path; a database of another product is left untouched.",
        )
    if current is not None and (_REVISION.fullmatch(current) is None or current > HEAD):
        raise SchemaMismatch(
            f"the database has schema {current}, this release knows up to {HEAD}",
            "Start the release that made it, or restore the backup from before the upgrade.",
        )
    from alembic import command  # noqa: PLC0415 - see the module docstring
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def current_revision(connection: Connection) -> str | None:
    """The revision that the database is at, or None when it has none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
