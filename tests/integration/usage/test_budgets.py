"""Budgets under many senders: nothing lost, nothing twice, one turn, one alert."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from flask import Flask

from app.accounts.gate import Caller
from app.agents import services as agents
from app.agents.chain import get_agent
from app.changes.models import Change, Operation
from app.core.clock import utcnow
from app.core.db import db, reading
from app.usage import budget_counting, budgets
from app.usage.ingestion import ingest
from app.usage.reach import Reach

EVERYBODY = Reach(Caller("a test", frozenset()))
SENDERS, BATCHES, EVENTS = 8, 6, 5


@pytest.fixture
def traders(app: Flask) -> None:
    with app.app_context():
        for name in ("buyer", "seller"):
            step = {"llm_provider": "openai", "llm_model": "m"}
            agents.create_agent({"agent_id": name, "name": name, **step})
            get_agent(name).llm_configs[0].cost_per_1k_input_tokens = Decimal("0.000000000003")
            db.session.commit()


def make(name: str, **values: Any) -> int:
    given = {"period": "month", "timezone": "UTC", "block_at": Decimal("0.0000000003")}
    return budgets.create_budget({"name": name, "scope": "all", **given, **values}).id


def batch(agent_id: str) -> list[dict[str, Any]]:
    """Calls that cost 3e-12 dollars each."""
    event = {"agent_id": agent_id, "provider": "openai", "model": "m", "status": "ok"}
    event |= {"started_at": utcnow().isoformat(), "input_tokens": 1000}  # type: ignore[dict-item]
    return [event | {"event_id": str(uuid4())} for _ in range(EVENTS)]


def spent(budget_id: int) -> Decimal:
    budget = budgets.get_budget(budget_id)
    return budgets.read_spendings([budget])[budget_id].spent


def states(entity: str) -> list[list[str]]:
    """Every turn of a state that the history has."""
    query = sa.select(Change).where(Change.entity == entity, Change.operation == Operation.STATUS)
    return [change.diff["budget_state"] for change in db.session.scalars(query)]


def test_many_senders_count_each_call_once(app: Flask, traders: None) -> None:
    """While budgets are made, changed and summed up anew beside them."""
    with app.app_context():
        whole = make("whole", block_at=Decimal("0.0000000006"), warn_at=Decimal("0.0000000003"))
        buyer = make("buyer", scope="agent", agent_id="buyer")

    def send(number: int) -> None:
        with app.app_context():
            for turn in range(BATCHES):
                both = batch("buyer") + batch("seller")
                ingest(both if (number + turn) % 2 else both[::-1], EVERYBODY)

    def disturb() -> int:
        with app.app_context():
            late = make("late", scope="provider", provider="openai")
            for turn in range(4):
                budgets.update_budget(whole, {"name": f"whole {turn}"})
                budget_counting.recount(buyer)
            return late

    with ThreadPoolExecutor(SENDERS + 1) as pool:
        jobs = [pool.submit(send, number) for number in range(SENDERS)]
        late = pool.submit(disturb).result()
        for job in jobs:
            job.result()
    one_side = SENDERS * BATCHES * EVENTS * Decimal("3e-12")
    with app.app_context():
        # It was made while others sent: by the time of the sweep they have all been counted.
        db.session.execute(sa.update(budget_counting.BUDGETS).values(recount_at=utcnow()))
        db.session.commit()
        with reading():
            before = [spent(whole), spent(buyer)]
        assert budget_counting.sweep() == 3
        with reading():
            assert before == [2 * one_side, one_side]
            assert [spent(it) for it in (whole, buyer, late)] == [
                2 * one_side,
                one_side,
                2 * one_side,
            ]
            assert states("halt") == [["ok", "warn"], ["warn", "blocked"]]
            assert states("agent") == [["ok", "blocked"]]
            assert get_agent("buyer").budget_state == "blocked"
            assert get_agent("seller").budget_state == "ok"
