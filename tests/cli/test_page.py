"""docs/command-line.md says what is so."""

import re
from pathlib import Path

from gatewright.cli.exits import Exit
from gatewright.cli.main import program
from gatewright.cli.tree import Group

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")


def _paths(group: Group, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, command in group.commands.items():
        found |= _paths(command, f"{prefix}{name} ") if isinstance(command, Group) else {f"{prefix}{name}"}
    return found


def _documented() -> set[str]:
    table = PAGE.partition("## Commands")[2].partition("## Exit codes")[0]
    found: set[str] = set()
    for command in re.findall(r"`gatewright ([^`]+)`", table):
        words = command.split(" -")[0].split()
        choices = words[-1].replace("\\", "").split("|")
        found |= {" ".join([*words[:-1], choice]) for choice in choices}
    return found


def test_every_command_is_on_the_page_and_nothing_else() -> None:
    assert _documented() == _paths(program())


def test_exit_codes_are_on_the_page_and_nothing_else() -> None:
    table = PAGE.partition("## Exit codes")[2].partition("\n## ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == [int(code) for code in Exit]
