"""Windows of budgets: days and months of any time zone, without a gap and without a doubt."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.providers.models import BudgetState
from app.usage.budget_models import BudgetPeriod
from app.usage.budget_windows import judge, window_at
from app.usage.cubes import QUARTER

# Whole hours, half an hour, three quarters; summer time at midnight; a day that never was.
ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu"),
    *("America/Santiago", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Cairo"),
)
BEGIN, END = "2011-01-01", "2090-01-01"
MOMENTS = st.datetimes(
    datetime.fromisoformat(BEGIN), datetime.fromisoformat(END), timezones=st.just(UTC)
)


@given(st.sampled_from(BudgetPeriod), st.sampled_from(ZONES), MOMENTS)
def test_windows_follow_each_other_without_a_gap(
    period: BudgetPeriod, timezone: str, moment: datetime
) -> None:
    window = window_at(period, timezone, moment)
    assert window.start <= moment < window.end
    assert window_at(period, timezone, window.start) == window
    assert window_at(period, timezone, window.end - timedelta(microseconds=1)) == window
    assert window_at(period, timezone, window.end).start == window.end
    # Calls are counted by quarters of an hour: no window may cut through one.
    assert window.key % QUARTER == 0


@pytest.mark.parametrize(
    ("period", "timezone", "moment", "start", "hours"),
    [
        ("day", "UTC", "2026-03-10T00:00Z", "2026-03-10T00:00Z", 24),
        ("day", "Europe/Berlin", "2026-03-29T12:00Z", "2026-03-28T23:00Z", 23),
        ("day", "Europe/Berlin", "2026-10-25T12:00Z", "2026-10-24T22:00Z", 25),
        ("day", "Asia/Kathmandu", "2026-03-10T18:14Z", "2026-03-09T18:15Z", 24),
        ("day", "Asia/Kathmandu", "2026-03-10T18:15Z", "2026-03-10T18:15Z", 24),
        ("month", "UTC", "2028-02-29T23:59Z", "2028-02-01T00:00Z", 29 * 24),
        ("month", "Europe/Berlin", "2026-03-31T21:59Z", "2026-02-28T23:00Z", 31 * 24 - 1),
        ("month", "UTC", "2026-12-31T23:59Z", "2026-12-01T00:00Z", 31 * 24),
    ],
)
def test_a_window(period: str, timezone: str, moment: str, start: str, hours: int) -> None:
    window = window_at(BudgetPeriod(period), timezone, datetime.fromisoformat(moment))
    assert window.start == datetime.fromisoformat(start)
    assert window.end - window.start == timedelta(hours=hours)
    assert window.start.astimezone(ZoneInfo(timezone)).hour == 0


@pytest.mark.parametrize(
    ("spent", "warn_at", "block_at", "state"),
    [
        ("4.999999999999999999", 5, 10, BudgetState.OK),
        ("5", 5, 10, BudgetState.WARN),
        ("9.999999999999999999", 5, 10, BudgetState.WARN),
        ("10", 5, 10, BudgetState.BLOCKED),
        ("10", 10, 10, BudgetState.BLOCKED),
        ("1000", 5, None, BudgetState.WARN),
        ("9", None, 10, BudgetState.OK),
    ],
)
def test_a_limit_is_reached_when_it_is_met(
    spent: str, warn_at: int | None, block_at: int | None, state: BudgetState
) -> None:
    limits = [None if limit is None else Decimal(limit) for limit in (warn_at, block_at)]
    assert judge(Decimal(spent), *limits) is state


@pytest.mark.parametrize(
    ("states", "worst"),
    [((), "ok"), ((None, "ok"), "ok"), (("ok", "warn"), "warn"), (("blocked", "warn"), "blocked")],
)
def test_the_worst_state_counts(states: tuple[str | None, ...], worst: str) -> None:
    assert BudgetState.worst(*states) == worst
