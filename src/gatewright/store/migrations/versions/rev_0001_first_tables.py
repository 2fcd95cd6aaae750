"""Artifacts, API keys, the change feed, the outbox, and small values."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "api_keys",
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("api_key", sa.String(length=255), nullable=False),
        sa.Column("uuid", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("masked_api_key", sa.String(length=255), nullable=False),
        sa.Column("artifact_uuid", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=20), nullable=False),
        sa.Column("external_ref_id", sa.String(length=255), nullable=True),
        sa.Column("issuer", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("gateway_id", "api_key", name=op.f("pk_api_keys")),
        sa.UniqueConstraint(
            "gateway_id", "artifact_uuid", "name", name=op.f("uq_api_keys_gateway_id_artifact_uuid_name")
        ),
        sa.UniqueConstraint("gateway_id", "uuid", name=op.f("uq_api_keys_gateway_id_uuid")),
    )
    op.create_table(
        "artifacts",
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("uuid", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("handle", sa.String(length=255), nullable=False),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("data_version", sa.String(length=20), server_default="1.0", nullable=False),
        sa.Column("desired_state", sa.String(length=20), nullable=False),
        sa.Column("deployment_id", sa.String(length=255), nullable=True),
        sa.Column("deployed_at", sa.BigInteger(), nullable=True),
        sa.Column("origin", sa.String(length=255), nullable=False),
        sa.Column("cp_artifact_id", sa.String(length=255), nullable=True),
        sa.Column("cp_sync_status", sa.String(length=20), nullable=True),
        sa.Column("cp_sync_info", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gateway_id", "uuid", name=op.f("pk_artifacts")),
        sa.UniqueConstraint(
            "gateway_id",
            "kind",
            "display_name",
            "version",
            name=op.f("uq_artifacts_gateway_id_kind_display_name_version"),
        ),
        sa.UniqueConstraint("gateway_id", "kind", "handle", name=op.f("uq_artifacts_gateway_id_kind_handle")),
    )
    op.create_index(
        "idx_artifacts_cp_artifact_id",
        "artifacts",
        ["gateway_id", "cp_artifact_id"],
        unique=False,
        sqlite_where=sa.text("cp_artifact_id IS NOT NULL"),
        postgresql_where=sa.text("cp_artifact_id IS NOT NULL"),
    )
    op.create_table(
        "changes",
        sa.Column("seq", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("entity_id", sa.String(length=64), nullable=False),
        sa.Column("artifact_id", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("correlation_id", sa.String(length=255), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_changes")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "meta",
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("gateway_id", "name", name=op.f("pk_meta")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("entity_id", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.String(length=255), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("gateway_id", "target", "entity_id", name=op.f("uq_outbox_gateway_id_target_entity_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "rest_apis",
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("uuid", sa.String(length=64), nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["gateway_id", "uuid"],
            ["artifacts.gateway_id", "artifacts.uuid"],
            name=op.f("fk_rest_apis_artifacts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("gateway_id", "uuid", name=op.f("pk_rest_apis")),
    )
    op.create_table(
        "last_good",
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("uuid", sa.String(length=64), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["gateway_id", "uuid"],
            ["artifacts.gateway_id", "artifacts.uuid"],
            name=op.f("fk_last_good_artifacts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("gateway_id", "uuid", name=op.f("pk_last_good")),
    )
