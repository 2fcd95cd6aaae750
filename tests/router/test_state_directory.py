"""The router's directory: private, exclusive, with sockets whose paths are never too long."""

from pathlib import Path

import pytest

from gatewright.router.errors import StateDirectoryTaken, StateDirectoryUnusable
from gatewright.router.state_directory import StateDirectory


def test_one_router_at_a_time(tmp_path: Path) -> None:
    first = StateDirectory(tmp_path / "state")
    with pytest.raises(StateDirectoryTaken):
        StateDirectory(tmp_path / "state")
    first.close()

    StateDirectory(tmp_path / "state").close()


def test_sockets_of_a_killed_run_are_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / "run" / "xds.sock"
    left.parent.mkdir()
    left.touch()

    state = StateDirectory(tmp_path)

    assert list(state.run.iterdir()) == []
    state.close()
    assert not state.run.exists()


def test_a_long_path_gets_its_sockets_elsewhere(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / ("x" * 100))

    assert len(str(state.run)) < 80
    assert state.run.stat().st_mode & 0o777 == 0o700
    state.close()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StateDirectoryUnusable, match=r"gatewright\.data_dir"):
        StateDirectory(tmp_path / "file" / "state")


def test_the_id_is_kept_and_a_wanted_one_wins(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    made = state.identity("")

    assert state.identity("") == made
    assert state.identity("mine") == "mine"
    state.close()
