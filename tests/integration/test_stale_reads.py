"""A row that was read before it was locked is read again: another one's save in between is seen."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from app.accounts import services as accounts
from app.agents import services as agents
from app.agents.chain import get_agent
from app.core.db import db
from app.core.errors import Stale
from app.providers import services as providers
from app.tasks import services as tasks
from app.transfer.restore import restore


def make_agent() -> Any:
    agents.create_agent({"name": "A"})
    return "a"


def make_provider() -> Any:
    return providers.create_provider({"name": "p", "type": "ollama"}).id


def make_task() -> Any:
    return tasks.create_task({"name": "t", "response_schema": {"a": {"type": "string"}}}).id


def make_user() -> Any:
    return accounts.create_user("u@example.com", "long-enough-password", "viewer").id


pytestmark = pytest.mark.parametrize("backend", ["postgresql"])  # SQLite locks before it reads


@pytest.mark.parametrize(
    ("make", "get", "update", "field"),
    [
        (make_agent, get_agent, agents.update_agent, "name"),
        (make_provider, providers.get_provider, providers.update_provider, "name"),
        (make_task, tasks.get_task, tasks.update_task, "name"),
        (make_user, accounts.get_user, accounts.update_user, "username"),
    ],
    ids=["agent", "provider", "task", "user"],
)
def test_a_save_between_a_look_and_the_lock_is_not_passed_over(
    app: Flask,
    make: Callable[[], Any],
    get: Callable[[Any], Any],
    update: Callable[..., Any],
    field: str,
) -> None:
    def save(value: str) -> None:
        with app.app_context():
            update(key, {field: value}, version)

    with app.app_context():
        key = make()
        row = get(key)  # as a form's page does before it is saved
        version = row.version
        meanwhile(save, "theirs")
        with pytest.raises(Stale):
            update(key, {field: "ours"}, version)
        db.session.rollback()
        assert (getattr(get(key), field), get(key).version) == ("theirs", version + 1)


def test_a_restored_step_is_the_one_of_today(app: Flask) -> None:
    def save(model: str) -> None:
        with app.app_context():
            agents.update_agent("a", {"llm_model": model})

    with app.app_context():
        agents.create_agent({"name": "A", "llm_provider": "ollama", "llm_model": "first"})
        step = get_agent("a").llm_configs[0]
        rev, step_id = get_agent("a").config_rev, step.id
        meanwhile(save, "theirs")
        assert step.model_name == "first"
        assert restore(rev, "llm_config", step_id).rev == rev + 2
        assert get_agent("a").llm_configs[0].model_name == "first"


def meanwhile(work: Callable[[str], None], value: str) -> None:
    """Somebody else does this, to its end."""
    with ThreadPoolExecutor(1) as somebody_else:
        somebody_else.submit(work, value).result()
