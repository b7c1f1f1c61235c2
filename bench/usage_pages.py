"""F7: 10,000 agents and 1,000,000 usage events: every summary takes at most 200 ms of server time.

    PYTHONPATH=. python bench/usage_pages.py [sqlite] [postgresql]

The events are spread over 90 days up to now, half of the calls are of a tenth of the agents. They
and their sums are written by the code that ingests, a day at a time. Server time is what the WSGI
app takes, from the request to the last byte (p95). Exit code 1 above the figure.
"""

import gc
import random
import statistics
import sys
import time
import uuid
from datetime import datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa
from flask import Flask

from bench.lists import _app, _fill, _time

AGENTS, EVENTS, DAYS = 10_000, 1_000_000, 90
CALLS, MILLISECONDS = 20, 200.0
MODELS = (("openai", "gpt-4.1"), ("anthropic", "claude-sonnet-4-5"), ("ollama", "mistral"))
TASKS = (None, "triage", "report")


def main(backends: list[str]) -> int:
    held = [_measure(backend) for backend in backends]
    return 0 if all(held) else 1


def _measure(backend: str) -> bool:
    from app.core.clock import utcnow

    held, today = True, utcnow().date()
    with _app(backend) as app:
        _fill(app)
        _fill_usage(app)
        gc.collect()
        gc.freeze()  # as gunicorn.conf.py does
        for name, query in _questions(today.isoformat(), (today - timedelta(days=29)).isoformat()):
            times = sorted(_time(app, f"/api/usage/{query}") for _ in range(CALLS))
            p95 = times[int(len(times) * 0.95)]
            held = held and p95 <= MILLISECONDS
            print(
                f"{backend}: {name:28} p50 {statistics.median(times):5.1f} ms, p95 {p95:5.1f} ms"
                f" (at most {MILLISECONDS:g}: {p95 / MILLISECONDS:.2f} of it)"
            )
    return held


def _questions(today: str, month_ago: str) -> list[tuple[str, str]]:
    month = f"from={month_ago}&to={today}"
    berlin = f"{month}&tz=Europe/Berlin"
    return [
        ("all there is", "summary"),
        ("today, by agent", f"summary?group_by=agent&from={today}"),
        ("30 days, by agent", f"summary?group_by=agent&{month}"),
        ("30 days Berlin, by agent", f"summary?group_by=agent&{berlin}"),
        ("90 days, by agent", "summary?group_by=agent"),
        ("30 days, by day", f"summary?group_by=day&{month}"),
        ("30 days Berlin, by day", f"summary?group_by=day&{berlin}"),
        ("30 days Berlin, by model, day", f"summary?group_by=provider,model,day&{berlin}"),
        ("90 days, by task, model", "summary?group_by=task,model"),
        ("one agent, by day", f"summary?agent_id=desk-00001&group_by=day&{berlin}"),
        ("one agent, by model, task", "summary?agent_id=desk-00001&group_by=model,task"),
        ("one model, by agent", f"summary?model=mistral&group_by=agent&{month}"),
        ("events, page 1", "events"),
        ("events of 30 days", f"events?{month}"),
        ("events of one agent", f"events?agent_id=desk-00001&{month}"),
    ]


def _fill_usage(app: Flask) -> None:
    """Through the code that ingests, past HTTP and the ids."""
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


def _store_day(chance: random.Random, start: datetime, now: datetime) -> None:
    from app.core.db import commit, db
    from app.usage.bulk import insert_rows
    from app.usage.event_fields import Event
    from app.usage.ingestion import COLUMNS, sum_up
    from app.usage.ingestion import EVENTS as TABLE
    from app.usage.pricing import Price
    from app.usage.rollups import add_calls

    priced = []
    for _ in range(EVENTS // DAYS):
        busy = chance.random() < 0.5
        number = chance.randrange(AGENTS // 10 if busy else AGENTS)
        provider, model = MODELS[(number + (chance.random() < 0.1)) % len(MODELS)]
        began = start + timedelta(seconds=chance.randrange(86_400))
        event = Event(
            str(uuid.UUID(int=chance.getrandbits(128))),
            f"desk-{number:05}",
            provider,
            model,
            began,
            "ok",
            task=TASKS[number % 3],
            input_tokens=chance.randrange(5000),
            output_tokens=chance.randrange(500),
            latency_ms=chance.randrange(9000),
        )
        priced.append((event, Price(Decimal(chance.randrange(10**6)).scaleb(-6), None)))
    stored = ("USD", "catalogue", None)
    rows = [(*event, now, False, price.cost, *stored) for event, price in priced]
    insert_rows(TABLE, [*COLUMNS[:-1], "rates"], rows)
    add_calls(sum_up(priced))
    commit()
    db.session.remove()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["sqlite", "postgresql"]))
