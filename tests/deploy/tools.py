"""Finds the programs of others that these tests run: on PATH, or where `scripts/install-tools.sh` puts them."""

import os
import shutil
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gatewright" / "bin"


def find(name: str) -> str | None:
    """The program's path; None when it is not installed."""
    return shutil.which(name) or shutil.which(name, path=str(CACHE))
