"""`apim register`: the credentials that a gateway needs to sync its APIs to an API Manager."""

import asyncio
import enum
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gatewright.cli import configuration, output
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.options import ConfigFiles, Output
from gatewright.cli.output import Format

if TYPE_CHECKING:
    from gatewright.controlplane.registering.registration import Client, Gateway

PASSWORD_VARIABLE: Final = "GATEWRIGHT_APIM_PASSWORD"  # noqa: S105 - the name of a variable
GATEWAY_PANEL: Final = "The gateway itself"
TLS_PANEL: Final = "Which API Manager"
_SECRET: Final = "gatewright-apim"  # noqa: S105 - the name of a Kubernetes object
_LARGEST: Final = 64 * 1024
_GATEWAY_NAME: Final = re.compile(r"[a-z0-9-]{3,64}")
_NAMES: Final = {"secret": "gatewright-apim-secret.yaml", "env": "gatewright-apim.env"}


class FileForm(enum.StrEnum):
    """What the credentials are written as."""

    SECRET = "secret"  # noqa: S105 - the name of a form
    ENV = "env"


Host = Annotated[
    str | None,
    typer.Argument(
        metavar="[HOST[:PORT]]",
        show_default=False,
        help="The API Manager. Else controller.controlplane.host of --config.",
    ),
]
User = Annotated[str, typer.Option("--user", "-u", help="User of the API Manager who registers the client.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        show_default=False,
        help=f"File with the user's password; - reads standard input. Else {PASSWORD_VARIABLE}, else you are asked.",
    ),
]
Owner = Annotated[
    str | None,
    typer.Option("--owner", show_default=False, help="Owner of the client, in whose name it acts. Else the user."),
]
ClientName = Annotated[str, typer.Option("--client-name", help="Name of the client; the same name finds it again.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", show_default=False, help="File to write, mode 600. Else a name after its form."
    ),
]
AsForm = Annotated[
    FileForm, typer.Option("--as", help="A Kubernetes Secret, or an environment file for containers and systemd.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")]
SecretName = Annotated[str, typer.Option("--secret-name", help="Name of the Kubernetes Secret.")]
Namespace = Annotated[
    str, typer.Option("--namespace", "-n", show_default=False, help="Its namespace. Else the one of kubectl.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check address, certificate and file, and say what would be done.")
]
GatewayName = Annotated[
    str | None,
    typer.Option(
        "--gateway",
        metavar="NAME",
        rich_help_panel=GATEWAY_PANEL,
        show_default=False,
        help="Register the gateway too, and keep its registration token in the same file.",
    ),
]
Vhost = Annotated[
    str | None,
    typer.Option(
        "--vhost",
        metavar="URL",
        rich_help_panel=GATEWAY_PANEL,
        show_default=False,
        help="Where consumers reach it, such as https://gw.example.com:8443.",
    ),
]
DisplayName = Annotated[
    str | None,
    typer.Option(
        "--display-name", rich_help_panel=GATEWAY_PANEL, show_default=False, help="How people call it. Else its name."
    ),
]
NewToken = Annotated[
    bool,
    typer.Option(
        "--new-token", rich_help_panel=GATEWAY_PANEL, help="Give a registered gateway a new token; the old one ends."
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        rich_help_panel=TLS_PANEL,
        show_default=False,
        help="Authorities (PEM) to trust. Else gatewright.controlplane.ca_file of --config, else the system's.",
    ),
]
SkipVerify = Annotated[
    bool,
    typer.Option(
        "--insecure-skip-verify", rich_help_panel=TLS_PANEL, help="Accept any certificate. Not for passwords."
    ),
]


