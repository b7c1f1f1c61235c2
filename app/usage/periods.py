"""From when to when, and which day it was: always in a named time zone. Pure."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

from app.core.clock import with_plus
from app.core.errors import Invalid
from app.usage.cubes import DAY, QUARTER, floor

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
# Where every zone can say which day it was.
_EARLIEST = datetime.min.replace(tzinfo=UTC) + timedelta(days=2)
_LATEST = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)


@dataclass(frozen=True)
class Period:
    """From ``start`` to before ``end``, in UTC; None = without end on that side."""

    start: datetime | None = None
    end: datetime | None = None


@cache  # the library looks through a folder each time
def zone_names() -> tuple[str, ...]:
    """Every time zone, sorted."""
    return tuple(sorted(available_timezones()))


def is_zone(name: str) -> bool:
    """Whether a time zone has this name."""
    return name in zone_names()


def read_zone(name: str) -> ZoneInfo:
    """The time zone of this name. Raises Invalid."""
    if not is_zone(name):
        raise Invalid.field("tz", "Not a time zone, e.g. UTC or Europe/Berlin.")
    return ZoneInfo(name)


def read_period(first: str | None, last: str | None, zone: ZoneInfo) -> Period:
    """A period as people say it. Raises Invalid.

    A date means the whole day, also as the end; a time is the first moment that no longer counts.
    Without an offset it is a time of ``zone``.
    """
    start = None if first is None else _read("from", first, zone, days=0)
    end = None if last is None else _read("to", last, zone, days=1)
    if start is not None and end is not None and end < start:
        raise Invalid.field("to", "Before from.")
    return Period(start, end)


class Days:
    """Which local day a moment belongs to; a day may be 23 or 25 hours long."""

    def __init__(self, zone: ZoneInfo, start: int, end: int) -> None:
        """For moments from ``start`` to ``end``, in Unix time."""
        self.shifts = _shifts(zone, floor(start, QUARTER), end)
        """The offsets from UTC in seconds, each with the moment from which on it holds."""
        self._froms = [since for since, _offset in self.shifts]

    @property
    def is_utc(self) -> bool:
        """Whether they are the days of UTC all the time."""
        return all(offset == 0 for _since, offset in self.shifts)

    def number(self, moment: float) -> int:
        """Days since 1970-01-01, in local time."""
        _since, offset = self.shifts[max(bisect_right(self._froms, moment) - 1, 0)]
        return int((moment + offset) // DAY)


def show_day(number: int) -> str:
    """The date of a day's number."""
    return date.fromordinal(_EPOCH_DAY + number).isoformat()


def _read(name: str, text: str, zone: ZoneInfo, *, days: int) -> datetime:
    """``days`` more where it is a date."""
    try:
        if _DATE.match(text):
            day = date.fromisoformat(text) + timedelta(days=days)
            moment = datetime.combine(day, time(), zone)
        else:
            moment = datetime.fromisoformat(with_plus(text))
            moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        return min(max(moment.astimezone(UTC), _EARLIEST), _LATEST)
    except (ValueError, OverflowError):
        message = "Neither a date (2026-11-20) nor an ISO-8601 time (2026-11-20T12:00:00Z)."
        raise Invalid.field(name, message) from None


@lru_cache(maxsize=256)  # ten milliseconds for a few years; a page asks some times for the same
def _shifts(zone: ZoneInfo, start: int, end: int) -> tuple[tuple[int, int], ...]:
    shifts = [(start, _offset(zone, start))]
    for day in range(start, end, DAY):
        after = min(day + DAY, end)
        if _offset(zone, after) != shifts[-1][1]:
            turn = _turn(zone, day, after)
            shifts.append((turn, _offset(zone, turn)))
    return tuple(shifts)


def _turn(zone: ZoneInfo, before: int, after: int) -> int:
    """The first quarter of an hour with the offset of ``after``."""
    wanted = _offset(zone, after)
    while after - before > QUARTER:
        middle = floor((before + after) // 2, QUARTER)
        if _offset(zone, middle) == wanted:
            after = middle
        else:
            before = middle
    return after


def _offset(zone: ZoneInfo, moment: int) -> int:
    offset = datetime.fromtimestamp(moment, UTC).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0
