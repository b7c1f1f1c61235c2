"""The price table."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.core import db as types

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
)


def upgrade() -> None:
    op.create_table(
        "prices",
        sa.Column("provider_type", sa.String(length=32), nullable=False),
        sa.Column("provider_id", sa.Integer(), nullable=True),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("service_tier", sa.String(length=32), nullable=True),
        sa.Column("valid_from", types.UtcDateTime(), nullable=False),
        sa.Column("valid_until", types.UtcDateTime(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("input_per_1m", types.ExactDecimal(), nullable=True),
        sa.Column("cached_input_per_1m", types.ExactDecimal(), nullable=True),
        sa.Column("cache_write_per_1m", types.ExactDecimal(), nullable=True),
        sa.Column("cache_write_1h_per_1m", types.ExactDecimal(), nullable=True),
        sa.Column("output_per_1m", types.ExactDecimal(), nullable=True),
        sa.Column("reasoning_per_1m", types.ExactDecimal(), nullable=True),
        sa.Column("per_request", types.ExactDecimal(), nullable=True),
        sa.Column("web_search_per_1k", types.ExactDecimal(), nullable=True),
        sa.Column("tiers", JSON, nullable=False),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("config_rev", sa.BigInteger(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.CheckConstraint("length(model) BETWEEN 1 AND 256", name=op.f("ck_prices_model_length")),
        sa.CheckConstraint("valid_until > valid_from", name=op.f("ck_prices_validity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("prices", schema=None) as batch_op:
        batch_op.create_index("ix_prices_of", ["provider_type", "model", "valid_from"])


def downgrade() -> None:
    with op.batch_alter_table("prices", schema=None) as batch_op:
        batch_op.drop_index("ix_prices_of")

    op.drop_table("prices")
