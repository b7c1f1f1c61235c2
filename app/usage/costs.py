"""What the Costs page asks and is answered: a period, a pivot, its days, what has no price. Reads
only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from app.core.clock import utcnow
from app.usage.listing import Selection
from app.usage.measures import COUNTS
from app.usage.periods import Period, read_period, read_zone
from app.usage.reach import Sight
from app.usage.summary import read_group_by, summarise, summarise_dearest
from app.usage.sums import DAILY, GROUPS, Question

PRESETS = {
    "today": "Today",
    "7d": "7 days",
    "30d": "30 days",
    "month": "This month",
    "last-month": "Last month",
    "all": "All",
}
USUAL_PRESET = "7d"
USUAL_GROUP = "agent"
SHOWN = 100
"""Rows of the pivot; what is beyond them is one row more, so that the total stays in sight."""
UNPRICED_SHOWN = 20


@dataclass(frozen=True)
class Ask:
    """What somebody wants to see."""

    first: str | None
    last: str | None
    preset: str
    """One of PRESETS, or "" for dates of one's own."""
    zone: ZoneInfo
    group_by: Sequence[str]
    filters: Mapping[str, str]
    sight: Sight

    @property
    def period(self) -> Period:
        """From when to when."""
        return read_period(self.first, self.last, self.zone)

    def question(self, group_by: Sequence[str]) -> Question:
        """The same for other groups."""
        return Question(group_by, self.zone, Selection(self.period, self.filters, self.sight))

    @property
    def api_args(self) -> dict[str, str]:
        """Period and filters as REST takes them."""
        ends = {name: text for name, text in (("from", self.first), ("to", self.last)) if text}
        return {**ends, "tz": self.zone.key, **self.filters}

    @property
    def page_args(self) -> dict[str, str]:
        """The same for a link between pages: what is relative to today stays so."""
        if not self.preset:
            return self.api_args
        return {"period": self.preset, "tz": self.zone.key, **self.filters}


@dataclass(frozen=True)
class Report:
    """The answer. Rows are those of `GET /usage/summary`; ``calls_args`` leads to a row's calls."""

    rows: list[dict[str, Any]]
    rest: dict[str, Any] | None
    """The sum of the rows that are not shown, and ``rows``, how many they are."""
    days: list[dict[str, Any]]
    """Every day of the period, quiet ones with zeros, the oldest first."""
    total: dict[str, Any]
    currency: str
    unpriced: list[dict[str, Any]]
    """By provider and model, where anything is unpriced."""


def read_ask(args: Mapping[str, str], group_by: Iterable[str], sight: Sight) -> Ask:
    """The question of an address. Raises Invalid."""
    zone = read_zone(_text(args, "tz") or "UTC")
    preset = args.get("period", "")
    first, last = _text(args, "from"), _text(args, "to")
    if first is None and last is None:
        preset = preset if preset in PRESETS else USUAL_PRESET
        first, last = _dates_of(preset, utcnow().astimezone(zone).date())
    else:
        preset = ""
    filters = {name: text for name in GROUPS.values() if (text := _text(args, name))}
    groups = read_group_by(",".join(group_by)) or [USUAL_GROUP]
    ask = Ask(first, last, preset, zone, groups, filters, sight)
    _ = ask.period  # refused here and not later
    return ask


def read_report(ask: Ask) -> Report:
    """The page. Raises Invalid."""
    answer = summarise_dearest(ask.question(ask.group_by), SHOWN)
    by_day = summarise(ask.question([DAILY]), timed=False)["rows"]
    unpriced = _find_unpriced(ask) if answer["total"]["unpriced_calls"] else []
    return Report(
        rows=[row | {"calls_args": _calls_args(ask, row)} for row in answer["rows"]],
        rest=answer["rest"],
        days=_all_days(ask, {row["day"]: row for row in by_day}),
        total=answer["total"],
        currency=answer["currency"],
        unpriced=unpriced,
    )


def share_of(row: Mapping[str, Any], total: Mapping[str, Any]) -> float:
    """How much of the total cost a row is, from 0 to 1."""
    whole = Decimal(total["cost"])
    return float(Decimal(row["cost"]) / whole) if whole else 0.0


def _text(args: Mapping[str, str], name: str) -> str | None:
    """What somebody entered; nothing is None. PostgreSQL takes no null character."""
    return args.get(name, "").replace("\x00", "").strip() or None


def _dates_of(preset: str, today: date) -> tuple[str | None, str | None]:
    """The first and the last day of a preset, in the zone that ``today`` is of."""
    if preset == "all":
        return None, None
    first_of_month = today.replace(day=1)
    before = first_of_month - timedelta(days=1)
    first, last = {
        "today": (today, today),
        "7d": (today - timedelta(days=6), today),
        "30d": (today - timedelta(days=29), today),
        "month": (first_of_month, today),
        "last-month": (before.replace(day=1), before),
    }[preset]
    return first.isoformat(), last.isoformat()


def _all_days(ask: Ask, by_day: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the period, or where it is open from the first to the last that has a call."""
    period, named = ask.period, sorted(by_day)
    first = _local_day(period.start, ask.zone) if period.start else _day(named, 0)
    just_before = period.end - timedelta(microseconds=1) if period.end else None
    last = _local_day(just_before, ask.zone) if just_before else _day(named, -1)
    if first is None or last is None:
        return []
    # A period of years in which little happened is told by what did.
    if (last - first).days > 800:
        return [by_day[day] for day in named]
    days = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    return [
        by_day.get(day) or {"day": day, **dict.fromkeys(COUNTS, 0), "cost": "0"} for day in days
    ]


def _local_day(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()


def _day(named: Sequence[str], place: int) -> date | None:
    return date.fromisoformat(named[place]) if named else None


def _find_unpriced(ask: Ask) -> list[dict[str, Any]]:
    rows = summarise(ask.question(["provider", "model"]), timed=False)["rows"]
    found = [row for row in rows if row["unpriced_calls"]]
    return sorted(found, key=lambda row: row["unpriced_calls"], reverse=True)[:UNPRICED_SHOWN]


def _calls_args(ask: Ask, row: Mapping[str, Any]) -> dict[str, str] | None:
    """The address of a row's calls; None where the list of calls cannot tell them from others."""
    narrowed = {GROUPS[name]: row[GROUPS[name]] for name in ask.group_by if name != DAILY}
    if None in narrowed.values():
        return None
    if DAILY not in ask.group_by:
        return {**ask.page_args, **narrowed}
    within = _within_day(ask, row["day"])
    return {**within, "tz": ask.zone.key, **ask.filters, **narrowed}


def _within_day(ask: Ask, day: str) -> dict[str, str]:
    """A day, or what of it is in the period: that may begin and end with a time."""
    of_day, of_all = read_period(day, day, ask.zone), ask.period
    cut = {}
    if of_all.start and of_day.start and of_all.start > of_day.start:
        cut["from"] = ask.first or day
    if of_all.end and of_day.end and of_all.end < of_day.end:
        cut["to"] = ask.last or day
    return {"from": day, "to": day, **cut}
