"""One worker and its Redis for many tests: most of what a test with a worker costs is its start."""

import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from app.core.clock import utcnow
from app.core.db import commit, db
from app.providers.models import Provider, ValidationStatus
from app.providers.services import create_provider
from tests.conftest import BACKENDS, close_app, make_app
from tests.support.databases import shared_database
from tests.support.loopback_provider import LoopbackProvider
from tests.support.processes import running, wait_until
from tests.support.servers import CeleryWorker, RedisServer, redis_server, server_env

KEY = "canary-5b0e-not-shaped-like-any-key"
QUEUE = "celery"

# Where Redis or Celery is what is tried, one database will do.
on_sqlite = pytest.mark.parametrize("site", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("site", ["postgresql"], indirect=True)

_numbers = itertools.count(1)


class Site:
    """The door that saves come through, and a worker with a beat behind it."""

    def __init__(self, app: Flask, redis: RedisServer, worker: CeleryWorker) -> None:
        self.app = app
        self.redis = redis
        self.worker = worker

    def another_worker(self, log: Path) -> CeleryWorker:
        """One more, not started yet."""
        return CeleryWorker(log, self.worker.env)

    def status(self, provider_id: int) -> ValidationStatus | None:
        """Where the provider stands now."""
        query = sa.select(Provider.validation_status).where(Provider.id == provider_id)
        found = db.session.scalar(query)
        db.session.rollback()
        return found

    def wait_for(self, provider_id: int, expected: ValidationStatus) -> None:
        """Fails with the worker's log when it does not come, and at once when the worker died."""
        self.worker.wait_until(
            lambda: self.status(provider_id) is expected, f"the provider is {expected}"
        )

    def wait_for_log(self, text: str, what: str, count: int = 1) -> None:
        """Wait until the worker has said something so often."""
        self.worker.wait_until(lambda: self.worker.output().count(text) >= count, what)


@pytest.fixture(scope="package", params=BACKENDS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A test that kills something of it brings it back."""
    folder = tmp_path_factory.mktemp("worker")
    with shared_database(request, folder) as url, redis_server() as redis:
        app = make_app(url, redis.url)
        with app.app_context():  # the seeded provider's endpoint is not there
            done = {"validation_status": ValidationStatus.CONNECTED, "last_checked_at": utcnow()}
            db.session.execute(sa.update(Provider.__table__).values(**done))
            commit()
        env = server_env(
            folder,
            DATABASE_URL=url,
            REDIS_URL=redis.url,
            OUTBOUND_ALLOW="127.0.0.1:*",
            LOG_LEVEL="DEBUG",
        )
        with running(CeleryWorker(folder / "worker.log", env)) as worker:
            yield Site(app, redis, worker)
        close_app(app)


@pytest.fixture(autouse=True)
def context(site: Site) -> Iterator[None]:
    """A context of the test's own; the worker is there before and after it."""
    with site.app.app_context():
        assert site.worker.running, site.worker.output()[-5000:]
        yield


@pytest.fixture
def endpoint() -> Iterator[LoopbackProvider]:
    with LoopbackProvider(key=KEY) as endpoint:
        yield endpoint


@contextmanager
def nobody_else_writes() -> Iterator[None]:
    """Hold SQLite's one lock: whatever job writes waits for it."""
    with db.engine.begin():
        yield


@contextmanager
def taking_nothing(site: Site) -> Iterator[None]:
    """The worker stands still: what is queued stays in Redis. On SQLite."""
    try:
        with nobody_else_writes():  # or it would keep the lock for as long
            site.worker.send(signal.SIGSTOP)
            wait_until(lambda: stands_still(site.worker.pid), "it stands still")
        with site.redis.client() as client:
            wait_until(lambda: not client.info("clients")["blocked_clients"], "it asks no more")
        yield
    finally:
        site.worker.send(signal.SIGCONT)


def stands_still(pid: int) -> bool:
    """Whether all threads of the process do."""
    try:
        states = [stat.read_text() for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):  # a thread has just ended
        return False
    return all(state.rpartition(")")[2].split()[0] == "T" for state in states)


Save = Callable[[], int]


@pytest.fixture
def save(site: Site, endpoint: LoopbackProvider) -> Iterator[Save]:
    """Save a provider that points at the endpoint; answers its id."""
    made = []

    def save() -> int:
        body = {"type": "openai", "base_url": endpoint.openai_url, "api_key": KEY}
        made.append(create_provider({"name": f"loop-{next(_numbers)}", **body}).id)
        db.session.rollback()
        return made[-1]

    yield save
    # No later test's worker is to look at them: their endpoint has gone.
    table = Provider.__table__
    at_rest = {"is_active": False, "validation_status": ValidationStatus.CONNECTED}
    db.session.execute(
        sa.update(table).where(table.c.id.in_(made)).values(**at_rest, check_id=None)
    )
    commit()
