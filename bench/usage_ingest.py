"""F5: at least 10,000 usage events/s acknowledged into PostgreSQL by one process.

    PYTHONPATH=. python bench/usage_ingest.py [events]

Eight connections send batches of 500, one in twenty a second time; every event is new, priced,
stored and summed up. In the same run one connection copies the stored rows into a bare table with
the same indexes, a batch a commit: what the database can do at best. Afterwards the ids, the events
and the sums are compared: none lost, none twice. Exit code 1 below the figure.
"""

import itertools
import json
import random
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from tests.support.servers import (
    postgres_server,
    redis_server,
    server_env,
    set_up,
    short_folder,
    web_server,
)

EVENTS_PER_SECOND, BATCH, CONNECTIONS, AGENTS, TWICE_EVERY = 10_000, 500, 8, 200, 20
MODELS = (("openai", "gpt-4.1"), ("openai", "gpt-4.1-mini"), ("anthropic", "claude-sonnet-4-5"))
ADMIN_TOKEN = "bench-admin-token-0123456789-0123456789"
HEADERS = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}


def main(number: int) -> int:
    chance = random.Random(7)
    batches = [_batch(chance) for _ in range(number // BATCH)]
    with _server() as (port, dsn), psycopg.connect(dsn) as connection:
        _send(port, [_batch(chance) for _ in range(2 * CONNECTIONS)])  # warm
        warm = _count(connection)
        seconds = _send(port, batches)
        stored = _count(connection)
        bare = _copy_bare(connection)
    rate, expected = number / seconds, number + warm["events"]
    print(
        f"F5 {rate:,.0f} events/s acknowledged (at least {EVENTS_PER_SECOND:,}:"
        f" {rate / EVENTS_PER_SECOND:.2f} of it), {rate / bare:.2f} of a bare COPY ({bare:,.0f}/s)"
    )
    print(f"F5 sent {expected:,}, stored {stored}")
    return 0 if rate >= EVENTS_PER_SECOND and set(stored.values()) == {expected} else 1


def _batch(chance: random.Random) -> bytes:
    return json.dumps({"events": [_event(chance) for _ in range(BATCH)]}).encode()


def _event(chance: random.Random) -> dict[str, object]:
    provider, model = chance.choice(MODELS)
    agent_id = f"desk-{chance.randrange(AGENTS):03}"
    began = datetime.now(UTC) - timedelta(seconds=chance.randrange(600))
    return {
        "event_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "agent_id": agent_id,
        "requested_agent_id": agent_id,
        "provider": provider,
        "model": model,
        "response_model": model,
        "input_tokens": chance.randrange(1000, 9000),
        "output_tokens": chance.randrange(500),
        "cached_input_tokens": chance.randrange(1000),
        "started_at": began.isoformat(),
        "latency_ms": chance.randrange(200, 9000),
        "status": "ok",
        "attempt": 0,
        "config_version": 7,
    }


def _send(port: int, batches: list[bytes]) -> float:
    """Send them all over several connections; the seconds it took."""
    waiting, errors = iter(list(enumerate(batches))), []
    taking = threading.Lock()

    def work() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            with taking:
                place, body = next(waiting, (0, b""))
            if not body:
                return
            for _ in range(1 if place % TWICE_EVERY else 2):
                answer, receipt = _post(connection, body)
                if answer.status != 200 or receipt["accepted"] + receipt["duplicates"] != BATCH:
                    errors.append(receipt)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]
    return time.perf_counter() - started


def _post(connection: HTTPConnection, body: bytes) -> tuple[HTTPResponse, dict[str, Any]]:
    """The answer, once there is one: a busy server sends batches away for a while."""
    while True:
        connection.request("POST", "/api/usage", body, HEADERS)
        answer = connection.getresponse()
        receipt = json.loads(answer.read())
        if answer.status not in {429, 503}:
            return answer, receipt
        time.sleep(float(answer.headers["Retry-After"]))


def _count(connection: psycopg.Connection) -> dict[str, int]:
    queries = {
        "events": "SELECT count(*) FROM usage_events",
        "ids": "SELECT count(DISTINCT event_id) FROM usage_events",
        "in the sums": "SELECT coalesce(sum(calls), 0) FROM usage_rollups r JOIN usage_series s"
        " ON s.id = r.series_id WHERE s.cube = 'models' AND r.width = 900",
    }
    found = {}
    for name, query in queries.items():
        row = connection.execute(query).fetchone()
        found[name] = int(row[0]) if row else 0
    connection.rollback()
    return found


def _copy_bare(connection: psycopg.Connection) -> float:
    """Rows a second, copied into a table with the same indexes, a batch a commit."""
    rows = connection.execute("SELECT * FROM usage_events LIMIT 50000").fetchall()
    dumped = [[Jsonb(it) if isinstance(it, dict) else it for it in row] for row in rows]
    connection.execute("CREATE TABLE bare (LIKE usage_events INCLUDING ALL)")
    connection.commit()
    started = time.perf_counter()
    for first in range(0, len(dumped), BATCH):
        with connection.cursor() as cursor, cursor.copy("COPY bare FROM STDIN") as copy:
            for row in itertools.islice(dumped, first, first + BATCH):
                copy.write_row(row)
        connection.commit()
    return len(dumped) / (time.perf_counter() - started)


@contextmanager
def _server() -> Iterator[tuple[int, str]]:
    """The port of one gunicorn process, and where its database is."""
    with ExitStack() as stack:
        folder = stack.enter_context(short_folder())
        postgres = stack.enter_context(postgres_server())
        url = postgres.url(postgres.create_database())
        env = server_env(
            folder,
            ADMIN_TOKEN=ADMIN_TOKEN,
            DATABASE_URL=url,
            REDIS_URL=stack.enter_context(redis_server()).url,
            RATE_LIMIT_API="1000000 per minute",
        )
        set_up(env)
        web = stack.enter_context(web_server(env, folder / "web.log"))
        yield web.port, url.replace("postgresql+psycopg", "postgresql")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
