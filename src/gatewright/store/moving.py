"""From one database to another: the rows of one gateway, all or none, counted on both sides."""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, Table, func, insert, select, text

from gatewright.store.errors import StoreError
from gatewright.store.tables import changes, controllers, metadata, outbox

PAGE: Final = 500
Progress = Callable[[str, int, int], None]
"""Called with a table, how many of its rows are there, and how many there will be."""


class TargetNotEmpty(StoreError):
    """The target holds rows of this gateway: nothing was written."""

    code = "STORE_TARGET_NOT_EMPTY"


class Incomplete(StoreError):
    """The counts differ; nothing was written."""

    code = "STORE_MOVE_INCOMPLETE"


def tables() -> list[Table]:
    """Those that are moved, in the order in which rows may refer to rows."""
    return [table for table in metadata.sorted_tables if table is not controllers]


def counts(connection: Connection, gateway_id: str) -> dict[str, int]:
    """How many rows of a gateway each table has."""
    return {table.name: _count(connection, table, gateway_id) for table in tables()}


def gateways(connection: Connection) -> list[str]:
    """The ids of the gateways that have anything in a database."""
    found: set[str] = set()
    for table in tables():
        found.update(connection.execute(select(table.c.gateway_id).distinct()).scalars())
    return sorted(found)


def refuse_unless_empty(connection: Connection, gateway_id: str, where: str) -> None:
    """Raises TargetNotEmpty."""
    filled = {name: count for name, count in counts(connection, gateway_id).items() if count}
    if filled:
        shown = ", ".join(f"{count} in {name}" for name, count in filled.items())
        raise TargetNotEmpty(
            f"{where} already holds rows of the gateway {gateway_id}: {shown}",
            "Use an empty database, or another controller.server.gateway_id. Do not start a gateway on it before.",
        )


def move(source: Connection, target: Connection, gateway_id: str, progress: Progress) -> dict[str, int]:
    """Copy all rows inside the target's transaction; how many, by table. Raises Incomplete.

    The target is at the same schema and has no rows of this gateway.
    """
    moved: dict[str, int] = {}
    for table in tables():
        total = _count(source, table, gateway_id)
        done = 0
        keys = list(table.primary_key.columns)
        rows = source.execute(select(table).where(table.c.gateway_id == gateway_id).order_by(*keys))
        for page in rows.mappings().partitions(PAGE):
            target.execute(insert(table), [dict(row) for row in page])
            done += len(page)
            progress(table.name, done, total)
        moved[table.name] = total
    there = counts(target, gateway_id)
    if there != moved:
        differing = sorted(name for name in moved if moved[name] != there.get(name))
        raise Incomplete(f"the numbers of rows differ in {', '.join(differing)}", "Nothing was written; try again.")
    if target.dialect.name == "postgresql":
        for table, column in ((changes, "seq"), (outbox, "id")):
            # Numbers of rows that came along must not be given out again.
            target.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column}'), "  # noqa: S608 - our own names
                    f"GREATEST((SELECT max({column}) FROM {table.name}), 1))"
                )
            )
    return moved


def _count(connection: Connection, table: Table, gateway_id: str) -> int:
    return connection.execute(
        select(func.count()).select_from(table).where(table.c.gateway_id == gateway_id)
    ).scalar_one()
