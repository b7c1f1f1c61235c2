"""The sums of usage: added to in the transaction that stores the events, so always complete.

That transaction adds to quarters of an hour only. A nightly job closes the days that are over: it
makes the wider sums of the narrower ones, under a lock that keeps everybody from adding meanwhile.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import cast

import sqlalchemy as sa

from app.core.clock import utcnow
from app.core.db import commit, db, lock
from app.usage.bulk import add_up, find_rows, insert_unless_there, on_postgresql
from app.usage.cubes import DAY, WIDTHS, CallKey, SeriesKey, floor, roll_up
from app.usage.measures import MEASURES, Sums
from app.usage.models import UsageSeries, UsageState, usage_rollups

LOCK = "usage rollups"
GRACE = timedelta(minutes=15)
"""How long after midnight a day is closed: most of what is late has come by then."""
SERIES = cast(sa.Table, UsageSeries.__table__)


def add_calls(calls: Mapping[CallKey, Sums]) -> None:
    """Add calls to every sum that they belong to. Not committed."""
    if not calls:
        return
    lock_shared()
    rolled = roll_up(calls, closed_until())
    ids = series_ids({series for series, _width, _start in rolled})
    rows = [(ids[series], width, start, *sums) for (series, width, start), sums in rolled.items()]
    # In one order everywhere: two senders never wait for each other.
    add_up(usage_rollups, sorted(rows))


def closed_until() -> int:
    """Up to when there are sums of days and more, in Unix time."""
    closed = db.session.scalar(sa.select(UsageState.closed_until))
    return 0 if closed is None else int(closed.timestamp())


def close_days(now: datetime | None = None) -> int:
    """Make the wider sums of every day that is over and has none yet; how many days."""
    over = floor(int(((now or utcnow()) - GRACE).timestamp()), DAY)
    days = 0
    while True:
        lock(LOCK)
        state = db.session.get_one(UsageState, 1, populate_existing=True)
        day = int(state.closed_until.timestamp())
        if day >= over:
            db.session.rollback()
            break
        widen(day, closed=day + DAY)
        state.closed_until = datetime.fromtimestamp(day + DAY, UTC)
        commit()
        days += 1
    if days:
        _analyze()
    return days


def widen(day: int, *, closed: int) -> None:
    """Make the sums anew that ``day`` is part of, of those that are over by ``closed``."""
    for narrow, wide in pairwise(WIDTHS):
        start = floor(day, wide)
        if start + wide <= closed:
            _replace(narrow, wide, start)


def series_ids(keys: Iterable[SeriesKey]) -> dict[SeriesKey, int]:
    """The ids of series; those that are new are made."""
    wanted = sorted(keys)
    found = _find_ids(wanted)
    missing = [key for key in wanted if key not in found]
    if missing:
        insert_unless_there(SERIES, SeriesKey._fields, missing, "id")
        found |= _find_ids(missing)
    return found


def lock_shared() -> None:
    """Many may add at once, but not while sums are made anew, which takes ``LOCK`` for itself."""
    if on_postgresql():
        key = sa.func.hashtextextended(LOCK, 0)
        db.session.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(key)))


def _analyze() -> None:
    """Have PostgreSQL look at what there is now: planned by last week's figures, a summary may take
    seconds. Its own rounds come late, and never to a table that is partitioned."""
    if on_postgresql():
        tables = "usage_series, usage_rollups, usage_events"
        db.session.execute(sa.text(f"ANALYZE (SKIP_LOCKED) {tables}"))
    commit()


def _find_ids(keys: list[SeriesKey]) -> dict[SeriesKey, int]:
    return {SeriesKey(*key): id_ for id_, *key in find_rows(SERIES, SeriesKey._fields, keys)}


def _replace(narrow: int, wide: int, start: int) -> None:
    """The sums of ``wide`` seconds from ``start``, made of narrower ones."""
    table = usage_rollups.c
    db.session.execute(
        sa.delete(usage_rollups).where(
            table.series_id.in_(sa.select(UsageSeries.id)),
            table.width == wide,
            table.start == start,
        )
    )
    parts = (
        sa.select(
            table.series_id,
            sa.literal(wide),
            sa.literal(start),
            *(sa.cast(sa.func.sum(table[name]), sa.BigInteger) for name in MEASURES),
        )
        # By way of the series: each has its rollups in order, all together they have no index.
        .join_from(UsageSeries, usage_rollups, table.series_id == UsageSeries.id)
        .where(table.width == narrow, table.start >= start, table.start < start + wide)
        .group_by(table.series_id)
    )
    columns = ["series_id", "width", "start", *MEASURES]
    db.session.execute(sa.insert(usage_rollups).from_select(columns, parts))
