"""`keys …`: API keys that are made at the gateway itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewright.cli import options, output
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.options import AdminServer, CaFile, DataDir, Output, PasswordFile, Server, User
from gatewright.cli.output import Format

if TYPE_CHECKING:
    from gatewright.cli.client import Answer, GatewayClient

Api = Annotated[str, typer.Argument(metavar="API", help="Name of the API, as 'gatewright get rest-apis' shows it.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the key.")]
ExpiresIn = Annotated[
    str | None,
    typer.Option(
        "--expires-in", metavar="TIME", show_default=False, help="Lifetime, such as 30d, 12h, 15m. Else: no end."
    ),
]
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SERVING_TIMEOUT_S = 15.0


def create(
    api: Api,
    name: Annotated[str, typer.Option("--name", "-n", help="Name; made up when there is none.")] = "",
    expires_in: ExpiresIn = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            metavar="FILE",
            show_default=False,
            help="Register the key in this file instead of making one.",
        ),
    ] = None,
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Make a key. It is shown once and kept nowhere; waits until the routers know it.

    Examples:

        gatewright keys create petstore-v1.0 --name till-7 --expires-in 30d
        KEY=$(gatewright keys create petstore-v1.0 -o json | jq -r .apiKey)
    """
    from gatewright.cli.client import segment

    body: dict[str, Any] = {"name": name} if name else {}
    if expires_in:
        body["expiresIn"] = _expiry(expires_in)
    if key_file is not None:
        body["apiKey"] = _key_in(key_file)
    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        _show_new(client, _post(client, f"/rest-apis/{segment(api)}/api-keys", body, api), form)


def list_keys(
    api: Api,
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """List the active keys; values are masked."""
    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        show_keys(client, api, form)


def regenerate(
    api: Api,
    name: Name,
    expires_in: ExpiresIn = None,
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Give a key a new value; the old one ends at once."""
    from gatewright.cli.client import segment

    body = {"expiresIn": _expiry(expires_in)} if expires_in else {}
    path = f"/rest-apis/{segment(api)}/api-keys/{segment(name)}/regenerate"
    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        _show_new(client, _post(client, path, body, f"{api}/{name}"), form)


def revoke(
    api: Api,
    name: Name,
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """End a key; waits until no router accepts it any more."""
    from gatewright.cli.client import refused, segment

    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        answer = client.management("DELETE", f"/rest-apis/{segment(api)}/api-keys/{segment(name)}")
        if not answer.ok:
            raise refused(answer, f"the key {name} of {api} was not revoked")
        _wait(client, answer, f"the end of the key {name}")
    output.show({"api": api, "name": name, "action": "revoked"}, form, lambda: [f"key {name} of {api} revoked"])


def show_keys(client: "GatewayClient", api: str, form: Format) -> None:
    """Print the keys of an API."""
    from gatewright.cli.client import refused, segment

    answer = client.management("GET", f"/rest-apis/{segment(api)}/api-keys")
    if not answer.ok:
        raise refused(answer, f"keys of {api}", remedy="'gatewright get rest-apis' lists the APIs")
    keys = answer.body.get("apiKeys") or []
    output.show(keys, form, lambda: _table(keys))


def _table(keys: list[dict[str, Any]]) -> list[str]:
    rows = [
        (key.get("name"), key.get("apiKey"), key.get("status"), key.get("createdBy"), key.get("expiresAt") or "never")
        for key in keys
    ]
    return output.grid(("Name", "Key", "Status", "By", "Expires"), rows, empty="no keys")


def _post(client: "GatewayClient", path: str, body: dict[str, Any], what: str) -> "Answer":
    import json

    from gatewright.cli.client import refused

    answer = client.management("POST", path, body=json.dumps(body).encode())
    if not answer.ok:
        raise refused(answer, f"no key for {what}")
    return answer


def _show_new(client: "GatewayClient", answer: "Answer", form: Format) -> None:
    key = answer.body.get("apiKey") or {}
    output.show(
        key,
        form,
        lambda: output.facts(
            (("Name", key.get("name")), ("Key", key.get("apiKey")), ("Expires", key.get("expiresAt") or "never"))
        ),
    )
    if form is Format.TABLE and key.get("apiKey"):
        output.note("The key is not kept in plain and cannot be shown again.")
    _wait(client, answer, f"the key {key.get('name')}")


def _wait(client: "GatewayClient", answer: "Answer", what: str) -> None:
    from gatewright.cli import serving

    failure = serving.wait(client, answer, _SERVING_TIMEOUT_S).failure(what)
    if failure is not None:
        raise failure


def _expiry(text: str) -> dict[str, Any]:
    number, unit = text[:-1], _UNITS.get(text[-1:])
    if unit is None or not (number.isascii() and number.isdigit() and int(number) > 0):
        raise Failure(
            f"{text} is not a lifetime", code=Exit.USAGE, remedy="give a whole number with s, m, h, d or w: 30d"
        )
    return {"duration": int(number), "unit": unit}


def _key_in(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(4096).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"the key file {path} cannot be read: {error}", code=Exit.USAGE) from error
