"""``config_state``, the one counter, and ``changes``: history, audit trail and push log in one."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, text_enum


class Operation(StrEnum):
    """What a change did to its entity."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    STATUS = "status"


class ConfigState(Base):
    """One row. ``rev`` rises by one with every transaction that changes configuration; ``epoch``
    names the database's life, so that a restored backup is not taken for the original."""

    __tablename__ = "config_state"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    epoch: Mapped[str] = mapped_column(sa.String(32))
    rev: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    log_floor: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    """The newest rev that the push log no longer holds: a ``since`` below it gets everything."""


class Change(Base):
    """One entity's part in one committed change.

    ``root`` is what the change belongs to: an agent's slug for the agent and its chain, a
    provider's name. ``diff`` maps fields to ``[old, new]``; of a secret it says "changed".
    """

    __tablename__ = "changes"
    __table_args__ = (
        sa.Index("ix_changes_entity", "entity", "entity_id", "rev"),
        sa.Index("ix_changes_root", "root", "rev"),
    )

    rev: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(sa.String(200))
    entity: Mapped[str] = mapped_column(sa.String(32))
    entity_id: Mapped[int]
    root: Mapped[str] = mapped_column(sa.String(256))
    operation: Mapped[Operation] = mapped_column(text_enum(Operation))
    # Not JSONB, which forgets the order of keys: a task's schema comes back as it was.
    diff: Mapped[dict[str, Any]] = mapped_column(sa.JSON())
