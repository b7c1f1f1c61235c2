"""A page lies in the days that the counts say, and nowhere else."""

from hypothesis import given
from hypothesis import strategies as st

from app.usage.event_pages import find_place
from app.usage.sums import EPOCH

counts = st.dictionaries(st.integers(18_000, 18_020), st.integers(0, 9), min_size=1, max_size=12)


@given(counts.filter(lambda by_day: any(by_day.values())), st.data())
def test_a_page_is_where_leafing_would_find_it(by_day: dict[int, int], data: st.DataObject) -> None:
    events = [(day, n) for day in sorted(by_day, reverse=True) for n in range(by_day[day])]
    skip = data.draw(st.integers(0, len(events) - 1))
    size = data.draw(st.integers(1, 12))
    period, skipped = find_place(by_day, skip, size)
    first, last = ((it - EPOCH).days for it in (period.start or EPOCH, period.end or EPOCH))
    within = [event for event in events if first <= event[0] < last]
    assert within[skipped : skipped + size] == events[skip : skip + size]
    assert within[0][0] == events[skip][0]  # not a day more than needed