def register(
    host: Host = None,
    user: User = "admin",
    password_file: PasswordFile = None,
    owner: Owner = None,
    client_name: ClientName = "gateway-controller",
    out: Out = None,
    file_form: AsForm = FileForm.SECRET,
    secret_name: SecretName = _SECRET,
    namespace: Namespace = "",
    force: Force = False,
    dry_run: DryRun = False,
    gateway: GatewayName = None,
    vhost: Vhost = None,
    display_name: DisplayName = None,
    new_token: NewToken = False,
    config: ConfigFiles = None,
    ca_file: CaFile = None,
    insecure_skip_verify: SkipVerify = False,
    form: Output = Format.TABLE,
) -> None:
    """Register a client at an API Manager, so that APIs made at the gateway can be synced there.

    Proves that the client gets the scopes that a sync needs before it writes its credentials. May be repeated: the
    same client comes back.

    Examples:

        gatewright apim register apim.example.com:9443 --ca-file ca.pem
        gatewright apim register apim.example.com:9443 --as env --gateway prod-gateway --vhost https://gw.example.com
    """
    wanted = _Wanted(config or [], host, ca_file, insecure_skip_verify, gateway, vhost, display_name, new_token)
    path = out or Path(_NAMES[file_form])
    _check_place(path, force=force)
    if insecure_skip_verify:
        output.note("warning: the certificate is NOT verified: anybody on the way can read the password")
    if dry_run:
        told = _told(wanted, path, file_form, client_name, owner or user)
        asyncio.run(_in_time(wanted.look()))
        output.show({**told, "dryRun": True}, form, lambda: _plan(told))
        return
    password = _password(user, password_file)
    client, registered = asyncio.run(
        _in_time(wanted.carry_out(user, password, client_name=client_name, owner=owner or user))
    )
    _write(path, file_form, wanted.host, client, registered, name=secret_name, namespace=namespace, force=force)
    told = {
        **_told(wanted, path, file_form, client.name, client.owner),
        "clientId": client.client_id,
        "scopes": list(client.scopes),
        "dryRun": False,
    }
    if registered is not None:
        told["gatewayId"] = registered.id
    output.show(told, form, lambda: _done(told))


class _Wanted:
    """What was asked for, checked before anything is done. Raises Failure."""

    def __init__(
        self,
        config: list[Path],
        host: str | None,
        ca_file: Path | None,
        skip_verify: bool,
        gateway: str | None,
        vhost: str | None,
        display_name: str | None,
        new_token: bool,
    ) -> None:
        settings = configuration.load(config).settings if config else None
        configured = settings.controller.controlplane.host if settings else ""
        self.host = _host(host or configured)
        self.ca_file = str(ca_file or (settings.gatewright.controlplane.ca_file if settings else ""))
        self.verify = not skip_verify
        self.gateway, self.vhost, self.new_token = gateway, vhost or "", new_token
        self.display_name = display_name or gateway or ""
        if gateway is not None and not _GATEWAY_NAME.fullmatch(gateway):
            raise Failure(
                f"{gateway!r} cannot be the name of a gateway",
                code=Exit.USAGE,
                remedy="use 3 to 64 lower-case letters, digits and hyphens",
            )
        if gateway is not None and not self.vhost.startswith(("https://", "http://")):
            raise Failure(
                "--gateway needs --vhost",
                code=Exit.USAGE,
                remedy="say where consumers reach it, as a URL with https://",
            )
        if gateway is None and (vhost or display_name or new_token):
            raise Failure("--vhost, --display-name and --new-token need --gateway", code=Exit.USAGE)

    async def look(self) -> None:
        """Only see that an API Manager answers, and that its certificate is trusted."""
        from gatewright.controlplane.registering.calls import Calls
        from gatewright.controlplane.registering.registration import discover

        async with Calls(self.host, ca_file=self.ca_file, verify=self.verify) as calls:
            await discover(calls)

    async def carry_out(
        self, user: str, password: str, *, client_name: str, owner: str
    ) -> "tuple[Client, Gateway | None]":
        """Register and prove."""
        from pydantic import SecretStr

        from gatewright.controlplane.registering import registration
        from gatewright.controlplane.registering.calls import Calls

        account = registration.Account(user, SecretStr(password))
        async with Calls(self.host, ca_file=self.ca_file, verify=self.verify) as calls:
            await registration.discover(calls)
            client = await registration.register_client(calls, account, name=client_name, owner=owner)
            client = await registration.prove(calls, client)
            if self.gateway is None:
                return client, None
            wanted = registration.WantedGateway(self.gateway, self.display_name, self.vhost, self.new_token)
            return client, await registration.register_gateway(calls, client, wanted)


async def _in_time(work: Any) -> Any:  # noqa: ANN401 - whatever the work gives
    """The work, its failures with exit codes."""
    from gatewright.controlplane.registering.calls import RegistrationFailed

    codes = {"unreachable": Exit.UNREACHABLE, "unauthorised": Exit.UNAUTHORISED, "refused": Exit.FAILED}
    try:
        return await work
    except RegistrationFailed as failed:
        raise Failure(failed.what, code=codes[failed.kind], remedy=failed.remedy) from None


