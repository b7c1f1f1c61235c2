"""Usage as it is stored: events, the ids that make them count once, and sums of them.

None of it is configuration: nothing here raises a rev. Agents and providers are named as they were
told, not referred to: whoever is deleted has still spent.
"""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, Json
from app.usage.event_fields import ERROR, OK
from app.usage.measures import MEASURES

MONTHS = "usage_months"
"""The schema of the partitions on PostgreSQL, out of the way of the tables that the models name."""


def _count() -> Any:
    return mapped_column(sa.BigInteger, default=0)


class UsageEvent(Base):
    """One call as it was reported, with the rates that it was charged by.

    On PostgreSQL a table of months by arrival, so that old ones are dropped and not deleted; which
    is why ``received_at`` is part of the key. ``UsageEventId`` keeps the ids unique over all.
    """

    __tablename__ = "usage_events"
    __table_args__ = (
        sa.CheckConstraint(f"status IN ('{OK}', '{ERROR}')", name="status"),
        sa.Index("ix_usage_events_started", "started_at", "event_id"),
        sa.Index("ix_usage_events_of_agent", "agent_id", "started_at"),
        sa.Index("ix_usage_events_received", "received_at", postgresql_using="brin"),
        {"postgresql_partition_by": "RANGE (received_at)"},
    )

    event_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    received_at: Mapped[datetime] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    agent_id: Mapped[str] = mapped_column(sa.String(64))
    requested_agent_id: Mapped[str | None] = mapped_column(sa.String(64))
    task: Mapped[str | None] = mapped_column(sa.String(128))
    provider: Mapped[str] = mapped_column(sa.String(128))
    model: Mapped[str] = mapped_column(sa.String(256))
    response_model: Mapped[str | None] = mapped_column(sa.String(256))
    input_tokens: Mapped[int] = _count()
    output_tokens: Mapped[int] = _count()
    cached_input_tokens: Mapped[int] = _count()
    cache_write_tokens: Mapped[int] = _count()
    cache_write_1h_tokens: Mapped[int] = _count()
    reasoning_tokens: Mapped[int] = _count()
    web_searches: Mapped[int] = _count()
    latency_ms: Mapped[int | None]
    status: Mapped[str] = mapped_column(sa.String(8))
    error_class: Mapped[str | None] = mapped_column(sa.String(256))
    attempt: Mapped[int] = mapped_column(default=0)
    config_version: Mapped[int | None] = mapped_column(sa.BigInteger)
    service_tier: Mapped[str | None] = mapped_column(sa.String(64))
    processing: Mapped[str | None] = mapped_column(sa.String(64))
    clock_skew: Mapped[bool] = mapped_column(default=False)
    """It began more than five minutes after it arrived: a clock is wrong."""
    cost: Mapped[Decimal | None]
    """Null = unpriced, which is not the same as free."""
    currency: Mapped[str] = mapped_column(sa.String(3))
    price_source: Mapped[str | None] = mapped_column(sa.String(16))
    rates_json: Mapped[str | None] = mapped_column("rates", sa.Text)
    """As text: a batch has a handful of them, written down once each."""

    @property
    def rates(self) -> dict[str, Any] | None:
        """The rates applied: decimal strings, named with their unit."""
        return None if self.rates_json is None else json.loads(self.rates_json)


class UsageEventId(Base):
    """An id that has been counted, and what stood under it."""

    __tablename__ = "usage_event_ids"
    __table_args__ = (
        sa.Index("ix_usage_event_ids_received", "received_at", postgresql_using="brin"),
    )

    event_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(16))
    received_at: Mapped[datetime]


class UsageSeries(Base):
    """Whose sums: one combination of what they are told apart by; '' = all, or none said."""

    __tablename__ = "usage_series"
    __table_args__ = (
        sa.UniqueConstraint(
            "cube", "agent_id", "provider", "model", "task", name="uq_usage_series_key"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    cube: Mapped[str] = mapped_column(sa.String(8))
    """Which of its dimensions count; see cubes.py."""
    agent_id: Mapped[str] = mapped_column(sa.String(64))
    provider: Mapped[str] = mapped_column(sa.String(128))
    model: Mapped[str] = mapped_column(sa.String(256))
    task: Mapped[str] = mapped_column(sa.String(128))


usage_rollups = sa.Table(
    "usage_rollups",
    Base.metadata,
    # No foreign key: a series is never deleted, and a check for each row costs more than the row.
    sa.Column("series_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("width", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in MEASURES),
    # For all series of a period; for some of them the primary key is quicker.
    sa.Index("ix_usage_rollups_time", "width", "start"),
    sqlite_with_rowid=False,
)
"""The sums of one series over ``width`` seconds from ``start`` (Unix time); see cubes.py."""


class UsageState(Base):
    """One row: how far the sums have come, and the letting go of events."""

    __tablename__ = "usage_state"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    closed_until: Mapped[datetime]
    """Up to this midnight of UTC there are sums of days and more."""
    complete_since: Mapped[datetime | None]
    """From then on every event is still there; null = none was ever pruned."""


class UsageRepricing(Base):
    """A cost that was corrected afterwards, old and new."""

    __tablename__ = "usage_repricings"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(sa.String(200))
    event_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    old_cost: Mapped[Decimal | None]
    new_cost: Mapped[Decimal | None]
    old_rates: Mapped[dict[str, Any] | None] = mapped_column(Json)
    new_rates: Mapped[dict[str, Any] | None] = mapped_column(Json)
