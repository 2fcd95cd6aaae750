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


README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_commands_of_the_readme_exist() -> None:
    known = _paths(program())
    commands = re.findall(
        r"gatewright ((?:[a-z-]+ ?)+)", "".join(re.findall(r"```\n.*?```|`gatewright[^`]+`", README, re.DOTALL))
    )
    for command in commands:
        words = command.split()
        assert any(" ".join(words[:length]) in known for length in (1, 2, 3)), command


def test_configuration_of_the_readme_is_good(run, tmp_path: Path, monkeypatch) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "gateway.toml").write_text(block)
    monkeypatch.setenv("REGISTRATION_TOKEN", "x")
    assert run("config", "check", "--config", str(tmp_path / "gateway.toml")).out == "the configuration is good\n"
