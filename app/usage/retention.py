"""How long events are kept: whole months of them, by when they arrived. Their sums are kept."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from flask import current_app

from app.core.clock import utcnow
from app.core.db import UtcDateTime, commit, db, lock
from app.usage.bulk import on_postgresql
from app.usage.models import MONTHS, UsageEvent, UsageEventId, UsageState
from app.usage.rollups import LOCK, close_days

MONTHS_AHEAD = 3
SLICE = 5000
REST = "usage_events_rest"
"""The partition of what arrived in no month that has one."""

log = logging.getLogger(__name__)


class Pruned(NamedTuple):
    """What was let go of."""

    before: datetime | None
    """Events that arrived before; None = everything is kept for good."""
    months: list[str]
    """Partitions that were dropped whole."""
    events: int
    """Events that were deleted one by one."""


def complete_since() -> datetime | None:
    """From when on every event is still there; None where none was ever pruned."""
    return db.session.scalar(sa.select(UsageState.complete_since))


def maintain() -> None:
    """The round of every few minutes; all of it may run twice."""
    close_days()
    make_months()
    prune()


def make_months() -> list[str]:
    """Partitions for this month and the next ones; the names of those that were made."""
    if not on_postgresql():
        return []
    lock("usage months")
    first = utcnow()
    wanted = [_month(first, ahead) for ahead in range(MONTHS_AHEAD + 1)]
    there = set(_partitions())
    made = [start for start in wanted if _name(start) not in there and not _is_in_rest(start)]
    for start in made:
        db.session.execute(
            sa.text(
                f"CREATE TABLE {MONTHS}.{_name(start)} PARTITION OF usage_events"
                f" FOR VALUES FROM ('{start.isoformat()}') TO ('{_month(start, 1).isoformat()}')"
            )
        )
    commit()
    return [_name(start) for start in made]


def prune(now: datetime | None = None) -> Pruned:
    """Let go of the months of events that USAGE_RETENTION_DAYS are over for, ids included."""
    days = current_app.config["USAGE_RETENTION_DAYS"]
    if not days:
        return Pruned(None, [], 0)
    before = _month((now or utcnow()) - timedelta(days=days), 0)
    _note_gap(before)
    dropped = _drop_months(before)
    deleted = _delete_slices(UsageEvent, before)
    _delete_slices(UsageEventId, before)
    if dropped or deleted:
        log.info("usage: events that arrived before %s are gone", before.date())
    return Pruned(before, dropped, deleted)


def _note_gap(before: datetime) -> None:
    """Remember, before they go, until when events will be missing."""
    lock(LOCK)  # nobody builds sums from events that are about to go
    newest = db.session.scalar(
        sa.select(sa.func.max(UsageEvent.started_at)).where(
            UsageEvent.received_at < sa.literal(before, UtcDateTime)
        )
    )
    state = db.session.get_one(UsageState, 1)
    if newest is not None:
        gap = newest + timedelta(microseconds=1)
        state.complete_since = max(gap, state.complete_since or gap)
    commit()


def _drop_months(before: datetime) -> list[str]:
    if not on_postgresql():
        return []
    old = [name for name in _partitions() if name != REST and name < _name(before)]
    for name in old:
        db.session.execute(sa.text(f"DROP TABLE {MONTHS}.{name}"))
        commit()
    return old


def _delete_slices(model: Any, before: datetime) -> int:
    """Delete in short transactions, so that nobody waits for long."""
    deleted = 0
    while True:
        some = (
            sa.select(model.event_id)
            .where(model.received_at < sa.literal(before, UtcDateTime))
            .limit(SLICE)
        )
        gone = db.session.execute(
            sa.delete(model)
            .where(
                model.event_id.in_(some.scalar_subquery()),
                model.received_at < sa.literal(before, UtcDateTime),
            )
            .execution_options(synchronize_session=False)
        )
        commit()
        count: int = gone.rowcount  # type: ignore[attr-defined]
        deleted += count
        if count == 0:
            return deleted


def _partitions() -> list[str]:
    query = sa.text("SELECT tablename FROM pg_tables WHERE schemaname = :schema ORDER BY 1")
    return list(db.session.scalars(query, {"schema": MONTHS}))


def _is_in_rest(start: datetime) -> bool:
    """Whether some of the month's events have come before its partition: there they stay."""
    end = _month(start, 1)
    received_at = sa.column("received_at", UtcDateTime)
    rest = sa.table(REST, received_at, schema=MONTHS)
    query = sa.select(received_at).select_from(rest).limit(1)
    within = query.where(received_at >= start, received_at < end)
    return db.session.scalar(within) is not None


def _month(moment: datetime, ahead: int) -> datetime:
    """The first of the month that many months on, in UTC."""
    months = moment.year * 12 + moment.month - 1 + ahead
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def _name(start: datetime) -> str:
    return f"usage_events_{start:%Y_%m}"
