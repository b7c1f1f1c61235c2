"""What an agent has cost of late, for its page. Reads only."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from markupsafe import Markup

from app.admin.charts import Bar, bar_chart
from app.admin.money import dollars
from app.core.clock import utcnow
from app.usage.listing import Selection
from app.usage.periods import Period
from app.usage.summary import summarise
from app.usage.sums import Question

DAYS = 7
UTC = ZoneInfo("UTC")


class Cost(NamedTuple):
    """The last days, today included."""

    total: dict[str, Any]
    """As in `GET /usage/summary`."""
    days: list[dict[str, Any]]
    """The same for each day, the newest first, quiet ones with zeros."""
    chart: Markup
    tz: str


def find_cost(agent_id: str) -> Cost:
    """What was spent under this agent's id in the last seven days of UTC."""
    today = utcnow().date()
    first = today - timedelta(days=DAYS - 1)
    period = Period(datetime(first.year, first.month, first.day, tzinfo=UTC))
    selection = Selection(period, {"agent_id": agent_id})
    answer = summarise(Question(("day",), UTC, selection))
    by_day = {row["day"]: row for row in answer["rows"]}
    named = [(today - timedelta(days=ago)).isoformat() for ago in range(DAYS)]
    days = [by_day.get(day) or {"day": day, "calls": 0, "errors": 0, "cost": "0"} for day in named]
    bars = [Bar(row["day"], float(row["cost"]), dollars(row["cost"])) for row in days]
    return Cost(answer["total"], days, bar_chart(bars, "Cost of each day"), answer["tz"])
