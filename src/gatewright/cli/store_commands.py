"""`store …`: back up a database, move it to PostgreSQL, take over one of the original, print the tables."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatewright.cli import configuration, output
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.options import ConfigFiles, Output
from gatewright.cli.output import Format

if TYPE_CHECKING:
    from gatewright.settings import Settings
    from gatewright.store import StoreError
    from gatewright.store.encryption import KeyRing


def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes; it must not exist.")],
    config: ConfigFiles = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Data directory of the gateway.")] = None,
) -> None:
    """Copy the database file, also while the gateway runs, and check the copy.

    Key files for encryption are not in it: keep copies of them elsewhere.

    Examples:

        gatewright store backup --config gateway.toml /backup/gateway-monday.db
    """
    from gatewright.process.storage import place_of
    from gatewright.store import StoreError
    from gatewright.store.backup import back_up

    settings = configuration.load(config or [], data_dir=data_dir).settings
    if settings.controller.storage.type != "sqlite":
        raise Failure(
            "only a database file is copied by this command",
            remedy="pg_dump --format=custom --file=FILE DATABASE, with the tools of PostgreSQL",
        )
    try:
        size = back_up(Path(str(place_of(settings.controller.storage))), target)
    except StoreError as problem:
        raise _failure(problem) from problem
    output.note(f"copied {size} bytes to {target}; keep the key files of controller.encryption.providers too")


def schema() -> None:
    """Print the tables as SQL for PostgreSQL, for an administrator who makes them himself.

    The gateway then needs a user who may only read and change rows.
    """
    from gatewright.store.backup import schema_sql

    sys.stdout.write(schema_sql())


def migrate(
    source: Annotated[Path, typer.Argument(metavar="SQLITE-FILE", help="The database of the stopped gateway.")],
    config: ConfigFiles = None,
    form: Output = Format.TABLE,
) -> None:
    """Move the rows of a gateway from a database file to the PostgreSQL server of the configuration.

    All or nothing: the server's database must not hold rows of this gateway yet, and all rows are counted before the
    move is made good. The file stays as it is. Use the same encryption key files afterwards.

    Examples:

        gatewright store migrate data/gateway.db --config postgres.toml
    """
    from gatewright.process.moving import move_to_postgres
    from gatewright.store import StoreError

    settings = configuration.load(config or []).settings
    try:
        moved = move_to_postgres(source, settings, output.note)
    except StoreError as problem:
        raise _failure(problem) from problem
    rows = [(name, str(count)) for name, count in moved.items()]
    output.show(moved, form, lambda: output.grid(("Table", "Rows"), rows, empty="nothing"))


def take_over(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="The gateway.db of the original, stopped or copied.")],
    config: ConfigFiles = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Data directory of the gateway.")] = None,
    from_gateway: Annotated[
        str, typer.Option("--from-gateway", metavar="ID", help="Its server.gateway_id, when the file has several.")
    ] = "",
    form: Output = Format.TABLE,
) -> None:
    """Take over the gateway database of the original (SQLite, 1.0 to 1.2): APIs, keys, plans, subscriptions, secrets.

    The gateway must not have been started on its own database yet. What cannot be taken is named, and the exit code
    is 1 then. Secrets are taken when the original's key files are configured here.

    Examples:

        gatewright store import /old/gateway.db --config gateway.toml
    """
    from gatewright.deployment.takeover.original import NotTheOriginals
    from gatewright.process.moving import take_over_original
    from gatewright.store import StoreError

    settings = configuration.load(config or [], data_dir=data_dir).settings
    try:
        taken = asyncio.run(take_over_original(source, settings, _keys(settings), from_gateway))
    except NotTheOriginals as problem:
        raise _failure(problem, Exit.USAGE) from problem
    except StoreError as problem:
        raise _failure(problem) from problem
    rows = [(kind, str(count)) for kind, count in sorted(taken.counts.items())]
    data = {"taken": dict(taken.counts), "notTaken": taken.problems}
    output.show(data, form, lambda: output.grid(("Kind", "Taken"), rows, empty="nothing was taken"))
    for missed in taken.problems:
        output.note(f"not taken: {output.safe(missed)}")
    if taken.problems:
        raise typer.Exit(1)


def _keys(settings: "Settings") -> "KeyRing":
    from gatewright.process.storage import key_ring

    return key_ring(settings, make_missing=True)


def _failure(problem: "StoreError", code: Exit = Exit.FAILED) -> Failure:
    return Failure(problem.message, code=code, remedy=problem.advice)
