"""Reading sums: from the rollups, and from the events where a period cuts through a quarter."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from app.core.clock import utcnow
from app.core.db import db
from app.core.errors import Invalid
from app.usage.bulk import CrossJoin, on_postgresql
from app.usage.cubes import DAY, QUARTER, WIDTHS, Span, cover, smallest_cube
from app.usage.event_fields import EARLIEST, MAX_AHEAD, Event
from app.usage.listing import Selection, find_priced
from app.usage.measures import MEASURES, measures_of
from app.usage.models import usage_rollups
from app.usage.periods import Days, Period
from app.usage.retention import complete_since
from app.usage.rollups import SERIES, closed_until

GROUPS = {"agent": "agent_id", "model": "model", "provider": "provider", "task": "task"}
DAILY = "day"
EPOCH = datetime.fromtimestamp(0, UTC)

Group = tuple[Any, ...]
"""One value for each thing grouped by; a day as its number."""
Values = dict[str, int]
"""Sums by the names of MEASURES."""


@dataclass(frozen=True)
class Question:
    """What somebody wants to know."""

    group_by: Sequence[str] = ()
    """Of GROUPS and DAILY."""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    selection: Selection = field(default_factory=Selection)

    @property
    def cube(self) -> str:
        """Where the answer is."""
        asked = {GROUPS[name] for name in self.group_by if name != DAILY}
        asked |= self.selection.filters.keys()
        return smallest_cube(asked | {"agent_id"} if self.selection.sight.is_limited else asked)


def read_sums(question: Question, names: Sequence[str]) -> dict[Group, Values]:
    """The sums of these measures for every group that has any call.

    Raises Invalid where the period begins within a quarter of an hour whose events are gone.
    """
    first, last, cuts = _bounds(question.selection.period)
    days = Days(question.zone, first - QUARTER, last + QUARTER)
    spans = _Spans(first, last, closed_until(), days)
    found = _read_rollups(question, names, spans) if first < last else {}
    for cut in cuts:
        _add_events(found, question, names, days, cut)
    return found


@dataclass(frozen=True)
class _Spans:
    """The whole quarters of the period."""

    first: int
    last: int
    closed_until: int
    days: Days

    def rollups(self, *, daily: bool) -> tuple[sa.FromClause, sa.ColumnElement[bool]]:
        """The rollups that make it up, by series; daily, none of them reaches over midnight."""
        within_days = DAY if self.days.is_utc else QUARTER
        widest = within_days if daily else WIDTHS[-1]
        spans = cover(self.first, self.last, self.closed_until, widest)
        if not on_postgresql():
            return _looked_up(spans)
        # Ten thousand groups do not fit into the usual 4 MB: it would sort them on disk.
        db.session.execute(sa.text("SET LOCAL work_mem = '64MB'"))
        return _searched(spans)

    def day(self) -> sa.ColumnElement[int]:
        """The number of the local day that a rollup is of."""
        start = usage_rollups.c.start
        *earlier, (_since, last) = self.days.shifts
        ends = [since for since, _offset in self.days.shifts[1:]]
        cases = [(start < end, offset) for end, (_, offset) in zip(ends, earlier, strict=True)]
        return (start + (sa.case(*cases, else_=last) if cases else last)) // DAY


def _searched(spans: Sequence[Span]) -> tuple[sa.FromClause, sa.ColumnElement[bool]]:
    """For PostgreSQL, which plans by the numbers: few series by their key, many by the time."""
    table = usage_rollups.c
    of_series = sa.join(SERIES, usage_rollups, table.series_id == SERIES.c.id)
    return of_series, sa.or_(
        *(
            sa.and_(
                table.width == sa.literal_column(str(it.width)),
                table.start >= sa.literal_column(str(it.start)),
                table.start < sa.literal_column(str(it.end)),
            )
            for it in spans
        )
    )


def _looked_up(spans: Sequence[Span]) -> tuple[sa.FromClause, sa.ColumnElement[bool]]:
    """For SQLite, which would read all that a series has: each span of each series by its key."""
    table = usage_rollups.c
    columns = [sa.column(name, sa.BigInteger) for name in Span._fields]
    span = sa.values(*columns).data(list(spans)).cte("spans")
    return CrossJoin(CrossJoin(SERIES, span), usage_rollups), sa.and_(
        table.series_id == SERIES.c.id,
        table.width == span.c.width,
        table.start >= span.c.start,
        table.start < span.c.end,
    )


def _read_rollups(question: Question, names: Sequence[str], spans: _Spans) -> dict[Group, Values]:
    daily = DAILY in question.group_by
    source, within = spans.rollups(daily=daily)
    groups: list[Any] = [
        spans.day().label(DAILY) if name == DAILY else SERIES.c[GROUPS[name]]
        for name in question.group_by
    ]
    # By its name: PostgreSQL takes the same expression with other parameters for another one.
    keys = [sa.literal_column(DAILY) if it.name == DAILY else it for it in groups]
    sums = (sa.cast(sa.func.sum(usage_rollups.c[name]), sa.BigInteger) for name in names)
    query = (
        sa.select(*groups, *sums)
        .select_from(source)
        .where(*_series(question), within)
        .group_by(*keys)
    )
    width = len(groups)
    return {
        tuple(row[:width]): dict(zip(names, row[width:], strict=True))
        for row in db.session.execute(query).all()
        if row[width] is not None  # the one row that sums of nothing have
    }


def _add_events(
    found: dict[Group, Values], question: Question, names: Sequence[str], days: Days, cut: Period
) -> None:
    """Add the events of a period shorter than a rollup."""
    _refuse_pruned(cut)
    for event, price in find_priced(replace(question.selection, period=cut)):
        measures = dict(zip(MEASURES, measures_of(event, price.cost), strict=True))
        values = found.setdefault(_group_of(question, event, days), dict.fromkeys(names, 0))
        for name in names:
            values[name] += measures[name]


def _group_of(question: Question, event: Event, days: Days) -> Group:
    return tuple(
        days.number(event.started_at.timestamp())
        if name == DAILY
        else getattr(event, GROUPS[name]) or ""
        for name in question.group_by
    )


def _refuse_pruned(cut: Period) -> None:
    since = complete_since()
    if since is not None and cut.start is not None and cut.start < since:
        message = f"Before {since.isoformat()} only sums of quarters of an hour are kept."
        raise Invalid.field("from", f"{message} Begin and end at one.")


def _series(question: Question) -> list[sa.ColumnElement[bool]]:
    """What holds of the series that are asked for."""
    filters = {"cube": question.cube, **question.selection.filters}
    wanted = [SERIES.c[name] == value for name, value in filters.items()]
    return wanted + question.selection.sight.conditions(SERIES.c.agent_id)


def _bounds(period: Period) -> tuple[int, int, list[Period]]:
    """The whole quarters, from and to in Unix time, and what the period has besides them."""
    newest = EPOCH + timedelta(seconds=_ceiling(utcnow() + MAX_AHEAD, WIDTHS[-1]))
    start = max(period.start or EARLIEST, EARLIEST)
    end = min(period.end or newest, newest)
    if start >= end:
        return 0, 0, []
    if period.start is None:
        start = EPOCH + timedelta(seconds=_floor(start, WIDTHS[-1]))
    first, last = _ceiling(start, QUARTER), _floor(end, QUARTER)
    if first > last:
        return first, first, [Period(start, end)]
    opening, closing = (EPOCH + timedelta(seconds=it) for it in (first, last))
    both = (Period(start, opening), Period(closing, end))
    return first, last, [it for it in both if it.start != it.end]


def _floor(moment: datetime, width: int) -> int:
    return (moment - EPOCH) // timedelta(seconds=width) * width


def _ceiling(moment: datetime, width: int) -> int:
    return -((EPOCH - moment) // timedelta(seconds=width)) * width
