"""Temporary directories that are removed when their owner has died, and never before."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gatewright.router.owned_directory import LOCK, PREFIX, OwnedDirectory, remove_ownerless


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_it_is_private_and_goes_when_it_is_closed():
    made = OwnedDirectory()
    assert made.path.stat().st_mode & 0o777 == 0o700
    (made.path / "engine.sock").touch()
    made.close()
    assert not made.path.exists()
    made.close()


def test_what_a_killed_process_left_is_removed_by_the_next_one(own_temporary_folder):
    code = (
        "import os, signal;"
        "from gatewright.router.owned_directory import OwnedDirectory;"
        "made = OwnedDirectory(); (made.path / 'engine.sock').touch(); print(made.path, flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "TMPDIR": str(own_temporary_folder)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    left = Path(ran.stdout.strip())
    assert (left / "engine.sock").exists()
    made = OwnedDirectory()
    assert not left.exists()
    made.close()


def test_what_is_in_use_or_not_ours_stays(own_temporary_folder):
    in_use = OwnedDirectory()
    being_made = own_temporary_folder / f"{PREFIX}being-made"
    being_made.mkdir()
    elsewhere = own_temporary_folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / LOCK).touch()
    (own_temporary_folder / f"{PREFIX}link").symlink_to(elsewhere)
    (own_temporary_folder / f"{PREFIX}file").touch()
    trap = own_temporary_folder / f"{PREFIX}trap"
    trap.mkdir()
    (trap / LOCK).symlink_to(elsewhere / LOCK)
    remove_ownerless()
    assert in_use.path.exists()
    assert being_made.exists()
    assert trap.exists()
    assert (elsewhere / LOCK).exists()
    in_use.close()
