"""From an earlier schema of the hub's database to the present one, in the transaction that opens the file.

Tables that are missing are made from their definitions; here stands only what that cannot do.
"""

from sqlalchemy import Connection, inspect, text

from gatewright.hub import references
from gatewright.hub.tables import SCHEMA_VERSION, metadata


def migrate(connection: Connection, found: int) -> None:
    """Bring a file of schema `found` (0: a new one) to SCHEMA_VERSION."""
    metadata.create_all(connection)
    if found == 1:
        _add(connection, "api_keys", "targets TEXT NOT NULL DEFAULT ''")
        references.record_all(connection)
    if found in {1, 2}:
        _add(connection, "secrets", "status TEXT NOT NULL DEFAULT 'ACTIVE'")
    connection.execute(text(f"PRAGMA user_version = {SCHEMA_VERSION}"))


def _add(connection: Connection, table: str, column: str) -> None:
    """Add a column, given as its definition, unless the table was made with it just now."""
    if column.partition(" ")[0] not in {each["name"] for each in inspect(connection).get_columns(table)}:
        connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {column}"))
