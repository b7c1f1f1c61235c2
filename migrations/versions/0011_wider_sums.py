"""Sums of usage over 4, 16 and 32 days as well: fewer of them make up a period.

And PostgreSQL's sum of whole numbers as a whole number; its own is a decimal.
"""

from datetime import UTC, datetime
from itertools import pairwise

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

DAY = 24 * 60 * 60
NEW = (4, 16, 32)
WIDTHS = tuple(days * DAY for days in (1, 4, 8, 16, 32, 64))
KEYS = {"series_id", "width", "start"}


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "CREATE AGGREGATE whole_sum(bigint)"
            " (SFUNC = int8pl, STYPE = bigint, COMBINEFUNC = int8pl, PARALLEL = SAFE)"
        )
    _widen()


def downgrade() -> None:
    rollups = sa.table("usage_rollups", sa.column("width"))
    op.execute(sa.delete(rollups).where(rollups.c.width.in_([days * DAY for days in NEW])))
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP AGGREGATE whole_sum(bigint)")


def _widen() -> None:
    """Make the sums of the days that are over, each of the next narrower ones."""
    state = sa.table("usage_state", sa.column("closed_until", sa.DateTime(timezone=True)))
    closed = op.get_bind().scalar(sa.select(state.c.closed_until))
    if closed is None:
        return
    names = [it["name"] for it in sa.inspect(op.get_bind()).get_columns("usage_rollups")]
    measures = [name for name in names if name not in KEYS]
    rollups = sa.table("usage_rollups", *map(sa.column, names))
    until = _unix(closed)
    for narrow, wide in pairwise(WIDTHS):
        if wide // DAY in NEW:
            op.execute(_made_of(rollups, measures, narrow, wide, until))


def _made_of(
    rollups: sa.TableClause, measures: list[str], narrow: int, wide: int, until: int
) -> sa.Insert:
    start = rollups.c.start - rollups.c.start % wide
    parts = (
        sa.select(
            rollups.c.series_id,
            sa.literal(wide),
            start,
            *(sa.cast(sa.func.sum(rollups.c[name]), sa.BigInteger) for name in measures),
        )
        .where(rollups.c.width == narrow, start + wide <= until)
        .group_by(rollups.c.series_id, start)
    )
    return sa.insert(rollups).from_select(["series_id", "width", "start", *measures], parts)


def _unix(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # SQLite keeps no zone
    return int(aware.timestamp())
