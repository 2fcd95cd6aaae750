"""The program `gatewright`: all its commands, and how failures leave it.

Nothing heavy is imported here; what a command runs is imported by the command.
"""

import os
import sys
from typing import Final

import gatewright
from gatewright.cli import output
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.tree import Entry, Group

DEBUG_VARIABLE: Final = "GATEWRIGHT_DEBUG"
ABOUT: Final = "An API gateway with Envoy as its data plane, managed by a control plane in both directions."
EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not reached, 4 not authorised, 5 timed out, 6 not found, "
    "130 interrupted."
)
_HERE: Final = "gatewright.cli."
_RUN, _APIS, _OPERATE = "Run", "APIs and keys", "Operate"


def program() -> Group:
    """All commands."""
    return Group(
        "gatewright",
        (
            Entry("up", f"{_HERE}run_commands:up", "Run a whole gateway here: controller, router, Envoy.", _RUN),
            Entry("controller", f"{_HERE}run_commands:controller", "Run a controller alone.", _RUN),
            Entry("router", f"{_HERE}run_commands:router", "Run a router alone: Envoy, fed by a controller.", _RUN),
            _hub(),
            Entry("demo", f"{_HERE}demo_command:demo", "Run everything here and show both directions.", _RUN),
            Entry("apply", f"{_HERE}artifact_commands:apply", "Create or replace APIs; wait until they serve.", _APIS),
            Entry("get", f"{_HERE}artifact_commands:get", "Show what a gateway has stored.", _APIS),
            Entry("delete", f"{_HERE}artifact_commands:delete", "Delete APIs, with their keys.", _APIS),
            _keys(),
            _secrets(),
            _certificates(),
            Entry("status", f"{_HERE}status_commands:status", "Show controller, routers, link, all APIs.", _OPERATE),
            Entry("sync", f"{_HERE}status_commands:sync", "Reconcile with the control plane now.", _OPERATE),
            Entry("diff", f"{_HERE}diff_command:diff", "Compare with what the control plane wants.", _OPERATE),
            Entry(
                "health", f"{_HERE}health_command:health", "Ask the processes here whether they are ready.", _OPERATE
            ),
            Entry("doctor", f"{_HERE}doctor_command:doctor", "Find what is wrong with the connection.", _OPERATE),
            _apim(),
            _store(),
            _config(),
            Entry("version", f"{_HERE}version_command:version", "Print the versions of all parts.", _OPERATE),
        ),
        help=ABOUT,
        epilog=EXIT_CODES,
    )


def _keys() -> Group:
    module = f"{_HERE}key_commands"
    return Group(
        "keys",
        (
            Entry("create", f"{module}:create", "Make a key, or register one that exists."),
            Entry("list", f"{module}:list_keys", "List the active keys."),
            Entry("regenerate", f"{module}:regenerate", "Give a key a new value; the old one ends at once."),
            Entry("revoke", f"{module}:revoke", "End a key."),
        ),
        help="API keys of an API, made at the gateway.",
        panel=_APIS,
    )


def _secrets() -> Group:
    module = f"{_HERE}secret_commands"
    return Group(
        "secrets",
        (
            Entry("set", f"{module}:put", "Keep a secret, or give it another value."),
            Entry("list", f"{module}:list_secrets", "List the secrets, never their values."),
            Entry("delete", f"{module}:delete", "Delete a secret."),
        ),
        help="Values that documents name instead of holding them.",
        panel=_APIS,
    )


def _certificates() -> Group:
    module = f"{_HERE}certificate_commands"
    return Group(
        "certificates",
        (
            Entry("add", f"{module}:add", "Trust an authority; returns when the routers do."),
            Entry("list", f"{module}:list_certificates", "List the uploaded authorities with their ends."),
            Entry("delete", f"{module}:delete", "Trust an authority no more."),
        ),
        help="Authorities that HTTPS upstreams are checked against.",
        panel=_APIS,
    )


def _apim() -> Group:
    return Group(
        "apim",
        (
            Entry("register", f"{_HERE}apim_register_command:register", "Get the credentials for syncing APIs there."),
            Entry("plan", f"{_HERE}apim_plan_command:plan", "Show what a sync would do about each API, and why."),
        ),
        help="An on-premises API Manager that APIs made here are synced to.",
        panel=_OPERATE,
    )


def _store() -> Group:
    module = f"{_HERE}store_commands"
    return Group(
        "store",
        (
            Entry("backup", f"{module}:backup", "Copy the database file, also while the gateway runs."),
            Entry("migrate", f"{module}:migrate", "Move a database file to PostgreSQL."),
            Entry("import", f"{module}:take_over", "Take over a database of the original."),
            Entry("schema", f"{module}:schema", "Print the tables as SQL for PostgreSQL."),
        ),
        help="The database: backup, moving to PostgreSQL, taking over the original's.",
        panel=_OPERATE,
    )


def _config() -> Group:
    module = f"{_HERE}config_commands"
    return Group(
        "config",
        (
            Entry("show", f"{module}:show", "Print the effective values and where each comes from."),
            Entry("check", f"{module}:check", "Report everything that is wrong or doubtful."),
            Entry("reference", f"{module}:reference", "Print the reference of all keys."),
        ),
        help="The configuration: effective values, problems, reference.",
        panel=_OPERATE,
    )


