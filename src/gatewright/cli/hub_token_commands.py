"""`hub token …` and `hub keys …`: the credentials of gateways and of API consumers, as the hub keeps them."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from gatewright.cli import output
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.hub_connection import HubCaFile, HubDataDir, HubUrl, TokenFile, ask, plain
from gatewright.cli.options import Output
from gatewright.cli.output import Format
from gatewright.cli.phrases import ago

keys = typer.Typer(help="API keys of an API.", no_args_is_help=True, rich_markup_mode="rich")

Gateway = Annotated[str, typer.Argument(metavar="GATEWAY", help="Name of the gateway.")]
Api = Annotated[str, typer.Argument(metavar="API", help="Name or id of the API.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--token-out",
        metavar="FILE",
        show_default=False,
        help="Write the token there (mode 0600) instead of printing it.",
    ),
]


def list_tokens(
    gateway: Gateway,
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """List the active tokens; their values are not kept."""
    views = ask(hub, data_dir, token_file, ca_file, lambda client: client.tokens(gateway))
    rows = [(view.id, view.status, ago(view.created_at), view.revoke_at) for view in views]
    head = ("Token", "Status", "Made", "Ends")
    output.show(plain(views), form, lambda: output.grid(head, rows, empty="no active tokens"))


def issue_token(
    gateway: Gateway,
    token_out: Out = None,
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Issue a further token; a gateway may have two."""
    issued = ask(hub, data_dir, token_file, ca_file, lambda client: client.issue_token(gateway))
    _show_token(plain(issued), token_out, form)


def rotate_token(
    gateway: Gateway,
    overlap: Annotated[
        float, typer.Option("--overlap", min=0, max=2_592_000, help="Seconds that the present token lives on.")
    ] = 3600.0,
    token_out: Out = None,
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Issue a new token and let the present one end after an overlap.

    Example:

        gatewright hub token rotate edge --overlap 600 --token-out edge.token
    """
    issued = ask(hub, data_dir, token_file, ca_file, lambda client: client.rotate_token(gateway, overlap))
    _show_token(plain(issued), token_out, form)


def revoke_token(
    gateway: Gateway,
    token: Annotated[str, typer.Argument(metavar="TOKEN-ID", help="Id of the token, as 'list' shows it.")],
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """End a token at once and close the connections that use it."""
    ask(hub, data_dir, token_file, ca_file, lambda client: client.revoke_token(gateway, token))
    output.line(f"token {token} of {gateway} is revoked")


def list_keys(
    api: Api,
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """List the keys of an API; values are masked."""
    views = ask(hub, data_dir, token_file, ca_file, lambda client: client.keys(api))
    rows = [
        (view.name, view.masked_api_key, view.status, ago(view.created_at), view.expires_at or "never")
        for view in views
    ]
    head = ("Name", "Key", "Status", "Made", "Expires")
    output.show(plain(views), form, lambda: output.grid(head, rows, empty="no keys"))


def issue_key(
    api: Api,
    name: Annotated[
        str, typer.Option("--name", "-n", help="Name; made up when there is none.", show_default=False)
    ] = "",
    expires_at: Annotated[
        str, typer.Option("--expires-at", metavar="TIME", help="End, as 2027-01-31T00:00:00Z.", show_default=False)
    ] = "",
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Issue a key and send its hash to the API's gateways. It is shown once and kept nowhere.

    Example:

        gatewright hub keys issue petstore-v1.0 --name till-7
    """
    issued = plain(
        ask(hub, data_dir, token_file, ca_file, lambda client: client.create_key(api, name, expires_at=expires_at))
    )
    _show_key(issued, form)


def regenerate_key(
    api: Api,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the key.")],
    expires_at: Annotated[
        str,
        typer.Option("--expires-at", metavar="TIME", help="Another end, as 2027-01-31T00:00:00Z.", show_default=False),
    ] = "",
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Give a key another value; the old one ends at every gateway. It is shown once and kept nowhere."""
    issued = plain(
        ask(hub, data_dir, token_file, ca_file, lambda client: client.regenerate_key(api, name, expires_at=expires_at))
    )
    _show_key(issued, form)


def _show_key(issued: dict[str, Any], form: Format) -> None:
    key = issued["key"]
    facts = (("Name", key["name"]), ("Key", issued["apiKey"]), ("Expires", key.get("expiresAt") or "never"))
    output.show(issued, form, lambda: output.facts(facts))
    if form is Format.TABLE:
        output.note("The key is not kept in plain and cannot be shown again.")


def revoke_key(
    api: Api,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the key.")],
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """End a key at the hub and at every gateway."""
    ask(hub, data_dir, token_file, ca_file, lambda client: client.revoke_key(api, name))
    output.line(f"key {name} of {api} is revoked")


def handed_over(issued: dict[str, Any], file: Path | None) -> dict[str, Any]:
    """`issued` with the plain token, or with the name of the private file that it was written to."""
    if file is None:
        return issued
    try:
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as target:
            target.write(issued["token"] + "\n")
    except OSError as error:
        raise Failure(
            f"the token was issued, but {file} cannot be written: {error.strerror}",
            code=Exit.FAILED,
            where=f"token id {issued['id']}",
            remedy="revoke it with 'gatewright hub token revoke' and issue another",
        ) from error
    return {**issued, "token": f"in {file}"}


def _show_token(issued: dict[str, Any], file: Path | None, form: Format) -> None:
    shown = handed_over(issued, file)
    output.show(shown, form, lambda: output.facts((("Id", shown["id"]), ("Token", shown["token"]))))
    if form is Format.TABLE and file is None:
        output.note("The token is not kept in plain and cannot be shown again.")
