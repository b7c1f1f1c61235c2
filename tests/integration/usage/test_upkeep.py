"""flask usage: correcting costs, letting go of what is old, and what the worker does by itself."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.agents import services as agents
from app.core.clock import utcnow
from app.core.db import commit, db, reading
from app.core.errors import Invalid
from app.usage import retention
from app.usage.budget_counting import BUDGETS
from app.usage.budgets import create_budget
from app.usage.listing import Selection
from app.usage.models import UsageEvent, UsageEventId, UsageRepricing
from app.usage.periods import Period
from app.usage.rebuild import rebuild
from app.usage.reprice import Repricing
from app.usage.summary import summarise
from app.usage.sums import Question
from tests.integration.usage.conftest import Report, event

LATE = "2026-03-10T23:59:00Z"


def run(app: Flask, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = app.test_cli_runner().invoke(args=["usage", *arguments, "--json"])
    return result.exit_code, json.loads(result.stdout.splitlines()[-1])


def total(app: Flask, *group_by: str) -> dict[str, Any]:
    with app.app_context(), reading():
        found: dict[str, Any] = summarise(Question(group_by))["total"]
        return found


@pytest.fixture
def priced(app: Flask, report: Report) -> Flask:
    """Three calls: one priced by its step, one unpriced, one by the catalogue."""
    with app.app_context():
        step = {"provider": "openai", "model_name": "m", "cost_per_1k_output_tokens": Decimal(0)}
        step["cost_per_1k_input_tokens"] = Decimal("0.001")
        agents.create_agent({"name": "a", "llm_configs": [step]})
        report(
            event(LATE, event_id="own", agent_id="a", model="m"),
            event(LATE, event_id="unpriced", agent_id="b", model="m"),
            event(LATE, event_id="listed"),
        )
    return app


def raise_price(app: Flask, amount: str) -> None:
    with app.app_context():
        agent = agents.get_agent("a")
        step = {"id": agent.llm_configs[0].id, "cost_per_1k_input_tokens": Decimal(amount)}
        agents.update_agent("a", {"llm_configs": [step]})


def test_costs_are_corrected_when_asked_and_written_down(priced: Flask) -> None:
    before = total(priced)
    raise_price(priced, "0.002")
    code, would = run(priced, "reprice", "--dry-run")
    assert (code, would["events"], would["changed"]) == (0, 3, 1)
    code, again = run(priced, "reprice", "--from", "2026-03-10", "--dry-run", "--exit-code")
    assert (code, again) == (1, would)
    assert Decimal(would["new_cost"]) - Decimal(would["old_cost"]) == Decimal("0.001")
    assert total(priced) == before
    code, done = run(priced, "reprice", "--from", "2026-03-10")
    assert (code, done) == (0, would | {"dry_run": False})
    after = total(priced, "agent", "day")
    assert Decimal(after["cost"]) == Decimal(before["cost"]) + Decimal("0.001")
    with priced.app_context():
        [noted] = db.session.scalars(sa.select(UsageRepricing))
        assert (noted.event_id, noted.actor) == ("own", "cli:usage")
        assert (noted.old_cost, noted.new_cost) == (Decimal("0.001"), Decimal("0.002"))
        rates = (noted.old_rates["input_per_1m"], noted.new_rates["input_per_1m"])
        assert rates == ("1", "2")
        [row] = db.session.scalars(sa.select(UsageEvent).where(UsageEvent.event_id == "own"))
        assert row.rates["input_per_1m"] == "2"
        db.session.rollback()
        assert rebuild(Period()).differences == 0
    assert run(priced, "reprice", "--dry-run", "--exit-code")[0] == 0


def test_a_price_that_was_missing_is_filled_in(priced: Flask) -> None:
    with priced.app_context():
        step = {"provider": "openai", "model_name": "m", "cost_per_1k_input_tokens": Decimal(1)}
        step["cost_per_1k_output_tokens"] = Decimal(0)
        agents.create_agent({"name": "b", "llm_configs": [step]})
    assert run(priced, "reprice", "--from", "2026-03-11")[1]["events"] == 0
    assert run(priced, "reprice", "--from", "2026-03-10", "--agent", "a")[1]["changed"] == 0
    done = run(priced, "reprice", "--from", "2026-03-10", "--agent", "b", "--model", "m")[1]
    assert (done["old_unpriced"], done["new_unpriced"], done["new_cost"]) == (1, 0, "1")
    assert total(priced)["unpriced_calls"] == 0


def test_a_correction_may_be_left_and_gone_on_with(
    priced: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three calls began at the same moment: each is looked at once all the same."""
    monkeypatch.setattr("app.usage.listing.SLICE", 1)
    raise_price(priced, "0.002")
    with priced.app_context():
        walk = Repricing(Selection(), dry_run=False)
        steps = 0
        while not walk.is_finished:
            later = Repricing(walk.selection, False, walk.report, walk.by_model, walk.reached)
            later.run(seconds=0)
            walk, steps = later, steps + 1
        assert (steps, walk.report.events, walk.report.changed) == (4, 3, 1)
        assert list(walk.by_model) == [("openai", "m")]
        assert rebuild(Period()).differences == 0


