"""Finds the programs of others that these tests run: on PATH, or where `scripts/install-tools.sh` puts them."""

import os
import shutil
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gatewright" / "bin"


def find(name: str) -> str | None:
    """The program's path; None when it is not installed."""
    return shutil.which(name) or shutil.which(name, path=str(CACHE))


DOCKER = CACHE.parent / "docker" / "usr"
DOCKER_PATH = os.pathsep.join((str(DOCKER / "bin"), str(DOCKER / "sbin"), os.environ["PATH"]))
"""Where a Docker engine and its clients are looked for: first those that were unpacked for these tests."""
DOCKER_PLUGINS = DOCKER / "libexec" / "docker" / "cli-plugins"
