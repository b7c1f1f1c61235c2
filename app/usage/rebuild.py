"""Making the sums anew from the events, day by day, while events go on coming in."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from app.core.db import commit, db, lock, reading
from app.usage.bulk import add_up
from app.usage.cubes import DAY, QUARTER, ceiling, floor, roll_up
from app.usage.ingestion import sum_up
from app.usage.listing import Selection, find_priced
from app.usage.models import UsageEvent, UsageSeries, usage_rollups
from app.usage.periods import Period
from app.usage.retention import complete_since
from app.usage.rollups import LOCK, closed_until, series_ids, widen

Row = tuple[int, ...]


class Rebuilt(NamedTuple):
    """What was summed up again."""

    days: int
    calls: int
    differences: int
    """Sums of a quarter of an hour that came out otherwise; 0 unless something was broken."""


def rebuild(period: Period, progress: Callable[..., Any] | None = None) -> Rebuilt:
    """Make the sums of whole days of UTC anew, each in a transaction of its own.

    Days whose events are no longer kept are left as they are.
    """
    with reading():
        days = list(_days(period))
    total = Rebuilt(0, 0, 0)
    with progress(days, label="Summing up") if progress else nullcontext(days) as steps:
        for day in steps:
            calls, differences = _rebuild_day(day)
            total = Rebuilt(total.days + 1, total.calls + calls, total.differences + differences)
    return total


def _days(period: Period) -> Iterator[int]:
    """The days that have events or sums, as far as every event of theirs is still there."""
    first, last = db.session.execute(
        sa.select(sa.func.min(UsageEvent.started_at), sa.func.max(UsageEvent.started_at))
    ).one()
    if first is None:
        return
    since = complete_since()
    starts = [floor(_unix(first), DAY)]
    starts += [ceiling(_unix(since), DAY)] if since else []
    starts += [floor(_unix(period.start), DAY)] if period.start else []
    end = min(_unix(last), _unix(period.end) - 1) if period.end else _unix(last)
    yield from range(max(starts), end + 1, DAY)


def _rebuild_day(day: int) -> tuple[int, int]:
    lock(LOCK)
    start = datetime.fromtimestamp(day, UTC)
    whole = Selection(Period(start, start + timedelta(seconds=DAY)))
    calls = sum_up(find_priced(whole))
    rolled = roll_up(calls, closed_until=0)  # quarters only: the rest is made of them
    ids = series_ids({series for series, _width, _start in rolled})
    new = {(ids[series], width, at, *sums) for (series, width, at), sums in rolled.items()}
    old = _read_quarters(day)
    if new != old:
        _delete_quarters(day)
        add_up(usage_rollups, sorted(new))
    widen(day, closed=closed_until())
    commit()
    return sum(sums[0] for sums in calls.values()), len(new ^ old)


def _quarters(day: int) -> list[sa.ColumnElement[bool]]:
    table = usage_rollups.c
    # By way of the series: each has its rollups in order, all together they have no index.
    of_any = table.series_id.in_(sa.select(UsageSeries.id))
    return [of_any, table.width == QUARTER, table.start >= day, table.start < day + DAY]


def _read_quarters(day: int) -> set[Row]:
    rows = db.session.execute(sa.select(usage_rollups).where(*_quarters(day)))
    return {tuple(row) for row in rows}


def _delete_quarters(day: int) -> None:
    db.session.execute(sa.delete(usage_rollups).where(*_quarters(day)))


def _unix(moment: datetime) -> int:
    return int(moment.timestamp())
