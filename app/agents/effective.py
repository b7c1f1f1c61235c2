"""Reading what agents get: loads, in a fixed number of queries, what resolution decides on."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from app.agents.halt import get_red_button
from app.agents.models import Agent, LLMConfig, SpeechConfig
from app.agents.resolution import Resolved, resolve, resolve_speech
from app.changes.models import Change
from app.core.db import db
from app.core.errors import NotFound
from app.providers.models import Capability, Provider

PARTS_OF_AN_AGENT = frozenset({"agent", "llm_config", "speech_config", "assignment"})
"""Changes of these belong to the agent that is their root, and raise its version."""


def resolve_agent(agent_id: str, user_id: int | None = None) -> Resolved:
    """What a read of ``agent_id`` gets; ``user_id`` owns the defaults of an unknown agent.

    Raises NotFound where not even a default answers.
    """
    found = resolve_agents([agent_id], user_id)[agent_id]
    if found is None:
        raise NotFound(
            f"Nothing is configured for '{agent_id[:64]}', and no default agent answers."
        )
    return found


def resolve_agents(
    agent_ids: Iterable[str] | None = None, user_id: int | None = None
) -> dict[str, Resolved | None]:
    """The same for many agents at once (None = all there are), in a fixed number of queries."""
    wanted = None if agent_ids is None else list(agent_ids)
    by_slug = {agent.agent_id: agent for agent in _load(wanted)}
    defaults = {agent.owner_id: agent for agent in _load_defaults()}
    gone = [] if wanted is None else [slug for slug in wanted if slug not in by_slug]
    removed_in = _last_revs(gone)
    red_button = get_red_button()
    resolved: dict[str, Resolved | None] = {}
    for slug in by_slug if wanted is None else wanted:
        agent = by_slug.get(slug)
        owner_id = user_id if agent is None else agent.owner_id
        owner_default = defaults.get(owner_id) if owner_id is not None else None
        resolved[slug] = resolve(
            slug,
            agent,
            owner_default,
            defaults.get(None),
            red_button,
            removed_in.get(slug, 0),
        )
    return resolved


class ProviderConfigs(NamedTuple):
    """What an agent gets of each capability."""

    llm: Resolved | None
    tts: SpeechConfig | None
    stt: SpeechConfig | None


def resolve_provider_configs(agent_id: str, user_id: int | None = None) -> ProviderConfigs:
    """Row A9, each capability with its own fall back to the defaults. Raises NotFound."""
    llm = resolve_agents([agent_id], user_id)[agent_id]
    agent = db.session.scalar(sa.select(Agent).where(Agent.agent_id == agent_id))
    defaults = {default.owner_id: default for default in _load_defaults()}
    owner_id = user_id if agent is None else agent.owner_id
    owner_default = defaults.get(owner_id) if owner_id is not None else None
    candidates = (agent, owner_default, defaults.get(None))
    tts, stt = (resolve_speech(kind, *candidates) for kind in (Capability.TTS, Capability.STT))
    if llm is None and tts is None and stt is None:
        raise NotFound(
            f"Nothing is configured for '{agent_id[:64]}', and no default agent answers."
        )
    return ProviderConfigs(llm, tts, stt)


def affected_by(changes: Sequence[Change]) -> set[str]:
    """The slugs of every agent whose resolved configuration these changes may have changed."""
    slugs: set[str] = set()
    provider_ids: set[int] = set()
    for change in changes:
        if change.entity in PARTS_OF_AN_AGENT:
            slugs |= {change.root, *_slugs_in(change)}
        elif change.entity == "provider":
            provider_ids.add(change.entity_id)
        elif change.entity == "halt":
            return set(db.session.scalars(sa.select(Agent.agent_id)))
    if provider_ids:
        slugs |= _agents_on(provider_ids)
    if slugs and _touches_a_default(slugs, changes):
        slugs |= _agents_behind_a_default()
    return slugs


def _load(slugs: list[str] | None) -> Iterable[Agent]:
    query = sa.select(Agent).options(selectinload(Agent.llm_configs).joinedload(LLMConfig.provider))
    if slugs is not None:
        query = query.where(Agent.agent_id.in_(slugs))
    return db.session.scalars(query)


def _load_defaults() -> Iterable[Agent]:
    query = sa.select(Agent).where(Agent.is_default)
    return db.session.scalars(query.options(selectinload(Agent.llm_configs)))


def _last_revs(slugs: list[str]) -> dict[str, int]:
    """When the log last spoke of agents that are gone (or renamed)."""
    if not slugs:
        return {}
    query = (
        sa.select(Change.root, sa.func.max(Change.rev))
        .where(Change.root.in_(slugs), Change.entity == "agent")
        .group_by(Change.root)
    )
    return dict(db.session.execute(query).tuples().all())


def _slugs_in(change: Change) -> set[str]:
    """Both slugs of a renamed agent."""
    return {slug for slug in change.diff.get("agent_id", ()) if isinstance(slug, str)}


def _agents_on(provider_ids: set[int]) -> set[str]:
    query = (
        sa.select(Agent.agent_id)
        .join(LLMConfig, LLMConfig.agent_pk == Agent.id)
        .where(LLMConfig.provider_id.in_(provider_ids))
    )
    return set(db.session.scalars(query))


def _touches_a_default(slugs: set[str], changes: Sequence[Change]) -> bool:
    if any(True in change.diff.get("is_default", ()) for change in changes):
        return True
    query = sa.select(Agent.id).where(Agent.is_default, Agent.agent_id.in_(slugs))
    return db.session.scalars(query.limit(1)).first() is not None


def _agents_behind_a_default() -> set[str]:
    """Agents that do not answer for themselves."""
    usable: sa.Select[Any] = (
        sa.select(LLMConfig.id)
        .join(Provider, Provider.id == LLMConfig.provider_id)
        .where(LLMConfig.agent_pk == Agent.id, LLMConfig.enabled, Provider.is_active)
    )
    query = sa.select(Agent.agent_id).where(sa.or_(~Agent.is_active, ~usable.exists()))
    return set(db.session.scalars(query))
