"""Checks of providers: asked for, claimed by a lease, run outside any transaction, recorded.

A save is itself the request (``providers.services.schedule_check``); its nudge is only a hint, the
sweep finds what a lost one left. ``check_id`` says which check counts: a result that carries
another one comes too late. ``check_lease_until`` says until when the sweep leaves a provider alone.
"""

import logging
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app

from app.core.clock import utcnow
from app.core.crypto import KeyUnreadable, Secret
from app.core.db import commit, db
from app.core.http import outbound
from app.core.jobs import nudge_after_commit
from app.health import alerts
from app.health.models import ProviderCheck
from app.health.slots import next_slot
from app.health.states import SETTLED, Event, next_status
from app.providers.adapters import Adapter, ProbeResult, Target, get_adapter
from app.providers.keys import environment_key
from app.providers.models import Provider, ValidationStatus
from app.providers.services import CHECK_JOB, get_provider, schedule_check

CLAIM_MARGIN = timedelta(seconds=20)
"""How much longer than the deadline of its request a check may take before it counts as dead."""
QUEUE_LEASE = timedelta(seconds=15)
"""How long the sweep waits for a worker to take what it has put into the queue."""
LOOK_FOR_KEY = timedelta(minutes=5)
"""How often a provider without a key is looked at: the environment may have one by then."""
SWEEP_LIMIT = 2000
MOST_ATTEMPTS = 3
"""After so many workers that died in its check, a provider is in error rather than tried again."""
SUSPECT = 2
"""After so many, a check runs alone, so that not all that ran beside the culprit are blamed."""
ERROR_LIMIT = 500
KEEP_FOR = timedelta(days=30)
KEEP_CHECKS = 2500
"""Per provider: more than a week of checks every five minutes."""

NO_KEY = "It needs an API key and has none, so it is not checked."
KEY_UNREADABLE = "Its key cannot be read any more: the key must be entered again."
DEADLY = f"Its check ended {MOST_ATTEMPTS} workers, so it is not tried again for now."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claim:
    """One worker's right to check one provider, with all it needs to do so."""

    provider_id: int
    check_id: str
    started_at: datetime
    adapter: Adapter
    target: Target
    hindrance: str | None = None
    """Why there is nothing to probe."""


def request_check(provider_id: int) -> Provider:
    """Ask for a check, as a save does. Raises NotFound."""
    provider = get_provider(provider_id, for_update=True)
    schedule_check(provider)
    commit()
    return provider


def checks_query(provider_id: int) -> sa.Select[Any]:
    """The provider's checks, newest first."""
    return (
        sa.select(ProviderCheck)
        .where(ProviderCheck.provider_id == provider_id)
        .order_by(ProviderCheck.started_at.desc(), ProviderCheck.id.desc())
    )


def run_check(provider_id: int) -> bool:
    """Check the provider if that is due and nobody else does; whether a result was recorded."""
    claim = claim_check(provider_id, utcnow())
    if claim is None:
        return False
    db.session.remove()  # no connection is held while the provider takes its time
    began = time.perf_counter()
    result = _probe(claim)
    return record_result(claim, result, round((time.perf_counter() - began) * 1000))


def claim_check(provider_id: int, now: datetime) -> Claim | None:
    """Take a due check, or None: nothing is due, or another worker has it."""
    free = sa.or_(Provider.check_id.is_(None), Provider.check_lease_until <= now)
    query = sa.select(Provider).where(Provider.id == provider_id, _is_due(now), free)
    provider = db.session.scalar(_locked(query))
    if provider is None:
        db.session.rollback()
        return None
    adapter = get_adapter(provider.type, provider.capability)
    key, hindrance = _find_key(provider)
    if provider.check_attempts >= MOST_ATTEMPTS:
        hindrance = DEADLY
    if key is None and hindrance is None and adapter.needs_key:
        _leave_unchecked(provider, now)
        return None
    provider.validation_status = next_status(provider.validation_status, Event.CLAIMED)
    provider.check_id = uuid.uuid4().hex
    provider.check_attempts += 1
    provider.check_lease_until = now + timedelta(seconds=outbound().deadline) + CLAIM_MARGIN
    target = Target(provider.base_url, key, dict(provider.options))
    claim = Claim(provider.id, provider.check_id, now, adapter, target, hindrance)
    commit()
    return claim


def record_result(claim: Claim, result: ProbeResult, latency_ms: int) -> bool:
    """Store what a check saw; False where a save, a request or another check has voided it."""
    query = sa.select(Provider).where(Provider.id == claim.provider_id).with_for_update()
    provider = db.session.scalar(query.execution_options(populate_existing=True))
    if provider is None or provider.check_id != claim.check_id:
        db.session.rollback()
        log.info("provider %s: result of a void check ignored", claim.provider_id)
        return False
    event = Event.SUCCEEDED if result.ok else Event.FAILED
    status = next_status(provider.validation_status, event)
    error = result.error[:ERROR_LIMIT] if result.error else None
    db.session.add(
        ProviderCheck(
            provider_id=provider.id,
            started_at=claim.started_at,
            latency_ms=latency_ms,
            status=status,
            http_status=result.http_status,
            error=error,
            model_count=None if result.models is None else len(result.models),
        )
    )
    provider.validation_status = status
    provider.last_checked_at = utcnow()
    provider.latency_ms = latency_ms
    provider.last_error = error
    provider.check_id = provider.check_lease_until = None
    provider.check_attempts = 0
    provider.next_check_at = next_slot(provider.next_check_at, utcnow(), interval_of(provider))
    if result.models is not None:
        provider.models = list(result.models)
    _settle(provider, status)
    alerts.on_checked(provider, interval_of(provider), utcnow())
    _prune(provider.id)
    commit()
    return True


