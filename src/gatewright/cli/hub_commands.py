"""`hub …`: the embedded control plane, and what people do with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewright.cli import output
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.hub_connection import HubCaFile, HubDataDir, HubUrl, TokenFile, ask, plain
from gatewright.cli.options import Output
from gatewright.cli.output import Format
from gatewright.cli.phrases import ago

if TYPE_CHECKING:
    from gatewright.hub.client import HubClient
    from gatewright.hub.views import Change, Deployed, DeploymentView


Gateways = Annotated[
    list[str] | None,
    typer.Option("--gateway", "-g", metavar="GATEWAY", show_default=False, help="Gateway; may be given several times."),
]


Artifact = Annotated[str, typer.Argument(metavar="API", help="Name or id of the API.")]


def list_gateways(
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """List the registered gateways and whether they are connected."""
    views = ask(hub, data_dir, token_file, ca_file, lambda client: client.gateways())
    rows = [
        (
            view.id,
            view.display_name,
            f"connected {ago(view.connected_since)}" if view.connections else "not connected",
            view.version,
        )
        for view in views
    ]
    head = ("Gateway", "Display name", "State", "Version")
    empty = "no gateways; register one: gatewright hub register edge"
    output.show(plain(views), form, lambda: output.grid(head, rows, empty=empty))


def register(
    gateway: Annotated[str, typer.Argument(metavar="GATEWAY", help="Its name: lower-case letters, digits, hyphens.")],
    display_name: Annotated[str, typer.Option("--display-name", help="Name for people.", show_default=False)] = "",
    endpoint: Annotated[
        list[str] | None,
        typer.Option("--endpoint", metavar="URL", show_default=False, help="Where its clients reach it."),
    ] = None,
    version: Annotated[
        str, typer.Option("--gateway-version", metavar="VERSION", help="Release of the original that it is as.")
    ] = "1.2",
    token: Annotated[bool, typer.Option("--token/--no-token", help="Issue its registration token too.")] = True,
    token_out: Annotated[
        Path | None,
        typer.Option(
            "--token-out",
            metavar="FILE",
            show_default=False,
            help="Write the token there (mode 0600) instead of printing it.",
        ),
    ] = None,
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Register a gateway and issue the token it connects with.

    Example:

        gatewright hub register edge --token-out edge.token
    """
    from gatewright.cli.hub_token_commands import handed_over

    async def question(client: "HubClient") -> dict[str, Any]:
        endpoints = endpoint or ["https://127.0.0.1:8443"]
        view = plain(await client.register(gateway, display_name, endpoints=endpoints, version=version))
        return {"gateway": view, **({"token": plain(await client.issue_token(gateway))} if token else {})}

    answer = ask(hub, data_dir, token_file, ca_file, question)
    if token:
        answer["token"] = handed_over(answer["token"], token_out)
    facts = [("Gateway", answer["gateway"]["id"]), ("Id", answer["gateway"]["uuid"])]
    if token:
        facts.append(("Token", answer["token"]["token"]))
    output.show(answer, form, lambda: output.facts(facts))


