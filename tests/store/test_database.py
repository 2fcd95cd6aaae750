"""What only a file has: settings, failing disks, one process per directory."""

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys

import pytest
from sqlalchemy import event

from gatewright.store import StoreInUse, StoreUnavailable, open_store


@pytest.fixture
def place(path):
    """Only a file has what is tested here."""
    return path


async def test_the_database_is_durable_by_its_settings(store):
    async def pragma(name):
        return await store.write(lambda c: c.exec_driver_sql(f"PRAGMA {name}").scalar())

    assert await pragma("journal_mode") == "wal"
    assert await pragma("synchronous") == 2  # FULL
    assert await pragma("foreign_keys") == 1
    assert await pragma("busy_timeout") == 5000


async def test_files_are_readable_by_their_owner_only(store):
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


# -- failing disks -------------------------------------------------------------------------------------------------


async def test_a_full_disk_refuses_writes_keeps_reads_and_recovers(store, add, artifact, handles):
    await add(artifact("before"))
    pages = await store.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
    await store.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}").scalar())
    with pytest.raises(StoreUnavailable, match="the disk is full") as refused:
        await add(artifact("big", size=1_000_000))
    assert "Free space" in refused.value.advice
    assert store.problem is refused.value
    assert await handles() == ["before"]
    await add(artifact("after"))  # the connection was opened anew, and with it the limit is gone
    assert store.problem is None
    assert await handles() == ["after", "before"]


async def test_one_write_too_large_for_the_disk_does_not_harm_its_neighbours(store, add, artifact, handles):
    pages = await store.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
    await store.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count={pages + 30}").scalar())
    results = await asyncio.gather(
        *[add(artifact(f"a{number}", size=5_000_000 if number == 7 else 0)) for number in range(12)],
        return_exceptions=True,
    )
    failed = [number for number, result in enumerate(results) if isinstance(result, StoreUnavailable)]
    assert failed == [7]
    assert await handles() == sorted(f"a{number}" for number in range(12) if number != 7)


async def test_a_file_size_limit_is_survived(tmp_path):
    """A quota on files: in a process of its own, because the limit holds for all of it."""
    script = """
import asyncio, resource, signal, sys
from gatewright.observability.logging import configure_logging
from gatewright.store import StoreUnavailable, open_store
configure_logging("test")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
async def main():
    store = await open_store(sys.argv[1])
    await store.set_meta("before", 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    try:
        await store.set_meta("big", "x" * 3_000_000)
    except StoreUnavailable as refused:
        print("refused", refused.advice != "")
    print(await store.get_meta("before"), await store.get_meta("big"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.set_meta("big", "y")
    print(await store.get_meta("big"))
    await store.close()
asyncio.run(main())
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script, str(tmp_path / "gateway.db")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["refused", "True", "1", "None", "y"]


async def test_a_damaged_file_is_named_and_left_alone(path, store, add, artifact):
    await add(artifact("orders", size=50_000))
    await store.close()
    damaged = bytearray(path.read_bytes())
    damaged[:100] = b"not a database".ljust(100, b"!")
    path.write_bytes(damaged)
    with pytest.raises(StoreUnavailable, match="the file is not a database") as refused:
        await open_store(path)
    assert "backup" in refused.value.advice
    assert path.read_bytes() == damaged


async def test_damage_found_while_running_is_a_clear_error_and_is_healed_by_a_good_file(
    path, store, add, artifact, handles
):
    for number in range(50):
        await add(artifact(f"a{number}", size=20_000))
    await store.write(lambda c: None)
    good = sqlite3.connect(path)
    good.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    good.close()
    content = path.read_bytes()
    damaged = bytearray(content)
    damaged[4096:] = os.urandom(len(damaged) - 4096)
    path.write_bytes(damaged)
    store._reading.dispose()
    with pytest.raises(StoreUnavailable, match="damaged") as refused:
        await handles()
    assert "backup" in refused.value.advice
    path.write_bytes(content)
    store._reading.dispose()
    store._writing.dispose()
    assert len(await handles()) == 50


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
async def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(StoreUnavailable, match="Permission denied") as refused:
        await open_store(folder / "gateway.db")
    assert "writable" in refused.value.advice


async def test_a_path_below_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot open the database"):
        await open_store(tmp_path / "file" / "gateway.db")


@pytest.mark.parametrize("url", ["mysql://localhost/x", "", ":memory:", "sqlite:///"])
async def test_other_storages_are_refused_with_advice(url):
    with pytest.raises(StoreUnavailable) as refused:
        await open_store(url)
    assert refused.value.advice


async def test_a_url_names_a_file(tmp_path):
    store = await open_store(f"sqlite:///{tmp_path}/strange ?#%name.db")
    await store.close()
    assert (tmp_path / "strange ?#%name.db").exists()


async def test_a_lock_held_by_another_program_is_waited_for_and_then_named(path, store, add, artifact):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store._writing.dispose()
    event.listen(store._writing, "connect", lambda c, _r: c.execute("PRAGMA busy_timeout=50"))
    with pytest.raises(StoreUnavailable, match="another program has locked the database"):
        await add(artifact("orders"))
    other.execute("ROLLBACK")
    other.close()
    await add(artifact("orders"))


# -- one process ---------------------------------------------------------------------------------------------------

HOLDER = """
import asyncio, sys
from gatewright.store import open_store
async def main():
    store = await open_store(sys.argv[1])
    print("ready", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_a_second_process_is_told_who_is_first_and_a_killed_one_leaves_no_lock(path):
    first = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, str(path), stdout=subprocess.PIPE)
    try:
        assert await first.stdout.readline() == b"ready\n"
        with pytest.raises(StoreInUse) as refused:
            await open_store(path)
        assert refused.value.pid == first.pid
        assert f"in use by process {first.pid}" in refused.value.message
        assert "Stop that process" in refused.value.advice
    finally:
        first.send_signal(signal.SIGKILL)
        await first.wait()
    store = await open_store(path)
    await store.close()


async def test_a_closed_store_gives_the_directory_free(path):
    for _ in range(3):
        await (await open_store(path)).close()
