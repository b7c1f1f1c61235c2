"""What was spent of late, for the overview. Reads only."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from markupsafe import Markup

from app.admin.charts import sparkline
from app.core.clock import utcnow
from app.usage.listing import Selection
from app.usage.measures import show_money
from app.usage.periods import Period
from app.usage.reach import Sight
from app.usage.summary import summarise
from app.usage.sums import Question

DRAWN_DAYS = 30
WEEK = 7
UTC = ZoneInfo("UTC")


class Spend(NamedTuple):
    """What a person's agents have spent; exact amounts as text."""

    today: str
    week: str
    """The last seven days, today included."""
    month: str
    """From its first day."""
    unpriced_calls: int
    """Of the days drawn."""
    chart: Markup
    currency: str
    tz: str


def read_spend(sight: Sight) -> Spend:
    """Today, seven days and the month in UTC, and the course of the last thirty days."""
    today = utcnow().date()
    first = today - timedelta(days=DRAWN_DAYS)  # the first of a month is never further back
    selection = Selection(
        Period(datetime(first.year, first.month, first.day, tzinfo=UTC)), {}, sight
    )
    answer = summarise(Question(("day",), UTC, selection), timed=False)
    cost_of = {date.fromisoformat(row["day"]): Decimal(row["cost"]) for row in answer["rows"]}
    days = [today - timedelta(days=ago) for ago in reversed(range(DRAWN_DAYS))]
    return Spend(
        today=_sum(cost_of, today, today),
        week=_sum(cost_of, today - timedelta(days=WEEK - 1), today),
        month=_sum(cost_of, today.replace(day=1), today),
        unpriced_calls=answer["total"]["unpriced_calls"],
        chart=sparkline(
            [float(cost_of.get(day, 0)) for day in days], f"Cost of the last {DRAWN_DAYS} days"
        ),
        currency=answer["currency"],
        tz=answer["tz"],
    )


def _sum(cost_of: dict[date, Decimal], first: date, last: date) -> str:
    total = sum((cost for day, cost in cost_of.items() if first <= day <= last), Decimal(0))
    return show_money(total) or "0"
