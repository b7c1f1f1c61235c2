"""What the Costs page asks: presets in a time zone, and every day of a period."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask

from app.core.errors import Invalid
from app.usage import costs
from app.usage.costs import Ask, read_ask, read_report
from app.usage.reach import Sight

NOW = datetime(2026, 3, 31, 23, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an hour before April in UTC; in Berlin it has begun."""
    monkeypatch.setattr(costs, "utcnow", lambda: NOW)


def ask(**args: str) -> Ask:
    return read_ask(args, args.pop("group_by", "").split(), Sight())


@pytest.mark.parametrize(
    ("preset", "zone", "first", "last"),
    [
        ("today", "UTC", "2026-03-31", "2026-03-31"),
        ("today", "Europe/Berlin", "2026-04-01", "2026-04-01"),
        ("7d", "UTC", "2026-03-25", "2026-03-31"),
        ("30d", "UTC", "2026-03-02", "2026-03-31"),
        ("month", "UTC", "2026-03-01", "2026-03-31"),
        ("month", "Europe/Berlin", "2026-04-01", "2026-04-01"),
        ("last-month", "UTC", "2026-02-01", "2026-02-28"),
        ("last-month", "Europe/Berlin", "2026-03-01", "2026-03-31"),
        ("all", "UTC", None, None),
    ],
)
def test_a_preset_is_of_the_zone_s_today(
    preset: str, zone: str, first: str | None, last: str | None
) -> None:
    asked = ask(period=preset, tz=zone)
    assert (asked.first, asked.last, asked.preset) == (first, last, preset)


def test_dates_of_one_s_own_go_before_a_preset_and_links_keep_either() -> None:
    own = ask(period="today", **{"from": "2026-01-05"}, model="m")
    assert (own.preset, own.first, own.last) == ("", "2026-01-05", None)
    assert own.page_args == own.api_args == {"from": "2026-01-05", "tz": "UTC", "model": "m"}
    usual = ask(period="nonsense", agent_id=" desk ")
    assert usual.page_args == {"period": "7d", "tz": "UTC", "agent_id": "desk"}
    assert usual.api_args["from"] == "2026-03-25"
    assert list(usual.group_by) == ["agent"]


@pytest.mark.parametrize(
    "args", [{"tz": "Mars"}, {"from": "1"}, {"group_by": "colour"}, {"to": "0000-01-01"}]
)
def test_nonsense_is_refused(args: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        ask(**args)


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_every_day_of_the_period_has_a_row() -> None:
    # Summer time begins on the 29th in Berlin: that day has 23 hours.
    spring = ask(tz="Europe/Berlin", **{"from": "2026-03-28", "to": "2026-03-30"})
    report = read_report(spring)
    assert [day["day"] for day in report.days] == ["2026-03-28", "2026-03-29", "2026-03-30"]
    assert {day["cost"] for day in report.days} == {"0"}
    assert (report.rows, report.rest, report.unpriced) == ([], None, [])
    assert read_report(ask(period="all")).days == []
    assert read_report(ask(**{"from": "1971-01-01"})).days == []
