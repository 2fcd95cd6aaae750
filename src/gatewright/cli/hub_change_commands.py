"""`hub change-gateway`, `hub plans|subscriptions|applications change`: what is not given stays as it is."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewright.cli import output
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.hub_connection import HubCaFile, HubDataDir, HubUrl, TokenFile, ask, plain
from gatewright.cli.options import Output
from gatewright.cli.output import Format

if TYPE_CHECKING:
    from gatewright.hub.client import HubClient
    from gatewright.hub.views import ApplicationView, GatewayView, PlanView

NONE = "none"


def limit_of(text: str) -> dict[str, object]:
    """The members of a plan for `1000/hour`, or for `none`. Raises Failure."""
    if text == NONE:
        return {"throttleLimitCount": None, "throttleLimitUnit": ""}
    count, _, unit = text.partition("/")
    if not (count.isascii() and count.isdigit() and unit):
        raise Failure(f"{text} is not a limit", code=Exit.USAGE, remedy="give it as 1000/hour")
    return {"throttleLimitCount": int(count), "throttleLimitUnit": unit}


def change_plan(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="Id of the plan.")],
    limit: Annotated[
        str | None, typer.Option("--limit", metavar="COUNT/UNIT", show_default=False, help="Such as 1000/hour; 'none'.")
    ] = None,
    stop: Annotated[
        bool | None, typer.Option("--stop/--no-stop", show_default=False, help="Refuse requests beyond the limit.")
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option("--expires-at", metavar="TIME", show_default=False, help="End; 'none'.")
    ] = None,
    status: Annotated[
        str | None, typer.Option("--status", metavar="active|inactive", show_default=False, help="Whether it counts.")
    ] = None,
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Change a plan and tell every gateway.

    Example:

        gatewright hub plans change gold --limit 5000/hour
    """
    wanted: dict[str, object] = {}
    if limit is not None:
        wanted |= limit_of(limit)
    if stop is not None:
        wanted["stopOnQuotaReach"] = stop
    if expires_at is not None:
        wanted["expiryTime"] = "" if expires_at == NONE else expires_at
    if status is not None:
        wanted["status"] = status.upper()
    _refuse_nothing(wanted)

    async def question(client: "HubClient") -> "PlanView":
        known = plain(await client.plan(plan))
        kept = ("billingPlan", "stopOnQuotaReach", "throttleLimitCount", "throttleLimitUnit", "expiryTime", "status")
        members = {name: known[name] for name in kept if name in known}
        return await client.change_plan(plan, known["planName"], **(members | wanted))

    view = ask(hub, data_dir, token_file, ca_file, question)
    output.show(plain(view), form, lambda: [f"plan {output.safe(view.id)} is changed"])


def change_subscription(
    subscription: Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Its id, as 'list' shows it.")],
    plan: Annotated[
        str | None, typer.Option("--plan", metavar="PLAN", show_default=False, help="Id of its plan; 'none'.")
    ] = None,
    application: Annotated[
        str | None,
        typer.Option("--application", metavar="APP", show_default=False, help="Id of the application; 'none'."),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status", metavar="active|inactive|revoked", show_default=False, help="Only an active one lets in."
        ),
    ] = None,
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Change a subscription and tell the API's gateways.

    Example:

        gatewright hub subscriptions change 5b0c7a52-… --status inactive
    """
    wanted: dict[str, object] = {}
    for name, value in (("plan", plan), ("application", application)):
        if value is not None:
            wanted[name] = "" if value == NONE else value
    if status is not None:
        wanted["status"] = status.upper()
    _refuse_nothing(wanted)
    view = ask(hub, data_dir, token_file, ca_file, lambda client: client.change_subscription(subscription, **wanted))
    output.show(plain(view), form, lambda: [f"subscription {output.safe(view.id)} is changed"])


def change_gateway(
    gateway: Annotated[str, typer.Argument(metavar="GATEWAY", help="Its name, which stays.")],
    display_name: Annotated[
        str | None, typer.Option("--display-name", metavar="NAME", show_default=False, help="Name for people.")
    ] = None,
    description: Annotated[
        str | None, typer.Option("--description", metavar="TEXT", show_default=False, help="What it is for.")
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--endpoint", metavar="URL", show_default=False, help="Where its clients reach it; several times."
        ),
    ] = None,
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Change what is said of a gateway; its tokens and connections stay."""
    given = {"displayName": display_name, "description": description, "endpoints": endpoint}
    wanted = {name: value for name, value in given.items() if value is not None}
    _refuse_nothing(wanted)

    async def question(client: "HubClient") -> "GatewayView":
        known = plain(await client.gateway(gateway))
        kept = ("displayName", "description", "endpoints", "isCritical", "properties")
        members = {name: known[name] for name in kept if name in known} | wanted
        return await client.change_gateway(gateway, str(members.pop("displayName")), **members)

    view = ask(hub, data_dir, token_file, ca_file, question)
    output.show(plain(view), form, lambda: [f"gateway {output.safe(view.id)} is changed"])


def change_application(
    application: Annotated[str, typer.Argument(metavar="APP", help="Id of the application.")],
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key", metavar="UUID", show_default=False, help="API key instead of all that it has; several times."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", show_default=False, help="For people.")] = None,
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Give an application other API keys ('--key none': no key) or another name."""
    _refuse_nothing({"key": key, "name": name} if key or name else {})

    async def question(client: "HubClient") -> "ApplicationView":
        known = await client.application(application)
        keys = [] if key == [NONE] else key or known.keys
        return await client.change_application(application, name or known.name, kind=known.type, keys=keys)

    view = ask(hub, data_dir, token_file, ca_file, question)
    output.show(plain(view), form, lambda: [f"application {output.safe(view.id)} is changed"])


def _refuse_nothing(wanted: dict[str, Any]) -> None:
    if not wanted:
        raise Failure("nothing to change", code=Exit.USAGE, remedy="name what to change; --help lists it")
