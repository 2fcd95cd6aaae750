"""Options and arguments that several commands share."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatewright.cli.output import Format

if TYPE_CHECKING:
    from gatewright.cli.client import GatewayClient

GATEWAY = "Which gateway"
HUB = "Which hub"

Output = Annotated[Format, typer.Option("--output", "-o", help="Form of the result.")]
Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        "-s",
        metavar="URL",
        rich_help_panel=GATEWAY,
        show_default=False,
        help="Management API, such as http://127.0.0.1:9090. Else GATEWRIGHT_SERVER, else what `gatewright up` left in "
        "its data directory, else that example.",
    ),
]
AdminServer = Annotated[
    str | None,
    typer.Option(
        "--admin-server",
        metavar="URL",
        rich_help_panel=GATEWAY,
        show_default=False,
        help="Admin API. Else GATEWRIGHT_ADMIN_SERVER, else port 9092 beside the management API.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        rich_help_panel=GATEWAY,
        show_default=False,
        help="Data directory of a local gateway, to learn its addresses. Else GATEWRIGHT_DATA_DIR, else ./data.",
    ),
]
User = Annotated[
    str | None,
    typer.Option(
        "--user",
        "-u",
        rich_help_panel=GATEWAY,
        show_default=False,
        help="User. Else GATEWRIGHT_USER, else admin. Its password: GATEWRIGHT_PASSWORD, a file, or you are asked.",
    ),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        rich_help_panel=GATEWAY,
        show_default=False,
        help="File that holds the password. Else GATEWRIGHT_PASSWORD_FILE.",
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        rich_help_panel=GATEWAY,
        show_default=False,
        help="Authorities (PEM) to trust for an https address. Else the system's.",
    ),
]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        show_default=False,
        help="Configuration (TOML); several may be given, later ones win. Without: defaults and environment.",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Read the environment through {{ env }} tokens only, as version 1.2 of the original."
    ),
]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, max=3600, help="Seconds to wait at most.")]


def client(
    server: str | None,
    admin_server: str | None,
    data_dir: Path | None,
    user: str | None,
    password_file: Path | None,
    ca_file: Path | None,
    *,
    answer_timeout_s: float | None = None,
) -> "GatewayClient":
    """A client from the options above. Raises Failure."""
    from gatewright.cli import connection
    from gatewright.cli.client import GatewayClient

    where = connection.addresses(server, admin_server, data_dir, os.environ)
    name = connection.user_name(user, os.environ)
    password = connection.password_of(name, password_file, os.environ)
    return GatewayClient(where, name, password, ca_file=ca_file, answer_timeout_s=answer_timeout_s)
