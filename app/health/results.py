"""What a check has found: the provider's status, its history, and the turn if it is one."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from app.core.clock import utcnow
from app.core.db import commit, db
from app.core.errors import SwitchyardError
from app.health import alerts
from app.health.claims import Claim
from app.health.metrics import count_check
from app.health.models import ProviderAlert, ProviderCheck
from app.health.slots import next_slot
from app.health.states import Event, next_status, settle
from app.providers.adapters import ProbeResult
from app.providers.models import Provider

ERROR_LIMIT = 500
HOUR = timedelta(hours=1)
KEEP_FOR = timedelta(days=30)
KEEP_CHECKS = 2500
"""Per provider: more than a week of checks every five minutes."""

log = logging.getLogger(__name__)


class Finding(NamedTuple):
    """What one check saw, and how long that took."""

    claim: Claim
    result: ProbeResult
    latency_ms: int


def record(findings: Sequence[Finding]) -> int:
    """Store what checks saw; how many of them counted.

    Many at once, for each commit costs the database more than all of its rows. Should one of them
    be what cannot be stored, it takes no other with it.
    """
    try:
        return _record_together(findings)
    except (SQLAlchemyError, SwitchyardError) as error:
        db.session.rollback()
        if len(findings) > 1:
            return sum(record([finding]) for finding in findings)
        # Its lease will run out, and it will be checked again.
        log.error("a check's result is not stored: %s", type(error).__name__)
        return 0


def _record_together(findings: Sequence[Finding]) -> int:
    ids = [finding.claim.provider_id for finding in findings]
    # In one order everywhere: two workers that lock the same rows do not cross.
    query = sa.select(Provider).where(Provider.id.in_(ids)).order_by(Provider.id).with_for_update()
    rows = db.session.scalars(query.execution_options(populate_existing=True))
    providers = {provider.id: provider for provider in rows}
    told = sa.select(ProviderAlert).where(ProviderAlert.provider_id.in_(ids))
    were_down = {alert.provider_id: alert for alert in db.session.scalars(told)}
    ended = []
    for finding in findings:
        provider = providers.get(finding.claim.provider_id)
        if provider is None or provider.check_id != finding.claim.check_id:
            # A save, a request or another check has come in between.
            log.info("provider %s: result of a void check ignored", finding.claim.provider_id)
            continue
        _apply(provider, finding)
        if not finding.result.ok or provider.id in were_down:
            alerts.on_checked(provider, interval_of(provider), utcnow())
        ended.append((provider.validation_status, finding.latency_ms))
    commit()
    for status, latency_ms in ended:
        count_check(status, latency_ms)
    return len(ended)


def _apply(provider: Provider, finding: Finding) -> None:
    result, now = finding.result, utcnow()
    event = Event.SUCCEEDED if result.ok else Event.FAILED
    provider.validation_status = next_status(provider.validation_status, event)
    provider.latency_ms = finding.latency_ms
    provider.last_error = result.error[:ERROR_LIMIT] if result.error else None
    if result.models is not None:
        provider.models = list(result.models)
    db.session.add(_row(provider, finding))
    last, provider.last_checked_at = provider.last_checked_at, now
    provider.next_check_at = next_slot(provider.next_check_at, now, interval_of(provider))
    provider.check_id = provider.check_lease_until = None
    provider.check_attempts = 0
    settle(provider, provider.validation_status)
    if last is None or last.replace(minute=0, second=0, microsecond=0) + HOUR <= now:
        prune(provider.id)


def interval_of(provider: Provider) -> int:
    """Seconds between two of its checks; 0 = it has none but those that are asked for."""
    own = provider.check_interval
    seconds: int = current_app.config["HEALTH_CHECK_INTERVAL"] if own is None else own
    return seconds


def checks_query(provider_id: int) -> sa.Select[Any]:
    """The provider's checks, newest first."""
    return (
        sa.select(ProviderCheck)
        .where(ProviderCheck.provider_id == provider_id)
        .order_by(ProviderCheck.started_at.desc(), ProviderCheck.id.desc())
    )


def prune(provider_id: int) -> None:
    """Bound the history by age and by number. Not committed."""
    query = checks_query(provider_id).with_only_columns(ProviderCheck.started_at)
    surplus = db.session.scalar(query.offset(KEEP_CHECKS).limit(1))
    oldest = max(filter(None, (surplus, utcnow() - KEEP_FOR)))
    db.session.execute(
        sa.delete(ProviderCheck).where(
            ProviderCheck.provider_id == provider_id, ProviderCheck.started_at <= oldest
        )
    )


def _row(provider: Provider, finding: Finding) -> ProviderCheck:
    models = finding.result.models
    return ProviderCheck(
        provider_id=provider.id,
        started_at=finding.claim.started_at,
        latency_ms=finding.latency_ms,
        status=provider.validation_status,
        http_status=finding.result.http_status,
        error=provider.last_error,
        note=finding.result.note,
        model_count=None if models is None else len(models),
    )
