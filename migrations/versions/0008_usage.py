"""Usage events and their rollups."""

from datetime import UTC, datetime
from itertools import pairwise

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.core import db as types

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
)
COUNTS = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "web_searches",
)
SUMS = ("calls", "errors", "fallbacks", "unpriced_calls", *COUNTS, "cost_nanos", "cost_attos")
SUMS += tuple(f"latency_{number}" for number in range(17))


def upgrade() -> None:
    _create_events()
    op.create_table(
        "usage_event_ids",
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("received_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_usage_event_ids")),
    )
    op.create_index(
        "ix_usage_event_ids_received", "usage_event_ids", ["received_at"], postgresql_using="brin"
    )
    op.create_table(
        "usage_series",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("cube", sa.String(length=8), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("task", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_series")),
        sa.UniqueConstraint(
            "cube", "agent_id", "provider", "model", "task", name="uq_usage_series_key"
        ),
    )
    op.create_table(
        "usage_rollups",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("width", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in SUMS),
        sa.PrimaryKeyConstraint("series_id", "width", "start", name=op.f("pk_usage_rollups")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_usage_rollups_time", "usage_rollups", ["width", "start"])
    state = op.create_table(
        "usage_state",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("closed_until", types.UtcDateTime(), nullable=False),
        sa.Column("complete_since", types.UtcDateTime(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_usage_state_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_state")),
    )
    # Before today there are no calls yet: their sums are complete as they are.
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    op.bulk_insert(state, [{"id": 1, "closed_until": today}])
    op.create_table(
        "usage_repricings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("old_cost", types.ExactDecimal(), nullable=True),
        sa.Column("new_cost", types.ExactDecimal(), nullable=True),
        sa.Column("old_rates", JSON, nullable=True),
        sa.Column("new_rates", JSON, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_repricings")),
    )
    with op.batch_alter_table("usage_repricings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_usage_repricings_at"), ["at"])
        batch_op.create_index(batch_op.f("ix_usage_repricings_event_id"), ["event_id"])


def _create_events() -> None:
    op.create_table(
        "usage_events",
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("received_at", types.UtcDateTime(), nullable=False),
        sa.Column("started_at", types.UtcDateTime(), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("requested_agent_id", sa.String(length=64), nullable=True),
        sa.Column("task", sa.String(length=128), nullable=True),
        sa.Column("provider", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("response_model", sa.String(length=256), nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=8), nullable=False),
        sa.Column("error_class", sa.String(length=256), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("config_version", sa.BigInteger(), nullable=True),
        sa.Column("service_tier", sa.String(length=64), nullable=True),
        sa.Column("processing", sa.String(length=64), nullable=True),
        sa.Column("clock_skew", sa.Boolean(), nullable=False),
        sa.Column("cost", types.ExactDecimal(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("price_source", sa.String(length=16), nullable=True),
        sa.Column("rates", sa.Text(), nullable=True),
        sa.CheckConstraint("status IN ('ok', 'error')", name=op.f("ck_usage_events_status")),
        sa.PrimaryKeyConstraint("event_id", "received_at", name=op.f("pk_usage_events")),
        postgresql_partition_by="RANGE (received_at)",
    )
    op.create_index("ix_usage_events_started", "usage_events", ["started_at", "event_id"])
    op.create_index("ix_usage_events_of_agent", "usage_events", ["agent_id", "started_at"])
    op.create_index(
        "ix_usage_events_received", "usage_events", ["received_at"], postgresql_using="brin"
    )
    if op.get_context().dialect.name == "postgresql":
        _create_partitions()


def _create_partitions() -> None:
    """This month's and the next one's; a nightly job makes the later ones (app/usage/retention.py).
    What has no month of its own goes into the last."""
    op.execute("CREATE SCHEMA usage_months")
    op.execute("CREATE TABLE usage_months.usage_events_rest PARTITION OF usage_events DEFAULT")
    this = datetime.now(UTC).replace(day=1)
    months = [(this.year + n // 12, n % 12 + 1) for n in range(this.month - 1, this.month + 2)]
    for first, after in pairwise(months):
        op.execute(
            "CREATE TABLE usage_months.usage_events_{:04}_{:02} PARTITION OF usage_events"
            " FOR VALUES FROM ('{:04}-{:02}-01 00:00+00') TO ('{:04}-{:02}-01 00:00+00')".format(
                *first, *first, *after
            )
        )


def downgrade() -> None:
    for table in (
        "usage_repricings",
        "usage_state",
        "usage_rollups",
        "usage_series",
        "usage_event_ids",
        "usage_events",
    ):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP SCHEMA usage_months")
