"""Spans cover periods exactly, and every cube sums to the same."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.usage.cubes import (
    CUBES,
    DAY,
    QUARTER,
    WIDTHS,
    CallKey,
    ceiling,
    cover,
    floor,
    roll_up,
    smallest_cube,
)
from app.usage.measures import MEASURES

quarters = st.integers(0, 200 * 96).map(lambda n: 1_800_000_000 + n * QUARTER)
names = st.sampled_from(["a", "b", "c"])
keys = st.builds(CallKey, names, names, names, st.sampled_from(["", "t"]), quarters)


@given(quarters, quarters, quarters)
def test_spans_cover_a_period_exactly(one: int, other: int, closed: int) -> None:
    start, end = sorted((one, other))
    closed = floor(closed, DAY)
    spans = cover(start, end, closed)
    for span in spans:
        assert span.start < span.end
        assert span.start % span.width == span.end % span.width == 0
        assert span.width == QUARTER or span.end <= closed
    edges = [start, *(span.end for span in spans)]
    assert [span.start for span in spans] == edges[:-1]
    assert not spans or edges[-1] == end
    assert spans or start == end
    # No more of a width than one less than makes up the next, but for the widest and what is open.
    for narrow, wide in pairwise(WIDTHS):
        parts = [it for it in spans if it.width == narrow and it.end <= closed]
        assert sum(it.end - it.start for it in parts) <= 2 * (wide - narrow)


def test_the_widest_span_may_be_bounded() -> None:
    assert {it.width for it in cover(0, 100 * DAY, 100 * DAY, widest=DAY)} == {DAY}
    assert {it.width for it in cover(0, 100 * DAY, 100 * DAY, widest=QUARTER)} == {QUARTER}


def test_up_and_down() -> None:
    assert (floor(899, QUARTER), floor(900, QUARTER)) == (0, 900)
    assert (ceiling(1, QUARTER), ceiling(900, QUARTER)) == (900, 900)


@given(st.dictionaries(keys, st.integers(0, 9), max_size=20), quarters)
def test_every_cube_and_width_sums_to_the_same(calls: dict[CallKey, int], closed: int) -> None:
    rolled = roll_up({key: (n,) * len(MEASURES) for key, n in calls.items()}, closed)
    totals: Counter[tuple[str, int]] = Counter()
    for (series, width, start), sums in rolled.items():
        assert start % width == 0
        assert width == QUARTER or start + width <= closed
        totals[series.cube, width] += sums[0]
    for cube in CUBES:
        assert totals[cube, QUARTER] == sum(calls.values())
        for width in WIDTHS[1:]:
            open_from = floor(closed, width)
            over = sum(n for key, n in calls.items() if key.quarter < open_from)
            assert totals[cube, width] == over


def test_a_question_goes_to_the_smallest_cube() -> None:
    assert smallest_cube(["agent_id"]) == "agents"
    assert smallest_cube([]) == smallest_cube(["model"]) == smallest_cube(["task"]) == "models"
    assert smallest_cube(["agent_id", "model"]) == "all"
