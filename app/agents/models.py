"""Agent and LLMConfig: an agent, and one step of its chain."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, object_session, relationship

from app.changes.tracker import Tracked, TrackedRoot, settled, tracked
from app.core.db import IDS_ONCE, Base, Json, text_enum
from app.providers.keys import HoldsKey
from app.providers.models import BudgetState, Capability, Provider


def _price() -> Any:
    return tracked(default=None)


def _budget_state() -> Any:
    return settled(sa.String(8), default=BudgetState.OK, server_default="ok")


class Agent(TrackedRoot, Base):
    """Something that asks for its configuration under a slug, ``agent_id``."""

    __tablename__ = "agents"
    __table_args__ = (
        sa.CheckConstraint("length(agent_id) BETWEEN 1 AND 64", name="agent_id_length"),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 128", name="name_length"),
        sa.CheckConstraint("is_active OR NOT is_default", name="default_is_active"),
        sa.Index(
            "uq_agents_default_of_owner",
            "owner_id",
            unique=True,
            sqlite_where=sa.text("is_default AND owner_id IS NOT NULL"),
            postgresql_where=sa.text("is_default AND owner_id IS NOT NULL"),
        ),
        sa.Index(
            "uq_agents_default_global",
            "is_default",
            unique=True,
            sqlite_where=sa.text("is_default AND owner_id IS NULL"),
            postgresql_where=sa.text("is_default AND owner_id IS NULL"),
        ),
        sa.Index("ix_agents_name", "name", "id"),
        sa.Index(
            "ix_agents_halted",
            "halted_at",
            sqlite_where=sa.text("halted_at IS NOT NULL"),
            postgresql_where=sa.text("halted_at IS NOT NULL"),
        ),
        IDS_ONCE,
    )
    entity = "agent"

    agent_id: Mapped[str] = tracked(sa.String(64), unique=True)
    name: Mapped[str] = tracked(sa.String(128))
    description: Mapped[str | None] = tracked(sa.Text, default=None)
    system_prompt: Mapped[str | None] = tracked(sa.Text, default=None)
    user_prompt: Mapped[str | None] = tracked(sa.Text, default=None)
    owner_id: Mapped[int | None] = tracked(sa.ForeignKey("users.id"), index=True, default=None)
    is_default: Mapped[bool] = tracked(default=False)
    is_active: Mapped[bool] = tracked(default=True)
    halted_at: Mapped[datetime | None] = tracked(default=None)
    halted_reason: Mapped[str | None] = tracked(sa.String(500), default=None)
    metadata_: Mapped[dict[str, Any]] = tracked("metadata", Json, default=dict)
    budget_state: Mapped[str] = _budget_state()
    """Of the agent's own budgets; usage owns the transitions."""

    llm_configs: Mapped[list["LLMConfig"]] = relationship(
        back_populates="agent",
        cascade="all, delete-orphan",
        order_by="LLMConfig.position",
    )

    speech_configs: Mapped[list["SpeechConfig"]] = relationship(
        back_populates="agent",
        cascade="all, delete-orphan",
        order_by="SpeechConfig.capability",
    )

    if TYPE_CHECKING:
        assignments: Mapped[list[Any]]  # of tasks, whose domain adds them: agents look no higher

    @property
    def root_name(self) -> str:
        return self.agent_id

    @classmethod
    def called(cls, part: str) -> sa.ColumnElement[bool]:
        """What holds of the agents that have this in their name or slug."""
        parts = (cls.name, cls.agent_id)
        return sa.or_(*(column.icontains(part, autoescape=True) for column in parts))

    @classmethod
    def visible(cls, user_id: int) -> sa.ColumnElement[bool]:
        """What holds of the agents that a viewer sees: theirs, and nobody's."""
        return sa.or_(cls.owner_id.is_(None), cls.owner_id == user_id)

    @property
    def halted(self) -> bool:
        """Whether the red button is pressed: clients refuse before any call."""
        return self.halted_at is not None