def unregister(
    gateway: Annotated[str, typer.Argument(metavar="GATEWAY", help="Its name.")],
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Forget a gateway: its tokens end, its connections are closed."""
    ask(hub, data_dir, token_file, ca_file, lambda client: client.delete_gateway(gateway))
    output.line(f"gateway {gateway} is forgotten")


def deploy(
    api: Annotated[
        str | None, typer.Argument(metavar="API", show_default=False, help="An API that the hub has already.")
    ] = None,
    filename: Annotated[
        str | None,
        typer.Option(
            "--filename",
            "-f",
            metavar="FILE|-",
            show_default=False,
            help="RestApi or OpenAPI 3 document, YAML or JSON.",
        ),
    ] = None,
    gateway: Gateways = None,
    upstream: Annotated[
        str,
        typer.Option(
            "--upstream",
            metavar="URL",
            show_default=False,
            help="OpenAPI: backend instead of the document's first server.",
        ),
    ] = "",
    context: Annotated[
        str, typer.Option("--context", metavar="PATH", show_default=False, help="OpenAPI: base path at the gateway.")
    ] = "",
    handle: Annotated[
        str, typer.Option("--handle", metavar="NAME", show_default=False, help="OpenAPI: name of the API.")
    ] = "",
    protect: Annotated[
        str,
        typer.Option(
            "--protect", metavar="always|declared|never", help="OpenAPI: which operations ask for an API key."
        ),
    ] = "declared",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the gateways' acknowledgements.")] = True,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, max=120, help="Seconds to wait at most.")] = 60.0,
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Deploy an API to gateways, from a document or as the hub has it, and wait for their answer.

    Examples:

        gatewright hub deploy -f petstore.yaml -g edge --upstream http://127.0.0.1:8081
        gatewright hub deploy petstore-v1.0 -g edge -g edge-2
    """
    if (filename is None) == (api is None):
        raise Failure("name a document with -f, or an API that the hub has", code=Exit.USAGE)
    options = {"upstream": upstream, "context": context, "handle": handle, "protect": protect}
    document = _document(filename) if filename is not None else b""

    async def question(client: "HubClient") -> tuple["Deployed", list["DeploymentView"]]:
        if api is not None:
            deployed = await client.deploy_again(api, gateway or ())
        elif _is_openapi(document):
            deployed = await client.deploy(await client.convert_openapi(document, **options), gateway or ())
        else:
            deployed = await client.deploy(document, gateway or ())
        return deployed, await settled(client, deployed, timeout if wait else 0.0)

    show_deployments(*ask(hub, data_dir, token_file, ca_file, question), form, wait=wait)


def undeploy(
    api: Artifact,
    gateway: Gateways = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the gateways' acknowledgements.")] = True,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, max=120, help="Seconds to wait at most.")] = 60.0,
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Take an API from gateways, from all when none is named; the hub keeps it."""

    async def question(client: "HubClient") -> tuple["Deployed", list["DeploymentView"]]:
        deployed = await client.undeploy(api, gateway or ())
        return deployed, await settled(client, deployed, timeout if wait else 0.0)

    show_deployments(*ask(hub, data_dir, token_file, ca_file, question), form, wait=wait)


def delete(
    api: Artifact,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Delete an API with its keys, at the hub and at every gateway."""
    ask(hub, data_dir, token_file, ca_file, lambda client: client.delete_artifact(api))
    output.line(f"{api} is deleted")


def artifacts(
    name: Annotated[
        str | None, typer.Argument(metavar="API", show_default=False, help="Only this one, with its document.")
    ] = None,
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """List the APIs of the hub: made here, or pushed by gateways."""
    if name is not None:
        view = plain(ask(hub, data_dir, token_file, ca_file, lambda client: client.artifact(name)))
        output.show(view, form, lambda: output.safe(view.get("document", "")).rstrip("\n").split("\n"))
        return
    views = ask(hub, data_dir, token_file, ca_file, lambda client: client.artifacts())
    rows = [
        (
            view.handle,
            view.kind,
            view.version,
            "gateway" if view.origin == "gateway_api" else "here",
            ago(view.updated_at),
        )
        for view in views
    ]
    output.show(
        plain(views), form, lambda: output.grid(("API", "Kind", "Version", "Made", "Changed"), rows, empty="no APIs")
    )


def list_deployments(
    api: Annotated[str, typer.Option("--api", metavar="API", show_default=False, help="Only of this API.")] = "",
    gateway: Annotated[
        str, typer.Option("--gateway", "-g", metavar="GATEWAY", show_default=False, help="Only on this gateway.")
    ] = "",
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """List what is deployed where, and what the gateways say of it."""
    views = ask(hub, data_dir, token_file, ca_file, lambda client: client.deployments(artifact=api, gateway=gateway))
    output.show(plain(views), form, lambda: _deployment_table(views))


def watch(
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Follow gateways and deployments as they change, until Ctrl-C. With -o json: one object per line."""

    async def question(client: "HubClient") -> None:
        async for change in client.watch():
            _tell(change, form)

    ask(hub, data_dir, token_file, ca_file, question)


def _tell(change: "Change", form: Format) -> None:
    import json
    import sys

    if form is not Format.TABLE:
        output.line(json.dumps(plain(change), ensure_ascii=False))
    elif change.synced:
        output.line("-- changes from here on --")
    elif change.removed:
        output.line(f"removed     {output.safe(change.removed)}")
    elif change.gateway is not None:
        state = "connected" if change.gateway.connections else "not connected"
        output.line(f"gateway     {output.safe(change.gateway.id)}  {state}")
    elif change.deployment is not None:
        view = change.deployment
        reason = f"  {view.reason}" if view.reason else ""
        output.line(output.safe(f"deployment  {view.artifact} on {view.gateway}  {view.status}{reason}"))
    sys.stdout.flush()


async def settled(client: "HubClient", deployed: "Deployed", wait: float) -> list["DeploymentView"]:
    """What gateways say of a deployment, within `wait` seconds."""
    return await client.deployments(artifact=deployed.artifact.id, wait=wait) if wait else list(deployed.deployments)


def show_deployments(deployed: "Deployed", views: list["DeploymentView"], form: Format, *, wait: bool) -> None:
    """Print deployments; when they were waited for, one that is not well is a Failure."""
    data = {"artifact": plain(deployed.artifact), "deployments": plain(views)}
    if views:
        output.show(data, form, lambda: _deployment_table(views))
    else:
        output.show(
            data, form, lambda: [f"{output.safe(deployed.artifact.handle)} is stored; deploy it with --gateway"]
        )
    if not wait:
        return
    for view in views:
        if view.status == "FAILED":
            late = view.reason == "DEPLOYMENT_TIMEOUT"
            raise Failure(
                f"{view.artifact} on {view.gateway}: {view.reason or 'the gateway failed'}",
                code=Exit.TIMED_OUT if late else Exit.FAILED,
                remedy="is the gateway connected? 'gatewright hub gateways' shows it"
                if late
                else "'gatewright status' at the gateway says why",
            )
        if view.status.endswith("ING"):
            raise Failure(
                f"{view.gateway} has not answered yet; {view.artifact} is {view.status}",
                code=Exit.TIMED_OUT,
                remedy="'gatewright hub gateways' shows whether it is connected; it gets the API when it is",
            )


def _deployment_table(views: list["DeploymentView"]) -> list[str]:
    rows = [(view.artifact, view.gateway, view.status, ago(view.updated_at), view.reason) for view in views]
    return output.grid(("API", "Gateway", "Status", "Changed", "Reason"), rows, empty="nothing is deployed")


def _document(name: str) -> bytes:
    import sys

    from gatewright.cli.documents import LARGEST_FILE_BYTES

    try:
        if name == "-":
            text = sys.stdin.buffer.read(LARGEST_FILE_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                text = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise Failure(f"{name} cannot be read: {error.strerror}", code=Exit.USAGE) from error
    if len(text) > LARGEST_FILE_BYTES:
        raise Failure(f"{name} is larger than {LARGEST_FILE_BYTES // 1024 // 1024} MiB", code=Exit.USAGE)
    return text


def _is_openapi(document: bytes) -> bool:
    """What cannot be read is not; the hub then says what is wrong with it."""
    import yaml

    try:
        tree = yaml.load(document, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return isinstance(tree, dict) and "kind" not in tree and ("openapi" in tree or "swagger" in tree)
