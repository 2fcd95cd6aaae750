"""`hub start`: a control plane in the foreground, the embedded one or a stand-in for an on-premises API Manager."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gatewright.cli import hub_connection
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.hub_connection import HubDataDir


class Role(StrEnum):
    """Which control plane a hub is."""

    PLATFORM = "platform"
    API_MANAGER = "api-manager"


def start(
    data_dir: HubDataDir = None,
    role: Annotated[
        Role, typer.Option("--as", help="Which control plane it is; api-manager: a stand-in for an on-premises one.")
    ] = Role.PLATFORM,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            show_default=False,
            help="Port; 0: a free one. [9243, as api-manager 9443]",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", show_default=False, help="Further host name for the certificate."),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="FILE", show_default=False, help="Own certificate (PEM).")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", show_default=False, help="Its key (PEM).")
    ] = None,
    project: Annotated[
        list[str] | None,
        typer.Option(
            "--project", metavar="NAME", show_default=False, help="Project that pushed APIs may name. [default]"
        ),
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(
            "--users",
            metavar="FILE",
            show_default=False,
            help="As api-manager: users (YAML list of name, password, roles) instead of admin/admin.",
        ),
    ] = None,
    connects: Annotated[
        Path | None,
        typer.Option(
            "--platform-gateways",
            metavar="FILE",
            show_default=False,
            help="As api-manager: a deployment.toml with [[apim.platform_gateway.connect]].",
        ),
    ] = None,
    switch: Annotated[
        list[str] | None,
        typer.Option(
            "--switch",
            metavar="NAME=VALUE",
            show_default=False,
            help="As api-manager: a fault to begin with, such as import_mode=503:2.",
        ),
    ] = None,
) -> None:
    """Run a hub in the foreground, until Ctrl-C.

    The first start makes a certificate authority and an admin token in the data directory.

    Examples:

        gatewright hub start
        gatewright hub start --host 0.0.0.0 --name hub.example.com --data-dir /var/lib/gatewright-hub
        gatewright hub start --as api-manager
    """
    if role is Role.API_MANAGER:
        from gatewright.cli.hub_process import run_api_manager
        from gatewright.hub.apim.config import DEFAULT_PORT, ApiManagerConfig

        if project:
            raise Failure("--project is for a platform hub only", code=Exit.USAGE)
        raise typer.Exit(
            run_api_manager(
                ApiManagerConfig(
                    data_dir=hub_connection.api_manager_directory(data_dir),
                    host=host,
                    port=DEFAULT_PORT if port is None else port,
                    names=tuple(name or ()),
                    certificate_file=certificate,
                    key_file=key,
                    switches=hub_connection.positions(switch or ()),
                ),
                users,
                connects,
            )
        )
    from gatewright.cli.hub_process import run
    from gatewright.hub.config import HubConfig

    if users or connects or switch:
        raise Failure("--users, --platform-gateways and --switch need --as api-manager", code=Exit.USAGE)
    config = HubConfig(
        data_dir=hub_connection.directory(data_dir),
        host=host,
        port=hub_connection.DEFAULT_PORT if port is None else port,
        names=tuple(name or ()),
        certificate_file=certificate,
        key_file=key,
        projects=tuple(project or ("default",)),
    )
    raise typer.Exit(run(config))
