"""Reading sums: from the rollups, and from the events where a period cuts through a quarter."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from operator import sub
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from app.core.clock import utcnow
from app.core.db import db
from app.core.errors import Invalid
from app.usage.bulk import CrossJoin, on_postgresql, summed
from app.usage.cubes import DAY, QUARTER, WIDTHS, Span, cover, smallest_cube
from app.usage.event_fields import EARLIEST, MAX_AHEAD, Event
from app.usage.listing import Selection, find_priced
from app.usage.measures import AMOUNTS, MEASURES, PER_NANO, added, measures_of
from app.usage.models import usage_rollups
from app.usage.periods import Days, Period
from app.usage.reach import Sight
from app.usage.retention import complete_since
from app.usage.rollups import SERIES, closed_until

GROUPS = {"agent": "agent_id", "model": "model", "provider": "provider", "task": "task"}
DAILY = "day"
EPOCH = datetime.fromtimestamp(0, UTC)

PLANNING = {
    # Ten thousand groups do not fit into the usual 4 MB: it would sort them on disk.
    "work_mem": "64MB",
    # Neither compiling a statement of 0.1 s nor handing its groups between workers is worth it.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
"""What PostgreSQL is told, for the length of the transaction."""

FEW = 100
"""So many agents are looked up one by one; where no more are out of sight, what is theirs is taken
off everybody's sums."""

Group = tuple[Any, ...]
"""One value for each thing grouped by; a day as its number."""
Values = tuple[int, ...]
"""Sums, in the order of the names that were asked for."""


@dataclass(frozen=True)
class Question:
    """What somebody wants to know."""

    group_by: Sequence[str] = ()
    """Of GROUPS and DAILY."""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    selection: Selection = field(default_factory=Selection)

    @property
    def is_by_agent(self) -> bool:
        """Whether the answer tells agents apart, or is of one only."""
        return "agent" in self.group_by or GROUPS["agent"] in self.selection.filters

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
    question = settled(question)
    hidden = question.selection.sight.hidden
    if hidden is None or question.is_by_agent:
        return _read(question, names)
    # Everybody's, from a smaller cube, less theirs; with the number of calls, which says whether
    # anything is left of a group.
    counted = ("calls", *names)
    theirs = _read(_seen_by(question, Sight(slugs=hidden)), counted)
    nothing = (0,) * len(counted)
    found = {}
    for group, values in _read(_seen_by(question, Sight()), counted).items():
        calls, *rest = map(sub, values, theirs.get(group, nothing))
        if calls:
            found[group] = tuple(rest)
    return found


def read_dearest(question: Question, at_most: int) -> tuple[dict[Group, Values], int]:
    """The sums of AMOUNTS of so many groups, the newest day and on it the dearest group first, and
    how many groups there are. Raises Invalid as ``read_sums`` does."""
    question = settled(question)
    first, last, cuts = _bounds(question.selection.period)
    is_difference = question.selection.sight.hidden is not None and not question.is_by_agent
    if is_difference or cuts or first >= last:
        found = read_sums(question, AMOUNTS)
        ordered = sorted(found, key=lambda group: _rank(question, group, found), reverse=True)
        return {group: found[group] for group in ordered[:at_most]}, len(found)
    days = Days(question.zone, first - QUARTER, last + QUARTER)
    query = _query(question, AMOUNTS, _Spans(first, last, closed_until(), days))
    # Once for both, the rows and their number: counting in a window took a tenth of the time.
    groups = query.cte("groups").prefix_with("MATERIALIZED")
    columns = groups.c
    # Each of its parts may be more than a unit of the other.
    cost = columns.cost_nanos + columns.cost_attos // PER_NANO, columns.cost_attos % PER_NANO
    newest = [columns[DAILY]] if DAILY in question.group_by else []
    order = [*newest, *cost, columns.calls, *list(columns)[: len(question.group_by)]]
    number = sa.select(sa.func.count()).select_from(groups).scalar_subquery().label("number")
    ranked = sa.select(groups, number).order_by(*map(sa.desc, order)).limit(at_most)
    rows = db.session.execute(ranked).all()
    return _by_group(question, [row[:-1] for row in rows]), rows[0].number if rows else 0


def _read(question: Question, names: Sequence[str]) -> dict[Group, Values]:
    first, last, cuts = _bounds(question.selection.period)
    days = Days(question.zone, first - QUARTER, last + QUARTER)
    spans = _Spans(first, last, closed_until(), days)
    rows = db.session.execute(_query(question, names, spans)).all() if first < last else []
    found = _by_group(question, rows)
    for cut in cuts:
        _add_events(found, question, names, days, cut)
    return found


