"""Provider checks: what was seen, when, how long it took."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, Json, text_enum
from app.health.damping import Outlook, Told
from app.providers.models import ValidationStatus


class ProviderCheck(Base):
    """The outcome of one check of one provider."""

    __tablename__ = "provider_checks"
    __table_args__ = (sa.Index("ix_provider_checks_provider", "provider_id", "started_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    provider_id: Mapped[int] = mapped_column(sa.ForeignKey("providers.id", ondelete="CASCADE"))
    started_at: Mapped[datetime]
    latency_ms: Mapped[int]
    status: Mapped[ValidationStatus] = mapped_column(text_enum(ValidationStatus))
    http_status: Mapped[int | None] = mapped_column(default=None)
    error: Mapped[str | None] = mapped_column(sa.String(500), default=None)
    note: Mapped[str | None] = mapped_column(sa.String(500), default=None)
    """What is worth knowing although all is well."""
    model_count: Mapped[int | None] = mapped_column(default=None)


class ProviderAlert(Base):
    """What alerts know of a provider; one that was never down has none."""

    __tablename__ = "provider_alerts"

    provider_id: Mapped[int] = mapped_column(
        sa.ForeignKey("providers.id", ondelete="CASCADE"), primary_key=True
    )
    is_down: Mapped[bool]
    told: Mapped[Told] = mapped_column(text_enum(Told))
    turns: Mapped[list[str]] = mapped_column(Json)

    @property
    def outlook(self) -> Outlook:
        """As ``damping`` judges it."""
        return Outlook(self.is_down, self.told, tuple(map(datetime.fromisoformat, self.turns)))

    @outlook.setter
    def outlook(self, outlook: Outlook) -> None:
        self.is_down, self.told = outlook.is_down, outlook.told
        self.turns = [at.isoformat() for at in outlook.turns]
