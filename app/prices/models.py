"""The price table: what an admin says that models cost, and from when on."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from app.changes.tracker import TrackedRoot, tracked
from app.core.db import IDS_ONCE, Base, Json

AMOUNTS = (
    "input_per_1m",
    "cached_input_per_1m",
    "cache_write_per_1m",
    "cache_write_1h_per_1m",
    "output_per_1m",
    "reasoning_per_1m",
    "per_request",
    "web_search_per_1k",
)


def _amount() -> Any:
    return tracked(default=None)


class Price(TrackedRoot, Base):
    """What one model costs from one moment on; money in US dollars."""

    __tablename__ = "prices"
    __table_args__ = (
        sa.CheckConstraint("length(model) BETWEEN 1 AND 256", name="model_length"),
        sa.CheckConstraint("valid_until > valid_from", name="validity"),
        sa.Index("ix_prices_of", "provider_type", "model", "valid_from"),
        IDS_ONCE,
    )
    entity = "price"

    provider_type: Mapped[str] = tracked(sa.String(32))
    provider_id: Mapped[int | None] = tracked(default=None)
    """One provider instead of all of its type. Not a foreign key: a price outlives its provider."""
    model: Mapped[str] = tracked(sa.String(256))
    """A name, or how names begin with a star behind it."""
    service_tier: Mapped[str | None] = tracked(sa.String(32), default=None)
    valid_from: Mapped[datetime] = tracked()
    valid_until: Mapped[datetime | None] = tracked(default=None)
    currency: Mapped[str] = tracked(sa.String(3))
    input_per_1m: Mapped[Decimal | None] = _amount()
    cached_input_per_1m: Mapped[Decimal | None] = _amount()
    cache_write_per_1m: Mapped[Decimal | None] = _amount()
    cache_write_1h_per_1m: Mapped[Decimal | None] = _amount()
    output_per_1m: Mapped[Decimal | None] = _amount()
    reasoning_per_1m: Mapped[Decimal | None] = _amount()
    per_request: Mapped[Decimal | None] = _amount()
    web_search_per_1k: Mapped[Decimal | None] = _amount()
    tiers: Mapped[list[Any]] = tracked(Json, default=list)
    """``[{"above": input tokens, "input_per_1m": "...", ...}]``, ascending."""
    note: Mapped[str | None] = tracked(sa.String(500), default=None)

    @property
    def root_name(self) -> str:
        return f"{self.provider_type} {self.model}"[:256]
