"""Checks for the command line: which providers, asked for at once, waited for.

Where a worker lives, it does the checks; where none does, the caller's process does them itself.
The lease in the database keeps the two from doing the same one.
"""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from flask import current_app
from redis import RedisError

from app.core import heartbeat
from app.core.clock import utcnow
from app.core.db import commit, db, reading
from app.core.errors import NotFound
from app.core.jobs import publisher
from app.core.redis import connect
from app.health.claims import is_unfinished
from app.health.prober import AT_ONCE, Prober
from app.providers.models import Provider, ValidationStatus
from app.providers.services import CHECK_JOB, schedule_check

LOOK_EVERY = 0.3  # seconds
TIME_TO_SEND = 2.0


class Outcome(NamedTuple):
    """How a provider stands after the command."""

    name: str
    type: str
    status: ValidationStatus
    settled_status: ValidationStatus
    """What the last check that ended found."""
    latency_ms: int | None
    last_checked_at: datetime | None
    last_error: str | None


def list_active() -> list[int]:
    """Every active provider."""
    return _ids(Provider.is_active.is_(True))


def list_due() -> list[int]:
    """Those whose slot has come, or who wait for a check."""
    return _ids(is_unfinished(utcnow()))


def list_named(names: Collection[str]) -> list[int]:
    """The providers with these names. Raises NotFound naming those that are not there."""
    with reading():
        query = sa.select(Provider.name, Provider.id).where(Provider.name.in_(names))
        found = dict(db.session.execute(query).tuples().all())
    if unknown := sorted(set(names) - set(found)):
        raise NotFound(f"There is no provider named: {', '.join(unknown)}.")
    return sorted(found.values())


def request_checks(ids: Collection[int]) -> None:
    """Ask for these checks, as a save of each would."""
    query = sa.select(Provider).where(Provider.id.in_(ids)).order_by(Provider.id).with_for_update()
    for provider in db.session.scalars(query):
        schedule_check(provider)
    commit()


def leave_to_worker(ids: Sequence[int]) -> bool:
    """Have a worker begin with these checks; False where none lives."""
    if not ids or not _worker_lives():
        return not ids
    publisher().nudge(CHECK_JOB, ids[0])  # one look of a worker's finds them all
    sent = threading.Event()
    publisher().call(lambda _redis: sent.set())
    sent.wait(TIME_TO_SEND)  # the thread that sends does not outlive the command
    return True


def wait_for_checks(
    ids: Collection[int], patience: float, advance: Callable[[int], None]
) -> set[int]:
    """Wait until these checks have ended, which calls ``advance`` with how many more have; those
    that have not after ``patience`` seconds in which none has."""
    left, prober = set(ids), Prober()
    give_up = time.monotonic() + patience
    while left and time.monotonic() < give_up:
        if not _worker_lives():
            prober.run(sorted(left)[:AT_ONCE])
        still = left & set(list_due())
        if len(still) < len(left):
            advance(len(left) - len(still))
            give_up = time.monotonic() + patience
        elif still:
            time.sleep(LOOK_EVERY)
        left = still
    return left


def list_outcomes(ids: Collection[int]) -> list[Outcome]:
    """How these providers stand now, by name."""
    columns = (
        Provider.name,
        Provider.type,
        Provider.validation_status,
        Provider.settled_status,
        Provider.latency_ms,
        Provider.last_checked_at,
        Provider.last_error,
    )
    with reading():
        query = sa.select(*columns).where(Provider.id.in_(ids)).order_by(Provider.name)
        return [Outcome(*row) for row in db.session.execute(query)]


def _ids(condition: sa.ColumnElement[bool]) -> list[int]:
    with reading():
        return list(db.session.scalars(sa.select(Provider.id).where(condition)))


def _worker_lives() -> bool:
    try:
        with connect(current_app.config["REDIS_URL"]) as redis:
            return heartbeat.is_alive(redis)
    except RedisError:
        return False  # nothing reaches a worker then: its next sweep would be up to itself
