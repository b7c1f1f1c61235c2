"""The sums of usage: added to in the transaction that stores the events, so always complete."""

from collections.abc import Iterable, Mapping
from typing import cast

import sqlalchemy as sa

from app.core.db import db
from app.usage.bulk import add_up, insert_unless_there, on_postgresql
from app.usage.cubes import CallKey, SeriesKey, roll_up
from app.usage.measures import Sums
from app.usage.models import UsageSeries, usage_rollups

LOCK = "usage rollups"
SERIES = cast(sa.Table, UsageSeries.__table__)
_AT_ONCE = 1000


def add_calls(calls: Mapping[CallKey, Sums]) -> None:
    """Add calls to every sum that they belong to. Not committed."""
    if not calls:
        return
    lock_shared()
    rolled = roll_up(calls)
    ids = series_ids({series for series, _width, _start in rolled})
    rows = [(ids[series], width, start, *sums) for (series, width, start), sums in rolled.items()]
    # In one order everywhere: two senders never wait for each other.
    add_up(usage_rollups, sorted(rows))


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
    """Many may add at once, but not while sums are built anew, which takes ``LOCK`` for itself."""
    if on_postgresql():
        key = sa.func.hashtextextended(LOCK, 0)
        db.session.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(key)))


def _find_ids(keys: list[SeriesKey]) -> dict[SeriesKey, int]:
    table = SERIES.c
    columns = [table[name] for name in SeriesKey._fields]
    found: dict[SeriesKey, int] = {}
    for first in range(0, len(keys), _AT_ONCE):
        some = keys[first : first + _AT_ONCE]
        query = sa.select(table.id, *columns).where(sa.tuple_(*columns).in_(some))
        found |= {SeriesKey(*key): id_ for id_, *key in db.session.execute(query)}
    return found
