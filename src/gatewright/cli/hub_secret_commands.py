"""`hub secrets change|deprecate|activate`: what happens to a secret of the hub after it was made."""

from typing import Annotated

import typer

from gatewright.cli import output
from gatewright.cli.hub_connection import HubCaFile, HubDataDir, HubUrl, TokenFile, ask
from gatewright.cli.secret_commands import value_in
from gatewright.wire.platform_secrets import ACTIVE, DEPRECATED

Secret = Annotated[str, typer.Argument(metavar="ID", help="Id of the secret.")]


def change(
    secret: Secret,
    value_file: Annotated[
        str, typer.Option("--value-file", metavar="FILE|-", help="File with the value; -: standard input.")
    ] = "-",
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Give a secret another value. Gateways fetch it when they next compare ('gatewright sync' there: at once).

    Example:

        gatewright hub secrets change backend-key --value-file backend.key
    """
    value = value_in(value_file)
    ask(hub, data_dir, token_file, ca_file, lambda client: client.modify_secret(secret, value=value))
    output.line(f"secret {secret} has another value")


def deprecate(
    secret: Secret,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Tell the value to no gateway any more. Those that have it keep it, and what they serve goes on."""
    ask(hub, data_dir, token_file, ca_file, lambda client: client.modify_secret(secret, status=DEPRECATED))
    output.line(f"secret {secret} is deprecated: gateways that do not have it cannot get it")


def activate(
    secret: Secret,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Tell the value again to gateways that need it."""
    ask(hub, data_dir, token_file, ca_file, lambda client: client.modify_secret(secret, status=ACTIVE))
    output.line(f"secret {secret} is active")
