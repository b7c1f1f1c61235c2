"""Two workers, each with a beat, over a hundred providers: one check of each a slot."""

from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from app.core.clock import utcnow
from app.core.db import commit, db
from app.health.models import ProviderCheck
from app.providers.models import Provider, ValidationStatus
from tests.conftest import close_app, make_app
from tests.support.loopback_provider import LoopbackProvider
from tests.support.processes import wait_until
from tests.support.servers import celery_worker, redis_server, server_env

PROVIDERS, SLOTS = 100, 2
PATIENCE = 60  # seconds, for a busy machine

TABLE = Provider.__table__


def add_providers(base_url: str) -> None:
    """Providers that are in good health, and are checked once an hour."""
    now = utcnow()
    row = {"type": "vllm", "base_url": base_url, "check_interval": 3600, "last_checked_at": now}
    states = dict.fromkeys(("validation_status", "settled_status"), ValidationStatus.CONNECTED)
    rows = [row | states | {"name": f"p{number}"} for number in range(PROVIDERS)]
    db.session.execute(sa.insert(TABLE), rows)
    commit()


def begin_slot() -> None:
    """It is time for all of them; a sweep of either worker's will come upon that."""
    mine = TABLE.c.check_interval == 3600
    db.session.execute(sa.update(TABLE).where(mine).values(next_check_at=utcnow()))
    commit()


def checks() -> Counter[int]:
    """How many checks each provider has had."""
    query = (
        sa.select(ProviderCheck.provider_id).join(Provider).where(Provider.check_interval == 3600)
    )
    found = Counter(db.session.scalars(query))
    db.session.rollback()
    return found


@pytest.mark.parametrize("backend", ["postgresql"])  # where two workers really write at once
def test_two_workers_and_two_beats_make_one_check_a_slot(database_url: str, tmp_path: Path) -> None:
    with LoopbackProvider() as endpoint, redis_server() as redis:
        app: Flask = make_app(database_url, redis.url)
        env = server_env(
            tmp_path,
            DATABASE_URL=app.config["DATABASE_URL"],
            REDIS_URL=redis.url,
            OUTBOUND_ALLOW=endpoint.address,
        )
        first, second = tmp_path / "first.log", tmp_path / "second.log"
        with (
            app.app_context(),
            celery_worker(env, first, beat=True),
            celery_worker(env, second, beat=True),
        ):
            add_providers(endpoint.openai_url)
            for slot in range(1, SLOTS + 1):
                begin_slot()
                for number in range(5):  # more to look at it at once than the beats alone
                    app.extensions["publisher"].nudge("health.check", number)
                wait_until(
                    lambda slot=slot: checks().total() >= slot * PROVIDERS, "the slot", PATIENCE
                )
        with app.app_context():  # both have ended, and what they had begun with them
            assert set(checks().values()) == {SLOTS}
            assert len(endpoint.requests) == SLOTS * PROVIDERS
        close_app(app)
