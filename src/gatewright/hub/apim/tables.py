"""The tables of a stand-in API Manager. Times are milliseconds since the Unix epoch.

Gateways, tokens and events are the hub's own tables, so that its connections and its log serve here too.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from gatewright.hub import tables as hub
from gatewright.hub.store import Schema

metadata = MetaData()

meta = hub.meta.to_metadata(metadata)
gateways = hub.gateways.to_metadata(metadata)
tokens = hub.tokens.to_metadata(metadata)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("gateway_id", Text, ForeignKey("gateways.id", ondelete="CASCADE"), nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    Index("events_of_gateway", "gateway_id", "seq"),
    sqlite_autoincrement=True,
)
"""As the hub's, but a correlation id comes again when the same revision is deployed again."""

environments = Table(
    "environments",
    metadata,
    Column("gateway_id", Text, ForeignKey("gateways.id", ondelete="CASCADE"), primary_key=True),
    Column("vhost", Text, nullable=False),
    Column("permissions", Text, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("password_hash", LargeBinary, nullable=False),
    Column("roles", Text, nullable=False),
)

clients = Table(
    "oauth_clients",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("secret_sealed", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("grants", Text, nullable=False),
    Column("saas", Boolean, nullable=False),
    Column("callback_url", Text, nullable=False),
    Column("token_type", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
"""Secrets are told again at every registration of the same name, hence sealed."""

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

apis = Table(
    "apis",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("context", Text, nullable=False, index=True),
    Column("provider", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("from_gateway", Boolean, nullable=False),
    Column("last_revision", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("updated_by", Text, nullable=False),
    UniqueConstraint("name", "version"),
)
"""`data` is the API as uploaded or edited, `definition` its OpenAPI document, both JSON."""

revisions = Table(
    "revisions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("api_id", Text, ForeignKey("apis.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("description", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

deployments = Table(
    "api_deployments",
    metadata,
    Column("api_id", Text, ForeignKey("apis.id", ondelete="CASCADE"), primary_key=True),
    Column("gateway_id", Text, ForeignKey("gateways.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("revision_id", Text, nullable=False, index=True),
    Column("deployment_id", Text, nullable=False),
    Column("vhost", Text, nullable=False),
    Column("display", Boolean, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("deployed_at", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("outcome_at", BigInteger),
)
"""At most one revision of an API is deployed to a gateway; a row that is not `active` says which one was last."""

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("gateway_id", Text, nullable=False),
    Column("deployment_id", Text, nullable=False),
    Column("artifact_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("performed_at", Text, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("uuid", Text, primary_key=True),
    Column("api_id", Text, ForeignKey("apis.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("mask", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("api_id", "name"),
)

_VERSION: Final = 1


def _migrate(connection: Connection, _found: int) -> None:
    metadata.create_all(connection)
    connection.execute(text(f"PRAGMA user_version = {_VERSION}"))


SCHEMA: Final = Schema(_VERSION, _migrate)
