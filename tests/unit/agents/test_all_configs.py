"""Everything is read once for all who ask at the same time, and by one after the other."""

import time
from typing import Any

import pytest
from flask import Flask

from app.agents import all_configs
from app.agents.services import create_agent
from app.changes.services import State, read_state
from app.core.db import reading
from tests.conftest import Api


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One for each time that all agents were read."""
    done: list[int] = []
    resolve = all_configs.resolve_agents
    monkeypatch.setattr(all_configs, "resolve_agents", lambda: done.append(1) or resolve())
    return done


def slugs(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.json
    return sorted(item["agent_id"] for item in answer.json["items"])


def now(app: Flask) -> State:
    with app.app_context(), reading():
        return read_state()


def make(app: Flask, name: str) -> None:
    with app.app_context():
        create_agent({"name": name, "llm_provider": "ollama", "llm_model": "m"})


def test_everything_is_read_once_until_something_changes(
    app: Flask, api: Api, reads: list[int]
) -> None:
    assert [slugs(api("GET", "/sync")) for _ in range(3)] == [["default"]] * 3
    assert len(reads) == 1
    make(app, "A")
    assert slugs(api("GET", "/sync")) == ["a", "default"]
    assert len(reads) == 2


def test_who_waited_while_it_was_read_takes_it_though_more_has_happened(
    app: Flask, reads: list[int]
) -> None:
    shared, asked, asked_at = all_configs.AllConfigs(), now(app), time.monotonic()
    make(app, "A")
    with app.app_context():
        with shared.turn(now(app)) as read_meanwhile:
            assert shared._get(asked, asked_at) is read_meanwhile
        with shared.turn(asked) as read_anew:  # asked after that read: it may be another past
            assert read_anew is not read_meanwhile
    assert len(reads) == 2


def test_who_waits_too_long_comes_again(
    app: Flask, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_configs, "PATIENCE", 0.01)
    with app.app_context():
        turn = all_configs.all_configs()._turn
    with turn:
        answer = api("GET", "/sync")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert slugs(api("GET", "/sync")) == ["default"]
