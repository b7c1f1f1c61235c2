"""When a budget's windows begin and end, and how spending stands to its limits. Pure."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from app.providers.models import BudgetState
from app.usage.budget_models import BudgetPeriod


class Window(NamedTuple):
    """From ``start`` to before ``end``, both in UTC."""

    start: datetime
    end: datetime

    @property
    def key(self) -> int:
        """Its start in Unix time, which is how it is stored."""
        return int(self.start.timestamp())


@lru_cache(maxsize=4096)
def window_at(period: BudgetPeriod, timezone: str, moment: datetime) -> Window:
    """The window that a moment belongs to: a day or a month of the time zone's calendar."""
    zone = ZoneInfo(timezone)
    first = moment.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if period is BudgetPeriod.MONTH:
        first = first.replace(day=1)
        # The first of a month and 31 days lie in the next one, whatever its length.
        following = (first + timedelta(days=31)).replace(day=1)
    else:
        following = first + timedelta(days=1)  # by the calendar: 23 or 25 hours twice a year
    return Window(first.astimezone(UTC), following.astimezone(UTC))


def judge(spent: Decimal, warn_at: Decimal | None, block_at: Decimal | None) -> BudgetState:
    """What spending so much means. A limit is reached when it is met."""
    if block_at is not None and spent >= block_at:
        return BudgetState.BLOCKED
    if warn_at is not None and spent >= warn_at:
        return BudgetState.WARN
    return BudgetState.OK
