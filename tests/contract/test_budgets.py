"""Row U1's budgets: counted once, blocked in the moment they are spent, and told at once."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from flask import Flask

from app.core.clock import utcnow
from app.core.db import db
from app.usage import budget_counting
from tests.conftest import Api
from tests.contract.conftest import on_sqlite

PRICE = {"cost_per_1k_input_tokens": "1", "cost_per_1k_output_tokens": "2"}
DAILY = {"period": "day", "warn_at": "5", "block_at": "10"}

WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"block_at": "-1"}, "block_at"),
    ({"block_at": "0"}, "block_at"),
    ({"block_at": "NaN"}, "block_at"),
    ({"block_at": "1e99"}, "block_at"),
    ({"warn_at": "0.0000000000001"}, "warn_at"),
    ({"warn_at": "11"}, "warn_at"),
    ({"warn_at": None, "block_at": None}, "block_at"),
    ({"period": "week"}, "period"),
    ({"timezone": "Mars/Olympus"}, "timezone"),
    ({"timezone": "../etc/passwd"}, "timezone"),
    ({"currency": "EUR"}, "currency"),
    ({"scope": "world"}, "scope"),
    ({"agent_id": "nobody"}, "agent_id"),
    ({"agent_id": None}, "agent_id"),
    ({"provider": "openai"}, "provider"),
    ({"scope": "all"}, "agent_id"),
    ({"spent": "1"}, "spent"),
)

Spend = Callable[..., None]


@pytest.fixture
def trader(api: Api) -> Api:
    """An agent whose tokens cost a tenth of a cent, with a fallback at another provider."""
    agent = {"agent_id": "trader", "name": "Trader", "llm_provider": "openai", "llm_model": "m"}
    assert api("POST", "/agents", agent).status_code == 201
    chain = [
        {"provider": "openai", "model_name": "m", **PRICE},
        {"provider": "groq", "model_name": "m", **PRICE},
    ]
    answer = api("PUT", "/agents/trader/llm-configs", {"llm_configs": chain})
    assert answer.status_code == 200, answer.text
    return api


@pytest.fixture
def spend(trader: Api) -> Spend:
    """``spend(dollars, at=, provider=, agent=, model=)``: one call that costs so much."""

    def report(
        dollars: int,
        at: datetime | None = None,
        provider: str = "openai",
        agent: str = "trader",
        model: str = "m",
    ) -> None:
        event = {
            "event_id": str(uuid.uuid4()),
            "agent_id": agent,
            "provider": provider,
            "model": model,
            "started_at": (at or utcnow()).isoformat(),
            "status": "ok",
            "input_tokens": dollars * 1000,
        }
        answer = trader("POST", "/usage", {"events": [event]})
        assert answer.json == {"accepted": 1, "duplicates": 0, "rejected": []}

    return report


def make(api: Api, **values: Any) -> dict[str, Any]:
    given = {"name": "daily", "scope": "agent", "agent_id": "trader"} | DAILY | values
    if given["scope"] != "agent":
        given.pop("agent_id")
    answer = api("POST", "/budgets", given)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json
    return body


def told(api: Api, agent: str = "trader") -> tuple[str, list[str]]:
    """What clients are told: the agent's state, and its steps'."""
    config = api("GET", f"/agents/{agent}/llm").json
    steps = [config, *config["fallbacks"]]
    return config["budget_state"], [step["provider_budget_state"] for step in steps]


def test_an_agent_is_warned_and_blocked_as_it_spends(
    trader: Api, spend: Spend, rev: Callable[[], int]
) -> None:
    budget = make(trader)
    path = f"/budgets/{budget['id']}"
    assert (budget["spent"], budget["state"], budget["currency"]) == ("0", "ok", "USD")
    for dollars, spent, state in ((4, "4", "ok"), (1, "5", "warn"), (5, "10", "blocked")):
        before = rev()
        spend(dollars)
        found = trader("GET", path).json
        assert (found["spent"], found["state"]) == (spent, state)
        assert told(trader) == (state, ["ok", "ok"])
        assert rev() == before + (state != "ok")  # a turn is a change, spending is none
    assert found["version"] == budget["version"]
    changes = trader("GET", "/changes?entity=agent").json["changes"]
    assert changes[0]["operation"] == "status"
    spend(1)
    spend(7, agent="somebody-else")
    assert trader("GET", path).json["spent"] == "11"
    # What has been spent already counts for a second budget too.
    assert make(trader, name="second", block_at="11.000000000001")["state"] == "warn"


def test_the_push_log_has_the_turn(trader: Api, spend: Spend) -> None:
    make(trader)
    start = trader("GET", "/sync").json
    spend(10)
    answer = trader("GET", f"/sync?epoch={start['epoch']}&since={start['rev']}").json
    (item,) = [it for it in answer["items"] if it["agent_id"] == "trader"]
    assert item["config"]["budget_state"] == "blocked"
    assert item["config"]["config_version"] == answer["rev"]


def test_a_providers_budget_marks_its_steps_and_one_for_all_marks_everybody(
    trader: Api, spend: Spend
) -> None:
    make(trader, name="groq", scope="provider", provider="groq")
    make(trader, name="all", scope="all", warn_at="12", block_at="20")
    spend(10, provider="groq")
    assert told(trader) == ("ok", ["ok", "blocked"])
    spend(2)
    assert told(trader) == ("warn", ["ok", "blocked"])
    assert told(trader, "default") == ("warn", ["ok"])
    spend(8)
    assert told(trader, "never-heard-of") == ("blocked", ["ok"])


def test_raising_switching_off_and_deleting_count_at_once(trader: Api, spend: Spend) -> None:
    path = f"/budgets/{make(trader)['id']}"
    spend(10)
    steps = (
        ({"block_at": "11"}, "warn"),
        ({"warn_at": None}, "ok"),
        ({"block_at": "10"}, "blocked"),
        ({"is_active": False}, "ok"),
        ({"is_active": True}, "blocked"),
    )
    for change, state in steps:
        assert trader("PATCH", path, change).json["state"] == state, change
        assert told(trader)[0] == state, change
    spend(1)
    assert trader("GET", path).json["spent"] == "11"
    assert trader("DELETE", path).status_code == 200
    assert told(trader)[0] == "ok"


def test_the_worst_of_several_counts(trader: Api, spend: Spend) -> None:
    monthly = make(trader, name="monthly", period="month", warn_at="1", block_at="100")
    daily = make(trader)
    spend(10)
    assert told(trader)[0] == "blocked"
    assert trader("DELETE", f"/budgets/{daily['id']}").status_code == 200
    assert told(trader)[0] == "warn"
    assert trader("DELETE", f"/budgets/{monthly['id']}").status_code == 200
    assert told(trader)[0] == "ok"


def test_what_is_late_counts_for_its_own_day_and_is_no_reason_to_block(
    trader: Api, spend: Spend
) -> None:
    path = f"/budgets/{make(trader)['id']}"
    spend(50, at=utcnow() - timedelta(days=2))
    assert trader("GET", path).json["spent"] == "0"
    assert told(trader)[0] == "ok"


def test_unpriced_calls_are_told_of(trader: Api, spend: Spend) -> None:
    path = f"/budgets/{make(trader)['id']}"
    spend(99, model="nobody-knows-its-price")
    found = trader("GET", path).json
    assert (found["spent"], found["calls"], found["unpriced_calls"]) == ("0", 1, 1)


def test_a_new_day_unblocks(
    app: Flask, trader: Api, spend: Spend, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = make(trader)
    spend(10)
    with app.app_context():
        assert budget_counting.sweep() == 0
        tomorrow = datetime.fromisoformat(budget["window_end"])
        monkeypatch.setattr(budget_counting, "utcnow", lambda: tomorrow)
        assert budget_counting.sweep() == 1
    assert told(trader)[0] == "ok"


def test_alerts_come_once_a_window(
    app: Flask, trader: Api, spend: Spend, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(budget_counting, "announce", lambda *args: alerts.append(args))
    path = f"/budgets/{make(trader)['id']}"
    for dollars in (5, 1, 4, 1):
        spend(dollars)
    assert [str(event) for event, _data in alerts] == ["budget.warn", "budget.blocked"]
    data = alerts[1][1]
    expected = {"budget": "daily", "agent_id": "trader", "spent": "10", "limit": "10"}
    assert expected.items() <= data.items()
    assert (data["currency"], data["timezone"]) == ("USD", "UTC")
    spent = "The budget daily is spent, and calls are blocked: 10 of 10 USD this day."
    assert data["message"] == spent
    assert trader("PATCH", path, {"block_at": "12"}).status_code == 200
    spend(1)
    assert [str(event) for event, _data in alerts[2:]] == ["budget.ok"]


@on_sqlite
def test_who_is_blocked_at_once_is_not_warned_afterwards(
    trader: Api, spend: Spend, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts: list[str] = []
    monkeypatch.setattr(budget_counting, "announce", lambda event, _data: alerts.append(event))
    path = f"/budgets/{make(trader)['id']}"
    spend(10)
    assert trader("PATCH", path, {"block_at": "12"}).json["state"] == "warn"
    assert alerts == ["budget.blocked", "budget.ok"]


@on_sqlite
def test_a_type_is_its_first_active_provider(trader: Api, spend: Spend) -> None:
    for name, is_active in (("retired", False), ("first", True), ("second", True)):
        provider = {"name": name, "type": "mistral", "is_active": is_active}
        assert trader("POST", "/providers", provider).status_code == 201
        make(trader, name=name, scope="provider", provider=name)
    spend(1, provider="mistral")
    found = trader("GET", "/budgets").json["budgets"]
    assert {it["name"]: it["calls"] for it in found} == {"retired": 0, "first": 1, "second": 0}


def test_a_recount_finds_what_the_usage_says(app: Flask, trader: Api, spend: Spend) -> None:
    for scope in ({}, {"scope": "provider", "provider": "openai"}, {"scope": "all"}):
        make(trader, name=str(scope), **scope)
    spend(3)
    spend(4, provider="groq")
    with app.app_context():
        db.session.execute(sa.update(budget_counting.SPENDS).values(cost_nanos=1, cost_attos=7))
        budget_counting.request_recount()
        db.session.commit()
        assert budget_counting.sweep() == 3
        assert budget_counting.sweep() == 0
    found = trader("GET", "/budgets").json["budgets"]
    assert [budget["spent"] for budget in found] == ["7", "3", "7"]


def test_days_are_those_of_the_time_zone(trader: Api) -> None:
    zone = ZoneInfo("Asia/Kathmandu")  # a quarter of an hour off
    body = make(trader, timezone=zone.key)
    start, end = (datetime.fromisoformat(body[name]) for name in ("window_start", "window_end"))
    assert start.astimezone(zone).time() == end.astimezone(zone).time()
    assert start <= datetime.now(UTC) < end
    assert body["timezone"] == zone.key


@on_sqlite
def test_what_is_no_budget_is_refused(trader: Api) -> None:
    body = {"name": "b", "scope": "agent", "agent_id": "trader"} | DAILY
    for wrong, named in WRONG:
        answer = trader("POST", "/budgets", body | wrong)
        assert answer.status_code == 422, (wrong, answer.text)
        assert named in answer.json["errors"]["json"], wrong
    assert trader("GET", "/budgets").json["total"] == 0


@on_sqlite
def test_a_save_insists_on_what_was_read(trader: Api) -> None:
    budget = make(trader)
    path = f"/budgets/{budget['id']}"
    answer = trader("PATCH", path, {"name": "other"}, headers={"If-Match": '"1"'})
    assert answer.headers["ETag"] == '"2"'
    late = trader("PATCH", path, {"name": "late"}, headers={"If-Match": '"1"'})
    assert late.status_code == 412
    assert make(trader)["id"] != budget["id"]
    assert trader("PATCH", path, {"name": "daily"}).status_code == 409


def test_a_deleted_budget_comes_back_from_the_history(trader: Api, spend: Spend) -> None:
    budget = make(trader)
    spend(10)
    made = trader("GET", "/changes?entity=budget").json["changes"][-1]["rev"]
    assert trader("DELETE", f"/budgets/{budget['id']}").status_code == 200
    wish = {"entity": "budget", "entity_id": budget["id"]}
    answer = trader("POST", f"/changes/{made}/restore", wish)
    assert answer.status_code == 200, answer.text
    (again,) = trader("GET", "/budgets").json["budgets"]
    same = ("name", "agent_id", "period", "timezone", "warn_at", "block_at", "is_active")
    assert {name: again[name] for name in same} == {name: budget[name] for name in same}
