"""`up`, `controller`, `router`: processes in the foreground, until Ctrl-C or SIGTERM."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatewright.cli import configuration, connection
from gatewright.cli.options import ConfigFiles, Strict

if TYPE_CHECKING:
    from gatewright.settings import Loaded

KeptIn = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        show_default=False,
        help="Folder of all that the process keeps: database, keys, snapshots. Paths that the configuration sets win. "
        "Else gatewright.data_dir, ./data.",
    ),
]
_EVERYWHERE = {"0.0.0.0", "::", "*", ""}  # addresses that mean "all of this machine"


def up(config: ConfigFiles = None, data_dir: KeptIn = None, strict: Strict = False) -> None:
    """Run a whole gateway on this machine: controller, and router with Envoy.

    The first start makes an administrator and prints its password once. Stops cleanly on Ctrl-C.

    Examples:

        gatewright up
        gatewright up --config gateway.toml --data-dir /var/lib/gatewright
    """
    loaded = configuration.load(config or [], strict=strict, data_dir=data_dir, warn=False)
    from gatewright import process

    token = partial(configuration.present_token, config or [], strict=strict, data_dir=data_dir)
    raise typer.Exit(process.up(loaded, started=lambda: leave_addresses(loaded), token=token))


def controller(config: ConfigFiles = None, data_dir: KeptIn = None, strict: Strict = False) -> None:
    """Run a controller alone: management and admin API, configuration for routers, link to the control plane."""
    loaded = configuration.load(config or [], strict=strict, data_dir=data_dir, warn=False)
    from gatewright import process

    token = partial(configuration.present_token, config or [], strict=strict, data_dir=data_dir)
    raise typer.Exit(process.controller(loaded, started=lambda: leave_addresses(loaded), token=token))


def router(config: ConfigFiles = None, data_dir: KeptIn = None, strict: Strict = False) -> None:
    """Run a router alone: Envoy, fed by a controller elsewhere; serves the last good state while that is away.

    Example:

        APIP_GW_GATEWAY_CONTROLLER_HOST=10.0.0.5 gatewright router
    """
    loaded = configuration.load(config or [], strict=strict, data_dir=data_dir, warn=False)
    from gatewright import process

    raise typer.Exit(process.router(loaded))


def leave_addresses(loaded: "Loaded") -> None:
    """So that `gatewright status` and the others find this gateway without being told."""
    settings = loaded.settings
    bind, server = settings.gatewright.bind, settings.controller
    connection.write_context(
        Path(settings.gatewright.data_dir),
        _url(bind.management, server.server.api_port),
        _url(bind.admin, server.admin_server.port),
    )


def _url(host: str, port: int) -> str:
    reachable = "127.0.0.1" if host in _EVERYWHERE else host
    return f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{port}"
