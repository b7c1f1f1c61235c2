"""The verbs of agents: create, update, delete, set the default."""

import re
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from app.accounts.models import User
from app.agents import chain, speech
from app.agents.chain import get_agent
from app.agents.fields import RESERVED_SLUGS
from app.agents.models import Agent
from app.agents.spelling import take_step
from app.core.db import commit, db, flush, lock
from app.core.errors import BadRequest, Conflict, Invalid, NotFound
from app.core.versions import check_version

FIELDS = ("agent_id", "name", "description", "system_prompt", "user_prompt", "metadata_")


def list_query(args: dict[str, Any]) -> sa.Select[Any]:
    """Agents by name, then id; ``visible_to`` and ``slugs`` narrow it to what a caller may see.

    ``with_voices`` loads how they speak and listen as well.
    """
    query = sa.select(Agent).order_by(Agent.name, Agent.id)
    query = query.options(selectinload(Agent.llm_configs), selectinload(Agent.assignments))
    if args.get("with_voices"):
        query = query.options(selectinload(Agent.speech_configs))
    if args.get("active_only"):
        query = query.where(Agent.is_active)
    if args.get("search"):
        query = query.where(Agent.called(args["search"]))
    if args.get("visible_to") is not None:
        query = query.where(Agent.visible(args["visible_to"]))
    if args.get("slugs") is not None:
        query = query.where(Agent.agent_id.in_(args["slugs"]))
    return query


def get_agent_by_id(row_id: int) -> Agent:
    """The agent with this row id, which outlives a change of its slug. Raises NotFound."""
    agent = db.session.get(Agent, row_id)
    if agent is None:
        raise NotFound("There is no such agent.")
    return agent


def find_default(owner_id: int | None) -> Agent | None:
    """The default agent of an owner, or the global one."""
    owned = Agent.owner_id.is_(None) if owner_id is None else Agent.owner_id == owner_id
    return db.session.scalar(sa.select(Agent).where(Agent.is_default, owned))


def find_current(slugs: Collection[str] | None, user_id: int | None) -> Agent | None:
    """The one agent of a binding (None = no binding), else its user's default, else the global."""
    if slugs is not None and len(slugs) == 1:
        agent = db.session.scalar(sa.select(Agent).where(Agent.agent_id.in_(slugs)))
        if agent is not None:
            return agent
    own = find_default(user_id) if user_id is not None else None
    return own or find_default(None)


def create_agent(data: dict[str, Any]) -> tuple[Agent, list[str]]:
    """Store an agent, with step 0 of its chain if either form names one, or all of ``llm_configs``.

    Returns it with warnings. Raises Invalid, Conflict.
    """
    lock_defaults(data)
    agent, warnings = add_agent(data)
    commit()
    return agent, warnings


def add_agent(data: dict[str, Any]) -> tuple[Agent, list[str]]:
    """The same within a larger transaction: flushed, not committed."""
    data = dict(data)
    step, sent_as = take_step(data)
    steps = data.pop("llm_configs", None)
    data["agent_id"] = data.get("agent_id") or slug_of(data["name"])
    _refuse_taken(data["agent_id"])
    # Said to be empty, its parts are not looked for: an import makes thousands.
    parts: dict[str, Any] = {"llm_configs": [], "speech_configs": [], "assignments": []}
    agent = Agent(**{name: data[name] for name in FIELDS if name in data}, **parts)
    agent.is_active = data.get("is_active", True)
    agent.owner_id = _known_owner(data.get("owner_id"))
    db.session.add(agent)
    flush()
    warnings = chain.write_primary(agent, step, sent_as)
    speech.write_speech(agent, data)
    if steps is not None:
        warnings += chain.write_chain(agent, steps)
    if data.get("is_default"):
        _make_default(agent)
    flush()
    return agent, warnings


def update_agent(
    agent_id: str, data: dict[str, Any], expected_version: int | None = None
) -> tuple[Agent, list[str]]:
    """Change the sent fields; null clears; ``llm_configs`` replaces the chain in the same go.

    Returns the agent with warnings. Raises NotFound, Stale, Invalid, Conflict, BadRequest (for the
    global default).
    """
    lock_defaults(data, agent_id)
    agent = get_agent(agent_id, for_update=True)
    check_version(agent.version, expected_version)
    warnings = change_agent(agent, data)
    commit()
    return agent, warnings


