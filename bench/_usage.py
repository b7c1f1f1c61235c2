"""What F7 is measured with: 10,000 agents, their tasks, and 1,000,000 calls of 90 days."""

import random
import time
import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from flask import Flask

from bench.lists import AGENTS, fill_agents

EVENTS, DAYS = 1_000_000, 90
MODELS = (("openai", "gpt-4.1"), ("anthropic", "claude-sonnet-4-5"), ("ollama", "mistral"))
TASKS = (None, "triage", "report")


def fill(app: Flask) -> None:
    """Half of the calls are of a tenth of the agents; each agent has a chain and a task."""
    fill_agents(app)
    _fill_tasks(app)
    fill_usage(app)


def fill_usage(app: Flask) -> None:
    """Through the code that ingests, past HTTP and the ids, a day at a time."""
    from app.core.clock import utcnow
    from app.core.db import db
    from app.usage.models import UsageState
    from app.usage.rollups import close_days

    chance = random.Random(3)
    now = utcnow()
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    with app.app_context():
        db.session.execute(
            sa.update(UsageState).values(closed_until=today - timedelta(days=DAYS + 1))
        )
        for day in range(DAYS, 0, -1):
            _store_day(chance, now - timedelta(days=day), now)
        began = time.perf_counter()
        days = close_days()
        each = (time.perf_counter() - began) / days * 1000
        print(f"{days} days closed, {each:.0f} ms each")


def _fill_tasks(app: Flask) -> None:
    from app.agents.models import Agent
    from app.core.db import db
    from app.tasks.models import Assignment, Task

    with app.app_context(), db.engine.begin() as connection:
        tasks = [{"name": f"task-{n:02}", "response_schema": {"type": "object"}} for n in range(20)]
        connection.execute(sa.insert(Task.__table__), tasks)
        task_ids = list(connection.scalars(sa.select(Task.__table__.c.id)))
        agent_ids = list(connection.scalars(sa.select(Agent.__table__.c.id)))
        rows = [
            {"agent_id": agent_id, "task_id": task_ids[n % len(task_ids)]}
            for n, agent_id in enumerate(agent_ids)
        ]
        connection.execute(sa.insert(Assignment.__table__), rows)


def _store_day(chance: random.Random, start: datetime, now: datetime) -> None:
    from app.core.db import commit, db
    from app.usage.bulk import insert_rows
    from app.usage.ingestion import COLUMNS, sum_up
    from app.usage.ingestion import EVENTS as TABLE
    from app.usage.pricing import Price
    from app.usage.rollups import add_calls

    priced = [
        (_call(chance, start), Price(Decimal(chance.randrange(10**6)).scaleb(-6), None))
        for _ in range(EVENTS // DAYS)
    ]
    stored = ("USD", "catalogue", None)
    rows = [(*event, now, False, price.cost, *stored) for event, price in priced]
    insert_rows(TABLE, [*COLUMNS[:-1], "rates"], rows)
    add_calls(sum_up(priced))
    commit()
    db.session.remove()


def _call(chance: random.Random, start: datetime) -> Any:
    from app.usage.event_fields import Event

    busy = chance.random() < 0.5
    number = chance.randrange(AGENTS // 10 if busy else AGENTS)
    provider, model = MODELS[(number + (chance.random() < 0.1)) % len(MODELS)]
    return Event(
        str(uuid.UUID(int=chance.getrandbits(128))),
        f"desk-{number:05}",
        provider,
        model,
        start + timedelta(seconds=chance.randrange(86_400)),
        "error" if chance.random() < 0.001 else "ok",
        task=TASKS[number % 3],
        input_tokens=chance.randrange(5000),
        output_tokens=chance.randrange(500),
        latency_ms=chance.randrange(9000),
    )
