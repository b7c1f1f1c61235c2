"""Budgets and where they stand."""

import sqlalchemy as sa
from alembic import op

from app.core import db as types

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BLOCKABLE = ("agents", "global_halt", "providers")


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column(
            "scope",
            sa.Enum(
                "agent",
                "provider",
                "all",
                name="budget_scope",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("target_id", sa.Integer(), nullable=True),
        sa.Column(
            "period",
            sa.Enum(
                "day", "month", name="period", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("warn_at", types.ExactDecimal(), nullable=True),
        sa.Column("block_at", types.ExactDecimal(), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("window_end", types.UtcDateTime(), nullable=True),
        sa.Column("recount_at", types.UtcDateTime(), nullable=True),
        sa.Column("warned_for", types.UtcDateTime(), nullable=True),
        sa.Column("blocked_for", types.UtcDateTime(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("config_rev", sa.BigInteger(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 128", name=op.f("ck_budgets_name_length")),
        sa.CheckConstraint(
            "warn_at IS NOT NULL OR block_at IS NOT NULL", name=op.f("ck_budgets_limit")
        ),
        sa.CheckConstraint("(target_id IS NULL) = (scope = 'all')", name=op.f("ck_budgets_target")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
        sa.UniqueConstraint("name", name=op.f("uq_budgets_name")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("budgets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_budgets_target_id"), ["target_id"], unique=False)
    op.create_table(
        "budget_spends",
        sa.Column("budget_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("window_start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=False),
        sa.Column("cost_attos", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("unpriced_calls", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["budget_id"],
            ["budgets.id"],
            name=op.f("fk_budget_spends_budget_id_budgets"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("budget_id", "window_start", name=op.f("pk_budget_spends")),
    )
    for table in BLOCKABLE:
        state = sa.Column("budget_state", sa.String(8), server_default="ok", nullable=False)
        op.add_column(table, state)


def downgrade() -> None:
    for table in reversed(BLOCKABLE):
        op.drop_column(table, "budget_state")
    op.drop_table("budget_spends")
    with op.batch_alter_table("budgets", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_budgets_target_id"))

    op.drop_table("budgets")
