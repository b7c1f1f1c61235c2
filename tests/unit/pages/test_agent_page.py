"""What an agent's page says of each step: where its key comes from, and why it is passed over."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.accounts import services as accounts
from app.accounts.models import Scope
from app.agents import halt
from app.agents import services as agents
from app.agents.models import Agent
from app.changes.services import read_state
from app.core.clock import utcnow
from app.core.db import commit, db
from app.pages.agent_page import MASK, Value, find_effective, list_clients
from app.providers import services as providers
from app.providers.models import Provider
from app.push import clients
from app.push.clients import Sighting

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    """Everything here reads and writes as one process does."""
    with app.app_context():
        yield


@pytest.fixture
def provider() -> Provider:
    return providers.create_provider({"name": "main", "type": "openai", "api_key": "sk"})


def agent_with(*steps: dict[str, Any]) -> Agent:
    return agents.create_agent({"name": "A", "llm_configs": list(steps)})[0]


def step_on(provider: Provider, **more: Any) -> dict[str, Any]:
    return {"provider_id": provider.id, "model_name": "gpt-4o", **more}


def key_of(agent: Agent) -> Value:
    return next(it for it in find_effective(agent).own[0].values if it.label == "API key")


def test_the_key_s_source_is_the_one_that_resolution_takes(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "sk")
    agent = agent_with(step_on(provider, api_key="own"))
    assert key_of(agent)[1:3] == (MASK, "step")
    agents.change_agent(agent, {"api_key": None})
    assert key_of(agent)[1:3] == (MASK, "provider")
    agents.change_agent(agent, {"endpoint": "https://elsewhere.example/v1"})
    assert key_of(agent)[1:3] == ("none", "not sent")
    assert "does not go to another origin" in key_of(agent).note
    agents.change_agent(agent, {"provider": "groq"})
    assert key_of(agent)[1:3] == (MASK, "environment")
    agents.change_agent(agent, {"provider": "mistral"})
    assert key_of(agent)[1:] == ("none", "not sent", "")


def test_a_key_that_cannot_be_read_says_so(provider: Provider) -> None:
    agent = agent_with(step_on(provider))
    moved = sa.update(Provider.__table__).where(Provider.__table__.c.id == provider.id)  # type: ignore[arg-type]
    db.session.execute(moved.values(api_key_sealed="x"))
    commit()
    db.session.expire_all()
    assert key_of(agent)[1:] == ("unreadable", "provider", "It must be entered again.")


def test_a_step_is_passed_over_for_a_reason(provider: Provider) -> None:
    spare = providers.create_provider({"name": "spare", "type": "ollama", "is_active": False})
    agent = agent_with(step_on(provider, enabled=False), step_on(spare))
    found = find_effective(agent)
    assert [node.passed_over for node in found.own] == [
        "The step is disabled.",
        "Its provider is inactive.",
    ]
    assert found.why == "No step of its chain can be used."
    assert [node.step.model_name for node in found.default] == ["mistral:7b-instruct"]


def test_where_nothing_answers_that_is_said() -> None:
    default = agents.find_default(None)
    assert default is not None
    providers.update_provider(default.llm_configs[0].provider_id, {"is_active": False})
    found = find_effective(agent_with())
    assert (found.answered_by, found.body) == (None, "")
    assert found.why == "The agent has no chain. No default answers either."


def test_what_halts_is_named(provider: Provider) -> None:
    agent = agent_with(step_on(provider))
    assert find_effective(agent).halt is None
    halt.halt_agents(["default"], "reason")
    inactive = agents.create_agent({"name": "B", "is_active": False})[0]
    through = find_effective(inactive).halt
    assert through is not None
    assert through.what == "Default Agent, which answers for it, has been"
    halt.halt_agents(["a"])
    own = find_effective(agent).halt
    assert own is not None
    assert (own.what, own.reason) == ("It has been", "no reason given")
    halt.halt_all("crash")
    everybody = find_effective(agent).halt
    assert everybody is not None
    assert (everybody.what, everybody.reason) == ("All agents have been", "crash")


def test_prices_say_who_states_them(provider: Provider) -> None:
    priced = step_on(
        provider,
        cost_per_1k_input_tokens=Decimal("0.000003625"),
        cost_per_1k_output_tokens=Decimal(0),
    )
    local = providers.create_provider({"name": "local", "type": "ollama"})
    own, listed, hosted, unknown = find_effective(
        agent_with(
            priced, step_on(provider), step_on(local), step_on(provider) | {"model_name": "own-7b"}
        )
    ).own
    assert own.price[1:3] == ("$0.003625 / $0", "step")
    assert listed.price.source == "catalogue"
    assert hosted.price[1:3] == ("$0 / $0", "self-hosted")
    assert unknown.price[1:3] == ("unknown", "unpriced")


def test_clients_that_may_read_it_are_listed_last_seen_first(provider: Provider) -> None:
    agent = agent_with(step_on(provider))
    state = read_state()
    bound = {
        name: accounts.create_token(name, (Scope.CONFIG_READ,), agents=[slug])[0].id
        for name, slug in (("mine", "a"), ("other", "default"))
    }
    seen = [
        Sighting(
            f"{name}:c", name, token_id, None, "py", state.epoch, state.rev, state.rev, utcnow()
        )
        for name, token_id in bound.items()
    ]
    clients.record(seen, "host:1")
    found, total = list_clients(agent)
    assert ([client.client_id for client in found], total) == (["mine"], 1)
    assert found[0].connected
