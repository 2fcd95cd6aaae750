"""Registers the project's pytest plugins and the flags. Fixtures live beside the tests that use them."""

import sys
from pathlib import Path
from types import ModuleType

import pytest


def _make_importable(name: str) -> None:
    """Make a folder beside this file a package without putting `tests/` on the import path.

    Folders below `tests/` bear the names of rooms and of installed packages (`envoy`), which must not meet.
    """
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(Path(__file__).parent / name)]
        sys.modules[name] = package


_make_importable("conformance_ledger")
_make_importable("support")
_make_importable("postgres_server")

pytest_plugins = ["pytester", "conformance_ledger.plugin", "postgres_server.plugin"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--long`, `--update-golden`, and what chooses schedules of faults."""
    parser.addoption("--long", action="store_true", help="also run the soak and fault sequences marked `long`")
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files again, to be read before a commit"
    )
    parser.addoption("--seed", action="append", type=int, help="play only this schedule of faults; may be given again")
    parser.addoption("--schedules", type=int, help="how many schedules of faults are played")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests marked `long` unless they were asked for."""
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: runs only with --long"))