class GlobalHalt(TrackedRoot, Base):
    """One row: what stops all agents, those still to come included: the red button, and budgets
    that are for all."""

    __tablename__ = "global_halt"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one_row"),)
    entity = "halt"

    halted_at: Mapped[datetime | None] = tracked(default=None)
    halted_reason: Mapped[str | None] = tracked(sa.String(500), default=None)
    budget_state: Mapped[str] = _budget_state()

    @property
    def root_name(self) -> str:
        return "all agents"

    @property
    def halted(self) -> bool:
        """Whether it is pressed."""
        return self.halted_at is not None


class LLMConfig(HoldsKey, Tracked, Base):
    """One step of an agent's chain: position 0 is the primary, the rest are its fallbacks."""

    __tablename__ = "llm_configs"
    __table_args__ = (
        sa.UniqueConstraint("agent_id", "position", name="uq_llm_configs_position"),
        sa.CheckConstraint("length(model_name) BETWEEN 1 AND 256", name="model_name_length"),
        # Written so that NaN fails too: PostgreSQL sorts it above every number.
        sa.CheckConstraint("timeout BETWEEN 1 AND 300", name="timeout"),
        sa.CheckConstraint("temperature BETWEEN 0 AND 2", name="temperature"),
        sa.CheckConstraint("top_p BETWEEN 0 AND 1", name="top_p"),
        sa.CheckConstraint("max_tokens BETWEEN 1 AND 128000", name="max_tokens"),
        IDS_ONCE,
    )
    entity = "llm_config"

    agent_pk: Mapped[int] = tracked(
        "agent_id", sa.ForeignKey("agents.id", ondelete="CASCADE"), index=True
    )
    position: Mapped[int] = tracked(default=0)
    provider_id: Mapped[int] = tracked(sa.ForeignKey("providers.id"), index=True)
    model_name: Mapped[str] = tracked(sa.String(256))
    endpoint: Mapped[str | None] = tracked(sa.String(2048), default=None)
    """An override of the provider's base_url; null = the provider's."""
    timeout: Mapped[int] = tracked(default=30)
    temperature: Mapped[float] = tracked(default=0.7)
    top_p: Mapped[float | None] = tracked(default=None)
    max_tokens: Mapped[int | None] = tracked(default=None)
    enabled: Mapped[bool] = tracked(default=True)
    metadata_: Mapped[dict[str, Any]] = tracked("metadata", Json, default=dict)
    cost_per_1k_input_tokens: Mapped[Decimal | None] = _price()
    cost_per_1k_output_tokens: Mapped[Decimal | None] = _price()
    cost_per_1k_cached_input_tokens: Mapped[Decimal | None] = _price()
    cost_per_1k_reasoning_tokens: Mapped[Decimal | None] = _price()

    agent: Mapped[Agent] = relationship(back_populates="llm_configs")
    provider: Mapped[Provider] = relationship(lazy="joined", innerjoin=True)

    @property
    def root(self) -> TrackedRoot:
        # Taken out of its chain it has no agent any more, but is still part of that one's change.
        session = object_session(self)
        return self.agent or session.get_one(Agent, self.agent_pk)  # type: ignore[union-attr]

    @property
    def key_origin_url(self) -> str:
        return self.endpoint or self.provider.base_url


class SpeechConfig(HoldsKey, Tracked, Base):
    """How an agent speaks (tts) or listens (stt): a provider and the settings its adapter takes."""

    __tablename__ = "speech_configs"
    __table_args__ = (
        sa.UniqueConstraint("agent_id", "capability", name="uq_speech_configs_capability"),
        IDS_ONCE,
    )
    entity = "speech_config"

    agent_pk: Mapped[int] = tracked(
        "agent_id", sa.ForeignKey("agents.id", ondelete="CASCADE"), index=True
    )
    capability: Mapped[Capability] = tracked(text_enum(Capability))
    provider_id: Mapped[int] = tracked(sa.ForeignKey("providers.id"), index=True)
    settings: Mapped[dict[str, Any]] = tracked(Json, default=dict)

    agent: Mapped[Agent] = relationship(back_populates="speech_configs")
    provider: Mapped[Provider] = relationship(lazy="joined", innerjoin=True)

    @property
    def root(self) -> TrackedRoot:
        return self.agent

    @property
    def endpoint(self) -> str | None:
        """An override of the provider's base_url, as a chain's step has it."""
        url: str | None = self.settings.get("url")
        return url

    @property
    def key_origin_url(self) -> str:
        return self.endpoint or self.provider.base_url
