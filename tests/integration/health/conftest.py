"""Providers on both databases that point at one on the loopback, and what became of them."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.changes.models import ConfigState
from app.core.clock import utcnow
from app.core.db import commit, db
from app.core.http import Outbound
from app.health import claims, results
from app.health.claims import Claim
from app.providers.adapters import ProbeResult
from app.providers.models import Provider, ValidationStatus
from app.providers.services import create_provider
from tests.support.loopback_provider import LoopbackProvider

PENDING, VALIDATING, CONNECTED, ERROR = ValidationStatus
KEY = "sk-canary-19c3"
DEADLINE = 60
"""Seconds: nobody is called dead because the machine is busy."""


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        # The seeded provider is due as well: checked already, for these tests.
        done = {"validation_status": CONNECTED, "last_checked_at": utcnow()}
        db.session.execute(sa.update(Provider.__table__).values(**done))
        commit()
        yield


@pytest.fixture
def endpoint(app: Flask) -> Iterator[LoopbackProvider]:
    with LoopbackProvider(key=KEY) as endpoint:
        app.extensions["outbound"] = Outbound([endpoint.address], deadline=DEADLINE)
        yield endpoint


@pytest.fixture
def make(nudges: list[Any], endpoint: LoopbackProvider) -> Callable[..., int]:
    """A provider that points at the endpoint; answers its id."""

    def make(name: str = "loop", **data: Any) -> int:
        body = {"name": name, "type": "openai", "base_url": endpoint.openai_url, "api_key": KEY}
        provider_id = create_provider(body | data).id
        db.session.rollback()  # an open transaction is SQLite's one writer
        return provider_id

    return make


def read(provider_id: int) -> Provider:
    """The provider as it is stored, detached."""
    db.session.rollback()
    provider = db.session.get(Provider, provider_id)
    assert provider is not None
    db.session.expunge(provider)
    db.session.rollback()
    return provider


def rev() -> int:
    return db.session.scalar(sa.select(ConfigState.rev)) or 0


def age(provider_id: int, **columns: datetime) -> None:
    """Move a provider's clock."""
    table = Provider.__table__
    db.session.execute(sa.update(table).where(table.c.id == provider_id).values(**columns))
    commit()


def claim(provider_id: int, now: datetime) -> Claim | None:
    """What a worker does before its check."""
    return next(iter(claims.claim_due(now, 1, [provider_id])), None)


def record(claim: Claim, result: ProbeResult) -> bool:
    """What it does after it."""
    return bool(results.record([results.Finding(claim, result, 1)]))
