"""The pages about money: costs and the calls behind them, prices, budgets."""

import itertools
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.accounts import services as accounts
from app.accounts.models import Role
from app.agents import services as agents
from app.core.clock import utcnow
from app.core.db import db
from app.prices import services as prices
from app.prices.models import Price
from app.providers import services as providers
from app.usage import budgets
from app.usage.budget_models import Budget
from app.usage.models import UsageRepricing
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, Api
from tests.support.console import Console

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

COSTS = "/admin/costs/"
CALLS = "/admin/costs/calls/"
REPRICE = "/admin/costs/reprice/"
NEW_PRICE = "/admin/price/new/"
NEW_BUDGET = "/admin/budget/new/"
PASSWORD = "another horse battery"
Report = Callable[..., None]

BAD_QUESTIONS = (
    ({"from": "yesterday"}, "from"),
    ({"from": "2026-03-10", "to": "2026-03-01"}, "to: Before from."),
    ({"tz": "Mars/Olympus"}, "tz"),
    ({"group_by": "colour"}, "group_by"),
    ({"from": "9999-12-31", "to": "9999-12-31"}, "to"),
)

BAD_PRICES = (
    ({"input_per_1m": "-1"}, "Must be from 0"),
    ({"input_per_1m": "NaN"}, "Not a decimal number."),
    ({"input_per_1m": ""}, "A row without any price says nothing."),
    ({"provider": "nobody"}, "No provider has this name"),
    ({"model": "a*b"}, "A name, or its beginning"),
    ({"valid_until": "2020-01-01T00:00"}, "It would end before it begins."),
    ({"tiers-0-input_per_1m": "4"}, "Missing data for required field."),
)

BAD_BUDGETS = (
    ({"block_at": ""}, "Without warn_at and block_at it would do nothing."),
    ({"block_at": "0"}, "Must be more than 0."),
    ({"block_at": "1e99"}, "Must be from 0"),
    ({"warn_at": "11"}, "More than block_at: it would come too late."),
    ({"timezone": "Mars"}, "Not a time zone"),
    ({"scope": "agent", "agent_id": "nobody"}, "There is no such agent."),
    ({"scope": "provider"}, "Missing data for required field."),
    ({"scope": "galaxy"}, "Not a valid choice"),
)


@pytest.fixture
def console(app: Flask) -> Console:
    """An admin's session."""
    return Console(app, ADMIN_EMAIL, ADMIN_PASSWORD)


@pytest.fixture
def report(api: Api) -> Report:
    """``report(agent_id=..., ...)``: one call, which costs 0.0028 unless it says otherwise."""
    numbers = iter(range(1000))

    def send(**values: Any) -> None:
        event = {
            "event_id": f"call-{next(numbers)}",
            "agent_id": "desk",
            "provider": "openai",
            "model": "gpt-4.1",
            "started_at": utcnow().isoformat(),
            "status": "ok",
            "input_tokens": 1000,
            "output_tokens": 100,
        }
        answer = api("POST", "/usage", {"events": [event | values]})
        assert answer.json["accepted"] == 1, answer.text

    return send


