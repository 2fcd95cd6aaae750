"""Loads the configuration for a command: warnings to stderr, problems as one failure, `--data-dir` as two layers.

`--data-dir` moves everything that a process keeps: paths that the files or the environment name stay as they are.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gatewright.cli import output
from gatewright.cli.exits import Exit, Failure

if TYPE_CHECKING:
    from pydantic import SecretStr

    from gatewright.settings import Loaded

OPTION: Final = "--data-dir"
_MOST_PROBLEMS: Final = 50


def load(files: Sequence[Path], *, strict: bool = False, data_dir: Path | None = None, warn: bool = True) -> "Loaded":
    """The effective settings. Raises Failure (usage) that names every problem.

    `warn`: tell warnings; a process that runs on writes them to its log instead.
    """
    from gatewright.settings import SettingsError

    try:
        loaded = _load(files, strict=strict, data_dir=data_dir)
    except SettingsError as error:
        for warning in error.warnings:
            output.note(f"warning: {warning}")
        raise Failure(
            "the configuration cannot be used",
            code=Exit.USAGE,
            where=[str(problem) for problem in error.problems[:_MOST_PROBLEMS]],
            remedy="'gatewright config reference' describes every key",
        ) from error
    if warn:
        for warning in loaded.warnings:
            output.note(f"warning: {warning}")
    return loaded


def present_token(files: Sequence[Path], *, strict: bool = False, data_dir: Path | None = None) -> "SecretStr":
    """The registration token as files and environment have it now. Raises ValueError when they cannot be used.

    Everything is read again, because the token may stand in a file of its own that a token of the form `{{ file }}`
    names, and a file that is mounted from a Secret changes when the Secret does.
    """
    from gatewright.settings import SettingsError

    try:
        return _load(files, strict=strict, data_dir=data_dir).settings.controller.controlplane.token
    except SettingsError as error:
        raise ValueError("the configuration cannot be used") from error


def _load(files: Sequence[Path], *, strict: bool, data_dir: Path | None) -> "Loaded":
    from gatewright.settings.loading import Layers, settle

    layers = Layers()
    if data_dir is not None:
        layers.add(_paths_below(data_dir), OPTION)
    layers.add_files(files)
    if data_dir is not None:
        layers.add({"gatewright": {"data_dir": str(data_dir)}}, OPTION)
    return settle(layers, os.environ, strict=strict)


def _paths_below(data_dir: Path) -> dict[str, Any]:
    key = {"version": "aesgcm256-v1", "file": str(data_dir / "aesgcm-keys" / "default-aesgcm256-v1.bin")}
    return {
        "controller": {
            "storage": {"sqlite": {"path": str(data_dir / "gateway.db")}},
            "encryption": {"providers": [{"type": "aesgcm", "keys": [key]}]},
        }
    }
