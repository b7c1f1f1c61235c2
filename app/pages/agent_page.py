"""What an agent's page tells: what its clients get, and where each value comes from. Reads only."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from app.agents.agent_test_models import AgentTest, StepStatus
from app.agents.agent_tests import tests_query
from app.agents.effective import resolve_agents
from app.agents.halt import get_red_button
from app.agents.models import Agent, GlobalHalt, LLMConfig
from app.agents.resolution import (
    Resolved,
    Source,
    effective_endpoint,
    effective_key,
    find_halt,
    usable_steps,
)
from app.agents.schemas import dump_resolved
from app.changes.models import Change
from app.changes.services import read_state
from app.core.clock import utcnow
from app.core.crypto import KeyUnreadable, origin_of
from app.core.db import plain
from app.core.rest import paged
from app.prices.rates import rates_of_step
from app.prices.services import find_rates
from app.providers.keys import EnvironmentKey
from app.providers.models import BudgetState
from app.push import clients
from app.push.models import Client
from app.transfer.history import visible_history

MASK = "**********"
BUILT_IN = {"timeout": 30, "temperature": 0.7}
SHOWN_CLIENTS = 20
SHOWN_CHANGES = 20

STEP, PROVIDER, ENVIRONMENT, USUAL, NOT_SENT = (
    "step",
    "provider",
    "environment",
    "built in",
    "not sent",
)


class Value(NamedTuple):
    """One value that a client receives, and who says so."""

    label: str
    shown: str
    source: str
    note: str = ""


@dataclass(frozen=True)
class Node:
    """One step in the drawing of the chain."""

    step: LLMConfig
    role: str
    values: list[Value]
    price: Value
    passed_over: str = ""
    """Why no client gets this step; empty = they do."""


@dataclass(frozen=True)
class Effective:
    """What a client receives, and how it comes about."""

    own: list[Node]
    """The agent's own steps."""
    answered_by: Agent | None
    """Whose configuration it is; None = nobody's."""
    source: str
    why: str
    """Why it is not the agent's own; empty = it is."""
    default: list[Node] = field(default_factory=list)
    """The steps of the default that answers in its place."""
    body: str = ""
    """Row A8 as JSON, keys masked."""
    halt: "Halt | None" = None
    budget_state: BudgetState = BudgetState.OK


class Halt(NamedTuple):
    """What halts the agent's clients."""

    what: str
    at: datetime | None
    reason: str


def find_effective(agent: Agent) -> Effective:
    """The configuration that clients of this agent receive now."""
    resolved = resolve_agents([agent.agent_id])[agent.agent_id]
    own = [_node(step, number) for number, step in enumerate(agent.llm_configs)]
    if resolved is None:
        why = f"{_why_not_own(agent)} No default answers either."
        halt = _halt(find_halt(get_red_button(), agent), agent)
        return Effective(own=own, answered_by=None, source="none", why=why, halt=halt)
    is_own = resolved.source is Source.AGENT
    return Effective(
        own=own,
        answered_by=resolved.agent,
        source=resolved.source.value,
        why="" if is_own else _why_not_own(agent),
        default=[] if is_own else [_node(s, n) for n, s in enumerate(resolved.steps)],
        body=_masked_body(resolved),
        halt=_halt(resolved.halted_by, agent),
        budget_state=resolved.budget_state,
    )


def find_latest_test(agent: Agent) -> AgentTest | None:
    """The agent's last test, the one under way included."""
    tests, _ = paged(tests_query(agent), {"page": 1, "page_size": 1})
    return tests[0] if tests else None


def has_passed(test: AgentTest) -> bool:
    """Whether no step of it is in error."""
    return all(step["status"] != StepStatus.ERROR for step in test.steps)


def list_clients(agent: Agent) -> tuple[list[Client], int]:
    """The clients that may read the agent, those last seen first."""
    query = clients.list_query({"agent_id": agent.agent_id})
    newest = query.order_by(None).order_by(Client.last_seen_at.desc(), Client.id)
    return paged(newest, {"page": 1, "page_size": SHOWN_CLIENTS})