def test_a_correction_that_is_broken_off_has_budgets_counted_anew(priced: Flask) -> None:
    """Another run would find the costs right, and no reason to."""
    left: list[Any] = []

    def break_off(_events: int) -> None:
        with db.engine.connect() as another:  # what kill -9 would leave
            left.append(another.scalar(sa.select(BUDGETS.c.recount_at)))
        raise KeyboardInterrupt

    raise_price(priced, "0.002")
    with priced.app_context():
        limit = {"scope": "all", "period": "day", "block_at": Decimal(1)}
        create_budget({"name": "All", **limit})
        db.session.execute(sa.update(BUDGETS).values(recount_at=None))
        commit()
        with pytest.raises(KeyboardInterrupt):
            Repricing(Selection(), dry_run=False).run(tell=break_off)
    assert left != [None]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_commands_say_what_they_do(priced: Flask) -> None:
    runner = priced.test_cli_runner()
    for arguments, code, said in (
        (["rebuild"], 0, "3 calls, 0 sums"),
        (["rebuild", "--from", "nonsense"], 2, "from"),
        (["reprice"], 2, "--from"),
        (["reprice", "--from", "2026-03-10"], 0, "3 events, 0 changed"),
        (["prune"], 0, "0 events deleted"),
        (["close"], 0, "0 days"),
        (["--help"], 0, "reprice"),
    ):
        result = runner.invoke(args=["usage", *arguments])
        assert (result.exit_code, said in result.output) == (code, True), result.output


def test_old_events_go_by_the_month_and_their_sums_stay(priced: Flask, report: Report) -> None:
    before = total(priced)
    with priced.app_context():
        month = utcnow() + timedelta(days=400 + 31)
        assert retention.prune(month - timedelta(days=40)).events == 0
        pruned = retention.prune(month)
        assert pruned.before.day == 1
        assert pruned.events == 3 or pruned.months  # deleted, or with their partition
        for model in (UsageEvent, UsageEventId):
            assert db.session.scalar(sa.select(sa.func.count()).select_from(model)) == 0
        db.session.rollback()
    assert total(priced) == before
    assert total(priced, "agent", "day") == before
    with priced.app_context():
        # What comes now is summed up with what is gone, and cannot be taken for all there was.
        report(event("2026-03-10T12:00:00Z"))
        assert rebuild(Period()).days == 0
        inside = Selection(Period(datetime(2026, 3, 10, 23, 50, tzinfo=UTC)))
        for _ in range(2):
            with reading(), pytest.raises(Invalid, match="quarter"):
                summarise(Question(selection=inside))
            retention.prune(month)  # now that goes as well, and it began before the gap's end
    assert total(priced)["calls"] == before["calls"] + 1


def test_nothing_goes_where_everything_is_kept(priced: Flask) -> None:
    priced.config["USAGE_RETENTION_DAYS"] = 0
    with priced.app_context():
        assert retention.prune(utcnow() + timedelta(days=36_000)).before is None
    assert run(priced, "prune")[1]["before"] is None


@pytest.mark.parametrize("backend", ["postgresql"])
def test_months_are_made_ahead_and_events_find_theirs(app: Flask, report: Report) -> None:
    with app.app_context():
        made = retention.make_months()
        assert len(made) == 2  # this month's and the next one's came with the tables
        assert retention.make_months() == []
        report(event())
        query = sa.text("SELECT tableoid::regclass::text FROM usage_events")
        [partition] = db.session.scalars(query).all()
        assert partition == f"usage_months.usage_events_{utcnow():%Y_%m}"
        db.session.execute(sa.text(f"DROP TABLE {partition}"))
        commit()
        report(event())
        assert list(db.session.scalars(query)) == ["usage_months.usage_events_rest"]
        db.session.rollback()
        assert retention.make_months() == []  # its month is in the rest, and stays there
