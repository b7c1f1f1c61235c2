"""The names behind the ids of a history."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from flask import Flask

from app.accounts import services as accounts
from app.accounts.models import Role
from app.agents import services as agents
from app.changes.models import Change
from app.changes.services import list_changes_since, read_state
from app.core.db import db
from app.providers import services as providers
from app.tasks import services as tasks
from app.tasks.assignments import assign
from app.transfer.history_names import find_names
from app.usage import budgets
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.support.console import Console


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def latest() -> list[Change]:
    """What the last transaction changed."""
    rev = read_state().rev
    return list_changes_since(rev - 1, rev)


def make_provider(name: str) -> int:
    return providers.create_provider({"name": name, "type": "ollama"}).id


def test_what_a_step_used_to_point_at_has_its_name_though_it_is_gone(app: Flask) -> None:
    old, new = make_provider("old"), make_provider("new")
    agents.create_agent({"name": "One", "provider_id": old, "model_name": "m"})
    agents.update_agent("one", {"provider_id": new, "model_name": "m"})
    changes = latest()
    db.session.rollback()
    providers.delete_provider(old)
    providers.update_provider(new, {"name": "renamed"})
    found = find_names(changes, people=False)
    assert found["provider_id", old] == "old"
    assert found["provider_id", new] == "renamed"
    db.session.rollback()
    page = Console(app, ADMIN_EMAIL, ADMIN_PASSWORD).get("/admin/history/", entity="llm_config")
    assert f'old <span class="muted">(id {old})</span></del>' in page.text
    assert f'renamed <span class="muted">(id {new})</span></ins>' in page.text


def test_the_names_of_people_are_for_those_who_may_know_them() -> None:
    owner = accounts.create_user("owner@example.com", "another horse battery", Role.VIEWER).id
    agents.create_agent({"name": "Two", "owner_id": owner})
    changes = latest()
    assert find_names(changes, people=True)["owner_id", owner] == "owner@example.com"
    assert find_names(changes, people=False) == {}


def test_an_assignment_names_both_its_sides() -> None:
    agent = agents.create_agent({"name": "Three"})[0].id
    task = tasks.create_task({"name": "A task"}).id
    assign("three", {"task_id": task})
    assert find_names(latest(), people=False) == {
        ("agent_id", agent): "three",
        ("task_id", task): "A task",
    }


def test_a_budget_names_the_agent_or_the_provider_that_it_is_for(app: Flask) -> None:
    agent, provider = agents.create_agent({"name": "Four"})[0].id, make_provider("five")
    limits = {"period": "day", "block_at": Decimal(1)}
    budgets.create_budget({"name": "a", "scope": "agent", "agent_id": "four", **limits})
    of_agent = latest()
    budgets.create_budget({"name": "p", "scope": "provider", "provider": "five", **limits})
    assert find_names(of_agent, people=False) == {("agent_id", agent): "four"}
    assert find_names(latest(), people=False) == {("provider_id", provider): "five"}
    db.session.rollback()
    page = Console(app, ADMIN_EMAIL, ADMIN_PASSWORD).get("/admin/history/", entity="budget")
    assert f'four <span class="muted">(id {agent})</span>' in page.text
    assert f'five <span class="muted">(id {provider})</span>' in page.text


def test_a_history_without_ids_asks_nothing() -> None:
    tasks.create_task({"name": "A task"})
    assert find_names(latest(), people=True) == {}