def list_history(agent: Agent, visible_to: int | None) -> list[list[Change]]:
    """The agent's latest changes, newest first, those of one rev together."""
    query = visible_history({"root": agent.agent_id}, visible_to=visible_to)
    changes, _ = paged(query, {"page": 1, "page_size": SHOWN_CHANGES})
    return [list(together) for _, together in groupby(changes, key=lambda change: change.rev)]


def _halt(by: Agent | GlobalHalt | None, agent: Agent) -> Halt | None:
    if by is None:
        return None
    if isinstance(by, GlobalHalt):
        what = "All agents have been"
    else:
        what = "It has been" if by is agent else f"{by.name}, which answers for it, has been"
    return Halt(what, by.halted_at, by.halted_reason or "no reason given")


def _node(step: LLMConfig, number: int) -> Node:
    return Node(
        step=step,
        role="Primary" if number == 0 else f"Fallback {number}",
        values=_values(step),
        price=_price(step),
        passed_over=_why_passed_over(step),
    )


def _why_passed_over(step: LLMConfig) -> str:
    if not step.enabled:
        return "The step is disabled."
    if not step.provider.is_active:
        return "Its provider is inactive."
    spent = step.provider.budget_state == BudgetState.BLOCKED
    return "Its provider's budget is spent." if spent else ""


def _why_not_own(agent: Agent) -> str:
    if not agent.is_active:
        return "The agent is inactive."
    if not agent.llm_configs:
        return "The agent has no chain."
    return "" if usable_steps(agent) else "No step of its chain can be used."


def _masked_body(resolved: Resolved) -> str:
    state = read_state()
    body = dump_resolved(resolved, epoch=state.epoch, rev=state.rev, reveal=False)
    for step in (body, *body["fallbacks"]):
        if step["llm_api_key_id"] is not None:
            step["llm_api_key"] = MASK
    return json.dumps(body, indent=2, ensure_ascii=False)


def _values(step: LLMConfig) -> list[Value]:
    endpoint = STEP if step.endpoint else PROVIDER
    return [
        Value("Endpoint", effective_endpoint(step), endpoint),
        _key(step),
        *(_number(step, name, label) for name, label in _NUMBERS.items()),
    ]


_NUMBERS = {
    "timeout": "Timeout",
    "temperature": "Temperature",
    "top_p": "Top p",
    "max_tokens": "Max tokens",
}


def _number(step: LLMConfig, name: str, label: str) -> Value:
    value = getattr(step, name)
    if value is None:
        return Value(label, "the model's own", NOT_SENT)
    shown = f"{value} s" if name == "timeout" else f"{value:g}" if name != "max_tokens" else value
    return Value(label, str(shown), USUAL if value == BUILT_IN.get(name) else STEP)


def _key(step: LLMConfig) -> Value:
    """Which key a call is made with; never the key."""
    found = effective_key(step, EnvironmentKey)
    if isinstance(found, EnvironmentKey):
        if found.find() is not None:
            return Value("API key", MASK, ENVIRONMENT, "The server's own for this type.")
        return Value("API key", "none", NOT_SENT)
    if found is None:
        elsewhere = origin_of(effective_endpoint(step)) != origin_of(step.provider.base_url)
        note = "The provider's key does not go to another origin." if elsewhere else ""
        return Value("API key", "none", NOT_SENT, note)
    source = STEP if step.api_key_set else PROVIDER
    try:
        found.open()
    except KeyUnreadable:
        return Value("API key", "unreadable", source, "It must be entered again.")
    return Value("API key", MASK, source)


_PRICE_SOURCES = {
    "step": STEP,
    "table": "price table",
    "catalogue": "catalogue",
    "self_hosted": "self-hosted",
}


def _price(step: LLMConfig) -> Value:
    """What a million tokens cost, in and out, and who says so."""
    rates = find_rates(rates_of_step(step), step.provider.name, step.model_name, utcnow())
    if rates is None or rates.base.input is None or rates.base.output is None:
        return Value("Price", "unknown", "unpriced")
    shown = " / ".join(_per_1m(rate) for rate in (rates.base.input, rates.base.output))
    return Value("Price", shown, _PRICE_SOURCES[rates.source.value])


def _per_1m(rate: Decimal) -> str:
    return f"${format(plain(rate.scaleb(6)), 'f')}"
