"""`secrets …`: values that documents name instead of holding them."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gatewright.cli import options, output
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.options import AdminServer, CaFile, DataDir, Output, PasswordFile, Server, User
from gatewright.cli.output import Format

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name, as documents have it.")]
_LARGEST_VALUE_BYTES = 10 * 1024


def list_secrets(
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """List the secrets, never their values."""
    from gatewright.cli.client import refused

    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        answer = client.management("GET", "/secrets")
    if not answer.ok:
        raise refused(answer, "secrets")
    found = answer.body.get("secrets") or []
    rows = [(one["metadata"]["name"], one["spec"]["displayName"], one["status"]["updatedAt"]) for one in found]
    output.show(found, form, lambda: output.grid(("Secret", "Name", "Changed"), rows, empty="no secrets"))


def put(
    name: Name,
    value_file: Annotated[
        str, typer.Option("--value-file", metavar="FILE|-", help="File with the value; -: standard input.")
    ] = "-",
    description: Annotated[str, typer.Option("--description", help="What it is for.")] = "",
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Keep a secret, or give it another value. One line end at the end of the value is left out.

    Example:

        gatewright secrets set backend-key --value-file backend.key
    """
    import json

    from gatewright.cli.client import refused, segment

    spec = {"displayName": name, "value": value_in(value_file)}
    if description:
        spec["description"] = description
    document: dict[str, Any] = {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "spec": spec,
    }
    body = json.dumps(document).encode()
    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        answer = client.management("PUT", f"/secrets/{segment(name)}", body=body)
        if answer.status == 404:
            answer = client.management("POST", "/secrets", body=body)
    if not answer.ok:
        raise refused(answer, f"the secret {name} is not kept")
    output.show(answer.body, form, lambda: [f"secret {name} is kept"])


def delete(
    name: Name,
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Delete a secret. Documents that name it serve on as they are, and cannot be deployed again without it."""
    from gatewright.cli.client import refused, segment

    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        answer = client.management("DELETE", f"/secrets/{segment(name)}")
    if not answer.ok:
        raise refused(answer, f"the secret {name} was not deleted")
    output.show({"name": name, "action": "deleted"}, form, lambda: [f"secret {name} is deleted"])


def value_in(source: str) -> str:
    """The value in a file, or standard input for `-`. Raises Failure."""
    try:
        if source == "-":
            raw = sys.stdin.buffer.read(_LARGEST_VALUE_BYTES + 2)
        else:
            with Path(source).open("rb") as file:
                raw = file.read(_LARGEST_VALUE_BYTES + 2)
        text = raw.decode()
    except OSError as error:
        raise Failure(f"{source} cannot be read: {error.strerror}", code=Exit.USAGE) from error
    except UnicodeDecodeError as error:
        raise Failure(f"{source} is not UTF-8 text", code=Exit.USAGE) from error
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise Failure("the value is empty", code=Exit.USAGE, remedy="name a file with --value-file, or pipe it in")
    return text
