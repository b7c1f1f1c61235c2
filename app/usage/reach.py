"""For which agents a caller may report, and whose usage it may see."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.accounts.gate import Caller
from app.agents.models import Agent
from app.core.db import db

BUILT_IN = "default"
"""Under which clients report what no agent of the server answered for."""


class Reach:
    """What one caller may report about: an unbound token about all agents."""

    def __init__(self, caller: Caller) -> None:
        self._agents = caller.agents
        self._user_id = caller.user_id
        self._defaults: frozenset[str] | None = None

    def covers(self, agent_id: str, requested_agent_id: str | None) -> bool:
        """Whether a call of ``agent_id`` is the caller's: it, or a default that answered for it."""
        if self._agents is None or agent_id in self._agents:
            return True
        return requested_agent_id in self._agents and agent_id in self._find_defaults()

    def _find_defaults(self) -> frozenset[str]:
        """The agents that answer for those of the binding: the global default and their owners'."""
        if self._defaults is None:
            owners = sa.select(Agent.owner_id).where(Agent.agent_id.in_(self._agents or ()))
            theirs = sa.or_(
                Agent.owner_id.is_(None),
                Agent.owner_id.in_(owners),
                Agent.owner_id == self._user_id,
            )
            query = sa.select(Agent.agent_id).where(Agent.is_default, theirs)
            self._defaults = frozenset({BUILT_IN, *db.session.scalars(query)})
        return self._defaults


@dataclass(frozen=True)
class Sight:
    """Whose usage a caller may see; all None = everybody's."""

    slugs: frozenset[str] | None = None
    """Of a bound token."""
    viewer_id: int | None = None
    """Of a viewer, who sees what is theirs and what is nobody's."""
    hidden: frozenset[str] | None = None
    """Everybody's but theirs: the same said shorter, where they are few (``sums.widened``)."""

    @classmethod
    def of(cls, caller: Caller) -> "Sight":
        """What this caller may see."""
        return cls(caller.agents, caller.visible_to)

    @property
    def is_limited(self) -> bool:
        """Whether some agents are out of sight."""
        return (self.slugs, self.viewer_id, self.hidden) != (None, None, None)

    def conditions(self, agent_id: Any) -> list[sa.ColumnElement[bool]]:
        """What holds of a column of slugs where its row may be seen."""
        found: list[sa.ColumnElement[bool]] = []
        if self.slugs is not None:
            found.append(agent_id.in_(sorted(self.slugs)))
        if self.viewer_id is not None:
            seen = sa.select(Agent.agent_id).where(Agent.visible(self.viewer_id))
            found.append(agent_id.in_(seen))
        if self.hidden is not None:
            found.append(agent_id.not_in(sorted(self.hidden)))
        return found
