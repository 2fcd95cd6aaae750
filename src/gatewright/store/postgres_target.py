"""A PostgreSQL server and how to sign in. Pure; the driver is not imported."""

from typing import Final

import msgspec
from pydantic import SecretStr

SCHEMES: Final = ("postgresql://", "postgres://")


class PostgresTarget(msgspec.Struct, frozen=True):
    """`conninfo` holds the password; `where` is for people. Times in seconds."""

    conninfo: SecretStr
    where: str
    max_connections: int = 25
    lifetime_s: float = 1800.0
    idle_s: float = 300.0


def is_postgres(url: str) -> bool:
    """Whether a URL names a PostgreSQL database."""
    return url.startswith(SCHEMES)
