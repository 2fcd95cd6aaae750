"""`config …`: the effective configuration, what is wrong with it, the reference of all keys."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from gatewright.cli import configuration, output
from gatewright.cli.options import ConfigFiles, Output, Strict
from gatewright.cli.output import Format


def show(
    prefix: Annotated[
        str,
        typer.Argument(metavar="KEY", help="Only this key or table, such as controller.server.", show_default=False),
    ] = "",
    config: ConfigFiles = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only values that are not defaults.")] = False,
    strict: Strict = False,
    form: Output = Format.TABLE,
) -> None:
    """Print the effective values and where each comes from; secrets are redacted.

    Examples:

        gatewright config show --config gateway.toml --changed
        gatewright config show controller.controlplane -o json
    """
    from gatewright import settings

    loaded = configuration.load(config or [], strict=strict)
    rows = [
        row
        for row in settings.show(loaded)
        if (not prefix or row.key == prefix or row.key.startswith((f"{prefix}.", f"{prefix}[")))
        and not (changed and row.source == "default")
    ]
    data = [{"key": row.key, "value": row.value, "source": row.source} for row in rows]
    cells = [(row.key, row.value, row.source) for row in rows]
    output.show(data, form, lambda: output.grid(("Key", "Value", "Source"), cells, empty="nothing of that name"))


def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE…", show_default=False, help="Configuration (TOML); later ones win."),
    ] = None,
    config: ConfigFiles = None,
    strict: Strict = False,
    form: Output = Format.TABLE,
) -> None:
    """Report everything that is wrong or doubtful at once; exit code 1 if a gateway would not start with it.

    Examples:

        gatewright config check gateway.toml
        gatewright config check config.toml overlay.toml -o json
    """
    from gatewright import settings

    report = settings.check([*(files or []), *(config or [])], os.environ, strict=strict)
    data = {
        "ok": report.ok,
        "problems": [
            {
                "code": problem.code,
                "key": problem.key,
                "source": problem.source,
                "message": problem.message,
                "remedy": problem.remedy,
            }
            for problem in report.problems
        ],
        "warnings": list(report.warnings),
    }
    lines = [
        *(f"error: {output.safe(problem)}" for problem in report.problems),
        *(f"warning: {output.safe(warning)}" for warning in report.warnings),
    ]
    output.show(data, form, lambda: lines or ["the configuration is good"])
    if not report.ok:
        raise typer.Exit(1)


def reference() -> None:
    """Print the reference of all keys (Markdown)."""
    from gatewright.settings.reference import render

    sys.stdout.write(render())