def widened(selection: Selection) -> Selection:
    """The same by names, where few agents are out of sight or few are in it: both are quicker so.
    Without limits where these leave nothing out: smaller cubes know that."""
    sight = selection.sight
    is_told = sight.slugs is not None and len(sight.slugs) <= FEW and sight.viewer_id is None
    if not sight.is_limited or sight.hidden is not None or is_told:
        return selection
    seen = sa.and_(*sight.conditions(SERIES.c.agent_id))
    if (hidden := _find_few(sa.not_(seen))) is not None:
        return replace(selection, sight=Sight(hidden=hidden) if hidden else Sight())
    slugs = _find_few(seen)
    return selection if slugs is None else replace(selection, sight=Sight(slugs=slugs))


def _find_few(condition: sa.ColumnElement[bool]) -> frozenset[str] | None:
    """The agents with usage of which this holds; None = more than a few."""
    query = sa.select(SERIES.c.agent_id).where(SERIES.c.cube == "agents", condition)
    found = frozenset(db.session.scalars(query.limit(FEW + 1)))
    return found if len(found) <= FEW else None


def settled(question: Question) -> Question:
    """The same, its selection widened: so it need not be looked up for each of its parts."""
    return replace(question, selection=widened(question.selection))


def _seen_by(question: Question, sight: Sight) -> Question:
    return replace(question, selection=replace(question.selection, sight=sight))


@dataclass(frozen=True)
class _Spans:
    """The whole quarters of the period."""

    first: int
    last: int
    closed_until: int
    days: Days

    def rollups(self, *, daily: bool, by_key: bool) -> tuple[sa.FromClause, sa.ColumnElement[bool]]:
        """The rollups that make it up, by series; daily, none of them reaches over midnight."""
        within_days = DAY if self.days.is_utc else QUARTER
        widest = within_days if daily else WIDTHS[-1]
        spans = cover(self.first, self.last, self.closed_until, widest)
        if on_postgresql():
            told = (sa.func.set_config(name, value, True) for name, value in PLANNING.items())
            db.session.execute(sa.select(*told))
            if not by_key:
                return _searched(spans)
        return _looked_up(spans)

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
    """Each span of each series by its key: for SQLite, and where series are few. Both databases
    would read all that a series has."""
    table = usage_rollups.c
    columns = [sa.column(name, sa.BigInteger) for name in Span._fields]
    span = sa.values(*columns).data(list(spans)).cte("spans")
    return CrossJoin(CrossJoin(SERIES, span), usage_rollups), sa.and_(
        table.series_id == SERIES.c.id,
        table.width == span.c.width,
        table.start >= span.c.start,
        table.start < span.c.end,
    )


def _query(question: Question, names: Sequence[str], spans: _Spans) -> sa.Select[Any]:
    """The groups with their sums, from the rollups."""
    slugs = question.selection.sight.slugs
    by_key = slugs is not None and len(slugs) <= FEW
    source, within = spans.rollups(daily=DAILY in question.group_by, by_key=by_key)
    groups: list[Any] = [
        spans.day().label(DAILY) if name == DAILY else SERIES.c[GROUPS[name]]
        for name in question.group_by
    ]
    # By its name: PostgreSQL takes the same expression with other parameters for another one.
    keys = [sa.literal_column(DAILY) if it.name == DAILY else it for it in groups]
    sums = (summed(usage_rollups.c[name]).label(name) for name in names)
    return (
        sa.select(*groups, *sums)
        .select_from(source)
        .where(*_series(question), within)
        .group_by(*keys)
    )


def _by_group(question: Question, rows: Iterable[Sequence[Any]]) -> dict[Group, Values]:
    width = len(question.group_by)
    return {
        tuple(row[:width]): tuple(row[width:])
        for row in rows
        if row[width] is not None  # the one row that sums of nothing have
    }


def _rank(question: Question, group: Group, found: dict[Group, Values]) -> tuple[Any, ...]:
    """The order of the dearest, where not all of them are in the rollups."""
    amounts = dict(zip(AMOUNTS, found[group], strict=True))
    cost = amounts["cost_nanos"] * PER_NANO + amounts["cost_attos"]
    newest = [group[question.group_by.index(DAILY)]] if DAILY in question.group_by else []
    return (*newest, cost, amounts["calls"], group)


def _add_events(
    found: dict[Group, Values], question: Question, names: Sequence[str], days: Days, cut: Period
) -> None:
    """Add the events of a period shorter than a rollup."""
    _refuse_pruned(cut)
    places = [MEASURES.index(name) for name in names]
    for event, price in find_priced(replace(question.selection, period=cut)):
        measures = measures_of(event, price.cost)
        values, group = tuple(measures[it] for it in places), _group_of(question, event, days)
        found[group] = added(found[group], values) if group in found else values


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
