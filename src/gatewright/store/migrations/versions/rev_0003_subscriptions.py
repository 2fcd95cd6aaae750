"""Subscriptions, their plans, and the applications that keys belong to."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "subscription_plans",
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("uuid", sa.String(length=64), nullable=False),
        sa.Column("plan_name", sa.String(length=255), nullable=False),
        sa.Column("billing_plan", sa.String(length=255), nullable=True),
        sa.Column("stop_on_quota_reach", sa.Boolean(), nullable=False),
        sa.Column("throttle_limit_count", sa.BigInteger(), nullable=True),
        sa.Column("throttle_limit_unit", sa.String(length=20), nullable=True),
        sa.Column("expiry_time", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("origin", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gateway_id", "uuid", name=op.f("pk_subscription_plans")),
        sa.UniqueConstraint("gateway_id", "plan_name", name=op.f("uq_subscription_plans_gateway_id_plan_name")),
    )
    op.create_table(
        "subscriptions",
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("uuid", sa.String(length=64), nullable=False),
        sa.Column("api_id", sa.String(length=255), nullable=False),
        sa.Column("application_id", sa.String(length=255), nullable=True),
        sa.Column("subscription_token_hash", sa.String(length=64), nullable=False),
        sa.Column("subscription_plan_id", sa.String(length=64), nullable=True),
        sa.Column("billing_customer_id", sa.String(length=255), nullable=True),
        sa.Column("billing_subscription_id", sa.String(length=255), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("origin", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gateway_id", "uuid", name=op.f("pk_subscriptions")),
        sa.UniqueConstraint(
            "gateway_id",
            "api_id",
            "subscription_token_hash",
            name=op.f("uq_subscriptions_gateway_id_api_id_subscription_token_hash"),
        ),
    )
    op.create_index("idx_subscriptions_plan", "subscriptions", ["gateway_id", "subscription_plan_id"])
    op.create_table(
        "applications",
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("application_uuid", sa.String(length=64), nullable=False),
        sa.Column("application_id", sa.String(length=255), nullable=False),
        sa.Column("application_name", sa.String(length=255), nullable=False),
        sa.Column("application_type", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gateway_id", "application_uuid", name=op.f("pk_applications")),
    )
    op.create_table(
        "application_api_keys",
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("application_uuid", sa.String(length=64), nullable=False),
        sa.Column("api_key_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["gateway_id", "application_uuid"],
            ["applications.gateway_id", "applications.application_uuid"],
            name=op.f("fk_application_api_keys_applications"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("gateway_id", "application_uuid", "api_key_id", name=op.f("pk_application_api_keys")),
    )
    op.create_index("idx_app_api_keys_apikey", "application_api_keys", ["gateway_id", "api_key_id"])
