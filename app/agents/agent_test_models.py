"""Tests of an agent: one real call a step, asked for by a person, made by a worker."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.agents.models import Agent
from app.core.db import IDS_ONCE, Base, text_enum


class AgentTestStatus(StrEnum):
    """How far a test has come."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"


class StepStatus(StrEnum):
    """What became of one step."""

    PENDING = "pending"
    OK = "ok"
    ERROR = "error"
    SKIPPED = "skipped"


class AgentTest(Base):
    """One test of one agent. It is no configuration: it raises no rev and has no history."""

    __tablename__ = "agent_tests"
    __table_args__ = (
        # One under way an agent: a button that is pressed twice spends once.
        sa.Index(
            "uq_agent_tests_under_way",
            "agent_id",
            unique=True,
            sqlite_where=sa.text("finished_at IS NULL"),
            postgresql_where=sa.text("finished_at IS NULL"),
        ),
        sa.Index("ix_agent_tests_agent", "agent_id", "id"),
        IDS_ONCE,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    agent_pk: Mapped[int] = mapped_column(
        "agent_id", sa.ForeignKey("agents.id", ondelete="CASCADE")
    )
    status: Mapped[AgentTestStatus] = mapped_column(
        text_enum(AgentTestStatus), default=AgentTestStatus.PENDING
    )
    requested_by: Mapped[str] = mapped_column(sa.String(200))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None] = mapped_column(default=None)
    finished_at: Mapped[datetime | None] = mapped_column(default=None)
    source: Mapped[str] = mapped_column(sa.String(32))
    """Whose chain it is: the agent's own, or that of the default that answers for it."""
    steps: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON)
    """What each step is and what came of it; filled in as they finish."""

    attempts: Mapped[int] = mapped_column(default=0)
    claim_id: Mapped[str | None] = mapped_column(sa.String(32), default=None)
    """The worker's right to it; a result under another one comes too late."""
    lease_until: Mapped[datetime | None] = mapped_column(default=None)
    """Until then the sweep leaves it alone."""

    agent: Mapped[Agent] = relationship()
