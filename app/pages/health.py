"""How the providers are: those to look at first, and how long each took to answer."""

import sqlalchemy as sa

from app.admin.charts import Bar
from app.core.db import db
from app.providers.models import Provider, ValidationStatus

SHOWN = 100
BARS = 20
WORST_FIRST = (
    ValidationStatus.ERROR,
    ValidationStatus.PENDING,
    ValidationStatus.VALIDATING,
    ValidationStatus.CONNECTED,
)


def list_worst_first() -> list[Provider]:
    """Providers by state, those in error first; no more than a page shows."""
    order = sa.case(
        {state: number for number, state in enumerate(WORST_FIRST)},
        value=Provider.validation_status,
    )
    query = sa.select(Provider).order_by(order, Provider.name).limit(SHOWN)
    return list(db.session.scalars(query))


def latency_bars() -> list[Bar]:
    """How long the last check of each took, the slowest first."""
    query = (
        sa.select(Provider.name, Provider.latency_ms, Provider.validation_status)
        .where(Provider.latency_ms.is_not(None), Provider.is_active)
        .order_by(Provider.latency_ms.desc(), Provider.name)
        .limit(BARS)
    )
    rows = db.session.execute(query).tuples()
    return [Bar(name, ms or 0, f"{ms} ms", status.value) for name, ms, status in rows]
