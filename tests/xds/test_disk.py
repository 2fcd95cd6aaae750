"""The last good snapshot: whole or not at all, private, and never in the way of traffic."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gatewright.envoy.resource import SECRET, Resource
from gatewright.xds.disk import Damaged, LastGood, read, write

RESOURCES = [Resource(SECRET, f"s{n}", f"v{n}", bytes(range(256)) * 10) for n in range(20)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "snapshot"

    write(file, RESOURCES)

    assert read(file) == RESOURCES
    assert [f.name for f in file.parent.iterdir()] == ["snapshot"]


def test_only_the_owner_can_read_it_whatever_the_umask(tmp_path: Path) -> None:
    file = tmp_path / "snapshot"
    file.touch(mode=0o644)

    write(file, RESOURCES)

    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"something else",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
        lambda data: data + b"x",
    ],
)
async def test_a_damaged_file_is_told_and_put_aside(tmp_path: Path, damage) -> None:
    file = tmp_path / "snapshot"
    write(file, RESOURCES)
    file.write_bytes(damage(file.read_bytes()))

    with pytest.raises(Damaged):
        read(file)
    with capture_logs() as logs:
        loaded = await LastGood(file).load()

    assert loaded == []
    assert [line["event"] for line in logs] == ["the last good snapshot is damaged; starting without it"]
    assert file.with_name("snapshot.damaged").exists()


async def test_without_a_file_nothing_is_said(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert await LastGood(tmp_path / "none").load() == []

    assert logs == []


async def test_many_changes_become_few_writes_and_the_last_one_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "snapshot"
    current: list[Resource] = []
    last_good = LastGood(file, interval_s=0.05)
    last_good.start(lambda: list(current))

    for resource in RESOURCES:
        current.append(resource)
        last_good.changed()
        await asyncio.sleep(0)
    await last_good.stop()

    assert read(file) == RESOURCES
    assert last_good.writes <= 2


async def test_a_full_disk_is_told_once_and_the_old_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "snapshot"
    write(file, RESOURCES)
    last_good = LastGood(Path("/dev/full/snapshot"), interval_s=0.0)
    last_good.start(list)

    with capture_logs() as logs:
        last_good.changed()
        await last_good.stop()
        last_good.changed()
        await last_good.stop()

    assert len([line for line in logs if line["event"] == "the last good snapshot cannot be written"]) == 1
    assert last_good.last_error is not None
    assert read(file) == RESOURCES


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "snapshot"
    write(file, RESOURCES[:3])

    def interrupted():
        yield RESOURCES[0]
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write(file, interrupted())

    assert read(file) == RESOURCES[:3]
    assert [f.name for f in tmp_path.iterdir()] == ["snapshot"]
