"""`GET /usage/events`: the events themselves, newest first, some of them or all in slices."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from app.core.clock import utcnow
from app.core.db import UtcDateTime, db, reading
from app.usage.event_fields import Event
from app.usage.measures import show_money
from app.usage.models import UsageEvent
from app.usage.periods import Period
from app.usage.pricing import Price
from app.usage.reach import Sight

FILTERS = ("agent_id", "model", "provider", "task", "status")
SLICE = 2000
_OWN = ("received_at", "clock_skew", "currency", "price_source", "rates")


@dataclass(frozen=True)
class Selection:
    """Which events."""

    period: Period = field(default_factory=Period)
    filters: Mapping[str, str] = field(default_factory=dict)
    """By FILTERS."""
    sight: Sight = field(default_factory=Sight)

    @property
    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """What holds of them."""
        found = [getattr(UsageEvent, name) == value for name, value in self.filters.items()]
        found += self.sight.conditions(UsageEvent.agent_id)
        if self.period.start is not None:
            found.append(UsageEvent.started_at >= _instant(self.period.start))
        if self.period.end is not None:
            found.append(UsageEvent.started_at < _instant(self.period.end))
        return found


class Cursor(NamedTuple):
    """Where an event stands in the order of time."""

    started_at: datetime
    event_id: str


def read_page(selection: Selection, skip: int, at_most: int) -> list[UsageEvent]:
    """So many of the newest ones behind ``skip``."""
    query = _newest_first().where(*selection.conditions)
    return list(db.session.scalars(query.limit(at_most).offset(skip)))


def count_events(selection: Selection) -> int:
    """How many there are."""
    count = sa.select(sa.func.count()).select_from(UsageEvent).where(*selection.conditions)
    return db.session.scalar(count) or 0


def slices(selection: Selection, after: Cursor | None = None) -> Iterator[list[UsageEvent]]:
    """All of them as they are now, newest first, or those behind a cursor; each slice in a snapshot
    of its own: a reader that takes its time holds no transaction open."""
    now = utcnow()
    conditions = [*selection.conditions, UsageEvent.received_at <= _instant(now)]
    while True:
        with reading():
            query = _newest_first().where(*conditions)
            rows = list(db.session.scalars(_after(query, after).limit(SLICE)))
            for row in rows:
                db.session.expunge(row)  # what is read stays readable
        if rows:
            yield rows
        if len(rows) < SLICE:
            return
        after = cursor_of(rows[-1])


def cursor_of(row: UsageEvent) -> Cursor:
    """Where an event stands."""
    return Cursor(row.started_at, row.event_id)


def find_priced(selection: Selection) -> Iterator[tuple[Event, Price]]:
    """The events with what they cost, in no order, for summing them up."""
    query = sa.select(UsageEvent).where(*selection.conditions)
    for row in db.session.scalars(query.execution_options(yield_per=SLICE)):
        yield event_of(row), Price(row.cost, None)


def event_of(row: UsageEvent) -> Event:
    """The event as it was reported."""
    return Event(*(getattr(row, name) for name in Event._fields))


def dump_event(row: UsageEvent) -> dict[str, Any]:
    """An event with its cost: a decimal string, or null where it is unpriced."""
    event = {name: getattr(row, name) for name in (*Event._fields, *_OWN)}
    times = {name: event[name].isoformat() for name in ("started_at", "received_at")}
    return event | times | {"cost": show_money(row.cost)}


def _newest_first() -> sa.Select[tuple[UsageEvent]]:
    return sa.select(UsageEvent).order_by(UsageEvent.started_at.desc(), UsageEvent.event_id.desc())


def _after(query: sa.Select[tuple[UsageEvent]], cursor: Cursor | None) -> sa.Select[Any]:
    """What comes behind it."""
    if cursor is None:
        return query
    started_at = _instant(cursor.started_at)
    return query.where(
        UsageEvent.started_at <= started_at,
        sa.or_(UsageEvent.started_at < started_at, UsageEvent.event_id < cursor.event_id),
    )


def _instant(moment: datetime) -> sa.ColumnElement[datetime]:
    return sa.literal(moment, UtcDateTime)
