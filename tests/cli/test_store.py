"""`gatewright store …`, against real databases."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gatewright.store import open_store


def file_with_one_value(path: Path) -> Path:
    async def make() -> None:
        store = await open_store(path)
        await store.set_meta("kept", "value")
        await store.close()

    asyncio.run(make())
    return path


def test_a_backup_is_made_and_nothing_overwritten(run: Any, tmp_path: Path) -> None:
    file_with_one_value(tmp_path / "data" / "gateway.db")
    target = tmp_path / "copy.db"
    done = run("store", "backup", "--data-dir", str(tmp_path / "data"), str(target))
    assert done.code == 0, done.err
    assert "key files" in done.err
    assert sqlite3.connect(target).execute("SELECT value FROM meta WHERE name = 'kept'").fetchone() == ('"value"',)
    again = run("store", "backup", "--data-dir", str(tmp_path / "data"), str(target))
    assert again.code == 1
    assert "exists already" in again.err


def test_a_file_moves_to_a_server(run: Any, tmp_path: Path, postgres_url: str) -> None:
    source = file_with_one_value(tmp_path / "gateway.db")
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'[controller.storage]\ntype = "postgres"\n[controller.storage.postgres]\ndsn = {json.dumps(postgres_url)}\n'
    )
    done = run("store", "migrate", str(source), "--config", str(config), "-o", "json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["meta"] == 1
    assert "meta: 1 of 1" in done.err
    again = run("store", "migrate", str(source), "--config", str(config))
    assert again.code == 1
    assert "already holds rows" in again.err
    backup = run("store", "backup", "--config", str(config), str(tmp_path / "copy"))
    assert backup.code == 1
    assert "pg_dump" in backup.err


def test_without_a_server_nothing_moves(run: Any, tmp_path: Path) -> None:
    done = run("store", "migrate", str(tmp_path / "gateway.db"))
    assert done.code == 1
    assert "names no PostgreSQL server" in done.err


def test_what_is_not_the_originals_is_refused(run: Any, tmp_path: Path) -> None:
    other = file_with_one_value(tmp_path / "gateway.db")
    done = run("store", "import", str(other), "--data-dir", str(tmp_path / "data"))
    assert done.code == 2
    assert "not the database of a gateway of the original" in done.err


@pytest.mark.parametrize("form", ["table", "json"])
def test_the_originals_rows_are_taken_and_the_rest_is_named(run: Any, tmp_path: Path, form: str) -> None:
    source = tmp_path / "original.db"
    connection = sqlite3.connect(source)
    connection.executescript(
        "CREATE TABLE artifacts (uuid, gateway_id, display_name, version, kind, handle, desired_state, deployment_id,"
        " origin, created_at, updated_at, deployed_at, cp_sync_status, cp_sync_info, cp_artifact_id);"
        "CREATE TABLE rest_apis (uuid, gateway_id, configuration);"
        "CREATE TABLE gateway_states (gateway_id);"
        "INSERT INTO artifacts VALUES ('u', 'g', 'n', 'v1', 'RestApi', 'orders', 'deployed', '', 'gateway_api',"
        " '2026-01-01 00:00:00', '2026-01-01 00:00:00', NULL, NULL, NULL, NULL);"
        "INSERT INTO artifacts SELECT 'w', gateway_id, 'w', version, kind, 'lost', desired_state, '', origin,"
        " created_at, updated_at, NULL, NULL, NULL, NULL FROM artifacts;"
        "INSERT INTO rest_apis VALUES ('u', 'g', '{\"spec\": {}}');"
        "PRAGMA user_version = 4;"
    )
    connection.close()
    done = run("store", "import", str(source), "--data-dir", str(tmp_path / "data"), "-o", form)
    assert done.code == 1
    assert "RestApi lost: its document is missing" in done.err
    if form == "json":
        assert json.loads(done.out)["taken"] == {"RestApi": 1}
    else:
        assert "RestApi" in done.out
