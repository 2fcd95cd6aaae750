"""A database file to PostgreSQL, a copy of a file, the tables as SQL."""

import sqlite3
import stat

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from gatewright.process.moving import move_to_postgres
from gatewright.settings.storage import Storage
from gatewright.settings.tree import Settings
from gatewright.store import StoreInUse, artifacts, changes, open_store, secrets
from gatewright.store.backup import BackupFailed, back_up, schema_sql
from gatewright.store.encryption import KeyRing
from gatewright.store.errors import StoreUnavailable
from gatewright.store.migrating import HEAD, current_revision
from gatewright.store.moving import TargetNotEmpty, counts
from gatewright.store.secrets import SecretRow
from gatewright.store.tables import metadata

KEYS = KeyRing([("k1", b"k" * 32)])


@pytest.fixture
def place(path):
    return path


@pytest.fixture
def settings(postgres_url):
    made = Settings()
    storage = Storage(type="postgres", postgres={"dsn": postgres_url})
    return made.model_copy(update={"controller": made.controller.model_copy(update={"storage": storage})})


@pytest.fixture
async def filled(path, artifact):
    """A closed database file with artifacts, a sealed secret and a feed."""
    store = await open_store(path, keys=KEYS)
    now = artifact("x").created_at

    def fill(connection):
        for number in range(1200):
            artifacts.add(connection, store.gateway_id, artifact(f"a{number}"))
        for number in range(7):
            changes.append(
                connection, store.gateway_id, kind="RestApi", entity_id=f"e{number}", artifact_id=f"e{number}",
                action="CREATE", correlation_id="c", at=now,
            )  # fmt: skip
        row = SecretRow(
            handle="h", display_name="h", description="", ciphertext=store.seal("value"), created_at=now, updated_at=now
        )
        secrets.add(connection, store.gateway_id, row)

    await store.write(fill)
    await store.set_secret("token", "sealed value")
    await store.close()
    return path


async def test_everything_moves_and_numbers_go_on(filled, settings, postgres_url, artifact):
    before = filled.read_bytes()
    told = []
    moved = move_to_postgres(filled, settings, told.append)
    assert (moved["artifacts"], moved["rest_apis"], moved["changes"], moved["secrets"]) == (1200, 1200, 7, 1)
    assert "artifacts: 500 of 1200" in told
    assert filled.read_bytes() == before
    store = await open_store(postgres_url, keys=KEYS)
    assert await store.read(lambda c: counts(c, store.gateway_id)) == moved
    row = await store.read(lambda c: artifacts.find_by_handle(c, store.gateway_id, "RestApi", "a7"))
    assert row == artifact("a7")
    assert await store.get_secret("token") == "sealed value"
    assert store.unseal((await store.read(lambda c: secrets.everything(c, store.gateway_id)))[0].ciphertext) == "value"
    change = await store.write(
        lambda c: changes.append(
            c, store.gateway_id, kind="RestApi", entity_id="n", artifact_id="n", action="CREATE", correlation_id="c",
            at=row.created_at,
        )
    )  # fmt: skip
    assert change.seq == 8
    await store.close()


async def test_a_target_that_is_not_empty_is_left_alone(filled, settings, postgres_url, artifact):
    store = await open_store(postgres_url)
    await store.write(lambda c: artifacts.add(c, store.gateway_id, artifact("there")))
    await store.close()
    with pytest.raises(TargetNotEmpty, match="1 in artifacts"):
        move_to_postgres(filled, settings, print)
    store = await open_store(postgres_url)
    assert await store.read(lambda c: artifacts.count(c, store.gateway_id, "RestApi")) == 1
    await store.close()


async def test_a_file_in_use_or_of_another_gateway_is_not_moved(filled, settings):
    running = await open_store(filled)
    with pytest.raises(StoreInUse):
        move_to_postgres(filled, settings, print)
    await running.close()
    connection = sqlite3.connect(filled)
    for name in ("artifacts", "rest_apis", "changes", "secrets", "meta"):
        connection.execute(f"UPDATE {name} SET gateway_id = 'another'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreUnavailable, match="nothing of the gateway") as refused:
        move_to_postgres(filled, settings, print)
    assert "another" in refused.value.advice


async def test_a_backup_of_a_running_gateway_is_restored(path, store, add, artifact, tmp_path):
    await add(artifact("kept"))
    target = tmp_path / "backups" / "monday.db"
    assert back_up(path, target) == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    await add(artifact("later"))
    with pytest.raises(BackupFailed, match="exists already"):
        back_up(path, target)
    await store.close()
    # As the documentation says: stop, put the copy in place, start.
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    target.replace(path)
    again = await open_store(path)
    rows = await again.read(lambda c: artifacts.everything(c, again.gateway_id))
    assert [row.handle for row in rows] == ["kept"]
    await again.close()


def test_what_is_no_database_is_not_copied(tmp_path):
    (tmp_path / "text").write_text("hello " * 1000)
    with pytest.raises(BackupFailed, match="cannot be copied"):
        back_up(tmp_path / "text", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    with pytest.raises(BackupFailed, match="there is no database"):
        back_up(tmp_path / "missing", tmp_path / "copy")


async def test_a_dump_of_the_server_is_restored(postgres_server, postgres_url, artifact, tmp_path):
    store = await open_store(postgres_url)
    await store.write(lambda c: artifacts.add(c, store.gateway_id, artifact("kept")))
    await store.close()
    dump = tmp_path / "monday.dump"
    dump.write_bytes(postgres_server.run("pg_dump", "--format=custom", postgres_url.rpartition("/")[2]))
    fresh = postgres_server.database()
    postgres_server.run("pg_restore", "--no-owner", "--dbname", fresh, str(dump))
    store = await open_store(postgres_server.url(fresh))
    assert await store.read(lambda c: artifacts.count(c, store.gateway_id, "RestApi")) == 1
    await store.close()


@pytest.mark.conforms("OP-059")
async def test_the_printed_tables_are_those_of_this_release(postgres_server):
    database = postgres_server.database()
    postgres_server.execute(schema_sql(), database)
    store = await open_store(postgres_server.url(database))
    assert await store.read(current_revision) == HEAD
    difference = await store.read(
        lambda c: compare_metadata(MigrationContext.configure(c, opts={"compare_type": True}), metadata)
    )
    assert difference == []
    await store.close()
