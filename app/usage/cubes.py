"""How usage is summed up: by whom (cubes) and over how long (widths). Pure.

A question is answered from the smallest cube that knows what it asks by, in as few and as wide
spans as fit its period: a year of ten thousand agents is some thirty numbers each, not a million.
The narrowest span is a quarter of an hour, because every time zone is a multiple of it.

Calls are counted in their quarter of an hour at once. Wider sums are made of narrower ones when
their time is over (rollups.py); from then on a late call is added to each of them.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from app.usage.measures import Sums, added

DIMENSIONS = ("agent_id", "provider", "model", "task")
CUBES = {
    "models": ("provider", "model", "task"),
    "agents": ("agent_id",),
    "all": DIMENSIONS,
}
"""By size. What a cube does not tell apart is '' in its series."""

QUARTER = 15 * 60
DAY = 24 * 60 * 60
WIDTHS = (QUARTER, *(days * DAY for days in (1, 4, 8, 16, 32, 64)))
"""Seconds; each fits into the next, and all begin at multiples of themselves in Unix time.

Any 90 days are some ten sums of them. Sums of 2 days would save one, and need a third more rows
than all of these together."""


class SeriesKey(NamedTuple):
    """Whose sums."""

    cube: str
    agent_id: str
    provider: str
    model: str
    task: str


class CallKey(NamedTuple):
    """What calls are told apart by, before they are summed up any further."""

    agent_id: str
    provider: str
    model: str
    task: str
    quarter: int
    """Unix time of the quarter of an hour in which they began."""


class Span(NamedTuple):
    """From ``start`` to before ``end`` in sums of ``width`` seconds."""

    width: int
    start: int
    end: int


RollupKey = tuple[SeriesKey, int, int]
"""Series, width and start."""


def smallest_cube(dimensions: Iterable[str]) -> str:
    """The cube that answers a question by these dimensions with the fewest rows."""
    wanted = set(dimensions)
    return next(name for name, known in CUBES.items() if wanted <= set(known))


def series_of(key: CallKey, cube: str) -> SeriesKey:
    """The series of a cube that a call belongs to."""
    known = CUBES[cube]
    return SeriesKey(cube, *(getattr(key, name) if name in known else "" for name in DIMENSIONS))


def roll_up(calls: Mapping[CallKey, Sums], closed_until: int) -> dict[RollupKey, Sums]:
    """What calls add to the sums of every cube; wider ones are there up to ``closed_until``."""
    rolled: dict[RollupKey, Sums] = {}
    for key, sums in calls.items():
        starts = [(width, floor(key.quarter, width)) for width in WIDTHS]
        places = [it for it in starts if it[0] == QUARTER or sum(it) <= closed_until]
        for cube in CUBES:
            series = series_of(key, cube)
            for place in places:
                where = (series, *place)
                rolled[where] = added(rolled[where], sums) if where in rolled else sums
    return rolled


def cover(start: int, end: int, closed_until: int, widest: int = WIDTHS[-1]) -> list[Span]:
    """The fewest spans that make up a period exactly; its ends are multiples of QUARTER.

    Only quarters of an hour are there after ``closed_until``.
    """
    widths = [width for width in WIDTHS if width <= widest]
    middle = min(max(start, closed_until), end)
    return [*_cover(start, middle, widths), *_cover(middle, end, [QUARTER])]


def floor(moment: int, width: int) -> int:
    """The last multiple of ``width`` up to ``moment``."""
    return moment - moment % width


def ceiling(moment: int, width: int) -> int:
    """The first multiple of ``width`` from ``moment`` on."""
    return -floor(-moment, width)


def _cover(start: int, end: int, widths: list[int]) -> list[Span]:
    if start >= end:
        return []
    *narrower, width = widths
    if not narrower:
        return [Span(width, start, end)]
    first, last = ceiling(start, width), floor(end, width)
    if first >= last:
        return _cover(start, end, narrower)
    before, after = _cover(start, first, narrower), _cover(last, end, narrower)
    return [*before, Span(width, first, last), *after]
