"""Reading what agents get: loads, in a fixed number of queries, what resolution decides on."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import defer, joinedload

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
    by_slug = {agent.agent_id: agent for agent in _load_with_defaults(wanted)}
    defaults = {agent.owner_id: agent for agent in by_slug.values() if agent.is_default}
    wanted = list(by_slug) if wanted is None else wanted
    removed_in = _last_revs([slug for slug in wanted if slug not in by_slug])
    red_button = get_red_button()
    resolved: dict[str, Resolved | None] = {}
    for slug in wanted:
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
    known = _load_with_defaults([agent_id])
    agent = next((found for found in known if found.agent_id == agent_id), None)
    defaults = {found.owner_id: found for found in known if found.is_default}
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
    if any(change.entity == "halt" for change in changes):
        # Everybody there is, besides those that these changes removed.
        return slugs | set(db.session.scalars(sa.select(Agent.agent_id)))
    if provider_ids:
        slugs |= _agents_on(provider_ids)
    if slugs and touches_a_default(slugs, changes):
        slugs |= _agents_behind_a_default()
    return slugs


def touches_a_default(slugs: set[str], changes: Iterable[Change]) -> bool:
    """Whether a default is among these agents, or was one before these changes."""
    if any(True in change.diff.get("is_default", ()) for change in changes):
        return True
    return not slugs.isdisjoint(db.session.scalars(_defaults()))


@cache
def _defaults() -> sa.Select[tuple[str]]:
    return sa.select(Agent.agent_id).where(Agent.id.in_(sa.union_all(*_default_ids())))


def _load_with_defaults(slugs: list[str] | None) -> Sequence[Agent]:
    """These agents (None = all) and every default, with their chains, in one query: a change on
    its way to a client waits for each."""
    query = _with_chains(named=slugs is not None)
    parameters = None if slugs is None else {"slugs": slugs}
    return db.session.scalars(query, parameters).unique().all()


@cache
def _with_chains(*, named: bool) -> sa.Select[tuple[Agent]]:
    """Built once: that takes longer than running it. Prompts are no part of what is resolved."""
    # An inner join within the outer one would have SQLite read every step there is.
    chain = joinedload(Agent.llm_configs).joinedload(LLMConfig.provider, innerjoin=False)
    prompts = (Agent.description, Agent.system_prompt, Agent.user_prompt, Agent.metadata_)
    query = sa.select(Agent).options(chain, *map(defer, prompts))
    if not named:
        return query
    ids = sa.select(Agent.id).where(Agent.agent_id.in_(sa.bindparam("slugs", expanding=True)))
    return query.where(Agent.id.in_(sa.union_all(ids, *_default_ids())))


def _default_ids() -> tuple[sa.Select[tuple[int]], ...]:
    """The global default and the owners' own, by the two partial indexes that keep them unique:
    SQLite uses one only where its condition stands word for word, and reads every agent else."""
    ids = sa.select(Agent.id).where(Agent.is_default)
    ownerless = ids.where(sa.text("is_default AND owner_id IS NULL"))
    return ownerless, ids.where(sa.text("is_default AND owner_id IS NOT NULL"))


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


def _agents_behind_a_default() -> set[str]:
    """Agents that do not answer for themselves."""
    usable: sa.Select[Any] = (
        sa.select(LLMConfig.id)
        .join(Provider, Provider.id == LLMConfig.provider_id)
        .where(LLMConfig.agent_pk == Agent.id, LLMConfig.enabled, Provider.is_active)
    )
    query = sa.select(Agent.agent_id).where(sa.or_(~Agent.is_active, ~usable.exists()))
    return set(db.session.scalars(query))
