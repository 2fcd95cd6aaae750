"""The migrations make the tables that the code describes, and foreign databases are left alone."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gatewright.store import open_store
from gatewright.store.errors import SchemaMismatch
from gatewright.store.migrating import HEAD, MIGRATIONS, current_revision
from gatewright.store.tables import metadata


async def test_migrations_and_tables_agree(store):
    def difference(connection):
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)

    assert await store.read(difference) == []


async def test_a_new_database_is_at_the_newest_revision(store):
    assert await store.read(current_revision) == HEAD


def test_the_constant_names_the_newest_revision():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_reopening_changes_nothing(path):
    await (await open_store(path)).close()
    before = path.read_bytes()
    await (await open_store(path)).close()
    assert path.read_bytes() == before


@pytest.mark.conforms("OP-058")
@pytest.mark.parametrize("revision", ["9999", "abcdef"])
async def test_a_newer_database_is_refused_untouched(path, revision):
    await (await open_store(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.commit()
    connection.close()
    with pytest.raises(SchemaMismatch, match=f"schema {revision}") as refused:
        await open_store(path)
    assert "backup" in refused.value.advice


async def test_a_database_of_another_product_is_refused_untouched(path):
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE artifacts (uuid TEXT)")
    connection.execute("PRAGMA user_version = 4")
    connection.commit()
    connection.close()
    with pytest.raises(SchemaMismatch, match="did not make"):
        await open_store(path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("artifacts",)]
    connection.close()


RELEASED = sorted((Path(__file__).parent / "released").glob("*.sql"))
"""Dumps of databases with a row in every table, one for each schema that a release had."""


@pytest.mark.parametrize("dump", RELEASED, ids=lambda path: path.stem)
async def test_every_released_schema_comes_forward_with_its_rows(path, dump):
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.executescript(dump.read_text())
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    tables = [name for name in tables if name in metadata.tables]
    before = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
    connection.close()
    assert set(before.values()) == {1}
    store = await open_store(path)

    def look(connection):
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = {name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() for name in before}
        return current_revision(connection), compare_metadata(context, metadata), found

    assert await store.read(look) == (HEAD, [], before)
    await store.close()


def test_the_first_schema_is_kept():
    assert RELEASED
