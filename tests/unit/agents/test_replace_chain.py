"""Replacing a chain: kept steps keep their keys, positions never clash, all or nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from app.agents import chain, services
from app.agents.models import Agent
from app.changes.services import history_query, read_state
from app.core.db import db
from app.core.errors import Invalid, NotFound, Stale

MODELS = ("first", "second", "third")


@pytest.fixture
def agent(app: Flask) -> Iterator[Agent]:
    """An agent whose chain has three steps, the second with a key of its own."""
    with app.app_context():
        services.create_agent({"agent_id": "chained", "name": "Chained"})
        items: list[dict[str, Any]] = [
            {"provider": "openai", "model_name": model} for model in MODELS
        ]
        items[1]["api_key"] = "sk-canary-second"
        yield chain.replace_chain("chained", items)[0]


def test_a_chain_is_made_in_order(agent: Agent) -> None:
    assert _models(agent) == list(MODELS)
    assert [step.position for step in agent.llm_configs] == [0, 1, 2]


@pytest.mark.parametrize(
    "order", [(2, 1, 0), (1, 2, 0), (1,), (0, 2), (2, 0), (), (0, None, 1), (None, 2, None, 0)]
)
def test_steps_are_kept_moved_added_and_removed(agent: Agent, order: tuple[int | None]) -> None:
    before = [(step.id, step.model_name, step.api_key_id) for step in agent.llm_configs]
    items = [
        {"provider": "ollama", "model_name": "new"} if n is None else {"id": before[n][0]}
        for n in order
    ]
    chain.replace_chain("chained", items)
    db.session.expire_all()
    after = [(step.id, step.model_name, step.api_key_id) for step in agent.llm_configs]
    kept = {place: before[n] for place, n in enumerate(order) if n is not None}
    assert {place: after[place] for place in kept} == kept
    assert _models(agent) == ["new" if n is None else MODELS[n] for n in order]
    assert [step.position for step in agent.llm_configs] == list(range(len(order)))


def test_a_moved_step_still_opens_its_key(agent: Agent) -> None:
    ids = [step.id for step in agent.llm_configs]
    chain.replace_chain("chained", [{"id": ids[1]}, {"id": ids[0]}])
    key = agent.llm_configs[0].open_api_key()
    assert key is not None
    assert key.get_secret_value() == "sk-canary-second"


def test_it_is_one_change_of_one_version(agent: Agent) -> None:
    rev, version = read_state().rev, agent.version
    ids = [step.id for step in agent.llm_configs]
    chain.replace_chain("chained", [{"id": ids[2], "temperature": 0.1}, {"id": ids[0]}], version)
    assert (read_state().rev, agent.version) == (rev + 1, version + 1)
    changes = list(db.session.scalars(history_query(root="chained")))
    told = {c.entity_id: (c.operation.value, c.diff) for c in changes if c.rev == rev + 1}
    assert told[ids[2]] == ("update", {"position": [2, 0], "temperature": [0.7, 0.1]})
    assert told[ids[0]] == ("update", {"position": [0, 1]})
    assert told[ids[1]][0] == "delete"
    assert "sk-canary" not in str(told)


def test_the_same_again_changes_nothing(agent: Agent) -> None:
    rev, version = read_state().rev, agent.version
    chain.replace_chain("chained", [{"id": step.id} for step in agent.llm_configs])
    assert (read_state().rev, agent.version) == (rev, version)


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([{"id": 9999}], "llm_configs.0.id"),
        (
            [{"provider": "openai", "model_name": "m"}, {"provider": "x"}],
            "llm_configs.1.model_name",
        ),
        ([{"provider_id": 9999, "model_name": "m"}], "llm_configs.0.provider_id"),
    ],
)
def test_what_is_refused_is_named_and_nothing_changes(
    agent: Agent, items: list[dict[str, Any]], field: str
) -> None:
    rev = read_state().rev
    with pytest.raises(Invalid) as refused:
        chain.replace_chain("chained", items)
    assert list(refused.value.errors) == [field]
    db.session.rollback()
    assert (_models(agent), read_state().rev) == (list(MODELS), rev)


def test_a_step_stands_in_the_list_once(agent: Agent) -> None:
    step_id = agent.llm_configs[0].id
    with pytest.raises(Invalid, match="twice"):
        chain.replace_chain("chained", [{"id": step_id}, {"id": step_id}])


def test_an_older_version_is_stale(agent: Agent) -> None:
    with pytest.raises(Stale):
        chain.replace_chain("chained", [], agent.version - 1)


def test_an_unknown_agent_is_not_found(app: Flask) -> None:
    with app.app_context(), pytest.raises(NotFound):
        chain.replace_chain("nobody", [])


def test_an_agent_and_its_chain_are_saved_in_one_transaction(agent: Agent) -> None:
    rev = read_state().rev
    data = {"name": "Renamed", "llm_configs": [{"provider": "openai", "model_name": "only"}]}
    services.update_agent("chained", data)
    assert (agent.name, _models(agent), read_state().rev) == ("Renamed", ["only"], rev + 1)
    with pytest.raises(Invalid):
        services.update_agent("chained", {"name": "No", "llm_configs": [{"provider": "openai"}]})
    db.session.rollback()
    assert (agent.name, _models(agent), read_state().rev) == ("Renamed", ["only"], rev + 1)


def _models(agent: Agent) -> list[str]:
    return [step.model_name for step in agent.llm_configs]
