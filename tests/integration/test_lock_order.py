"""Writes of several rows lock them in one order: whoever meets waits, and nobody for ever."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.accounts import services as accounts
from app.agents import bulk, chain, halt
from app.agents import services as agents
from app.agents.models import Agent
from app.core.db import commit, db
from app.tasks import assignments
from app.tasks import services as tasks
from app.transfer.importing import import_document
from app.usage import budget_counting, budgets
from app.usage.budget_models import Budget
from tests.conftest import close_app, make_app
from tests.support.processes import wait_until
from tests.support.servers import RedisServer

pytestmark = pytest.mark.parametrize("backend", ["postgresql"])  # SQLite has one writer

NAMES = ("a", "b", "c")
STEP = {"provider": "ollama", "model_name": "m"}
WAITING = sa.text("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")


@pytest.fixture
def patient(
    database_url: str, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Flask]:
    """An app whose writers wait for each other as long as a busy machine needs."""
    monkeypatch.setattr("app.core.db.BUSY_SECONDS", 60)
    app = make_app(database_url, redis.url)
    yield app
    close_app(app)


@contextmanager
def held(app: Flask, rows: sa.Select[Any]) -> Iterator[Callable[[int], None]]:
    """``wait_for(number)``: until so many writers wait, behind these rows or behind each other."""
    with app.app_context(), db.engine.connect() as holder:
        holder.execute(rows.with_for_update())
        yield lambda number: wait_until(
            lambda: holder.scalar(WAITING) == number, f"{number} writers wait"
        )


def start(pool: ThreadPoolExecutor, app: Flask, work: Callable[[], object]) -> Future[object]:
    def run() -> object:
        with app.app_context():
            return work()

    return pool.submit(run)


def test_writes_of_several_agents_do_not_cross(patient: Flask) -> None:
    with patient.app_context():
        task_id = tasks.create_task({"name": "t"}).id
        for name in reversed(NAMES):  # by name in another order than by id
            agents.create_agent({"name": name, "llm_provider": "ollama", "llm_model": "m"})
            assignments.assign(name, {"task_id": task_id})
    items = [{"agent_id": name, "description": "imported"} for name in NAMES]
    document = {"format_version": 1, "agents": items}
    works: list[Callable[[], object]] = [
        lambda: halt.halt_agents([*NAMES], "stop"),
        lambda: chain.replace_primaries([*NAMES], STEP),
        lambda: import_document(document),
        lambda: bulk.set_active(NAMES, is_active=False),
        lambda: tasks.delete_task(task_id, cascade=True),
    ]
    with ThreadPoolExecutor(len(works)) as pool:
        with held(patient, sa.select(Agent.id).where(Agent.agent_id == "b")) as wait_for:
            writers = [start(pool, patient, work) for work in works]
            wait_for(len(works))
        for writer in writers:
            writer.result()


def test_a_user_goes_with_their_agents_beside_a_save_of_one(patient: Flask) -> None:
    with patient.app_context():
        owner = accounts.create_user("u@example.com", "long-enough-password", "viewer").id
        agents.create_agent({"name": "a", "owner_id": owner, "llm_configs": [STEP]})
    with ThreadPoolExecutor(2) as pool:
        with held(patient, sa.select(Agent.id).where(Agent.agent_id == "a")) as wait_for:
            save = start(pool, patient, lambda: agents.update_agent("a", {"llm_model": "n"}))
            wait_for(1)
            delete = start(pool, patient, lambda: accounts.delete_user(owner, cascade=True))
            wait_for(2)
        save.result()
        delete.result()


def test_a_budget_goes_beside_a_recount_of_it(patient: Flask) -> None:
    with patient.app_context():
        limits = {"scope": "all", "period": "day", "block_at": Decimal(1)}
        budget = budgets.create_budget({"name": "b", **limits}).id
    with ThreadPoolExecutor(2) as pool:
        with held(patient, sa.select(budget_counting.SPENDS)) as wait_for:
            recount = start(pool, patient, lambda: budget_counting.recount(budget))
            wait_for(1)
            delete = start(pool, patient, lambda: budgets.delete_budget(budget))
            wait_for(2)
        recount.result()
        delete.result()


def test_a_correction_of_costs_takes_budgets_as_whoever_settles_them(patient: Flask) -> None:
    with patient.app_context():
        limits = {"scope": "all", "period": "day", "block_at": Decimal(1)}
        first, second = (budgets.create_budget({"name": it, **limits}).id for it in "ab")
        budgets.update_budget(first, {"name": "c"})  # as they lie, the first is behind the second

    def correct() -> None:
        budget_counting.request_recount()
        commit()

    def settle() -> None:
        for budget in (first, second):
            budgets.get_budget(budget, for_update=True)
        commit()

    with ThreadPoolExecutor(2) as pool:
        with held(patient, sa.select(Budget.id).where(Budget.id == first)) as wait_for:
            writers = [start(pool, patient, settle)]
            wait_for(1)
            writers.append(start(pool, patient, correct))
            wait_for(2)
        for writer in writers:
            writer.result()
