"""The history as one caller may see it."""

from typing import Any

import sqlalchemy as sa

from app.agents import services as agents
from app.agents.effective import PARTS_OF_AN_AGENT
from app.agents.models import Agent
from app.changes.models import Change
from app.changes.services import history_query

FOR_EVERYBODY = ("provider", "task", "halt")


def visible_history(
    filters: dict[str, Any], *, visible_to: int | None = None, slugs: frozenset[str] | None = None
) -> sa.Select[tuple[Change]]:
    """The history, narrowed to what a viewer, or a token bound to ``slugs``, may see.

    They see the changes of their agents and of what all agents share, but of nobody's account.
    """
    query = history_query(**filters)
    if visible_to is None and slugs is None:
        return query
    visible = agents.list_query({"visible_to": visible_to, "slugs": slugs}).order_by(None)
    # Not before the agent was made: its slug may have been another's, with other readers.
    theirs = visible.where(Agent.agent_id == Change.root, Agent.created_at <= Change.at)
    of_agents = Change.entity.in_(PARTS_OF_AN_AGENT) & theirs.with_only_columns(Agent.id).exists()
    return query.where(sa.or_(Change.entity.in_(FOR_EVERYBODY), of_agents))
