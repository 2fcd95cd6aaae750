"""`certificates …`: authorities that HTTPS upstreams are checked against."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewright.cli import options, output
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.options import AdminServer, CaFile, DataDir, Output, PasswordFile, Server, User
from gatewright.cli.output import Format

if TYPE_CHECKING:
    from gatewright.cli.client import GatewayClient

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name.")]
_LARGEST_FILE_BYTES = 1024 * 1024


def list_certificates(
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """List the uploaded authorities with their ends."""
    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        found = _all(client)
    rows = [(one.get("name"), one.get("subject"), one.get("count"), one.get("notAfter")) for one in found]
    output.show(found, form, lambda: output.grid(("Name", "Subject", "Certificates", "Until"), rows, empty="none"))


def add(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="PEM file, also of several certificates.")],
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Trust an authority for HTTPS upstreams; returns when the routers do.

    Example:

        gatewright certificates add corp-root corp-root.pem
    """
    import json

    from gatewright.cli.client import refused

    body = json.dumps({"name": name, "certificate": _read(file)}).encode()
    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        answer = client.management("POST", "/certificates", body=body)
    if not answer.ok:
        raise refused(answer, f"{file} is not trusted")
    stored = answer.body
    output.show(stored, form, lambda: [f"{name} is trusted: {stored.get('subject')}, until {stored.get('notAfter')}"])


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
    """Trust an uploaded authority no more; connections that are made from now on fail without it."""
    from gatewright.cli.client import refused, segment

    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        found = next((one for one in _all(client) if name in {one.get("name"), one.get("id")}), None)
        if found is None:
            raise Failure(
                f"there is no certificate named {name}",
                code=Exit.NOT_FOUND,
                remedy="'gatewright certificates list' shows them",
            )
        answer = client.management("DELETE", f"/certificates/{segment(str(found['id']))}")
    if not answer.ok:
        raise refused(answer, f"{name} was not deleted")
    output.show(answer.body, form, lambda: [f"{name} is trusted no more"])


def _all(client: "GatewayClient") -> list[dict[str, Any]]:
    from gatewright.cli.client import refused

    answer = client.management("GET", "/certificates")
    if not answer.ok:
        raise refused(answer, "certificates")
    return answer.body.get("certificates") or []


def _read(file: Path) -> str:
    try:
        with file.open(encoding="ascii") as opened:
            content = opened.read(_LARGEST_FILE_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file} cannot be read: {error}", code=Exit.USAGE, remedy="name a PEM file") from error
    if len(content) > _LARGEST_FILE_BYTES:
        raise Failure(f"{file} is larger than {_LARGEST_FILE_BYTES} bytes", code=Exit.USAGE)
    return content
