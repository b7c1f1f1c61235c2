"""How often each provider is checked, and by whom."""

import sqlalchemy as sa
from alembic import op

from app.core import db as types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("check_interval", sa.Integer(), nullable=True),
        sa.Column("check_call", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("check_attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_check_at", types.UtcDateTime(), nullable=True),
    ):
        op.add_column("providers", column)
    op.add_column("provider_checks", sa.Column("note", sa.String(length=500), nullable=True))
    # Whoever has been checked goes on being checked, from now on in slots.
    op.execute("UPDATE providers SET next_check_at = last_checked_at WHERE is_active")


def downgrade() -> None:
    op.drop_column("provider_checks", "note")
    for name in ("next_check_at", "check_attempts", "check_call", "check_interval"):
        op.drop_column("providers", name)
