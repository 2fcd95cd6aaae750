"""Documents of LLM provider templates, LLM providers, LLM proxies and MCP proxies."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _documents("llm_provider_templates")
    _documents("llm_providers")
    _documents(
        "llm_proxies",
        sa.Column("provider_uuid", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["gateway_id", "provider_uuid"],
            ["llm_providers.gateway_id", "llm_providers.uuid"],
            name=op.f("fk_llm_proxies_llm_providers"),
            ondelete="RESTRICT",
        ),
    )
    op.create_index("idx_llm_proxies_provider", "llm_proxies", ["gateway_id", "provider_uuid"], unique=False)
    _documents("mcp_proxies")


def _documents(name: str, *more: sa.schema.SchemaItem) -> None:
    op.create_table(
        name,
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("uuid", sa.String(length=64), nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        *more,
        sa.ForeignKeyConstraint(
            ["gateway_id", "uuid"],
            ["artifacts.gateway_id", "artifacts.uuid"],
            name=op.f(f"fk_{name}_artifacts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("gateway_id", "uuid", name=op.f(f"pk_{name}")),
    )
