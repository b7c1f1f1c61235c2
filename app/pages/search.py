"""What the command palette finds: providers, agents and tasks by a part of their name."""

from typing import Any, NamedTuple

import sqlalchemy as sa

from app.agents.models import Agent
from app.core.db import db
from app.providers.models import Provider
from app.tasks.models import Task

MAX_TEXT = 128
AT_MOST = 8
"""Hits of a kind: who sees more types on."""


class Hit(NamedTuple):
    """Something to jump to."""

    kind: str
    row_id: int
    name: str
    detail: str


def find(text: str, visible_to: int | None) -> list[Hit]:
    """What has ``text`` in its name, names that begin with it first; ``visible_to`` None = all."""
    text = text.replace("\x00", "").strip()[:MAX_TEXT]
    agents = sa.select(Agent.id, Agent.name, Agent.agent_id)
    if visible_to is not None:
        agents = agents.where(Agent.visible(visible_to))
    slug = Agent.agent_id.icontains(text, autoescape=True)
    return [
        *_hits("provider", sa.select(Provider.id, Provider.name, Provider.type), Provider, text),
        *_hits("agent", agents, Agent, text, slug),
        *_hits("task", sa.select(Task.id, Task.name, Task.description), Task, text),
    ]


def _hits(
    kind: str, query: sa.Select[Any], model: Any, text: str, *also: sa.ColumnElement[bool]
) -> list[Hit]:
    begins = model.name.istartswith(text, autoescape=True)
    matches = sa.or_(model.name.icontains(text, autoescape=True), *also)
    rows = db.session.execute(
        query.where(matches).order_by(begins.desc(), model.name, model.id).limit(AT_MOST)
    )
    return [Hit(kind, row_id, name, detail or "") for row_id, name, detail in rows]
