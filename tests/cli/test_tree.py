"""The tree of commands: every entry leads to a command, and the program loads only what it needs."""

import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import pytest

from gatewright.cli.main import program
from gatewright.cli.tree import Entry, Group, built


def _entries(group: Group, path: str = "") -> Iterator[tuple[str, Entry]]:
    for name, entry in group.entries.items():
        yield f"{path}{name}", entry
    for name, command in group.commands.items():
        if isinstance(command, Group):
            yield from _entries(command, f"{path}{name} ")


ENTRIES = dict(_entries(program()))


@pytest.mark.parametrize("path", ENTRIES)
def test_every_entry_is_a_command_with_help(path: str) -> None:
    entry = ENTRIES[path]
    command = built(entry)
    assert command.name == path.rpartition(" ")[2]
    module, _, function = entry.target.partition(":")
    assert inspect.getdoc(getattr(import_module(module), function))
    assert all(parameter.help for parameter in command.params if parameter.name != "help"), path


@pytest.mark.parametrize("path", ENTRIES)
def test_help_is_printed_for_every_command(path: str, run) -> None:
    ran = run(*path.split(), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"Usage: gatewright {path}" in ran.out
    assert max(len(line) for line in ran.out.split("\n")) <= 80


def test_the_start_loads_nothing_heavy() -> None:
    code = "import sys, gatewright.cli.main as m; m.program(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"httpx2", "yaml", "sqlalchemy", "starlette", "uvicorn", "grpc", "asyncio", "gatewright.settings", "rich"}
    assert heavy.isdisjoint(loaded)


def test_versions(run) -> None:
    assert run("--version").out.startswith("gatewright ")
    assert set(run("version", "-o", "json").json) == {"gatewright", "envoy", "python"}


def test_a_mistyped_command_is_usage_and_names_the_nearest(run) -> None:
    ran = run("statsu")
    assert ran.code == 2
    assert "status" in ran.err
