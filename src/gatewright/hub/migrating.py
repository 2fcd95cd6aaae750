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
        _target_keys(connection)
        references.record_all(connection)
    connection.execute(text(f"PRAGMA user_version = {SCHEMA_VERSION}"))


def _target_keys(connection: Connection) -> None:
    if "targets" not in {column["name"] for column in inspect(connection).get_columns("api_keys")}:
        connection.execute(text("ALTER TABLE api_keys ADD COLUMN targets TEXT NOT NULL DEFAULT ''"))
