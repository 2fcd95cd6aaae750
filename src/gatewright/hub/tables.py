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

SCHEMA_VERSION: Final = 3
"""Kept in SQLite's user_version; a hub brings an earlier file up to it and refuses a later one."""

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
    Column("targets", Text, nullable=False, server_default=""),
    Column("created_by", Text, nullable=False),
    Column("expires_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("artifact_id", "name"),
)

plans = Table(
    "plans",
    metadata,
    Column("id", Text, primary_key=True),
    Column("handle", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("billing_plan", Text, nullable=False),
    Column("stop_on_quota_reach", Boolean, nullable=False),
    Column("limit_count", Integer),
    Column("limit_unit", Text, nullable=False),
    Column("expires_at", BigInteger),
    Column("status", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

applications = Table(
    "applications",
    metadata,
    Column("id", Text, primary_key=True),
    Column("handle", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

application_keys = Table(
    "application_keys",
    metadata,
    Column("application_id", Text, ForeignKey("applications.id", ondelete="CASCADE"), primary_key=True),
    Column("key_uuid", Text, ForeignKey("api_keys.uuid", ondelete="CASCADE"), primary_key=True, index=True),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("artifact_id", Text, ForeignKey("artifacts.id", ondelete="CASCADE"), nullable=False),
    Column("application_id", Text, ForeignKey("applications.id"), index=True),
    Column("plan_id", Text, ForeignKey("plans.id"), index=True),
    Column("token_hash", Text, nullable=False),
    Column("token_sealed", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("billing_customer_id", Text, nullable=False),
    Column("billing_subscription_id", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("artifact_id", "token_hash"),
)
"""Tokens are sent to gateways in plain again and again, hence sealed beside their hash."""

platform_secrets = Table(
    "secrets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("handle", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="ACTIVE"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

secret_references = Table(
    "secret_references",
    metadata,
    Column("deployment_id", Text, ForeignKey("deployments.id", ondelete="CASCADE"), primary_key=True),
    Column("handle", Text, primary_key=True, index=True),
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
