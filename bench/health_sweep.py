"""F6: 1,000 providers that take 200 ms each, swept by one worker in at most 10 s and 250 MiB.

The worker is the Procfile's, on SQLite as in the embedded stack, then on PostgreSQL. The ideal is
what the providers alone take with as many at once as the worker probes.
"""

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import psutil
import sqlalchemy as sa
from celery import Celery

from app.health.prober import AT_ONCE
from bench._slow_provider import SECONDS
from tests.support.processes import PYTHON, ROOT, ManagedProcess, running, wait_until
from tests.support.servers import (
    RedisServer,
    postgres_server,
    redis_server,
    server_env,
    set_up,
    short_folder,
)

PROVIDERS = 1000
MOST_SECONDS, MOST_MEBIBYTES = 10.0, 250.0


class Swept(NamedTuple):
    """What a sweep took of the worker."""

    seconds: float
    cpu: float
    mebibytes: float


def main() -> int:
    with short_folder() as folder, redis_server() as redis, slow_provider() as port:
        sqlite = sweep(f"sqlite:///{folder}/switchyard.db", redis, port, folder)
        with postgres_server() as postgres:
            postgresql = sweep(postgres.url(postgres.create_database()), redis, port, folder)
    good = [report("SQLite", sqlite), report("PostgreSQL", postgresql)]
    return 0 if all(good) else 1


@contextmanager
def slow_provider() -> Iterator[int]:
    """Its port."""
    argv = [PYTHON, "-m", "bench._slow_provider"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def sweep(url: str, redis: RedisServer, port: int, folder: Path) -> Swept:
    """One sweep over all."""
    allow = {"OUTBOUND_ALLOW": f"127.0.0.1:{port}"}
    env = server_env(folder, DATABASE_URL=url, REDIS_URL=redis.url, **allow)
    set_up(env)
    engine = sa.create_engine(url)
    providers = sa.Table("providers", sa.MetaData(), autoload_with=engine)
    fill(engine, providers, f"http://127.0.0.1:{port}/v1")
    worker = ManagedProcess(shlex.split(worker_line()), folder / "worker.log", env)
    with running(worker), redis.client() as client:
        worker.wait_until(lambda: client.keys("switchyard:worker:*"), "the worker is ready", 60)
        process = psutil.Process(worker.pid)
        before = sum(process.cpu_times()[:2])
        seconds = time_sweep(engine, providers, redis)
        cpu = sum(process.cpu_times()[:2]) - before
        mebibytes = process.memory_info().rss / 2**20
    engine.dispose()
    return Swept(seconds, cpu, mebibytes)


def fill(engine: sa.Engine, providers: sa.Table, base_url: str) -> None:
    """Providers that have been checked and are not due for long."""
    now = sa.func.current_timestamp()
    row = {"type": "vllm", "capability": "llm", "base_url": base_url, "options": {}}
    row |= {"is_active": True, "version": 1, "config_rev": 0}
    row |= {"validation_status": "connected", "settled_status": "connected"}
    rows = [row | {"name": f"slow-{number}"} for number in range(PROVIDERS)]
    times = dict.fromkeys(("created_at", "updated_at", "last_checked_at"), now)
    with engine.begin() as connection:
        connection.execute(sa.insert(providers).values(times), rows)


def time_sweep(engine: sa.Engine, providers: sa.Table, redis: RedisServer) -> float:
    """Make all due, ask for a sweep, and wait until each has its result."""
    slow = providers.c.name.like("slow-%")
    left = sa.select(sa.func.count()).where(slow, providers.c.next_check_at <= sa.bindparam("at"))
    with engine.begin() as connection:
        now = connection.scalar(sa.select(sa.func.current_timestamp()))
        due = sa.update(providers).where(slow).values(next_check_at=now)
        connection.execute(due)
    started = time.monotonic()
    with Celery(broker=f"redis+socket://{redis.socket}") as sender, engine.connect() as reader:
        sender.send_task("health.sweep", ignore_result=True)

        def done() -> bool:
            with reader.begin():
                return not reader.scalar(left, {"at": now + timedelta(seconds=1)})

        wait_until(done, "all are checked", 120, every=0.05)
    return time.monotonic() - started


def worker_line() -> str:
    """The worker's command of the Procfile, in the environment that runs this."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("worker: "))
    return line.removeprefix("worker: ").replace("python", PYTHON, 1)


def report(database: str, swept: Swept) -> bool:
    ideal = PROVIDERS * SECONDS / AT_ONCE
    print(
        f"F6 {database}: {PROVIDERS} providers in {swept.seconds:.1f} s (at most "
        f"{MOST_SECONDS:g}; {swept.seconds / ideal:.2f} of the ideal {ideal:.1f} s, {AT_ONCE} at "
        f"once), {swept.cpu:.1f} s of CPU"
    )
    print(f"F6 {database}: {swept.mebibytes:.0f} MiB (at most {MOST_MEBIBYTES:g})")
    return swept.seconds <= MOST_SECONDS and swept.mebibytes <= MOST_MEBIBYTES


if __name__ == "__main__":
    sys.exit(main())
