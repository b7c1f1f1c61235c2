"""Every view of a period has the same total, whenever it is asked and however sums are made."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any
from zoneinfo import ZoneInfo

import flask_migrate
import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.clock import utcnow
from app.core.db import commit, db, reading
from app.usage.cubes import DAY, QUARTER, WIDTHS
from app.usage.event_pages import list_events
from app.usage.listing import Selection
from app.usage.models import UsageEvent, UsageState, usage_rollups
from app.usage.periods import Period
from app.usage.reach import Sight
from app.usage.rebuild import rebuild
from app.usage.rollups import close_days
from app.usage.summary import summarise, summarise_dearest
from app.usage.sums import GROUPS, Question
from tests.integration.usage.conftest import Report, event

ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia")
ZONES += ("Africa/Cairo", "Australia/Lord_Howe", "America/Havana")
GROUPINGS = [chosen for size in range(3) for chosen in combinations((*GROUPS, "day"), size)] + [
    (*GROUPS, "day")
]
TODAY = utcnow().replace(hour=0, minute=0, second=0, microsecond=0)
SPRING = datetime(2026, 3, 27, tzinfo=UTC)
"""Clocks change in Berlin and Lord Howe within the days after it; in Havana long before."""


AGENTS = ("a", "b", "c", "d")
SIGHTS = (None, AGENTS, ("a", "c", "d"), ("a", "b"), ("b",), ("b", "quiet"))
"""Whose usage somebody sees: without limits; all; all but few, whose sums are taken off; some; few;
few who have any."""
CALLED = (("openai", "gpt-4.1"), ("nobody", "m"), ("ollama", "m"))


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.fixture
def world(context: None, report: Report, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Calls of all kinds around a change of the clocks, and of now: of days that are still open."""
    monkeypatch.setattr("app.usage.sums.FEW", 1)
    # What is set up says so too, unless midnight has passed since this file was read.
    db.session.execute(sa.update(UsageState).values(closed_until=TODAY))
    commit()
    chance = random.Random(5)
    calls = []
    for start, hours in ((SPRING, 24 * 14), (TODAY - timedelta(days=2), 71)):
        for _ in range(60):
            began = start + timedelta(seconds=chance.randrange(hours * 3600))
            if chance.random() < 0.2:  # at the very edge of days and quarters
                began = began.replace(minute=chance.choice((0, 30, 45)), second=0)
            provider, model = chance.choice(CALLED)
            calls.append(
                event(
                    began.isoformat(),
                    agent_id=chance.choice(AGENTS),
                    provider=provider,
                    model=model,
                    task=chance.choice((None, "triage")),
                    status=chance.choice(("ok", "error")),
                    attempt=chance.randrange(2),
                    latency_ms=chance.randrange(5000),
                    input_tokens=chance.randrange(10**6),
                )
            )
    report(*calls)
    return calls


def ask(
    group_by: tuple[str, ...] = (),
    zone: str = "UTC",
    start: datetime | None = None,
    end: datetime | None = None,
    seen: tuple[str, ...] | None = None,
    **filters: str,
) -> dict[str, Any]:
    with reading():
        selection = Selection(Period(start, end), filters, sight_of(seen))
        question = Question(group_by, ZoneInfo(zone), selection)
        answer = summarise(question)
        # The Costs page asks for the dearest only.
        dearest = summarise_dearest(question, at_most=10_000)
        assert sorted(dearest.pop("rows"), key=str) == sorted(answer["rows"], key=str)
        assert dearest.pop("rest") is None
        assert dearest == {name: answer[name] for name in dearest}
        return answer


def sight_of(seen: tuple[str, ...] | None) -> Sight:
    return Sight(None if seen is None else frozenset(seen))


def expected(
    world: list[dict[str, Any]], group_by: tuple[str, ...], zone: str, period: Period
) -> dict[tuple[Any, ...], Counter[str]]:
    """The same, one by one from what was reported."""
    groups: dict[tuple[Any, ...], Counter[str]] = {}
    for it in world:
        began = datetime.fromisoformat(it["started_at"])
        if (period.start and began < period.start) or (period.end and began >= period.end):
            continue
        day = began.astimezone(ZoneInfo(zone)).date().isoformat()
        key = tuple(day if name == "day" else it[GROUPS[name]] for name in group_by)
        groups.setdefault(key, Counter()).update(
            calls=1,
            errors=it["status"] == "error",
            fallbacks=it["attempt"] > 0,
            unpriced_calls=it["provider"] == "nobody",
            input_tokens=it["input_tokens"],
        )
    return groups


def costs() -> dict[str, Decimal]:
    with reading():
        found = db.session.execute(sa.select(UsageEvent.event_id, UsageEvent.cost))
        return {event_id: cost or Decimal(0) for event_id, cost in found}


def rollups() -> set[tuple[int, ...]]:
    with reading():
        return {tuple(row) for row in db.session.execute(sa.select(usage_rollups))}


moments = st.one_of(
    st.none(),
    st.integers(0, 14 * 96).map(lambda n: SPRING + timedelta(seconds=n * QUARTER)),
    st.integers(0, 14).map(lambda n: SPRING + timedelta(days=n)),
    st.integers(0, 14 * DAY * 10**6).map(lambda n: SPRING + timedelta(microseconds=n)),
    st.integers(-(3 * 96), 96).map(lambda n: TODAY + timedelta(seconds=n * QUARTER)),
)


