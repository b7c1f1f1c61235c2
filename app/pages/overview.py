"""What the overview tells: counts, what needs attention, the first steps. Reads only."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from app.accounts.models import ApiToken
from app.agents.halt import get_red_button
from app.agents.models import Agent, LLMConfig
from app.agents.resolution import usable_steps
from app.changes.models import Change, Operation
from app.core.db import db
from app.pages.jobs import read_jobs
from app.providers.models import BudgetState, Provider, ValidationStatus
from app.push import clients
from app.push.models import Client
from app.transfer.history import visible_history
from app.usage import budgets
from app.webhooks import services as webhooks

SHOWN = 8
"""How many of a kind are named; the lists behind them have the rest."""
LEVELS = ("error", "halted", "warning", "pending")


class Attention(NamedTuple):
    """Something that somebody should look at."""

    level: str
    endpoint: str
    row_id: int | None
    """None = the page is about no row."""
    name: str
    reason: str


class AgentCounts(NamedTuple):
    """How many agents there are, and how many answer for themselves."""

    total: int
    active: int
    without_chain: int
    halted: int


class Step(NamedTuple):
    """One first step, ticked from live data, and the page where it is done."""

    done: bool
    text: str
    help: str
    endpoint: str
    row_id: int | None = None


class ClientCounts(NamedTuple):
    """Who is connected, and who of them runs an older rev than concerns them."""

    connected: int
    behind: int


def count_providers() -> dict[str, int]:
    """How many providers stand in each state, every state named."""
    query = sa.select(Provider.validation_status, sa.func.count()).group_by(
        Provider.validation_status
    )
    counts = dict(db.session.execute(query).tuples().all())
    return {status.value: counts.get(status, 0) for status in ValidationStatus}


def count_agents(visible_to: int | None) -> AgentCounts:
    """The agents that a person may see; ``visible_to`` None = all."""
    chain = sa.exists().where(LLMConfig.agent_pk == Agent.id, LLMConfig.enabled)
    query = sa.select(
        sa.func.count(),
        sa.func.count().filter(Agent.is_active),
        sa.func.count().filter(Agent.is_active, ~chain),
        sa.func.count().filter(Agent.halted_at.is_not(None)),
    )
    return AgentCounts(*db.session.execute(_visible(query.select_from(Agent), visible_to)).one())


def list_attention(visible_to: int | None) -> list[Attention]:
    """What needs somebody, the worst first."""
    return worst_first(
        [*_providers_in_error(), *_halted(visible_to), *_unserved(visible_to), *_keyless()]
    )


def worst_first(found: list[Attention]) -> list[Attention]:
    """By level; within one, as they were found."""
    return sorted(found, key=lambda item: LEVELS.index(item.level))


def count_clients() -> ClientCounts:
    """The clients on the sockets at this moment."""
    connected = clients.list_query({"connected": True})
    behind = clients.list_query({"connected": True, "behind": True})
    return ClientCounts(_count(connected), _count(behind))


def list_first_steps() -> list[Step]:
    """The way from an empty database to an agent that is served."""
    default = db.session.scalar(sa.select(Agent).where(Agent.is_default, Agent.owner_id.is_(None)))
    default_id = default.id if default is not None else None
    steps = usable_steps(default) if default is not None else ()
    connected = Provider.validation_status == ValidationStatus.CONNECTED
    served = any(s.provider.validation_status is ValidationStatus.CONNECTED for s in steps)
    own = sa.and_(~Agent.is_default, Agent.id.in_(sa.select(LLMConfig.agent_pk)))
    return [
        Step(
            _any(Provider.api_key_id.is_not(None)),
            "Store a provider's key",
            "An endpoint and its key; the key is encrypted and never shown again.",
            "provider.create_view",
        ),
        Step(
            _any(connected),
            "See a provider connected",
            "Saving starts a check; the badge turns by itself.",
            "provider.index_view",
        ),
        Step(
            _any(own),
            "Give an agent its model",
            "An agent asks by its id; its chain says which models answer.",
            "agent.create_view",
        ),
        Step(
            served,
            "Let the default agent answer from a connected provider",
            "It answers for agents that have no chain of their own.",
            "agent.edit_view" if default_id else "agent.index_view",
            default_id,
        ),
        Step(
            _any(ApiToken.revoked_at.is_(None)),
            "Have a token for your agents",
            "It is shown once, with the two lines for the environment.",
            "token.create_view",
        ),
        Step(
            _any(Client.token_id.is_not(None)),
            "See a client connected",
            "Start a program with the client library; it says hello here.",
            "client.index_view",
        ),
    ]


def list_changes(visible_to: int | None, limit: int) -> list[Change]:
    """The newest changes that a person may see; checks that merely settled are left out."""
    query = visible_history({}, visible_to=visible_to).where(Change.operation != Operation.STATUS)
    return list(db.session.scalars(query.limit(limit)))


def list_operational_attention() -> list[Attention]:
    """What keeps work from being done, or from being heard of: no Redis, no worker, clients that
    run an older rev, budgets that are spent, webhooks that are not taken."""
    state, found = read_jobs(), []
    health = ("health_jobs.index", None)
    if not state.reachable:
        found.append(Attention("error", *health, "Redis", "It does not answer."))
    elif not state.workers:
        found.append(Attention("error", *health, "Worker", "None gives a sign of life."))
    if behind := count_clients().behind:
        name = f"{behind} client{'' if behind == 1 else 's'}"
        reason = "Connected, and running an older rev than the newest that concerns them."
        found.append(Attention("warning", "client.index_view", None, name, reason))
    found += _budgets(BudgetState.BLOCKED, "error", "It is spent: calls are refused.")
    found += _budgets(BudgetState.WARN, "warning", "It has reached its warning.")
    for webhook, error in webhooks.list_failing()[:SHOWN]:
        page = ("webhook.details_view", webhook.id)
        found.append(Attention("warning", *page, f"Webhook {webhook.name}", error))
    return found


def _providers_in_error() -> Iterator[Attention]:
    query = sa.select(Provider).where(Provider.validation_status == ValidationStatus.ERROR)
    for provider in db.session.scalars(query.order_by(Provider.name).limit(SHOWN)):
        reason = provider.last_error or "Its last check failed."
        yield Attention("error", "provider.details_view", provider.id, provider.name, reason)


def _budgets(state: BudgetState, level: str, reason: str) -> Iterator[Attention]:
    for budget in db.session.scalars(budgets.list_query({"state": state}).limit(SHOWN)):
        if budget.is_active:
            yield Attention(level, "budget.index_view", None, f"Budget {budget.name}", reason)


def _keyless() -> Iterator[Attention]:
    """A provider that has no key and needs one stays pending, and says so."""
    waiting = Provider.validation_status == ValidationStatus.PENDING
    query = sa.select(Provider).where(waiting, Provider.last_error.is_not(None))
    for provider in db.session.scalars(query.order_by(Provider.name).limit(SHOWN)):
        reason = provider.last_error or ""
        yield Attention("pending", "provider.details_view", provider.id, provider.name, reason)


def _halted(visible_to: int | None) -> Iterator[Attention]:
    button = get_red_button()
    if button.halted:
        reason = _why_halted(button.halted_reason)
        yield Attention("halted", "agent.index_view", None, "All agents", reason)
    query = sa.select(Agent).where(Agent.halted_at.is_not(None)).order_by(Agent.name).limit(SHOWN)
    for agent in db.session.scalars(_visible(query, visible_to)):
        reason = _why_halted(agent.halted_reason)
        yield Attention("halted", "agent.details_view", agent.id, agent.name, reason)


def _why_halted(reason: str | None) -> str:
    return f"Halted: {(reason or 'no reason given').rstrip('. ')}."


def _unserved(visible_to: int | None) -> Iterator[Attention]:
    """Active agents without a usable step: the default answers for them."""
    usable = (
        sa.select(LLMConfig.agent_pk)
        .join(Provider, Provider.id == LLMConfig.provider_id)
        .where(LLMConfig.enabled, Provider.is_active)
    )
    query = (
        sa.select(Agent)
        .where(Agent.is_active, Agent.id.not_in(usable))
        .options(selectinload(Agent.llm_configs))
        .order_by(Agent.name)
        .limit(SHOWN)
    )
    for agent in db.session.scalars(_visible(query, visible_to)):
        reason = "It has no usable step, so the default agent answers for it."
        yield Attention("warning", "agent.details_view", agent.id, agent.name, reason)


def _visible(query: sa.Select[Any], visible_to: int | None) -> sa.Select[Any]:
    if visible_to is None:
        return query
    return query.where(Agent.visible(visible_to))


def _count(query: sa.Select[Any]) -> int:
    counted = sa.select(sa.func.count()).select_from(query.order_by(None).subquery())
    return db.session.scalar(counted) or 0


def _any(condition: sa.ColumnElement[bool]) -> bool:
    return bool(db.session.scalar(sa.select(sa.exists().where(condition))))
