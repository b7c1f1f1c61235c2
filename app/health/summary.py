"""A provider's history in a few figures: uptime, how long checks take, the last error."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from app.core.clock import utcnow
from app.core.db import db
from app.health.models import ProviderCheck
from app.health.percentiles import Percentiles, percentiles_of
from app.health.results import checks_query, interval_of
from app.providers.models import Provider, ValidationStatus

DAY, WEEK = timedelta(days=1), timedelta(days=7)


class Period(NamedTuple):
    """What the checks of some time say. Without any, only zeros and nulls."""

    since: datetime | None
    """When the first of them began: the history is bounded in number as well."""
    checks: int
    failed: int
    uptime: float | None
    """The share of checks that came out well, 0 to 1."""
    latency_ms: Percentiles | None
    """Of those that did."""


class Health(NamedTuple):
    """How a provider has been."""

    provider_id: int
    status: ValidationStatus
    last_checked_at: datetime | None
    next_check_at: datetime | None
    check_interval: int
    """Seconds, as they hold: its own or the setting's; 0 = checked on request only."""
    last_failed_check: ProviderCheck | None
    """The newest check that failed, however long ago."""
    last_24h: Period
    last_7d: Period


class _Seen(NamedTuple):
    started_at: datetime
    status: ValidationStatus
    latency_ms: int


def summarise(provider: Provider) -> Health:
    """The figures of one provider, in two queries."""
    now = utcnow()
    query = checks_query(provider.id).where(ProviderCheck.started_at > now - WEEK)
    columns = (ProviderCheck.started_at, ProviderCheck.status, ProviderCheck.latency_ms)
    week = [_Seen(*row) for row in db.session.execute(query.with_only_columns(*columns))]
    failed = checks_query(provider.id).where(ProviderCheck.status == ValidationStatus.ERROR)
    return Health(
        provider.id,
        provider.validation_status,
        provider.last_checked_at,
        provider.next_check_at,
        interval_of(provider),
        db.session.scalar(failed.limit(1)),
        _period([seen for seen in week if seen.started_at > now - DAY]),
        _period(week),
    )


def _period(seen: Sequence[_Seen]) -> Period:
    good = [each.latency_ms for each in seen if each.status is ValidationStatus.CONNECTED]
    return Period(
        since=min((each.started_at for each in seen), default=None),
        checks=len(seen),
        failed=len(seen) - len(good),
        uptime=len(good) / len(seen) if seen else None,
        latency_ms=percentiles_of(good),
    )
