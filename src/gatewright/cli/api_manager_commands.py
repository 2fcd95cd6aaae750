"""`hub api-manager …`: what a Publisher user does at a stand-in API Manager, its faults, and what it has seen."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from gatewright.cli import hub_connection, output
from gatewright.cli.apim_register_command import PASSWORD_VARIABLE
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.options import Output
from gatewright.cli.output import Format

if TYPE_CHECKING:
    from gatewright.hub.apim.client import ApiManagerClient, ApiManagerClientError

PANEL = "Which stand-in"

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        rich_help_panel=PANEL,
        show_default=False,
        help="Data directory of a stand-in on this machine. Else ./api-manager-data.",
    ),
]
User = Annotated[
    str,
    typer.Option("--user", rich_help_panel=PANEL, help=f"In whose name. Password: {PASSWORD_VARIABLE}, else admin."),
]
Api = Annotated[str, typer.Argument(metavar="API", help="Name or id of the API.")]

T = TypeVar("T")


def switch(
    positions: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", show_default=False, help="Switches to turn.")
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="First make everything honest again.")] = False,
    form: Output = Format.TABLE,
    data_dir: DataDir = None,
) -> None:
    """Turn switches, and show them all. A value that ends in :N holds for the next N uses.

    Examples:

        gatewright hub api-manager switch import_mode=503:2
        gatewright hub api-manager switch --reset
    """
    wanted = hub_connection.positions(positions or ())

    async def question(client: "ApiManagerClient") -> dict[str, str]:
        if reset:
            await client.reset_switches()
        return await client.turn(**wanted)

    found = _ask(data_dir, question)
    output.show(found, form, lambda: output.grid(("Switch", "Value"), list(found.items())))


def requests(
    path: Annotated[str, typer.Option("--path", metavar="PART", help="Only paths with this part.")] = "",
    clear: Annotated[bool, typer.Option("--clear", help="Forget them afterwards.")] = False,
    form: Output = Format.TABLE,
    data_dir: DataDir = None,
) -> None:
    """List the requests that came in, secrets masked; JSON has headers and bodies too."""

    async def question(client: "ApiManagerClient") -> list[dict[str, Any]]:
        found = await client.requests(path=path)
        if clear:
            await client.clear_requests()
        return found

    found = _ask(data_dir, question)
    rows = [(each["seq"], each["at"], each["method"], each["path"], each.get("status", "-")) for each in found]
    head = ("No.", "At", "Method", "Path", "Status")
    output.show(found, form, lambda: output.grid(head, rows, empty="no requests"))


def apis(form: Output = Format.TABLE, data_dir: DataDir = None, user: User = "admin") -> None:
    """List the APIs of the Publisher and where they are deployed."""

    async def question(client: "ApiManagerClient") -> list[dict[str, Any]]:
        return [{**each, "deployedTo": await _deployed_to(client, each["id"])} for each in await client.apis()]

    found = _ask(data_dir, question, user)
    rows = [
        (each["name"], each["version"], each["context"], each["lifeCycleStatus"], " ".join(each["deployedTo"]))
        for each in found
    ]
    head = ("API", "Version", "Context", "State", "Deployed to")
    output.show(found, form, lambda: output.grid(head, rows, empty="no APIs"))


def edit(
    api: Api,
    description: Annotated[str, typer.Option("--description", help="Its new description.")] = "edited in API Manager",
    deploy: Annotated[bool, typer.Option("--deploy/--no-deploy", help="Deploy it to its gateways again.")] = True,
    data_dir: DataDir = None,
    user: User = "admin",
) -> None:
    """Edit an API as a Publisher user would, and deploy the new revision."""

    async def question(client: "ApiManagerClient") -> list[str]:
        api_id = await _id_of(client, api)
        gateways = await _deployed_to(client, api_id)
        if deploy and gateways:
            await client.publish_change(api_id, gateways, description=description)
            return gateways
        await client.edit_api(api_id, description=description)
        return []

    gateways = _ask(data_dir, question, user)
    output.line(f"{api} is edited" + (f" and deployed to {', '.join(gateways)}" if gateways else ", not deployed"))


def undeploy(api: Api, data_dir: DataDir = None, user: User = "admin") -> None:
    """Take an API from all its gateways."""

    async def question(client: "ApiManagerClient") -> None:
        api_id = await _id_of(client, api)
        for revision in await client.revisions(api_id, "deployed:true"):
            await client.undeploy(api_id, revision["id"], [each["name"] for each in revision["deploymentInfo"]])

    _ask(data_dir, question, user)
    output.line(f"{api} is deployed nowhere")


def delete(api: Api, data_dir: DataDir = None, user: User = "admin") -> None:
    """Delete an API and tell its gateways."""

    async def question(client: "ApiManagerClient") -> None:
        await client.delete_api(await _id_of(client, api))

    _ask(data_dir, question, user)
    output.line(f"{api} is deleted")


def issue_key(
    api: Api,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the key.")],
    data_dir: DataDir = None,
    user: User = "admin",
) -> None:
    """Make an API key as a DevPortal user would. It is shown once."""

    async def question(client: "ApiManagerClient") -> str:
        return await client.create_key(await _id_of(client, api), name)

    output.line(_ask(data_dir, question, user))


def restart(
    wipe: Annotated[bool, typer.Option("--wipe", help="Forget gateways, APIs and clients too.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Drop every connection of gateways, as a restart does."""
    _ask(data_dir, lambda client: client.restart(wipe=wipe))
    output.line("connections are dropped" + (" and everything is forgotten" if wipe else ""))


def _ask(data_dir: Path | None, question: Callable[["ApiManagerClient"], Awaitable[T]], user: str = "admin") -> T:
    import asyncio

    from gatewright.hub.apim.client import ApiManagerClient, ApiManagerClientError

    directory = hub_connection.api_manager_directory(data_dir)

    async def run() -> T:
        password = os.environ.get(PASSWORD_VARIABLE, "admin")
        url = hub_connection.left_url(directory)
        try:
            client = ApiManagerClient.from_data_dir(directory, url, user=user, password=password)
        except (OSError, ValueError) as error:
            raise Failure(
                f"there is no stand-in API Manager in {directory}: {error}",
                code=Exit.UNREACHABLE,
                remedy="start one with 'gatewright hub start --as api-manager', or name its --data-dir",
            ) from error
        async with client:
            return await question(client)

    try:
        return asyncio.run(run())
    except ApiManagerClientError as error:
        raise _failure(error) from error


def _failure(error: "ApiManagerClientError") -> Failure:
    codes = {0: Exit.UNREACHABLE, 401: Exit.UNAUTHORISED, 403: Exit.UNAUTHORISED, 404: Exit.NOT_FOUND}
    remedy = "start it with 'gatewright hub start --as api-manager'" if error.status == 0 else ""
    return Failure(str(error), code=codes.get(error.status, Exit.FAILED), remedy=remedy)


async def _id_of(client: "ApiManagerClient", api: str) -> str:
    found = [each for each in await client.apis() if api in {each["id"], each["name"]}]
    if len(found) != 1:
        what = (
            f"there is no API {api}" if not found else f"there are {len(found)} versions of {api}; name one by its id"
        )
        raise Failure(what, code=Exit.NOT_FOUND)
    return str(found[0]["id"])


async def _deployed_to(client: "ApiManagerClient", api_id: str) -> list[str]:
    revisions = await client.revisions(api_id, "deployed:true")
    return sorted(each["name"] for revision in revisions for each in revision["deploymentInfo"])