def _host(told: str) -> str:
    from gatewright.controlplane.doctor.route import address_of

    host = told.strip().removeprefix("https://").rstrip("/")
    if not host:
        raise Failure(
            "no API Manager is named",
            code=Exit.USAGE,
            remedy="give its host and port, or a configuration with --config",
        )
    if address_of(host) is None:
        raise Failure(f"{told!r} is no address", code=Exit.USAGE, remedy="give it as host or host:port")
    return host


def _check_place(path: Path, *, force: bool) -> None:
    """Before anything is registered: a token that is shown once must find its place."""
    if path.exists() and not force:
        raise Failure(
            f"{path} exists", code=Exit.USAGE, remedy="name another file with --out, or replace it with --force"
        )
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise Failure(f"{path.parent} is no folder that can be written", code=Exit.USAGE, remedy="name another file")


def _password(user: str, file: Path | None) -> str:
    if file is not None and str(file) == "-":
        return _only_line(sys.stdin.read(_LARGEST), "standard input")
    if file is not None:
        try:
            return _only_line(file.read_text(encoding="utf-8")[:_LARGEST], str(file))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise Failure(f"the password file {file} cannot be read: {reason}", code=Exit.UNAUTHORISED) from error
    if password := os.environ.get(PASSWORD_VARIABLE):
        return password
    if sys.stdin.isatty() and sys.stderr.isatty():
        from getpass import getpass

        return getpass(f"Password of {user} at the API Manager: ", stream=sys.stderr)
    raise Failure(
        f"no password for the user {user}",
        code=Exit.UNAUTHORISED,
        remedy=f"set {PASSWORD_VARIABLE}, name a file with --password-file, or pipe it with --password-file -",
    )


def _only_line(text: str, source: str) -> str:
    password = text.rstrip("\r\n")
    if not password or "\n" in password:
        raise Failure(f"{source} holds no password", code=Exit.UNAUTHORISED, remedy="it must be one line, nothing else")
    return password


def _write(
    path: Path,
    file_form: FileForm,
    host: str,
    client: "Client",
    gateway: "Gateway | None",
    *,
    name: str,
    namespace: str,
    force: bool,
) -> None:
    from gatewright.controlplane.registering import files

    values = files.variables(file_form.value, host, client, gateway)
    lost = "" if gateway is None else "; the gateway's token is lost: run it again with --new-token"
    try:
        content = (
            files.manifest(values, name=name, namespace=namespace)
            if file_form is FileForm.SECRET
            else files.environment(values)
        )
        files.write_private(path, content, overwrite=force)
    except files.Exists:
        raise Failure(
            f"{path} was made meanwhile by somebody else", remedy=f"name another file with --out{lost}"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Failure(f"{path} cannot be written: {reason}", remedy=f"name another file with --out{lost}") from None


def _told(wanted: _Wanted, path: Path, file_form: FileForm, client: str, owner: str) -> dict[str, Any]:
    told: dict[str, Any] = {"host": wanted.host, "verified": wanted.verify, "client": client, "owner": owner}
    if wanted.gateway is not None:
        told["gateway"] = wanted.gateway
    return {**told, "file": str(path), "form": file_form.value}


def _plan(told: dict[str, Any]) -> list[str]:
    trusted = "trusted" if told["verified"] else "NOT looked at"
    lines = [
        f"{told['host']} is an API Manager, and its certificate is {trusted}.",
        f"Would register the client {told['client']} for {told['owner']} and see that it gets the scopes of a sync.",
    ]
    if "gateway" in told:
        lines.append(f"Would register the gateway {told['gateway']} and take its token.")
    return [*lines, f"Would write {told['file']} (mode 600). Nothing was changed."]


def _done(told: dict[str, Any]) -> list[str]:
    pairs = [
        ("API Manager", told["host"]),
        ("Client", f"{told['client']} ({told['clientId']})"),
        ("Owner", told["owner"]),
        ("Scopes", " ".join(told["scopes"])),
        ("Gateway", told.get("gateway", "")),
        ("Written", f"{told['file']} (mode 600)"),
    ]
    kubernetes = told["form"] == FileForm.SECRET.value
    step = f"kubectl apply -f {told['file']}" if kubernetes else f"set -a; . ./{told['file']}; gatewright up"
    return [*output.facts(pairs), "", f"Next: {step}"]
