"""Who runs which rev."""

import sqlalchemy as sa
from alembic import op

from app.core import db as types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "clients",
        sa.Column("id", sa.String(length=160), nullable=False),
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.Column("token_id", sa.Integer(), nullable=True),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("sdk", sa.String(length=128), nullable=True),
        sa.Column("epoch", sa.String(length=128), nullable=True),
        sa.Column("applied_rev", sa.BigInteger(), nullable=True),
        sa.Column("sent_rev", sa.BigInteger(), nullable=False),
        sa.Column("process", sa.String(length=280), nullable=False),
        sa.Column("connected_at", types.UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", types.UtcDateTime(), nullable=False),
        sa.Column("disconnected_at", types.UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "(token_id IS NULL) <> (user_id IS NULL)", name=op.f("ck_clients_one_owner")
        ),
        sa.ForeignKeyConstraint(
            ["token_id"],
            ["api_tokens.id"],
            name=op.f("fk_clients_token_id_api_tokens"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_clients_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clients")),
    )
    with op.batch_alter_table("clients", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_clients_token_id"), ["token_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_clients_user_id"), ["user_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("clients", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_clients_user_id"))
        batch_op.drop_index(batch_op.f("ix_clients_token_id"))

    op.drop_table("clients")
