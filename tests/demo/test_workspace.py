"""The demo's folder: private, gone at the end, and gone after a run that was killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gatewright.demo.workspace import PREFIX, Workspace, WorkspaceError, sweep


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_it_is_private_and_removed(folder: Path) -> None:
    with Workspace() as workspace:
        secret = workspace.write("secret", "x")
        assert workspace.path.parent == folder
        assert workspace.path.stat().st_mode & 0o777 == 0o700
        assert secret.stat().st_mode & 0o777 == 0o600
    assert list(folder.iterdir()) == []


def test_it_can_be_kept(folder: Path) -> None:
    with Workspace(keep=True) as workspace:
        pass
    assert workspace.path.is_dir()


def test_a_killed_run_leaves_a_folder_that_the_next_one_removes(folder: Path) -> None:
    code = "import os, signal; from gatewright.demo.workspace import Workspace; Workspace(); os.kill(os.getpid(), 9)"
    environ = {**os.environ, "TMPDIR": str(folder)}
    assert subprocess.run([sys.executable, "-c", code], env=environ, check=False).returncode == -9
    assert len(list(folder.iterdir())) == 1
    with Workspace() as running:
        assert sweep() == 1
        assert list(folder.iterdir()) == [running.path]


def test_nothing_else_is_removed(folder: Path) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (folder / f"{PREFIX}link").symlink_to(elsewhere)
    (folder / f"{PREFIX}young").mkdir()
    (folder / f"{PREFIX}file").write_text("")
    assert sweep() == 0
    assert len(list(folder.iterdir())) == 4


def test_no_room_for_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(folder / "missing"))
    with pytest.raises(WorkspaceError, match="TMPDIR"):
        Workspace()
