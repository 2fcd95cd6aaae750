"""`controller.storage` and `controller.event_hub`: the database. Reference: section 1.6. Pure data."""

from datetime import timedelta
from typing import Annotated

from pydantic import SecretStr

from gatewright.settings.kinds import (
    Duration,
    Int,
    PositiveDuration,
    Secret,
    Section,
    Str,
    StrMap,
    at_least,
    between,
    key,
    lowered,
    not_positive_duration_means,
    not_positive_means,
    one_of,
    table,
    zero_duration_means,
    zero_means,
)

_POSTGRES = "controller.storage.type is postgres"
_SECONDS_5 = timedelta(seconds=5)
_MINUTES_30 = timedelta(minutes=30)
_MINUTES_5 = timedelta(minutes=5)
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


class Sqlite(Section):
    """A database file."""

    path: Str = key("./data/gateway.db", "Database file, used when the type is sqlite.")


class Postgres(Section):
    """A PostgreSQL server; `dsn` replaces the discrete connection fields, not the pool settings."""

    dsn: Secret = key(SecretStr(""), "Connection URL; host, database and user are then not required.")
    host: Str = key("", "Server name or address.")
    port: Annotated[Int, not_positive_means(5432), between(1, 65535, _POSTGRES)] = key(5432, "Server port.")
    database: Str = key("", "Database name.")
    user: Str = key("", "User name.")
    password: Secret = key(SecretStr(""), "Password; a whole connection URL is accepted and used as dsn.")
    sslmode: Annotated[Str, lowered(), one_of(*SSL_MODES, when=_POSTGRES, folded=True)] = key(
        "require",
        "How TLS to the server is used.",
    )
    connect_timeout: Annotated[Duration, not_positive_duration_means(_SECONDS_5)] = key(
        _SECONDS_5,
        "Longest wait for a connection; sent in whole seconds.",
    )
    max_open_conns: Annotated[Int, zero_means(25), at_least(1, _POSTGRES)] = key(25, "Most connections open.")
    max_idle_conns: Annotated[Int, zero_means(5), at_least(1, _POSTGRES)] = key(
        5,
        "Most connections kept idle; never more than max_open_conns.",
    )
    conn_max_lifetime: Annotated[Duration, zero_duration_means(_MINUTES_30), at_least(0, _POSTGRES)] = key(
        _MINUTES_30,
        "Age at which a connection is replaced.",
    )
    conn_max_idle_time: Annotated[Duration, zero_duration_means(_MINUTES_5), at_least(0, _POSTGRES)] = key(
        _MINUTES_5,
        "Idle time after which a connection is closed.",
    )
    application_name: Str = key("gateway-controller", "Name shown in the server's list of sessions.")


class Database(Section):
    """The unified section of 1.2: each value given here overrides the one of `sqlite` or `postgres`."""

    driver: Str = key("", "Driver; postgres, or sqlserver and mssql. Empty: the one of the storage type.")
    dsn: Secret = key(SecretStr(""), "Connection URL.")
    path: Str = key("", "Database file; overrides storage.sqlite.path.")
    host: Str = key("", "Server name or address.")
    port: Int = key(0, "Server port; 0: the default of the driver.")
    database: Str = key("", "Database name.")
    user: Str = key("", "User name.")
    password: Secret = key(SecretStr(""), "Password.")
    connect_timeout: Duration = key(timedelta(0), "Longest wait for a connection; 0: default.")
    max_open_conns: Annotated[Int, at_least(0)] = key(0, "Most connections open; 0: default.")
    max_idle_conns: Annotated[Int, at_least(0)] = key(0, "Most connections kept idle; 0: default.")
    conn_max_lifetime: Annotated[Duration, at_least(0)] = key(timedelta(0), "Age of a connection; 0: default.")
    conn_max_idle_time: Annotated[Duration, at_least(0)] = key(timedelta(0), "Idle time of one; 0: default.")
    application_name: Str = key("", "Name shown in the server's list of sessions.")
    options: StrMap = key({}, "Driver options: encrypt, trust_server_certificate (sqlserver), sslmode (postgres).")


class Storage(Section):
    """Where artifacts are kept."""

    type: Annotated[Str, one_of("sqlite", "postgres", "sqlserver")] = key("sqlite", "Kind of database.")
    sqlite: Sqlite = table(Sqlite)
    postgres: Postgres = table(Postgres)
    database: Database = table(Database)


class EventHubDatabase(Section):
    """Pool of the connection that the event hub has for itself."""

    max_open_conns: Int = key(5, "Most connections open.")
    max_idle_conns: Int = key(2, "Most connections kept idle.")
    conn_max_lifetime: Duration = key(_MINUTES_30, "Age at which a connection is replaced.")
    conn_max_idle_time: Duration = key(_MINUTES_5, "Idle time after which a connection is closed.")


class EventHub(Section):
    """How controllers that share a database hear of each other's changes."""

    poll_interval: PositiveDuration = key(timedelta(seconds=3), "Time between two looks at the change table.")
    cleanup_interval: PositiveDuration = key(timedelta(minutes=10), "Time between two removals of old events.")
    retention_period: PositiveDuration = key(timedelta(hours=1), "Age at which an event is removed.")
    database: EventHubDatabase = table(EventHubDatabase)
