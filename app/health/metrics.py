"""What /metrics says of providers and their checks."""

from collections.abc import Iterator, Mapping

import sqlalchemy as sa
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

from app.core.clock import utcnow
from app.core.counters import Count, counters
from app.core.db import db
from app.health.claims import is_unfinished
from app.providers.models import Provider, ValidationStatus

BOUNDS_MS = (50, 100, 250, 500, 1000, 2500, 5000, 10_000)
BEYOND = "+Inf"
CHECKS, MILLISECONDS = "checks", "check_ms"


def count_check(status: ValidationStatus, latency_ms: int) -> None:
    """Count a check that has ended."""
    bound = next((str(bound) for bound in BOUNDS_MS if latency_ms <= bound), BEYOND)
    counters().add(CHECKS, status.value, bound)
    counters().add(MILLISECONDS, status.value, amount=latency_ms)


def collect(counts: Mapping[Count, int]) -> Iterator[Metric]:
    """Providers by state, one by one, and their checks; ``counts`` are those of all processes."""
    query = sa.select(Provider.name, Provider.type, Provider.settled_status).where(
        Provider.is_active
    )
    rows = db.session.execute(query.order_by(Provider.name)).tuples().all()
    by_state = GaugeMetricFamily(
        "switchyard_providers", "Active providers by settled state", labels=["status"]
    )
    up = GaugeMetricFamily(
        "switchyard_provider_up",
        "1 = its last check came out well, 0 = it did not; absent while it was never checked",
        labels=["provider", "type"],
    )
    for status in (ValidationStatus.PENDING, ValidationStatus.CONNECTED, ValidationStatus.ERROR):
        by_state.add_metric([status.value], sum(row[2] is status for row in rows))
    for name, kind, status in rows:
        if status is not ValidationStatus.PENDING:
            up.add_metric([name, kind], status is ValidationStatus.CONNECTED)
    due = sa.select(sa.func.count()).select_from(Provider).where(is_unfinished(utcnow()))
    yield by_state
    yield up
    yield GaugeMetricFamily(
        "switchyard_checks_due", "Checks due or under way", value=db.session.scalar(due) or 0
    )
    yield _durations(counts)


def _durations(counts: Mapping[Count, int]) -> HistogramMetricFamily:
    durations = HistogramMetricFamily(
        "switchyard_provider_check_duration_seconds",
        "How long checks of providers take, all processes together",
        labels=["status"],
    )
    for status in (ValidationStatus.CONNECTED, ValidationStatus.ERROR):
        total, buckets = 0, []
        for bound in (*BOUNDS_MS, BEYOND):
            total += counts.get((CHECKS, status.value, str(bound)), 0)
            seconds = BEYOND if bound == BEYOND else str(int(bound) / 1000)
            buckets.append((seconds, float(total)))
        spent = counts.get((MILLISECONDS, status.value), 0) / 1000
        durations.add_metric([status.value], buckets, spent)
    return durations