def change_agent(agent: Agent, data: dict[str, Any]) -> list[str]:
    """The same within a larger transaction: flushed, not committed. Returns warnings."""
    data = dict(data)
    step, sent_as = take_step(data)
    steps = data.pop("llm_configs", None)
    if data.get("agent_id", agent.agent_id) != agent.agent_id:
        _refuse_taken(data["agent_id"])
    for name in FIELDS:
        if name in data and getattr(agent, name) != data[name]:
            setattr(agent, name, data[name])
    _move(agent, data)
    warnings = chain.write_primary(agent, step, sent_as)
    speech.write_speech(agent, data)
    if steps is not None:
        warnings += chain.write_chain(agent, steps)
    flush()
    return warnings


def delete_agent(agent_id: str, expected_version: int | None = None) -> None:
    """Remove an agent and its chain. Raises NotFound, Stale, BadRequest for the global default."""
    agent = get_agent(agent_id, for_update=True)
    check_version(agent.version, expected_version)
    remove_agent(agent)
    commit()


def remove_agent(agent: Agent) -> None:
    """The same within a larger transaction: flushed, not committed."""
    if is_global_default(agent):
        raise BadRequest("The global default agent cannot be deleted: make another the default.")
    db.session.delete(agent)
    flush()


def set_default(agent_id: str, expected_version: int | None = None) -> Agent:
    """Make it the one default among the agents of its owner. Raises NotFound, Stale, BadRequest."""
    lock_defaults({"is_default": True}, agent_id)
    agent = get_agent(agent_id, for_update=True)
    check_version(agent.version, expected_version)
    _make_default(agent)
    commit()
    return agent


def is_global_default(agent: Agent) -> bool:
    """Whether it answers for everything that has no configuration of its own."""
    return agent.is_default and agent.owner_id is None


def slug_of(name: str) -> str:
    """The slug made from a name. Raises Invalid where nothing is left of it."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64].strip("-")
    if not slug or slug in RESERVED_SLUGS:
        raise Invalid.field("agent_id", f"No usable agent_id can be made from {name!r}: send one.")
    return slug


def _refuse_taken(agent_id: str) -> None:
    if db.session.scalar(sa.select(Agent.id).where(Agent.agent_id == agent_id)) is not None:
        raise Conflict(f"The agent_id '{agent_id}' is taken.")


def _known_owner(owner_id: int | None) -> int | None:
    if owner_id is not None and db.session.get(User, owner_id) is None:
        raise Invalid.field("owner_id", "There is no such user.")
    return owner_id


def lock_defaults(data: dict[str, Any], *agent_ids: str) -> None:
    """One at a time may move a default: taken before any row, so that two never cross.

    The rows that may change come next, by id, as every write of several agents takes them.
    """
    if not data.keys() & {"is_default", "is_active", "owner_id"}:
        return
    lock("default agents")
    concerned = sa.or_(Agent.is_default, Agent.agent_id.in_(agent_ids))
    rows = sa.select(Agent.id).where(concerned).order_by(Agent.id)
    db.session.execute(rows.with_for_update())


def _move(agent: Agent, data: dict[str, Any]) -> None:
    """Change owner, activity and the default, keeping one default everywhere."""
    owner_id = _known_owner(data.get("owner_id", agent.owner_id))
    is_active = data.get("is_active", agent.is_active)
    is_default = data.get("is_default", agent.is_default)
    if is_global_default(agent) and not (is_default and is_active and owner_id is None):
        raise BadRequest(
            "The global default agent stays active and the default: make another the default first."
        )
    if owner_id != agent.owner_id or not is_active:
        # Among other agents it is no default yet; inactive it cannot be one.
        agent.is_default = False
    agent.owner_id = owner_id
    agent.is_active = is_active
    if is_default and "is_default" in data:
        _make_default(agent)
    elif not is_default:
        agent.is_default = False


def _make_default(agent: Agent) -> None:
    if not agent.is_active:
        raise BadRequest("An inactive agent cannot be the default: activate it first.")
    flush()
    current = find_default(agent.owner_id)
    if current is agent:
        return
    if current is not None:
        current.is_default = False
        flush()  # before the other is set: the index allows one at any moment
    agent.is_default = True
    flush()
