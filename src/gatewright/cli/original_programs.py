"""`gateway-controller` and `gateway-runtime`: the programs of the original's images, with its options and exit codes.

A Pod or Compose file that was written for them needs another image and nothing else. As there, the ports are open on
all interfaces unless the configuration says otherwise: who reaches them is the container network's business.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from gatewright.settings import Loaded

FAILED: Final = 1
_EVERYWHERE: Final = {
    "gatewright": {"bind": dict.fromkeys(("management", "admin", "metrics", "xds", "router_admin"), "0.0.0.0")}
}
_PREFIXES: Final = ("--rtr.", "--pol.", "--py.")
_OF_ENVOY: Final = {"log-level": "log_level", "concurrency": "concurrency"}
_REFUSED: Final = ("--py.socket", "--py.listen")


def controller() -> None:
    """`gateway-controller -config FILE [-config FILE…]`."""
    files = _config_files(sys.argv[1:])
    loaded = _load(files)
    from gatewright import process
    from gatewright.cli.run_commands import leave_addresses

    sys.exit(process.controller(loaded, started=lambda: leave_addresses(loaded)))


def runtime() -> None:
    """`gateway-runtime [--pol.config FILE…] [--rtr.OPTION [VALUE]…]`."""
    files: list[Path] = []
    envoy: dict[str, str] = {}
    for option, value in _split(sys.argv[1:]):
        if option == "--pol.config" and value:
            files.append(Path(value))
        elif option.startswith("--rtr.") and option.removeprefix("--rtr.") in _OF_ENVOY:
            envoy[_OF_ENVOY[option.removeprefix("--rtr.")]] = value
        else:
            sys.stderr.write(f"{option} means nothing here and is ignored\n")
    loaded = _load(files, envoy)
    from gatewright import process

    sys.exit(process.router(loaded))


def _config_files(arguments: Sequence[str]) -> list[Path]:
    """As Go's flags: one dash or two, the value after `=` or a space."""
    files = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name not in {"-config", "--config"}:
            _end(f"flag provided but not defined: {name}", usage=True)
        file = value if equals else next(rest, "")
        if not file:
            _end(f"flag needs an argument: {name}", usage=True)
        files.append(Path(file))
    if not files:
        _end("Error: -config flag is required", usage=True)
    return files


def _split(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Options with their values; a word that does not begin with two dashes is the value of the one before."""
    position = 0
    while position < len(arguments):
        option, equals, value = arguments[position].partition("=")
        if not option.startswith(_PREFIXES) or option in _PREFIXES:
            _end(f"Error: {option} is not known; options begin with --rtr., --pol. or --py.")
        if option in _REFUSED:
            _end(f"Error: {option} cannot be set")
        position += 1
        if not equals and position < len(arguments) and not arguments[position].startswith("--"):
            value = arguments[position]
            position += 1
        yield option, value


def _load(files: Sequence[Path], envoy: dict[str, str] | None = None) -> "Loaded":
    from gatewright.settings import SettingsError
    from gatewright.settings.loading import Layers, settle

    layers = Layers()
    layers.add(_EVERYWHERE, "default")
    layers.add_files(files)
    if envoy:
        layers.add({"gatewright": {"envoy": envoy}}, "arguments")
    try:
        return settle(layers, os.environ)
    except SettingsError as error:
        for warning in error.warnings:
            sys.stderr.write(f"warning: {warning}\n")
        problems = "\n".join(f"  {problem}" for problem in error.problems)
        _end(f"Failed to load configuration from {', '.join(map(str, files))}:\n{problems}")


def _end(message: str, *, usage: bool = False) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    if usage:
        sys.stderr.write("Usage: gateway-controller -config FILE [-config FILE ...]\n")
    sys.exit(FAILED)