def text_of(html: str) -> str:
    """What a page says, without its tags."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)))


def rows_of(page: str, table: str = "pivot") -> list[str]:
    found = re.search(rf'<table[^>]*id="{table}".*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    return (
        [text_of(row) for row in re.findall(r"<tr.*?</tr>", found[1], re.DOTALL)] if found else []
    )


def total_of(page: str) -> str:
    found = re.search(r'id="total-cost">([^<]*)<', page)
    assert found, page
    return found[1]


def test_every_pivot_of_a_period_has_the_api_s_total(
    console: Console, report: Report, api: Api
) -> None:
    for number in range(6):
        then = utcnow() - timedelta(days=number % 3)
        report(
            agent_id=f"desk-{number % 2}",
            model=("gpt-4.1", "gpt-4.1-mini")[number % 2],
            task=("triage", None)[number % 2],
            started_at=then.isoformat(),
            input_tokens=1000 + number,
        )
    total = api("GET", "/usage/summary").json["total"]
    for groups in (["agent"], ["model", "provider"], ["task"], ["day"], ["agent", "day"]):
        page = console.get(COSTS, group_by=groups).text
        assert total_of(page) == total["cost"], groups
        assert "days in <b>UTC</b>" in page
    rows = rows_of(console.get(COSTS, group_by=["agent"]).text)
    assert [row.split()[0] for row in rows] == ["desk-0", "desk-1"], "the dearest first"
    assert "By agent and day" in console.get(COSTS, group_by=["agent", "day"]).text


def test_a_row_leads_to_its_calls(console: Console, report: Report) -> None:
    yesterday = (utcnow() - timedelta(days=1)).isoformat()
    report(agent_id="desk", task="triage", started_at=yesterday)
    report(agent_id="desk", task="triage", status="error", error_class="Timeout", attempt=1)
    report(agent_id="other", cached_input_tokens=400)
    page = console.get(COSTS, group_by=["agent", "day"]).text
    links = [unescape(it) for it in re.findall(r'<th scope="row"><a href="([^"]+)"', page)]
    assert len(links) == 3
    for link in links:
        assert "1 call" in text_of(console.get(link).text), link
    calls = console.get(CALLS, agent_id="desk", status="error").text
    assert "1 call" in text_of(calls)
    for said in ("Timeout", "fallback 1", "0.0028 USD", "input per 1m", "call-1"):
        assert said in text_of(calls), said
    assert "400 cached" in text_of(console.get(CALLS, agent_id="other").text)
    # What has no task cannot be asked for by one: better no link than one to other calls.
    page = console.get(COSTS, group_by="task").text
    assert len(re.findall(r'<th scope="row"><a', page)) == 1


def test_what_is_beyond_the_first_rows_is_summed_up(
    console: Console, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.usage.costs.SHOWN", 2)
    for number in range(5):
        report(agent_id=f"desk-{number}", input_tokens=1000 * (number + 1))
    rows = rows_of(console.get(COSTS).text)
    assert [row.split()[0] for row in rows] == ["desk-4", "desk-3", "3"]
    assert "3 more $0.0144" in rows[2]


def test_days_are_those_of_the_zone_that_is_named(console: Console, report: Report) -> None:
    report(started_at="2026-03-10T23:30:00+00:00")
    asked = {"from": "2026-03-10", "to": "2026-03-11", "group_by": "day"}
    assert rows_of(console.get(COSTS, **asked).text)[0].split()[0] == "2026-03-10"
    berlin = console.get(COSTS, **asked, tz="Europe/Berlin").text
    assert rows_of(berlin)[0].split()[0] == "2026-03-11"
    assert "days in <b>Europe/Berlin</b>" in berlin
    assert "tz=Europe/Berlin" in berlin, "the CSV has the same days"
    quiet = console.get(COSTS, **{"from": "2026-03-12", "to": "2026-03-12"}).text
    assert "No call in this period" in quiet


def test_a_csv_has_the_page_s_filters(console: Console, report: Report) -> None:
    report(agent_id="desk")
    report(agent_id="other")
    page = console.get(COSTS, agent_id="desk", group_by="model").text
    [link] = re.findall(r'href="(/api/usage/summary.csv[^"]*)"', page)
    lines = console.get(unescape(link)).text.splitlines()
    assert lines[1].startswith("gpt-4.1,1,")
    assert lines[-1].startswith(",1,"), "the total of one agent"
    [link] = re.findall(
        r'href="(/api/usage/events.csv[^"]*)"', console.get(CALLS, agent_id="desk").text
    )
    assert len(console.get(unescape(link)).text.splitlines()) == 2


def test_a_bad_question_is_a_page_that_says_so(
    console: Console, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.usage.sums.complete_since", utcnow)
    report()
    gone = console.get(COSTS, **{"from": "2026-03-10T10:07"})
    assert gone.status_code == 422
    assert "only sums of quarters of an hour are kept" in text_of(gone.text)
    assert 'name="from" value="2026-03-10"' in gone.text, "kept"
    for path, (query, said) in itertools.product((COSTS, CALLS), BAD_QUESTIONS):
        answer = console.get(path, **query)
        assert answer.status_code == 422, query
        assert said in text_of(answer.text), query
        assert 'role="alert"' in answer.text
        assert 'id="tz"' in answer.text, "the form is there to ask again"


def test_odd_addresses_are_read_with_good_will(console: Console, report: Report) -> None:
    report()
    for query in ({"page": "0"}, {"page": "9" * 30}, {"page": "-1"}, {"status": "odd"}):
        assert console.get(CALLS, **query).status_code == 200, query
    odd = {"agent_id": "\x00", "task": "' OR 1=1 --", "period": "never"}
    assert console.get(COSTS, **odd).status_code == 200
    script = console.get(COSTS, model="<script>alert(1)</script>").text
    assert "<script>alert" not in script


def test_a_viewer_sees_what_is_theirs_and_what_is_nobody_s(
    app: Flask, console: Console, report: Report
) -> None:
    with app.app_context():
        viewer = accounts.create_user("viewer@example.com", PASSWORD, Role.VIEWER).id
        boss = accounts.create_user("boss@example.com", PASSWORD, Role.ADMIN).id
        for slug, owner in (("mine", viewer), ("bosss", boss), ("free", None)):
            agents.create_agent({"agent_id": slug, "name": slug, "owner_id": owner})
    for slug in ("mine", "bosss", "free"):
        report(agent_id=slug)
    session = Console(app, "viewer@example.com", PASSWORD)
    assert total_of(session.get(COSTS).text) == "0.0056"
    assert total_of(console.get(COSTS).text) == "0.0084"
    for path in (COSTS, CALLS, "/admin/"):
        assert "bosss" not in session.get(path).text
    assert "No call in this period" in session.get(COSTS, agent_id="bosss").text
    assert "$0.0056" in session.get("/admin/").text
    for path in ("/admin/budget/", "/admin/price/", NEW_PRICE):
        assert session.get(path).status_code == 403
    assert "/admin/budget/" not in session.get("/admin/").text


def test_what_has_no_price_is_named_with_the_way_to_price_it(
    console: Console, report: Report
) -> None:
    report(model="in-house")
    report()
    page = console.get(COSTS).text
    assert "1 call has no price" in page
    assert total_of(page) == "0.0028", "unknown is not nothing"
    [link] = re.findall(r'<a href="([^"]+)">Price it</a>', page)
    form = console.form(unescape(link))
    assert (form["provider"], form["model"]) == ("openai", "in-house")
    assert form["valid_from"] == (utcnow() - timedelta(days=6)).strftime("%Y-%m-%dT00:00")
    assert "in-house unpriced 1" in rows_of(console.get(COSTS, group_by="model").text)[1]
    alone = console.get(COSTS, model="in-house").text
    assert "Total unpriced 1" in text_of(alone)
    assert re.search(r"\d{4}-\d\d-\d\d unpriced 1 0 1 ", text_of(alone)), "nor is its day free"
    saved = console.save(unescape(link), input_per_1m="1", output_per_1m="2")
    assert "Price openai in-house is created." in saved.text


def test_costs_are_corrected_after_a_look_at_what_changes(
    app: Flask, console: Console, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dry run and the correction, each in steps of one call."""
    monkeypatch.setattr("app.usage.reprice_steps.STEP", 0)
    monkeypatch.setattr("app.usage.listing.SLICE", 1)
    report(model="in-house")
    report(model="in-house", agent_id="other")
    report()
    price = {"provider": "openai", "model": "in-house", "input_per_1m": "3", "output_per_1m": "2"}
    console.save(NEW_PRICE, **price)
    assert "no call matches" in text_of(step_through(console, REPRICE, model="absent"))
    page = step_through(console, REPRICE)
    assert "each call was charged by the prices for its time" in text_of(page), "it begins now"
    saved = console.save(NEW_PRICE, **price, valid_from="2026-01-01T00:00").text
    assert "Calls since then keep what they were charged" in text_of(saved)

    [link] = re.findall(r'<a class="btn" href="([^"]+)">.*?Correct costs', console.get(COSTS).text)
    page = step_through(console, unescape(link))
    said = text_of(page)
    assert "3 of 3 calls looked at." in said
    assert "2 calls would cost something else $0.0028 before" in said
    assert "in-house openai 2 unpriced $0.0064 2 → 0" in said
    assert total_of(console.get(COSTS).text) == "0.0028", "only looked at"
    page = walk_on(console, console.post(f"{REPRICE}apply/", walk=walk_in(page)).text)
    assert "What has changed" in text_of(page)
    assert "2 → 0 unpriced" in text_of(page)
    assert total_of(console.get(COSTS).text) == "0.0092"
    with app.app_context():
        actors = db.session.scalars(sa.select(UsageRepricing.actor)).all()
        assert actors == [f"user:{ADMIN_EMAIL}"] * 2


