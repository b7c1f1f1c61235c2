"""What the palette finds, and in which order."""

from collections.abc import Iterator

import pytest
from flask import Flask

from app.agents import services as agents
from app.pages import search
from app.tasks import services as tasks


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def test_names_that_begin_with_the_text_come_first() -> None:
    for name in ("A risky one", "Risk officer", "Bystander"):
        agents.create_agent({"name": name})
    assert [hit.name for hit in search.find("RISK", None)] == ["Risk officer", "A risky one"]


def test_an_agent_is_found_by_its_id_and_a_task_by_its_name() -> None:
    agents.create_agent({"name": "Quiet", "agent_id": "loud-slug"})
    tasks.create_task({"name": "Loud summary", "description": "daily"})
    found = [(hit.kind, hit.name, hit.detail) for hit in search.find("loud", None)]
    assert found == [("agent", "Quiet", "loud-slug"), ("task", "Loud summary", "daily")]


def test_there_is_an_end_to_what_is_found_and_to_what_is_asked() -> None:
    for number in range(search.AT_MOST + 1):
        agents.create_agent({"name": f"Many {number}"})
    assert len(search.find("many", None)) == search.AT_MOST
    assert search.find("x" * 10_000, None) == []