def find_due(now: datetime) -> list[Provider]:
    """The providers that somebody should check now, those waiting longest first, locked."""
    left_alone = sa.or_(Provider.check_lease_until.is_(None), Provider.check_lease_until <= now)
    query = (
        sa.select(Provider)
        .where(_is_due(now), left_alone)
        .order_by(Provider.last_checked_at.asc().nulls_first(), Provider.id)
        .limit(SWEEP_LIMIT)
    )
    due = list(db.session.scalars(_locked(query)))
    suspects = [provider for provider in due if provider.check_attempts >= SUSPECT]
    return [provider for provider in due if provider not in suspects[1:]]


def sweep() -> int:
    """Queue every check that is due and not queued yet; how many there were.

    It finds saves whose nudge was lost, checks whose worker died, and those whose time has come.
    """
    now = utcnow()
    due = find_due(now)
    for provider in due:
        provider.check_id = None  # of a worker that died: should it live, it comes too late
        provider.check_lease_until = now + QUEUE_LEASE
        nudge_after_commit(db.session(), CHECK_JOB, provider.id)
    commit()
    return len(due)


def bring_forward() -> None:
    """Let a HEALTH_CHECK_INTERVAL that has become shorter hold at once. For a worker's start."""
    latest = utcnow() + timedelta(seconds=current_app.config["HEALTH_CHECK_INTERVAL"])
    table = Provider.__table__
    usual = sa.and_(table.c.check_interval.is_(None), table.c.next_check_at > latest)
    db.session.execute(sa.update(table).where(usual).values(next_check_at=latest))
    commit()


def interval_of(provider: Provider) -> int:
    """Seconds between two of its checks; 0 = it has none but those that are asked for."""
    own = provider.check_interval
    seconds: int = current_app.config["HEALTH_CHECK_INTERVAL"] if own is None else own
    return seconds


def _is_due(now: datetime) -> sa.ColumnElement[bool]:
    waiting = Provider.validation_status.in_(
        (ValidationStatus.PENDING, ValidationStatus.VALIDATING)
    )
    aged = sa.and_(
        Provider.is_active,
        Provider.validation_status.in_(SETTLED),
        Provider.next_check_at <= now,
    )
    return sa.or_(waiting, aged)


def _locked(query: sa.Select[Any]) -> sa.Select[Any]:
    # A row that somebody else holds is being saved or claimed: there is nothing to wait for.
    return query.with_for_update(skip_locked=True).execution_options(populate_existing=True)


def _find_key(provider: Provider) -> tuple[Secret | None, str | None]:
    """The provider's own key, else the server's; and what is wrong with it."""
    try:
        if provider.api_key_set:
            return provider.open_api_key(), None
        fallback = environment_key(provider.type)
        return (fallback.open() if fallback else None), None
    except KeyUnreadable:
        return None, KEY_UNREADABLE


def _leave_unchecked(provider: Provider, now: datetime) -> None:
    """Say that a key is missing, and look again much later: a save comes with its own nudge."""
    provider.validation_status = next_status(provider.validation_status, Event.REQUESTED)
    provider.last_error = NO_KEY
    provider.check_id = None
    provider.check_lease_until = now + LOOK_FOR_KEY
    _settle(provider, ValidationStatus.PENDING)
    commit()


def _probe(claim: Claim) -> ProbeResult:
    if claim.hindrance:
        return ProbeResult(False, error=claim.hindrance)
    try:
        return claim.adapter.probe(claim.target, outbound())
    except Exception as error:
        # An adapter's bug must not leave the provider validating for ever. Its text may hold a key.
        log.error("provider %s: adapter raised %s", claim.provider_id, type(error).__name__)
        return ProbeResult(False, error=f"The check itself failed ({type(error).__name__}).")


def _settle(provider: Provider, status: ValidationStatus) -> None:
    """Let the turn, and only a turn, count as a change: the tracker raises a rev for it."""
    if provider.settled_status == status:
        return
    log.info("provider %s: %s -> %s", provider.id, provider.settled_status, status)
    provider.settled_status = status


def _prune(provider_id: int) -> None:
    """Bound the history by age and by number."""
    query = checks_query(provider_id).with_only_columns(ProviderCheck.started_at)
    surplus = db.session.scalar(query.offset(KEEP_CHECKS).limit(1))
    oldest = max(filter(None, (surplus, utcnow() - KEEP_FOR)))
    db.session.execute(
        sa.delete(ProviderCheck).where(
            ProviderCheck.provider_id == provider_id, ProviderCheck.started_at <= oldest
        )
    )