def _hub() -> Group:
    module, credentials = f"{_HERE}hub_commands", f"{_HERE}hub_token_commands"
    history = f"{_HERE}hub_history_commands"
    token = Group(
        "token",
        (
            Entry("list", f"{credentials}:list_tokens", "List the active tokens."),
            Entry("issue", f"{credentials}:issue_token", "Issue a further token."),
            Entry("rotate", f"{credentials}:rotate_token", "Issue a new token; the present one ends after an overlap."),
            Entry("revoke", f"{credentials}:revoke_token", "End a token at once."),
        ),
        help="Registration tokens of a gateway.",
    )
    keys = Group(
        "keys",
        (
            Entry("list", f"{credentials}:list_keys", "List the keys of an API."),
            Entry("issue", f"{credentials}:issue_key", "Issue a key and send its hash to the API's gateways."),
            Entry("regenerate", f"{credentials}:regenerate_key", "Give a key another value; the old one ends."),
            Entry("revoke", f"{credentials}:revoke_key", "End a key everywhere."),
        ),
        help="API keys of an API.",
    )
    return Group(
        "hub",
        (
            Entry("start", f"{_HERE}hub_start_command:start", "Run a hub in the foreground."),
            Entry("gateways", f"{module}:list_gateways", "List the registered gateways."),
            Entry("register", f"{module}:register", "Register a gateway and issue its token."),
            Entry("unregister", f"{module}:unregister", "Forget a gateway."),
            Entry("change-gateway", f"{_HERE}hub_change_commands:change_gateway", "Change what is said of a gateway."),
            token,
            Entry("deploy", f"{module}:deploy", "Deploy a RestApi or OpenAPI document to gateways."),
            Entry("undeploy", f"{module}:undeploy", "Take an API from gateways; the hub keeps it."),
            Entry("delete", f"{module}:delete", "Delete an API everywhere."),
            Entry("artifacts", f"{module}:artifacts", "List the APIs of the hub, or show one."),
            Entry("deployments", f"{module}:list_deployments", "List what is deployed where."),
            Entry("history", f"{history}:history", "List everything of an API that was deployed."),
            Entry("restore", f"{history}:restore", "Go back to what a gateway had before."),
            keys,
            *_hub_consumers(),
            _api_manager(),
            Entry("watch", f"{module}:watch", "Follow gateways and deployments as they change."),
        ),
        help="The embedded control plane: gateways, deployments, keys.",
        panel=_RUN,
    )


def _api_manager() -> Group:
    module = f"{_HERE}api_manager_commands"
    return Group(
        "api-manager",
        (
            Entry("switch", f"{module}:switch", "Turn switches, and show them all."),
            Entry("requests", f"{module}:requests", "List the requests that came in."),
            Entry("apis", f"{module}:apis", "List the APIs of the Publisher."),
            Entry("edit", f"{module}:edit", "Edit an API as a Publisher user would."),
            Entry("undeploy", f"{module}:undeploy", "Take an API from all its gateways."),
            Entry("delete", f"{module}:delete", "Delete an API and tell its gateways."),
            Entry("issue-key", f"{module}:issue_key", "Make an API key as a DevPortal user would."),
            Entry("restart", f"{module}:restart", "Drop every connection of gateways."),
        ),
        help="A stand-in for an on-premises API Manager ('hub start --as api-manager').",
    )


def _hub_consumers() -> tuple[Group, ...]:
    module, changes = f"{_HERE}hub_consumer_commands", f"{_HERE}hub_change_commands"
    secret = f"{_HERE}hub_secret_commands"
    things = {
        "plan": ("Make a plan and tell every gateway.", "Delete a plan.", "Subscription plans."),
        "subscription": ("Subscribe to an API.", "End a subscription everywhere.", "Subscriptions to APIs."),
        "application": ("Make an application with API keys.", "Delete an application.", "Applications."),
        "secret": ("Keep a secret for documents.", "Delete a secret.", "Secrets that documents refer to."),
    }
    further: dict[str, tuple[Entry, ...]] = {
        "plan": (Entry("change", f"{changes}:change_plan", "Change a plan and tell every gateway."),),
        "subscription": (Entry("change", f"{changes}:change_subscription", "Change a subscription."),),
        "application": (Entry("change", f"{changes}:change_application", "Give it other API keys or a name."),),
        "secret": (
            Entry("change", f"{secret}:change", "Give a secret another value."),
            Entry("deprecate", f"{secret}:deprecate", "Tell the value to no gateway any more."),
            Entry("activate", f"{secret}:activate", "Tell the value again to gateways that need it."),
        ),
    }
    return tuple(
        Group(
            f"{name}s",
            (
                Entry("create", f"{module}:create_{name}", create),
                Entry("list", f"{module}:list_{name}s", f"List the {name}s."),
                *further.get(name, ()),
                Entry("delete", f"{module}:delete_{name}", delete),
            ),
            help=about,
        )
        for name, (create, delete, about) in things.items()
    )


def main() -> None:
    """Run the program and leave with its exit code."""
    if sys.argv[1:] == ["--version"]:
        output.line(f"gatewright {gatewright.__version__}")
        return
    try:
        program()(prog_name="gatewright")
    except Failure as failure:
        output.complain(failure)
        sys.exit(failure.code)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        output.complain(_unexpected(error))
        sys.exit(Exit.FAILED)


def _unexpected(error: Exception) -> Failure:
    return Failure(
        f"unexpected: {type(error).__name__}: {error}",
        remedy=f"this is a mistake in Gatewright; set {DEBUG_VARIABLE}=1 to see where, and report it",
    )


if __name__ == "__main__":
    main()
