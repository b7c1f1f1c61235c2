"""Budgets: what may be spent in a day or a month, and what has been."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.changes.tracker import TrackedRoot, settled, tracked
from app.core.db import IDS_ONCE, Base, text_enum
from app.prices.cost import CURRENCY
from app.providers.models import BudgetState


class BudgetScope(StrEnum):
    """Whose spending counts."""

    AGENT = "agent"
    PROVIDER = "provider"
    ALL = "all"


class BudgetPeriod(StrEnum):
    """How long a window is, in the budget's time zone."""

    DAY = "day"
    MONTH = "month"


class Budget(TrackedRoot, Base):
    """A limit of spending. What is spent is in ``budget_spends``, window by window."""

    __tablename__ = "budgets"
    __table_args__ = (
        sa.CheckConstraint("length(name) BETWEEN 1 AND 128", name="name_length"),
        sa.CheckConstraint("warn_at IS NOT NULL OR block_at IS NOT NULL", name="limit"),
        sa.CheckConstraint("(target_id IS NULL) = (scope = 'all')", name="target"),
        IDS_ONCE,
    )
    entity = "budget"

    name: Mapped[str] = tracked(sa.String(128), unique=True)
    scope: Mapped[BudgetScope] = tracked(text_enum(BudgetScope))
    target_id: Mapped[int | None] = tracked(index=True, default=None)
    """The agent or the provider. Not a foreign key: neither has to ask before it is deleted."""
    period: Mapped[BudgetPeriod] = tracked(text_enum(BudgetPeriod, "period"))
    timezone: Mapped[str] = tracked(sa.String(64), default="UTC")
    currency: Mapped[str] = tracked(sa.String(3), default=CURRENCY)
    warn_at: Mapped[Decimal | None] = tracked(default=None)
    block_at: Mapped[Decimal | None] = tracked(default=None)
    is_active: Mapped[bool] = tracked(default=True)

    state: Mapped[str] = settled(sa.String(8), default=BudgetState.OK)
    window_end: Mapped[datetime | None] = mapped_column(default=None)
    """Until when ``state`` holds at the longest."""
    recount_at: Mapped[datetime | None] = mapped_column(default=None)
    """When its spending is to be summed up anew: somebody may have counted without it."""
    warned_for: Mapped[datetime | None] = mapped_column(default=None)
    """The window (its start) whose warning has been given: there is one of each a window."""
    blocked_for: Mapped[datetime | None] = mapped_column(default=None)

    @property
    def root_name(self) -> str:
        return self.name


class BudgetSpend(Base):
    """What was spent in one window, added to by whoever stores usage, in that transaction."""

    __tablename__ = "budget_spends"

    budget_id: Mapped[int] = mapped_column(
        sa.ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    window_start: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    """Unix time."""
    cost_nanos: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    cost_attos: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    calls: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    unpriced_calls: Mapped[int] = mapped_column(sa.BigInteger, default=0)