def test_a_repricing_that_cannot_be_is_refused(
    console: Console, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.usage.reprice_steps.STEP", 0)
    monkeypatch.setattr("app.usage.listing.SLICE", 1)
    report()
    for query, said in (*BAD_QUESTIONS, ({"from": ""}, "from: Say from when on.")):
        if "group_by" not in query:
            answer = console.post(f"{REPRICE}preview/", **{"from": "2026-01-01", **query})
            assert (answer.status_code, said in text_of(answer.text)) == (422, True), query
    held = walk_in(console.post(f"{REPRICE}preview/", **{"from": "2026-01-01"}).text)
    for wrong in ("", "x", held[:-1]):
        assert console.post(f"{REPRICE}next/", walk=wrong).status_code == 400


def step_through(console: Console, path: str, **fields: str) -> str:
    """The page of a dry run that has come to its end."""
    sent = {**console.form(path), **fields}
    return walk_on(console, console.post(f"{REPRICE}preview/", **sent).text)


def walk_on(console: Console, page: str) -> str:
    while "data-go-on" in page:
        page = console.post(f"{REPRICE}next/", walk=walk_in(page)).text
    return page


def walk_in(page: str) -> str:
    """What a page holds of the repricing under way, if anything is to be done with it."""
    found = re.search(r'name="walk" value="([^"]+)"', page)
    assert found, text_of(page)
    return found[1]


def test_an_unlikely_price_is_refused_with_what_was_meant_and_may_be_forced(
    app: Flask, console: Console
) -> None:
    price = {"provider": "openai", "model": "gpt-4.1", "input_per_1m": "0.000002"}
    refused = console.save(NEW_PRICE, **price, output_per_1m="8").text
    assert "Is it the price of one token? Then it is 2 for a million tokens." in text_of(refused)
    assert re.search(r'aria-invalid="true"[^>]*id="input_per_1m"', refused)
    assert 'value="0.000002"' in refused, "what was entered stays"
    forced = console.save(NEW_PRICE, **price, output_per_1m="8", force="y").text
    assert "Price openai gpt-4.1 is created." in forced
    with app.app_context():
        assert db.session.get_one(Price, 1).input_per_1m == Decimal("0.000002")


def test_a_price_holds_ends_and_stays_to_read(app: Flask, console: Console) -> None:
    tier = {"tiers-9-above": "200000", "tiers-9-input_per_1m": "4"}
    console.save(NEW_PRICE, provider="openai", model="gpt-4.1", input_per_1m="2", **tier)
    page = console.get("/admin/price/").text
    assert "in force" in page
    assert "above 200,000 tokens" in text_of(page)
    assert "/admin/price/delete/" not in page, "it has been in force"
    console.save("/admin/price/edit/?id=1", note="the contract of March")
    ended = console.post("/admin/price/end/", id="1", version="2")
    assert "has ended." in console.get(ended.location).text
    page = console.get("/admin/price/").text
    assert "the contract of March" in page
    assert "ended" in page
    assert "No row matches" in console.get("/admin/price/", in_force="1").text
    # The form knows no seconds: saving a note is not taken for another end.
    again = console.save("/admin/price/edit/?id=1", note="and of April")
    assert "is saved." in again.text
    twice = console.post("/admin/price/end/", id="1", version="4")
    assert "It is not in force." in console.get(twice.location).text
    with app.app_context():
        assert db.session.get_one(Price, 1).tiers == [{"above": 200000, "input_per_1m": "4"}]


def test_a_price_to_come_may_be_taken_back(app: Flask, console: Console) -> None:
    begins = (utcnow() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    price = {"provider": "openai", "model": "m", "input_per_1m": "2", "valid_from": begins}
    console.save(NEW_PRICE, **price)
    page = console.get("/admin/price/").text
    assert "to come" in page
    twice = console.save(NEW_PRICE, **price).text
    assert "begins at the same moment" in text_of(twice)
    corrected = console.save(NEW_PRICE, **{**price, "input_per_1m": "3"}, supersede="y").text
    assert "is created." in corrected
    for number in ("1", "2"):
        console.post("/admin/price/delete/", id=number, version="1")
    assert "The table is empty" in console.get("/admin/price/").text


def test_a_bad_price_is_refused_beside_its_field(app: Flask, console: Console) -> None:
    good = {"provider": "openai", "model": "m", "input_per_1m": "2"}
    for wrong, said in BAD_PRICES:
        assert said in text_of(console.save(NEW_PRICE, **{**good, **wrong}).text), wrong
    with app.app_context():
        assert db.session.get(Price, 1) is None


def test_the_catalogue_is_looked_at_then_taken_over(app: Flask, console: Console) -> None:
    with app.app_context():
        openai = providers.create_provider({"name": "openai", "type": "openai", "api_key": "sk"})
        for model in ("gpt-4.1", "gpt-4.1-mini", "in-house"):
            step = {"provider_id": openai.id, "model_name": model}
            agents.create_agent({"name": model.replace(".", "-"), "llm_configs": [step]})
        prices.create_price({"provider": "openai", "model": "gpt-4.1", "input_per_1m": Decimal(3)})
    page = console.get("/admin/price/fill/").text
    said = text_of(page)
    assert "3 → 2" in said.replace("becomes ", "")
    assert "not in the catalogue Its calls are unpriced" in said
    keys = re.findall(r'name="keys" value="([^"]+)"( checked)?', page)
    assert keys == [("openai  gpt-4.1", ""), ("openai  gpt-4.1-mini", " checked")]
    assert console.post("/admin/price/fill/", keys="openai  gpt-4.1").status_code == 302
    assert "1 price taken over" in console.get("/admin/price/").text
    with app.app_context():
        rates = prices.find_rates(None, "openai", "gpt-4.1", utcnow())
        assert rates is not None
        assert rates.as_dict()["input_per_1m"] == "2"
        assert db.session.get(Price, 3) is None, "only what was ticked"


def test_a_budget_is_set_changed_and_deleted(app: Flask, console: Console) -> None:
    with app.app_context():
        agents.create_agent({"agent_id": "desk", "name": "Desk"})
    budget = {"name": "Desk", "scope": "agent", "agent_id": "desk", "block_at": "10"}
    page = console.save(NEW_BUDGET, **budget, warn_at="8", timezone="Europe/Berlin").text
    assert "Budget Desk is created." in page
    assert "of $10.00" in page
    assert "Europe/Berlin" in page
    edit = "/admin/budget/edit/?id=1"
    assert console.form(edit)["block_at"] == "10"
    page = console.save(edit, block_at="20", warn_at="").text
    assert "Budget Desk is saved." in page
    with app.app_context():
        stored = db.session.get_one(Budget, 1)
        assert (stored.block_at, stored.warn_at) == (Decimal(20), None)
    stale = console.save(edit, version="1", block_at="30").text
    assert "Somebody else saved this budget" in stale
    gone = console.post("/admin/budget/delete/", id="1", version="2")
    page = console.get(gone.location).text
    assert "what it blocked goes on" in page
    assert "No budget yet" in page


def test_a_bad_budget_is_refused_beside_its_field(app: Flask, console: Console) -> None:
    good = {"name": "All", "scope": "all", "block_at": "10"}
    for wrong, said in BAD_BUDGETS:
        assert said in text_of(console.save(NEW_BUDGET, **{**good, **wrong}).text), wrong
    with app.app_context():
        assert db.session.get(Budget, 1) is None


def test_a_spent_budget_says_so_where_people_look(
    app: Flask, console: Console, report: Report
) -> None:
    with app.app_context():
        openai = providers.create_provider({"name": "openai", "type": "openai", "api_key": "sk"})
        step = {"provider_id": openai.id, "model_name": "gpt-4.1"}
        agents.create_agent({"agent_id": "desk", "name": "Desk", "llm_configs": [step]})
        openai_id = openai.id
        limit = {"period": "month", "block_at": Decimal("0.001")}
        budgets.create_budget({"name": "P", "scope": "provider", "provider": "openai", **limit})
        warns = {"period": "month", "warn_at": Decimal("0.001"), "block_at": Decimal(1)}
        budgets.create_budget({"name": "A", "scope": "agent", "agent_id": "desk", **warns})
    assert "No row matches" in console.get("/admin/budget/", state="blocked").text
    report(provider="openai")
    page = text_of(console.get("/admin/budget/").text)
    assert "Calls to it are refused: desk." in page
    assert "warning" in page
    blocked = console.get("/admin/budget/", state="blocked").text
    assert "1 found" in blocked
    assert 'aria-label="280 % of what it blocks at"' in blocked
    overview = text_of(console.get("/admin/").text)
    assert "Budget P It is spent: calls are refused." in overview
    assert "Budget A It has reached its warning." in overview
    assert "$0.0028 today" in overview
    with app.app_context():
        agents.delete_agent("desk")
        providers.delete_provider(openai_id)
    assert "a deleted provider" in text_of(console.get("/admin/budget/").text)
    exported = console.get("/admin/budget/export/csv/").text
    assert "P,provider,,month,UTC,USD,0.0028," in exported
