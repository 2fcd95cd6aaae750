"""`hub plans|subscriptions|applications|secrets …`: what consumers and documents need, as the hub keeps it."""

from typing import Annotated

import typer

from gatewright.cli import output
from gatewright.cli.hub_change_commands import limit_of
from gatewright.cli.hub_connection import HubCaFile, HubDataDir, HubUrl, TokenFile, ask, plain
from gatewright.cli.options import Output
from gatewright.cli.output import Format
from gatewright.cli.phrases import ago
from gatewright.cli.secret_commands import value_in

Handle = Annotated[
    str, typer.Option("--id", metavar="ID", show_default=False, help="Its id; made from the name if not given.")
]


def list_plans(
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """List the subscription plans."""
    views = ask(hub, data_dir, token_file, ca_file, lambda client: client.plans())
    rows = [
        (
            view.id,
            view.plan_name,
            f"{view.throttle_limit_count} per {view.throttle_limit_unit}" if view.throttle_limit_count else "no limit",
            "refuses" if view.stop_on_quota_reach else "goes on",
            view.status,
        )
        for view in views
    ]
    head = ("Plan", "Name", "Limit", "Beyond it", "Status")
    output.show(plain(views), form, lambda: output.grid(head, rows, empty="no plans"))


def create_plan(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name, such as Gold.")],
    limit: Annotated[
        str, typer.Option("--limit", metavar="COUNT/UNIT", show_default=False, help="Such as 1000/hour.")
    ] = "",
    stop: Annotated[bool, typer.Option("--stop/--no-stop", help="Refuse requests beyond the limit.")] = True,
    expires_at: Annotated[
        str, typer.Option("--expires-at", metavar="TIME", help="End, as 2027-01-31T00:00:00Z.", show_default=False)
    ] = "",
    handle: Handle = "",
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Make a subscription plan and tell every gateway.

    Example:

        gatewright hub plans create Gold --limit 1000/hour
    """
    members: dict[str, object] = {"id": handle, "stopOnQuotaReach": stop, "expiryTime": expires_at}
    if limit:
        members |= limit_of(limit)
    view = ask(hub, data_dir, token_file, ca_file, lambda client: client.create_plan(name, **members))
    output.show(plain(view), form, lambda: output.facts((("Plan", view.id), ("Id", view.uuid))))


def delete_plan(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="Id of the plan.")],
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Delete a plan that no subscription has."""
    ask(hub, data_dir, token_file, ca_file, lambda client: client.delete_plan(plan))
    output.line(f"plan {plan} is deleted")


def list_subscriptions(
    api: Annotated[str, typer.Option("--api", metavar="API", show_default=False, help="Only of this API.")] = "",
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """List subscriptions; their tokens are not shown."""
    views = ask(hub, data_dir, token_file, ca_file, lambda client: client.subscriptions(api))
    rows = [(view.id, view.api, view.plan, view.application, view.status, ago(view.created_at)) for view in views]
    head = ("Subscription", "API", "Plan", "Application", "Status", "Made")
    output.show(plain(views), form, lambda: output.grid(head, rows, empty="no subscriptions"))


def create_subscription(
    api: Annotated[str, typer.Argument(metavar="API", help="Name or id of the API.")],
    plan: Annotated[str, typer.Option("--plan", metavar="PLAN", show_default=False, help="Id of its plan.")] = "",
    application: Annotated[
        str, typer.Option("--application", metavar="APP", show_default=False, help="Id of the application.")
    ] = "",
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Subscribe to an API. The token is shown once.

    Example:

        gatewright hub subscriptions create petstore-v1.0 --plan gold
    """
    issued = ask(
        hub,
        data_dir,
        token_file,
        ca_file,
        lambda client: client.create_subscription(api, plan=plan, application=application),
    )
    facts = (("Subscription", issued.subscription.id), ("Token", issued.subscription_token))
    output.show(plain(issued), form, lambda: output.facts(facts))
    if form is Format.TABLE:
        output.note("The token cannot be shown again.")


def delete_subscription(
    subscription: Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Its id, as 'list' shows it.")],
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """End a subscription at the hub and at every gateway."""
    ask(hub, data_dir, token_file, ca_file, lambda client: client.delete_subscription(subscription))
    output.line(f"subscription {subscription} is deleted")


def list_applications(
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """List the applications and how many API keys they have."""
    views = ask(hub, data_dir, token_file, ca_file, lambda client: client.applications())
    rows = [(view.id, view.name, view.type, str(len(view.keys)), ago(view.updated_at)) for view in views]
    head = ("Application", "Name", "Type", "Keys", "Changed")
    output.show(plain(views), form, lambda: output.grid(head, rows, empty="no applications"))


def create_application(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name for people.")],
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="UUID", show_default=False, help="API key; may be given several times."),
    ] = None,
    kind: Annotated[str, typer.Option("--type", metavar="TYPE", help="What it is.")] = "web",
    handle: Handle = "",
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Make an application and give it API keys ('hub keys list -o json' shows their UUIDs)."""
    view = ask(
        hub,
        data_dir,
        token_file,
        ca_file,
        lambda client: client.create_application(name, handle=handle, kind=kind, keys=key or ()),
    )
    output.show(plain(view), form, lambda: output.facts((("Application", view.id), ("Id", view.uuid))))


def delete_application(
    application: Annotated[str, typer.Argument(metavar="APP", help="Id of the application.")],
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Delete an application; its API keys stay."""
    ask(hub, data_dir, token_file, ca_file, lambda client: client.delete_application(application))
    output.line(f"application {application} is deleted")


def list_secrets(
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """List the secrets, never their values."""
    views = ask(hub, data_dir, token_file, ca_file, lambda client: client.secrets())
    rows = [(view.id, view.name, view.type, view.status, ago(view.updated_at)) for view in views]
    head = ("Secret", "Name", "Type", "Status", "Changed")
    output.show(plain(views), form, lambda: output.grid(head, rows, empty="no secrets"))


def create_secret(
    secret: Annotated[str, typer.Argument(metavar="ID", help="Id that documents refer to.")],
    value_file: Annotated[
        str, typer.Option("--value-file", metavar="FILE|-", help="File with the value; -: standard input.")
    ] = "-",
    form: Output = Format.TABLE,
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Keep a secret that documents refer to. One line end at the end of the value is left out.

    Example:

        gatewright hub secrets create backend-key --value-file backend.key
    """
    value = value_in(value_file)
    view = ask(hub, data_dir, token_file, ca_file, lambda client: client.create_secret(secret, value))
    output.show(plain(view), form, lambda: output.facts((("Secret", view.id), ("Id", view.uuid))))


def delete_secret(
    secret: Annotated[str, typer.Argument(metavar="ID", help="Id of the secret.")],
    hub: HubUrl = None,
    data_dir: HubDataDir = None,
    token_file: TokenFile = None,
    ca_file: HubCaFile = None,
) -> None:
    """Delete a secret that no deployed document refers to."""
    ask(hub, data_dir, token_file, ca_file, lambda client: client.delete_secret(secret))
    output.line(f"secret {secret} is deleted")
