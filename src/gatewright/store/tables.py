"""The tables, as SQLAlchemy Core describes them. Migrations make them; a test holds the two against each other.

Names and columns of `artifacts`, of the documents and of `api_keys` are those of the original, which its integration
suite and the tools of its operators read. Every key starts with `gateway_id`: several gateways may share a database.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Instant(TypeDecorator[datetime]):
    """An aware datetime as Unix microseconds: equal on every database, sortable, no time zone to lose."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - as SQLAlchemy has it
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else _EPOCH + value * _MICROSECOND


class Json(TypeDecorator[Any]):
    """Plain data as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else _encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 - any JSON
        return None if value is None else _decode(value)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite numbers only an INTEGER PRIMARY KEY by itself.
_SERIAL = BigInteger().with_variant(Integer, "sqlite")

artifacts = Table(
    "artifacts",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("uuid", String(64), primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("handle", String(255), nullable=False),
    Column("display_name", String(255), nullable=False),
    Column("version", String(64), nullable=False),
    Column("data_version", String(20), nullable=False, server_default="1.0"),
    Column("desired_state", String(20), nullable=False),
    Column("deployment_id", String(255)),
    Column("deployed_at", Instant),
    Column("origin", String(255), nullable=False),
    Column("cp_artifact_id", String(255)),
    Column("cp_sync_status", String(20)),
    Column("cp_sync_info", Text),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("gateway_id", "kind", "display_name", "version"),
    UniqueConstraint("gateway_id", "kind", "handle"),
)
Index(
    "idx_artifacts_cp_artifact_id",
    artifacts.c.gateway_id,
    artifacts.c.cp_artifact_id,
    sqlite_where=artifacts.c.cp_artifact_id.is_not(None),
    postgresql_where=artifacts.c.cp_artifact_id.is_not(None),
)


def _documents(name: str, *more: Any) -> Table:  # noqa: ANN401 - columns and constraints
    """A table of the documents of one kind; a document goes with its artifact."""
    return Table(
        name,
        metadata,
        Column("gateway_id", String(64), primary_key=True),
        Column("uuid", String(64), primary_key=True),
        Column("configuration", Json, nullable=False),
        *more,
        ForeignKeyConstraint(["gateway_id", "uuid"], ["artifacts.gateway_id", "artifacts.uuid"], ondelete="CASCADE"),
    )


rest_apis = _documents("rest_apis")
llm_provider_templates = _documents("llm_provider_templates")
llm_providers = _documents("llm_providers")
# A provider cannot go while a proxy stands on it.
llm_proxies = _documents(
    "llm_proxies",
    Column("provider_uuid", String(64)),
    ForeignKeyConstraint(
        ["gateway_id", "provider_uuid"], ["llm_providers.gateway_id", "llm_providers.uuid"], ondelete="RESTRICT"
    ),
)
Index("idx_llm_proxies_provider", llm_proxies.c.gateway_id, llm_proxies.c.provider_uuid)
mcp_proxies = _documents("mcp_proxies")

DOCUMENTS: Final[dict[str, Table]] = {
    "RestApi": rest_apis,
    "LlmProviderTemplate": llm_provider_templates,
    "LlmProvider": llm_providers,
    "LlmProxy": llm_proxies,
    "Mcp": mcp_proxies,
}
"""Where the documents of a kind are; a further kind adds its table."""

# No foreign key to artifacts: the key list of a control plane may come before the artifact.
api_keys = Table(
    "api_keys",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("api_key", String(255), primary_key=True),
    Column("uuid", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("masked_api_key", String(255), nullable=False),
    Column("artifact_uuid", String(64), nullable=False),
    Column("status", String(20), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("source", String(64), nullable=False),
    Column("origin", String(20), nullable=False),
    Column("external_ref_id", String(255)),
    Column("issuer", String(255)),
    UniqueConstraint("gateway_id", "artifact_uuid", "name"),
    UniqueConstraint("gateway_id", "uuid"),
)

subscription_plans = Table(
    "subscription_plans",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("uuid", String(64), primary_key=True),
    Column("plan_name", String(255), nullable=False),
    Column("billing_plan", String(255)),
    Column("stop_on_quota_reach", Boolean, nullable=False),
    Column("throttle_limit_count", BigInteger),
    Column("throttle_limit_unit", String(20)),
    Column("expiry_time", Instant),
    Column("status", String(20), nullable=False),
    Column("origin", String(20), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("gateway_id", "plan_name"),
)

# No foreign keys to artifacts and plans: lists and events of a control plane come in any order.
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("uuid", String(64), primary_key=True),
    Column("api_id", String(255), nullable=False),
    Column("application_id", String(255)),
    Column("subscription_token_hash", String(64), nullable=False),
    Column("subscription_plan_id", String(64)),
    Column("billing_customer_id", String(255)),
    Column("billing_subscription_id", String(255)),
    Column("status", String(20), nullable=False),
    Column("origin", String(20), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("gateway_id", "api_id", "subscription_token_hash"),
)
Index("idx_subscriptions_plan", subscriptions.c.gateway_id, subscriptions.c.subscription_plan_id)

applications = Table(
    "applications",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("application_uuid", String(64), primary_key=True),
    Column("application_id", String(255), nullable=False),
    Column("application_name", String(255), nullable=False),
    Column("application_type", String(255), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

# No foreign key to api_keys: an application may be told of before its keys.
application_api_keys = Table(
    "application_api_keys",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("application_uuid", String(64), primary_key=True),
    Column("api_key_id", String(64), primary_key=True),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    ForeignKeyConstraint(
        ["gateway_id", "application_uuid"],
        ["applications.gateway_id", "applications.application_uuid"],
        ondelete="CASCADE",
    ),
)
Index("idx_app_api_keys_apikey", application_api_keys.c.gateway_id, application_api_keys.c.api_key_id)

secrets = Table(
    "secrets",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("handle", String(255), primary_key=True),
    Column("display_name", String(255), nullable=False),
    Column("description", Text, nullable=False),
    Column("ciphertext", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("seq", _SERIAL, primary_key=True, autoincrement=True),
    Column("gateway_id", String(64), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("entity_id", String(64), nullable=False),
    Column("artifact_id", String(64), nullable=False),
    Column("action", String(20), nullable=False),
    Column("correlation_id", String(255), nullable=False),
    Column("at", Instant, nullable=False),
    sqlite_autoincrement=True,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("gateway_id", String(64), nullable=False),
    Column("target", String(64), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("entity_id", String(64), nullable=False),
    Column("action", String(20), nullable=False),
    Column("payload", Json, nullable=False),
    Column("correlation_id", String(255), nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("created_at", Instant, nullable=False),
    Column("not_before", Instant),
    Column("last_error", Text),
    UniqueConstraint("gateway_id", "target", "entity_id"),
    sqlite_autoincrement=True,
)

# No foreign key to artifacts: what was deleted here may still have to be undeployed there.
apim_records = Table(
    "apim_records",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("uuid", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("version", String(255), nullable=False),
    Column("api_id", String(255)),
    Column("revision", String(255)),
    Column("content", String(64)),
    Column("begun", String(64)),
    Column("fingerprint", String(64)),
    Column("synced_at", Instant),
    Column("error", Text),
    Column("failure", String(20)),
    Column("failed_at", Instant),
    Column("gone_at", Instant),
    Column("claimed_by", String(64)),
    Column("claimed_until", Instant),
)
Index("idx_apim_records_name", apim_records.c.gateway_id, apim_records.c.name, apim_records.c.version)

meta = Table(
    "meta",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("value", Json, nullable=False),
    Column("sealed", Boolean, nullable=False),
)

# The compiled form of the last version that was served, kept only while a newer one is in quarantine.
last_good = Table(
    "last_good",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("uuid", String(64), primary_key=True),
    Column("model", Json, nullable=False),
    ForeignKeyConstraint(["gateway_id", "uuid"], ["artifacts.gateway_id", "artifacts.uuid"], ondelete="CASCADE"),
)

certificates = Table(
    "certificates",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("uuid", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("certificate", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("cert_count", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("gateway_id", "name"),
)

# The processes that share the database. Which of them live, the server knows from their sessions.
controllers = Table(
    "controllers",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("name", String(255), nullable=False),
    Column("token", String(64)),
    Column("report", Json),
    Column("started_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
