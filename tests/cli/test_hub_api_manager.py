"""`hub start --as api-manager` and `hub api-manager …` where something is wrong; a page of docs/ proves the rest."""

from pathlib import Path

import pytest

from gatewright.cli.exits import Exit
from gatewright.hub.apim.config import read_users
from gatewright.hub.apim.server import DATABASE_FILE
from gatewright.hub.problems import HubStartError


def test_without_a_stand_in_the_remedy_names_the_command(run, tmp_path: Path) -> None:
    ended = run("hub", "api-manager", "apis", "--data-dir", str(tmp_path))
    assert ended.code == Exit.UNREACHABLE
    assert "gatewright hub start --as api-manager" in ended.err


def test_what_the_start_refuses(run, tmp_path: Path) -> None:
    start = ("hub", "start", "--data-dir", str(tmp_path / "data"))
    ended = run(*start, "--switch", "import_mode=503")
    assert (ended.code, "--as api-manager" in ended.err) == (Exit.USAGE, True)
    ended = run(*start, "--as", "api-manager", "--switch", "import_mode")
    assert (ended.code, "NAME=VALUE" in ended.err) == (Exit.USAGE, True)
    ended = run(*start, "--as", "api-manager", "--switch", "import_mode=never")
    assert ended.code == Exit.FAILED
    assert "it is one of normal, 503" in ended.err
    assert "HUB_SWITCH_UNKNOWN" in ended.err


def test_a_directory_belongs_to_one_kind_of_hub(run, tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).touch()
    ended = run("hub", "start", "--port", "0", "--data-dir", str(tmp_path))
    assert (ended.code, "HUB_DATA_DIR_OF_ANOTHER" in ended.err) == (Exit.FAILED, True)
    (tmp_path / DATABASE_FILE).rename(tmp_path / "hub.db")
    ended = run("hub", "start", "--as", "api-manager", "--port", "0", "--data-dir", str(tmp_path))
    assert (ended.code, "HUB_DATA_DIR_OF_ANOTHER" in ended.err) == (Exit.FAILED, True)


def test_users_come_from_a_file_and_their_passwords_stay_there(tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    file.write_text("- {name: robot, password: geheim, roles: [Internal/devops]}\n")
    [user] = read_users(file)
    assert (user.name, user.password, user.roles) == ("robot", "geheim", ("Internal/devops",))
    assert "geheim" not in repr(user)
    for wrong in ("- {name: robot, password: [geheim]}", "robot: geheim", "- {name: 'geheim"):
        file.write_text(wrong)
        with pytest.raises(HubStartError) as refused:
            read_users(file)
        assert refused.value.code == "HUB_USERS_UNREADABLE"
        assert "geheim" not in str(refused.value)
