"""Days are those of a time zone, 23 to 25 hours long; periods are what people say."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.usage.periods import Days, read_period, read_zone, show_day

START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
zones = st.sampled_from(sorted(available_timezones()))
seconds = st.integers(0, int((END - START).total_seconds()) - 1)


@given(zones, st.lists(seconds, min_size=5, max_size=5))
def test_a_moment_is_of_its_local_day(name: str, moments: list[int]) -> None:
    zone = ZoneInfo(name)
    days = Days(zone, int(START.timestamp()), int(END.timestamp()))
    for moment in moments:
        at = START + timedelta(seconds=moment)
        assert show_day(days.number(at.timestamp())) == at.astimezone(zone).date().isoformat()


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("America/Havana", "2026-03-08", 23),  # its midnight does not exist
        ("Asia/Kathmandu", "2026-03-29", 24),
        ("UTC", "2026-03-29", 24),
    ],
)
def test_a_day_is_as_long_as_it_is_there(zone: str, day: str, hours: float) -> None:
    period = read_period(day, day, read_zone(zone))
    assert period.start is not None
    assert period.end is not None
    assert (period.end - period.start) / timedelta(hours=1) == hours
    days = Days(ZoneInfo(zone), int(START.timestamp()), int(END.timestamp()))
    first, last = period.start.timestamp(), period.end.timestamp() - 1
    assert show_day(days.number(first)) == show_day(days.number(last)) == day
    assert show_day(days.number(first - 1)) != day != show_day(days.number(last + 1))


def test_a_time_says_its_offset_or_is_of_the_zone() -> None:
    zone = read_zone("Europe/Berlin")
    noon = datetime(2026, 3, 10, 11, tzinfo=UTC)
    for text in ("2026-03-10T12:00", "2026-03-10T11:00Z", "2026-03-10T16:30+05:30"):
        assert read_period(text, None, zone).start == noon
        assert read_period(None, text, zone).end == noon


@pytest.mark.parametrize("text", ["", "now", "2026-02-30", "2026-03-10T25:00", "٢٠٢٦-03-10", "1e9"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="from"):
        read_period(text, None, read_zone("UTC"))


@pytest.mark.parametrize("text", ["0001-01-01T00:00", "9999-12-31T23:59"])
def test_every_zone_can_say_of_which_day_a_period_s_ends_are(text: str) -> None:
    period = read_period(text, text, ZoneInfo("UTC"))
    for end in (period.start, period.end):
        assert end
        for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
            (end - timedelta(microseconds=1)).astimezone(ZoneInfo(zone))


@pytest.mark.parametrize("name", ["", "utc ", "Berlin", "../UTC", "/etc/localtime", "a\x00"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="tz"):
        read_zone(name)
