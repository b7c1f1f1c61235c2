"""One page of the events, found by the sums: they know how many there were on each day.

Counting a million events takes as long as a page may, and leafing to the last of them longer.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import NamedTuple

from app.usage.event_fields import ERROR, OK
from app.usage.listing import Selection, count_events, read_page
from app.usage.models import UsageEvent
from app.usage.periods import Period
from app.usage.retention import complete_since
from app.usage.sums import DAILY, EPOCH, Group, Question, read_sums, widened

STATUS = "status"


class Place(NamedTuple):
    """Where a page is: in ``period``, behind ``skip`` newer events."""

    period: Period
    skip: int


def list_events(selection: Selection, page: int, page_size: int) -> tuple[list[UsageEvent], int]:
    """One page, newest first, and how many there are in all."""
    skip = (page - 1) * page_size
    selection = widened(selection)
    if not _is_told_by_sums(selection):
        return read_page(selection, skip, page_size), count_events(selection)
    if selection.sight.is_limited and selection.sight.hidden is None:
        # Sums of each day of each of ten thousand agents are too many to look at.
        return read_page(selection, skip, page_size), sum(_count(selection, ()).values())
    by_day = {day: number for (day,), number in _count(selection, (DAILY,)).items()}
    total = sum(by_day.values())
    if skip >= total:
        return [], total
    place = find_place(by_day, skip, page_size)
    narrowed = replace(selection, period=_both(selection.period, place.period))
    return read_page(narrowed, place.skip, page_size), total


def find_place(by_day: Mapping[int, int], skip: int, page_size: int) -> Place:
    """Where a page is; ``by_day`` says how many events each day has, of more than ``skip``."""
    days = sorted(by_day, reverse=True)
    reached = list(accumulate(by_day[day] for day in days))
    first = bisect_right(reached, skip)
    last = min(bisect_left(reached, skip + page_size), len(days) - 1)
    newer = reached[first] - by_day[days[first]]
    return Place(Period(_midnight(days[last]), _midnight(days[first] + 1)), skip - newer)


def _is_told_by_sums(selection: Selection) -> bool:
    """Sums outlive the events."""
    since, start = complete_since(), selection.period.start
    return since is None or (start is not None and start >= since)


def _count(selection: Selection, group_by: Sequence[str]) -> dict[Group, int]:
    """How many there were, of each day of UTC or at all."""
    filters = {name: value for name, value in selection.filters.items() if name != STATUS}
    question = Question(group_by, selection=replace(selection, filters=filters))
    found = read_sums(question, ("calls", "errors"))
    wanted = selection.filters.get(STATUS)
    return {
        group: errors if wanted == ERROR else calls - errors if wanted == OK else calls
        for group, (calls, errors) in found.items()
    }


def _both(one: Period, other: Period) -> Period:
    """What two periods have in common; the other has both its ends."""
    assert other.start is not None
    assert other.end is not None
    start = max(one.start or other.start, other.start)
    return Period(start, min(one.end or other.end, other.end))


def _midnight(day: int) -> datetime:
    return EPOCH + timedelta(days=day)
