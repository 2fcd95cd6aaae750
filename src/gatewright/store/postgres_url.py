"""A target from a connection URL, or from single values. No I/O."""

from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

import psycopg
from psycopg import conninfo, pq
from pydantic import SecretStr

from gatewright.observability.redaction import register_secret
from gatewright.store.errors import StoreUnavailable
from gatewright.store.postgres_target import SCHEMES, PostgresTarget

LEAST_CONNECTIONS: Final = 3
"""One that writes, one that reads, one that listens."""

_DEFAULTS: Final[dict[str, str | int]] = {
    "target_session_attrs": "read-write",
    "client_encoding": "utf8",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_OF_ANOTHER_DRIVER: Final = frozenset(
    {
        "default_query_exec_mode",
        "statement_cache_capacity",
        "description_cache_capacity",
        "pool_max_conns",
        "pool_min_conns",
        "pool_min_idle_conns",
        "pool_max_conn_lifetime",
        "pool_max_conn_lifetime_jitter",
        "pool_max_conn_idle_time",
        "pool_health_check_period",
    }
)
"""Parameters of the driver of the original, which say nothing about the server."""


def target_of(
    dsn: str,
    *,
    max_connections: int = 25,
    lifetime_s: float = 1800.0,
    idle_s: float = 300.0,
    **values: str | int,
) -> PostgresTarget:
    """A connection URL or `key=value` words, and values that apply where these do not say otherwise.

    Several hosts separated by commas are tried in order; the one that takes writes is used. Raises StoreUnavailable,
    which never quotes the text.
    """
    try:
        known = conninfo.conninfo_to_dict(_without_foreign(dsn) if dsn.startswith(SCHEMES) else dsn)
    except (psycopg.Error, ValueError):
        raise StoreUnavailable(
            "the connection URL of the database cannot be read (it is not shown: it may hold a password)",
            "Write postgresql://user:password@host:5432/database?sslmode=require, with special characters escaped.",
        ) from None
    given = {name: value for name, value in known.items() if value is not None}
    wanted = {**_DEFAULTS, **values, **given}
    if wanted.get("sslmode") == "verify-full" and "sslrootcert" not in wanted:
        wanted["sslrootcert"] = "system"
    password = str(wanted.get("password") or "")
    if password:
        register_secret(password)
    hosts = str(wanted.get("host") or wanted.get("hostaddr") or "the local socket")
    return PostgresTarget(
        conninfo=SecretStr(conninfo.make_conninfo("", **wanted)),
        where=f"PostgreSQL database {wanted.get('dbname') or ''} on {hosts}, port {wanted.get('port') or 5432}",
        max_connections=max(LEAST_CONNECTIONS, max_connections),
        lifetime_s=lifetime_s,
        idle_s=idle_s,
    )


def _without_foreign(url: str) -> str:
    """Parameters that libpq does not know: those of another driver go, others are settings of the session."""
    parts = urlsplit(url)
    words = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    given = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in given if name in words and name != "options"]
    options = [value for name, value in given if name == "options"]
    for name, value in given:
        if name not in words and name not in _OF_ANOTHER_DRIVER:
            escaped = value.replace("\\", "\\\\").replace(" ", "\\ ")
            options.append(f"-c {name}={escaped}")
    if options:
        kept.append(("options", " ".join(options)))
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='/')}" for name, value in kept)
    return parts._replace(query=query).geturl()
