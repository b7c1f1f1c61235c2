"""Row A8 kept for one state: by whom it was asked for, without a key in clear."""

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.accounts import services as accounts
from app.agents import services as agents
from app.agents.chain import append_step
from app.agents.effective import resolve_agent
from app.agents.effective_cache import MAX_CONFIGS, get_config, get_configs
from app.agents.schemas import dump_resolved
from app.changes.services import State, read_state
from app.changes.state_cache import RecentlyUsed, cache_of_app
from app.core.crypto import Secret
from app.core.db import commit, db, reading
from app.core.errors import NotFound

OWN, SHARED, SERVERS = "sk-canary-own", "sk-canary-shared", "sk-canary-server"


@pytest.fixture
def state(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    """An agent whose three steps get their keys from three places; its state, and a snapshot."""
    monkeypatch.setenv("MISTRAL_API_KEY", SERVERS)
    with app.app_context():
        agents.create_agent(
            {"name": "A", "llm_provider": "openai", "llm_model": "m", "llm_api_key": OWN}
        )
        shared, _servers = (
            append_step("a", {"provider": provider, "model_name": "m"})[0]
            for provider in ("anthropic", "mistral")
        )
        shared.provider.set_api_key(Secret(SHARED))
        commit()
        with reading():
            yield read_state()


@pytest.fixture
def queries(state: State) -> Iterator[list[str]]:
    """The statements that are sent from here on."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(db.engine, "before_cursor_execute", note)
    assert state


def spelled(state: State, slug: str, *, reveal: bool) -> dict[str, Any]:
    return dump_resolved(resolve_agent(slug), epoch=state.epoch, rev=state.rev, reveal=reveal)


@pytest.mark.parametrize("reveal", [True, False])
@pytest.mark.parametrize("slug", ["a", "default", "unknown"])
def test_it_says_what_the_rows_say(state: State, slug: str, reveal: bool) -> None:
    for _ in range(2):  # read, then found
        assert get_config(state, slug).dump(reveal=reveal) == spelled(state, slug, reveal=reveal)
    found = get_configs(state, [slug, "a"])
    assert found[slug] is get_config(state, slug)


def test_a_second_read_asks_the_database_nothing(state: State, queries: list[str]) -> None:
    get_config(state, "a").dump(reveal=True)
    before = len(queries)
    assert before
    get_config(state, "a").dump(reveal=True)
    get_configs(state, ["a"])
    assert len(queries) == before


def test_many_are_read_at_once(state: State, queries: list[str]) -> None:
    first = get_config(state, "a")
    before = len(queries)
    found = get_configs(state, ["a", "b", "c"])
    many = len(queries) - before
    assert found["a"] is first
    assert all(found.values())
    before = len(queries)
    get_configs(state, ["d"])
    assert many == len(queries) - before


def test_whose_default_answers_is_told_apart(app: Flask) -> None:
    with app.app_context():
        user = accounts.create_user("o@example.com", "correct horse battery").id
        data = {"name": "Theirs", "llm_provider": "openai", "llm_model": "theirs"}
        agents.create_agent(data | {"owner_id": user, "is_default": True})
        with reading():
            state = read_state()
            assert get_config(state, "unknown", user).body["llm_model"] == "theirs"
            assert get_config(state, "unknown").body["source"] == "default"


def test_what_nothing_answers_for_is_asked_again(app: Flask) -> None:
    with app.app_context():
        default = agents.find_default(None)
        assert default is not None
        agents.update_agent("default", {"llm_configs": []})
        with reading():
            state = read_state()
            for _ in range(2):
                with pytest.raises(NotFound):
                    get_config(state, "unknown")
            assert get_configs(state, ["unknown"]) == {"unknown": None}


def test_no_key_is_kept_in_clear(app: Flask, state: State) -> None:
    shown = get_config(state, "a").dump(reveal=True)
    steps = [shown, *shown["fallbacks"]]
    assert [step["llm_api_key"] for step in steps] == [OWN, SHARED, SERVERS]
    kept = list(strings_in(cache_of_app("effective configs", MAX_CONFIGS)._generation))
    assert any("mistral" in text for text in kept)  # the walk gets there
    assert any(text.startswith("gAAAA") for text in kept)  # the ciphertext
    assert not any("canary" in text for text in kept)
    assert app


def test_the_environments_keys_are_read_live(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    config = get_config(state, "a")
    before, stamp = config.dump(reveal=True)["fallbacks"][1], config.stamp
    monkeypatch.setenv("MISTRAL_API_KEY", "sk-other")
    after = get_config(state, "a").dump(reveal=True)["fallbacks"][1]
    assert (before["llm_api_key"], after["llm_api_key"]) == (SERVERS, "sk-other")
    assert before["llm_api_key_id"] != after["llm_api_key_id"]
    assert get_config(state, "a").stamp != stamp
    monkeypatch.delenv("MISTRAL_API_KEY")
    gone = get_config(state, "a").dump(reveal=True)["fallbacks"][1]
    assert (gone["llm_api_key"], gone["llm_api_key_id"]) == (None, None)


def strings_in(value: Any) -> Iterator[str]:
    """Every text that is held, however deep."""
    if isinstance(value, str):
        yield value
    for part in _parts(value):
        yield from strings_in(part)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, RecentlyUsed):
        return [value._values]
    if isinstance(value, partial):
        return value.args, value.keywords
    if is_dataclass(value):
        return [getattr(value, field.name) for field in fields(value)]
    assert value is None or isinstance(value, str | int | float), type(value)
    return ()
