"""Provider: an endpoint with credentials. Health owns the transitions of its status."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.changes.tracker import TrackedRoot, settled, tracked
from app.core.db import IDS_ONCE, Base, Json, text_enum
from app.providers.keys import HoldsKey


class Capability(StrEnum):
    """What an endpoint does."""

    LLM = "llm"
    TTS = "tts"
    STT = "stt"


class ValidationStatus(StrEnum):
    """Where a provider stands between a save and its check."""

    PENDING = "pending"
    VALIDATING = "validating"
    CONNECTED = "connected"
    ERROR = "error"


class BudgetState(StrEnum):
    """How spending stands to a budget. Usage owns the transitions."""

    OK = "ok"
    WARN = "warn"
    BLOCKED = "blocked"

    @classmethod
    def worst(cls, *states: str | None) -> "BudgetState":
        """The one that counts where several apply; None = there is no budget."""
        order = list(cls)
        return max((cls(state or cls.OK) for state in states), key=order.index, default=cls.OK)


class Provider(HoldsKey, TrackedRoot, Base):
    """An endpoint with credentials. ``base_url`` has the version path and is given out verbatim."""

    __tablename__ = "providers"
    __table_args__ = (
        sa.CheckConstraint("length(name) BETWEEN 1 AND 128", name="name_length"),
        sa.CheckConstraint("latency_ms >= 0", name="latency"),
        IDS_ONCE,
    )
    entity = "provider"

    name: Mapped[str] = tracked(sa.String(128), unique=True)
    type: Mapped[str] = tracked(sa.String(32), index=True)
    capability: Mapped[Capability] = tracked(text_enum(Capability), default=Capability.LLM)
    base_url: Mapped[str] = tracked(sa.String(2048))
    options: Mapped[dict[str, Any]] = tracked(Json, default=dict)
    is_active: Mapped[bool] = tracked(default=True)
    check_interval: Mapped[int | None] = tracked(default=None)
    """Seconds between two checks; null = HEALTH_CHECK_INTERVAL, 0 = only when it is saved or
    somebody asks."""
    check_call: Mapped[bool] = tracked(default=False, server_default=sa.false())
    """Whether a check that came out well also makes one call, which may cost a little."""

    validation_status: Mapped[ValidationStatus] = mapped_column(
        text_enum(ValidationStatus), default=ValidationStatus.PENDING, index=True
    )
    settled_status: Mapped[ValidationStatus] = settled(
        text_enum(ValidationStatus, "settled_status"), default=ValidationStatus.PENDING
    )
    """``validation_status`` without its comings and goings: what clients are told."""
    budget_state: Mapped[str] = settled(sa.String(8), default=BudgetState.OK, server_default="ok")
    """Of the provider's own budgets: clients pass its steps over when they are spent."""
    environment_key_id: Mapped[str | None] = settled(sa.String(32), default=None)
    """The server's own key for the type as it was at the last start, where that one is used."""
    last_checked_at: Mapped[datetime | None] = mapped_column(default=None)
    latency_ms: Mapped[int | None] = mapped_column(default=None)
    last_error: Mapped[str | None] = mapped_column(sa.String(500), default=None)
    models: Mapped[list[str] | None] = mapped_column(Json, default=None)
    """The model names that the last good check listed; null = never listed."""

    check_id: Mapped[str | None] = mapped_column(sa.String(32), default=None)
    """The check under way. A save clears it, so that its result comes too late to count."""
    check_lease_until: Mapped[datetime | None] = mapped_column(default=None)
    """Until then nobody else checks: a worker that died is replaced after it."""
    check_attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often a worker began this check and none ended it: what kills workers is left alone."""
    next_check_at: Mapped[datetime | None] = mapped_column(default=None)
    """The slot of the next check that nobody asks for; null = none is planned."""

    @property
    def root_name(self) -> str:
        return self.name

    @property
    def key_origin_url(self) -> str:
        return self.base_url
