"""Configuration files from disk: TOML, bounded in size. The only module here that opens the files of a load."""

import tomllib
from pathlib import Path
from typing import Any

from gatewright.settings.problems import NO_FILE, SYNTAX, Problem

MAX_FILE = 4 * 1_048_576


def read_toml(path: Path) -> dict[str, Any] | Problem:
    """The tables of one file, or why it cannot be read."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return _problem(NO_FILE, path, reason, "Check the path and that this user may read the file")
    if len(data) > MAX_FILE:
        return _problem(NO_FILE, path, f"larger than {MAX_FILE} bytes", "Split it into several files")
    return parse_toml(data, str(path))


def parse_toml(data: bytes, source: str) -> dict[str, Any] | Problem:
    """The tables of one document, or where its syntax is wrong."""
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return _problem(SYNTAX, source, f"not UTF-8 at byte {error.start}", "Save the file as UTF-8")
    except tomllib.TOMLDecodeError as error:
        return _problem(SYNTAX, source, str(error), "Correct the TOML syntax there")
    except RecursionError:
        return _problem(SYNTAX, source, "nested too deeply", "Correct the TOML there")


def _problem(code: str, path: Path | str, reason: str, remedy: str) -> Problem:
    return Problem(code, "", str(path), f'failed to load config file "{path}": {reason}', remedy)
