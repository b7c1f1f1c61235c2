"""Which of the server's own keys a provider was last seen with."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("providers", sa.Column("environment_key_id", sa.String(length=32)))


def downgrade() -> None:
    op.drop_column("providers", "environment_key_id")
