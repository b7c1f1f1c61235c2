"""Imports beside each other and beside other saves: no deadlock, nothing half done."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask

from app.agents import services as agents
from app.agents.chain import get_agent
from app.core.db import db, reading
from app.providers import services as providers
from app.transfer.importing import import_document

NAMES = ("one", "two", "three")
ROUNDS = 4


def test_imports_and_saves_do_not_cross(app: Flask) -> None:
    with app.app_context():
        spare = providers.create_provider({"name": "spare", "type": "openai"}).id
        for name in NAMES:
            step = {"provider_id": spare, "model_name": "m"}
            agents.create_agent({"agent_id": name, "name": name, **step})

    def import_(number: int) -> None:
        # Each makes another agent the default, and says the same of all.
        items: list[dict[str, Any]] = [
            {"agent_id": name, "description": f"{number}", "is_default": name == NAMES[number % 3]}
            for name in NAMES
        ]
        provider = {"name": "spare", "options": {"by": number}}
        import_document({"format_version": 1, "providers": [provider], "agents": items})

    def save(number: int) -> None:
        name = NAMES[number % 3]
        agents.update_agent(name, {"llm_model": f"m{number}"})
        providers.update_provider(spare, {"is_active": number % 2 == 0})
        agents.set_default(name)

    def work(number: int) -> None:
        job: Callable[[int], None] = import_ if number % 2 else save
        with app.app_context():
            for turn in range(ROUNDS):
                job(number + turn)

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work, number) for number in range(6)]:
            done.result()
    with app.app_context(), reading():
        found = [get_agent(name) for name in NAMES]
        assert len({agent.description for agent in found}) == 1
        by = providers.get_provider(spare).options["by"]
        assert found[0].description == str(by)
        assert agents.find_default(None) in found
        db.session.expunge_all()
