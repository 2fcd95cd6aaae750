"""The hub's tables. Times are milliseconds since the Unix epoch, documents are text as they came."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION: Final = 1
"""Kept in SQLite's user_version; a hub refuses a file of a later version."""

metadata = MetaData()

meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

gateways = Table(
    "gateways",
    metadata,
    Column("id", Text, primary_key=True),
    Column("handle", Text, nullable=False, unique=True),
    Column("display_name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("endpoints", Text, nullable=False),
    Column("functionality_type", Text, nullable=False),
    Column("is_critical", Boolean, nullable=False),
    Column("properties", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("manifest", Text),
    Column("confirmed_seq", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("gateway_id", Text, ForeignKey("gateways.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("hash", Text, nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoke_at", BigInteger),
    Column("revoked_at", BigInteger),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("handle", Text, nullable=False, unique=True),
    Column("display_name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("deployed_ns", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

deployments = Table(
    "deployments",
    metadata,
    Column("id", Text, primary_key=True),
    Column("artifact_id", Text, ForeignKey("artifacts.id", ondelete="CASCADE"), nullable=False),
    Column("gateway_id", Text, ForeignKey("gateways.id", ondelete="CASCADE"), nullable=False),
    Column("content", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("deployments_of", "artifact_id", "gateway_id", "created_at"),
)

statuses = Table(
    "statuses",
    metadata,
    Column("artifact_id", Text, ForeignKey("artifacts.id", ondelete="CASCADE"), primary_key=True),
    Column("gateway_id", Text, ForeignKey("gateways.id", ondelete="CASCADE"), primary_key=True),
    Column("deployment_id", Text, nullable=False),
    Column("status", Text, nullable=False, index=True),
    Column("desired", Text, nullable=False),
    Column("performed_at", BigInteger, nullable=False),
    Column("reason", Text),
    Column("updated_at", BigInteger, nullable=False),
    Index("statuses_of_gateway", "gateway_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("uuid", Text, primary_key=True),
    Column("artifact_id", Text, ForeignKey("artifacts.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    Column("mask", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("issuer", Text),
    Column("created_by", Text, nullable=False),
    Column("expires_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("artifact_id", "name"),
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("gateway_id", Text, ForeignKey("gateways.id", ondelete="CASCADE"), nullable=False),
    Column("correlation_id", Text, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    Index("events_of_gateway", "gateway_id", "seq"),
    sqlite_autoincrement=True,
)
"""`sqlite_autoincrement`: sequence numbers must never be used again after old events were removed."""