@pytest.mark.parametrize("closing", [False, True], ids=["open days", "all days closed"])
def test_every_view_of_a_period_has_the_same_total(
    world: list[dict[str, Any]], closing: bool
) -> None:
    if closing:
        assert close_days(utcnow() + timedelta(days=3)) > 0
    known = costs()

    @settings(max_examples=30, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(GROUPINGS),
        st.sampled_from(ZONES),
        moments,
        moments,
        st.sampled_from(SIGHTS),
    )
    def look(
        group_by: tuple[str, ...],
        zone: str,
        one: datetime | None,
        other: datetime | None,
        seen: tuple[str, ...] | None,
    ) -> None:
        if one and other and other < one:
            one, other = other, one
        period = Period(one, other)
        answer = ask(group_by, zone, one, other, seen)
        theirs = [it for it in world if it["agent_id"] in (seen or AGENTS)]
        groups = expected(theirs, group_by, zone, period)
        names = [GROUPS.get(name, name) for name in group_by]
        found = {tuple(row[name] for name in names): row for row in answer["rows"]}
        assert found.keys() == groups.keys()
        for key, counts in groups.items():
            assert {name: found[key][name] for name in counts} == counts
        paid = [known[it["event_id"]] for it in theirs if _is_in(it, period)]
        assert Decimal(answer["total"]["cost"]) == sum(paid)
        assert answer["total"]["calls"] == len(paid)
        with reading():
            events, total = list_events(Selection(period, sight=sight_of(seen)), 2, 7)
            event_ids = [it.event_id for it in events]
        listed = sorted((it for it in theirs if _is_in(it, period)), key=_newest, reverse=True)
        assert event_ids == [it["event_id"] for it in listed[7:14]]
        assert total == len(listed)

    look()


def test_closing_a_day_changes_nothing_that_is_seen(
    world: list[dict[str, Any]], report: Report
) -> None:
    asked = [(group_by, zone) for group_by in GROUPINGS[::3] for zone in ZONES[:2]]
    views = [ask(*it) for it in asked]
    assert close_days(TODAY + timedelta(hours=1)) == 0
    assert close_days(TODAY + timedelta(days=1, minutes=14)) == 0  # some calls are late
    assert close_days(TODAY + timedelta(days=2, minutes=20)) == 2
    assert close_days(TODAY + timedelta(days=2, minutes=20)) == 0
    assert views == [ask(*it) for it in asked]
    # A late call is added to the day that is closed.
    report(event((TODAY + timedelta(hours=1)).isoformat(), agent_id="a"))
    assert ask()["total"]["calls"] == len(world) + 1
    assert ask(start=TODAY, end=TODAY + timedelta(days=1), agent_id="a") == ask(
        zone="Asia/Kathmandu", start=TODAY, end=TODAY + timedelta(days=1), agent_id="a"
    ) | {"tz": "UTC"}


def test_sums_made_anew_are_the_same(world: list[dict[str, Any]]) -> None:
    before = rollups()
    assert {width for _series, width, *_ in before} == set(WIDTHS)
    assert sums_anew() == (len(world), 0)
    assert rollups() == before
    db.session.execute(sa.update(usage_rollups).values(calls=usage_rollups.c.calls + 1))
    db.session.execute(
        sa.delete(usage_rollups).where(usage_rollups.c.width == QUARTER, usage_rollups.c.errors > 0)
    )
    commit()
    calls, differences = sums_anew()
    assert (calls, differences > 0) == (len(world), True)
    assert rollups() == before


def sums_anew() -> tuple[int, int]:
    """All that the world has; there are eight empty months in between."""
    spring = rebuild(Period(SPRING, SPRING + timedelta(days=14)))
    now = rebuild(Period(TODAY - timedelta(days=2)))
    return spring.calls + now.calls, spring.differences + now.differences


def test_a_database_of_before_the_wider_sums_is_given_them(world: list[dict[str, Any]]) -> None:
    before = rollups()
    db.session.remove()
    flask_migrate.downgrade(revision="0010")
    assert {width for _series, width, *_ in rollups()} < set(WIDTHS)
    db.session.remove()
    flask_migrate.upgrade()
    assert rollups() == before


def test_only_some_days_are_made_anew(world: list[dict[str, Any]]) -> None:
    before = rollups()
    db.session.execute(sa.update(usage_rollups).values(calls=0))
    commit()
    start = SPRING + timedelta(days=3)
    report = rebuild(Period(start, start + timedelta(days=2)))
    assert report.days == 2
    whole = {row for row in before if row[1] <= DAY and 0 <= row[2] - start.timestamp() < 2 * DAY}
    assert whole <= rollups()
    assert ask()["total"]["calls"] < len(world)


def test_percentiles_are_as_near_as_their_classes(context: None, report: Report) -> None:
    report(*(event(latency_ms=n) for n in range(1, 1001)))
    latency = ask()["total"]["latency_ms"]
    for name, exact in (("p50", 500), ("p95", 950), ("p99", 990)):
        assert abs(latency[name] - exact) <= 5


def test_the_state_is_one_row(context: None) -> None:
    db.session.add(UsageState(id=2, closed_until=utcnow()))
    with pytest.raises(sa.exc.IntegrityError):
        db.session.flush()
    db.session.rollback()


def _newest(it: dict[str, Any]) -> tuple[datetime, str]:
    return datetime.fromisoformat(it["started_at"]), it["event_id"]


def _is_in(it: dict[str, Any], period: Period) -> bool:
    began = datetime.fromisoformat(it["started_at"])
    return not ((period.start and began < period.start) or (period.end and began >= period.end))
