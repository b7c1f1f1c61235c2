"""Task and Assignment: what agents answer, and which agent has which task."""

from collections import OrderedDict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapped, backref, relationship

from app.agents.models import Agent
from app.changes.tracker import Tracked, TrackedRoot, tracked
from app.core.db import IDS_ONCE, Base


class OrderedJson(sa.TypeDecorator[dict[str, Any]]):
    """JSON that keeps the order of its keys, and where another order is another value.

    The order of a schema's properties is the order in which a model writes its answer. PostgreSQL's
    JSONB forgets it, and plain dicts are equal in any order: a new order would not be saved.
    """

    impl = sa.JSON(none_as_null=True)
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else ordered(value)


def ordered(value: Any) -> Any:
    """The same value with dicts that compare in order."""
    if isinstance(value, dict):
        return OrderedDict((name, ordered(inner)) for name, inner in value.items())
    return [ordered(inner) for inner in value] if isinstance(value, list) else value


class Task(TrackedRoot, Base):
    """Something that agents are asked to do, and what their answer looks like."""

    __tablename__ = "tasks"
    __table_args__ = (
        sa.CheckConstraint("length(name) BETWEEN 1 AND 128", name="name_length"),
        IDS_ONCE,
    )
    entity = "task"

    name: Mapped[str] = tracked(sa.String(128), unique=True)
    description: Mapped[str | None] = tracked(sa.Text, default=None)
    response_schema: Mapped[dict[str, Any] | None] = tracked(OrderedJson, default=None)
    """JSON Schema, whichever form it came in; null = any answer will do."""

    assignments: Mapped[list["Assignment"]] = relationship(
        back_populates="task", cascade="all, delete-orphan"
    )

    @property
    def root_name(self) -> str:
        return self.name


class Assignment(Tracked, Base):
    """An agent has a task. It is a part of the agent: its changes raise the agent's version."""

    __tablename__ = "assignments"
    __table_args__ = (
        sa.UniqueConstraint("agent_id", "task_id", name="uq_assignments_task"),
        IDS_ONCE,
    )
    entity = "assignment"

    agent_pk: Mapped[int] = tracked("agent_id", sa.ForeignKey("agents.id", ondelete="CASCADE"))
    task_id: Mapped[int] = tracked(sa.ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    is_active: Mapped[bool] = tracked(default=True)

    # Agents look no higher than themselves, so their side of it is declared here.
    agent: Mapped[Agent] = relationship(
        backref=backref("assignments", cascade="all, delete-orphan", order_by="Assignment.id")
    )
    task: Mapped[Task] = relationship(back_populates="assignments", lazy="joined", innerjoin=True)

    @property
    def root(self) -> TrackedRoot:
        return self.agent
