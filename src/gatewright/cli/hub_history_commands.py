"""`hub history` and `hub restore`: what was deployed before, and going back to it."""

from typing import TYPE_CHECKING, Annotated

import typer

from gatewright.cli import output
from gatewright.cli.hub_commands import Artifact, settled, show_deployments
from gatewright.cli.hub_connection import HubCaFile, HubDataDir, HubUrl, TokenFile, ask, plain
from gatewright.cli.options import Output
from gatewright.cli.output import Format
from gatewright.cli.phrases import ago

if TYPE_CHECKING:
    from gatewright.hub.client import HubClient
    from gatewright.hub.views import Deployed, DeploymentView


def history(
    api: Artifact,
    deployment: Annotated[
        str | None,
        typer.Argument(metavar="DEPLOYMENT", show_default=False, help="Only this one, with its document."),
    ] = None,
    gateway: Annotated[
        str, typer.Option("--gateway", "-g", metavar="GATEWAY", show_default=False, help="Only on this gateway.")
    ] = "",
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """List everything of an API that was deployed, the newest first."""
    if deployment is not None:
        record = plain(ask(hub, data_dir, token_file, ca_file, lambda client: client.record(api, deployment)))
        output.show(record, form, lambda: output.safe(record.get("document", "")).rstrip("\n").split("\n"))
        return
    views = ask(hub, data_dir, token_file, ca_file, lambda client: client.history(api, gateway=gateway))
    rows = [(view.id, view.gateway, view.status, ago(view.created_at)) for view in views]
    head = ("Deployment", "Gateway", "Status", "Made")
    output.show(plain(views), form, lambda: output.grid(head, rows, empty="it was never deployed"))


def restore(
    api: Artifact,
    deployment: Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="Its id, as 'history' shows it.")],
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the gateway's acknowledgement.")] = True,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, max=120, help="Seconds to wait at most.")] = 60.0,
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Go back to what a gateway had before. What the hub has as the API's document stays.

    Example:

        gatewright hub restore petstore-v1.0 0198c0de-0000-7000-8000-000000000001
    """

    async def question(client: "HubClient") -> tuple["Deployed", list["DeploymentView"]]:
        deployed = await client.restore(api, deployment)
        return deployed, await settled(client, deployed, timeout if wait else 0.0)

    show_deployments(*ask(hub, data_dir, token_file, ca_file, question), form, wait=wait)
