"""From changes to messages, on both databases."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from app.accounts.models import Role
from app.accounts.services import create_token, create_user
from app.agents import halt
from app.agents import services as agents
from app.agents.chain import append_step
from app.changes.services import State, list_changes_since, read_state
from app.core.db import commit, db, reading
from app.providers import services as providers
from app.providers.models import Capability, Provider, ValidationStatus
from app.push import messages
from app.push.messages import Item, dump_items, is_in_reach, list_items
from app.tasks import services as tasks

CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def agent(name: str, **fields: Any) -> None:
    given = {"llm_provider": "openai", "llm_model": "gpt-4.1"} | fields
    agents.create_agent({"name": name, **given})


def openai() -> Provider:
    found = providers.find_by_name("openai", Capability.LLM)
    assert found is not None
    return found


def since(rev: int, **options: Any) -> list[Item]:
    db.session.rollback()
    with reading():
        changes = list_changes_since(rev, read_state().rev)
        items = list_items(changes, **options)
    assert items is not None
    return items


def now() -> int:
    db.session.rollback()
    with reading():
        return read_state().rev


def said(items: list[Item]) -> list[tuple[str, str | int | None]]:
    return [(item.type.value, item.agent_id or item.thing_id) for item in items]


def dump(items: list[Item], **options: Any) -> list[dict[str, Any]]:
    with reading():
        return dump_items(items, read_state(), **options)


def test_created_changed_and_deleted_come_out_once_each() -> None:
    agent("Old")
    agent("Gone")
    start = now()
    agent("New")
    for model in ("a", "b", "c"):
        agents.update_agent("new", {"llm_model": model})
        agents.update_agent("old", {"llm_model": model})
    agents.delete_agent("gone")
    assert said(since(start)) == [
        ("agent_deleted", "gone"),
        ("agent_created", "new"),
        ("agent_config_changed", "old"),
    ]
    gone, new, old = dump(since(start))
    assert (gone["config"]["source"], gone["config"]["agent_id"]) == ("default", "default")
    assert gone["config"]["requested_agent_id"] == "gone"
    assert new["config"]["llm_model"] == old["config"]["llm_model"] == "c"
    assert new["rev"] == new["config"]["rev"] == now()


def test_a_new_step_of_the_chain_is_a_change_of_its_agent() -> None:
    agent("A")
    start = now()
    append_step("a", {"provider": "ollama", "model_name": "m"})
    (item,) = since(start)
    (message,) = dump([item])
    assert message["type"] == "agent_config_changed"
    assert [step["llm_model"] for step in message["config"]["fallbacks"]] == ["m"]


def test_a_provider_change_reaches_every_agent_that_uses_it() -> None:
    agent("A")
    agent("B")
    agent("Other", llm_provider="anthropic")
    start = now()
    provider = openai()
    providers.update_provider(provider.id, {"options": {"x": 1}})
    assert said(since(start)) == [
        ("agent_config_changed", "a"),
        ("agent_config_changed", "b"),
        ("provider_changed", provider.id),
    ]


def test_a_settled_status_is_an_item_of_its_own_kind() -> None:
    agent("A")
    start = now()
    provider = openai()
    provider.settled_status = provider.validation_status = ValidationStatus.CONNECTED
    commit()
    assert said(since(start)) == [
        ("agent_config_changed", "a"),
        ("provider_status", provider.id),
    ]
    changed, status = dump(since(start))
    assert changed["config"]["provider_status"] == "connected"
    assert status["provider"] == {
        "id": provider.id,
        "name": "openai",
        "type": "openai",
        "validation_status": "connected",
    }


def test_providers_come_and_go() -> None:
    start = now()
    made = providers.create_provider({"name": "eu", "type": "openai", "base_url": "https://eu.x"})
    made_id = made.id
    assert said(since(start)) == [("provider_created", made_id)]
    start = now()
    providers.delete_provider(made_id)
    (item,) = since(start)
    assert dump([item])[0]["provider"] == {"id": made_id, "name": "eu"}
    assert item.type == "provider_deleted"


def test_tasks_come_change_and_go() -> None:
    start = now()
    task_id = tasks.create_task({"name": "Rate", "description": "How risky is it?"}).id
    (created,) = since(start)
    assert (created.type, created.thing_id) == ("task_created", task_id)
    start = now()
    tasks.update_task(task_id, {"response_schema": {"risk": {"type": "number"}}})
    (changed,) = dump(since(start))
    assert changed == {
        "type": "task_changed",
        "task": {"id": task_id, "name": "Rate", "description": "How risky is it?", "version": 2},
        "epoch": changed["epoch"],
        "rev": now(),
    }
    start = now()
    tasks.delete_task(task_id)
    (deleted,) = dump(since(start))
    assert (deleted["type"], deleted["task"]) == ("task_deleted", {"id": task_id, "name": "Rate"})


def test_a_provider_and_a_task_of_one_id_are_told_apart() -> None:
    start = now()
    the_id = tasks.create_task({"name": "Rate"}).id
    providers.update_provider(the_id, {"options": {"x": 1}})
    told = {m["type"]: m for m in dump(since(start))}
    assert told["task_created"]["task"]["name"] == "Rate"
    assert told["provider_changed"]["provider"]["name"] == "ollama"


def test_whose_id_was_given_to_another_is_created_and_not_deleted() -> None:
    """SQLite gives the highest id again; to whoever knew the old one, the new one replaces it."""
    old = tasks.create_task({"name": "Old"}).id
    start = now()
    tasks.delete_task(old)
    new = tasks.create_task({"name": "New"}).id
    told = {m["task"]["id"]: (m["type"], m["task"]["name"]) for m in dump(since(start))}
    assert told[new] == ("task_created", "New")
    assert told.keys() == {old, new}
    assert told[old] in {("task_created", "New"), ("task_deleted", "Old")}


@pytest.mark.parametrize(
    ("rev", "reached"),
    [(20_000, True), (10_000, True), (9_999, False), (20_001, False), (0, False)],
)
def test_the_log_is_read_back_to_ten_thousand_revs(rev: int, reached: bool) -> None:
    assert is_in_reach(rev, State("e", 20_000, 0)) is reached


def test_nor_is_it_read_below_its_floor() -> None:
    state = State("e", 100, 40)
    assert [rev for rev in (0, 39, 40, 100) if is_in_reach(rev, state)] == [40, 100]


def test_users_and_tokens_raise_a_rev_and_are_nobodys_news() -> None:
    start = now()
    create_user("ada@example.com", "long enough", Role.VIEWER)
    create_token("desk", ())
    assert now() == start + 2
    assert since(start) == []


def test_another_default_changes_whoever_stands_behind_it() -> None:
    agent("Sleeping", is_active=False)
    agents.create_agent({"name": "Empty"})
    agent("Busy")
    agent("New Default")
    start = now()
    agents.set_default("new-default")
    assert said(since(start)) == [
        ("agent_config_changed", slug) for slug in ("default", "empty", "new-default", "sleeping")
    ]
    assert {m["config"]["agent_id"] for m in dump(since(start))} == {"default", "new-default"}


def test_a_halt_for_all_hides_no_agent_that_was_deleted_beside_it() -> None:
    agent("Gone")
    start = now()
    agents.delete_agent("gone")
    halt.halt_all("drill")
    assert said(since(start)) == [("agent_config_changed", "default"), ("agent_deleted", "gone")]


def test_a_slug_that_no_agent_has_follows_the_default_where_somebody_names_it() -> None:
    start = now()
    agents.update_agent("default", {"llm_model": "other"})
    assert ("agent_config_changed", "ghost") not in said(since(start))
    (item,) = since(start, named={"ghost"}, everyone=False)
    assert (item.type, item.agent_id, item.gone) == ("agent_config_changed", "ghost", True)
    assert dump([item])[0]["config"]["llm_model"] == "other"

    agent("Unrelated")
    start = now()
    agents.update_agent("unrelated", {"llm_model": "x"})
    assert since(start, named={"ghost"}, everyone=False) == []


def test_only_what_is_named_is_of_interest_without_everyone() -> None:
    agent("A")
    agent("B")
    start = now()
    for slug in ("a", "b"):
        agents.update_agent(slug, {"llm_model": "x"})
    assert said(since(start, named={"b", "c"}, everyone=False)) == [("agent_config_changed", "b")]


def test_a_new_slug_ends_the_old_one() -> None:
    agent("A")
    start = now()
    agents.update_agent("a", {"agent_id": "z"})
    assert said(since(start)) == [("agent_deleted", "a"), ("agent_config_changed", "z")]


def test_owners_before_and_after_are_known() -> None:
    ada = create_user("ada@example.com", "long enough").id
    bob = create_user("bob@example.com", "long enough").id
    for name in ("Kept", "Given", "Gone", "Renamed"):
        agent(name, owner_id=ada)
    start = now()
    agents.update_agent("kept", {"llm_model": "x"})
    agents.update_agent("given", {"owner_id": bob})
    agents.update_agent("renamed", {"agent_id": "zebra"})
    agents.delete_agent("gone")
    owners = {i.agent_id: (i.former_owner_id, i.owner_id) for i in since(start) if i.agent_id}
    assert owners == {
        "kept": (ada, ada),
        "given": (ada, bob),
        "gone": (ada, ada),
        "renamed": (ada, ada),
        "zebra": (ada, ada),
    }


def test_nothing_answers_is_a_null_config() -> None:
    agent("A")
    start = now()
    agents.delete_agent("a")
    agents.update_agent("default", {"llm_model": "x"})
    for step in agents.find_default(None).llm_configs:  # type: ignore[union-attr]
        step.enabled = False
    commit()
    messages = {m["agent_id"]: m["config"] for m in dump(since(start))}
    assert messages == {"a": None, "default": None}


def test_keys_come_out_only_when_they_are_asked_for() -> None:
    start = now()
    agent("A", llm_api_key=CANARY)
    items = since(start)
    assert CANARY not in str(dump(items))
    assert dump(items)[0]["config"]["llm_api_key_id"]
    assert dump(items, reveal=True)[0]["config"]["llm_api_key"] == CANARY


def test_too_much_is_said_so_instead_of_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MANY_AGENTS", 2)
    start = now()
    for name in ("A", "B", "C"):
        agent(name)
    with reading():
        changes = list_changes_since(start, read_state().rev)
        assert list_items(changes) is None
        assert list_items(changes, {"a"}, everyone=False) is not None
        monkeypatch.setattr(messages, "MANY_CHANGES", 1)
        assert list_items(changes, {"a"}, everyone=False) is None


def test_the_number_of_queries_does_not_grow_with_the_agents() -> None:
    agent("First")  # makes the provider, which is an item of its own
    counts = []
    for number in (3, 30):
        start = now()
        for each in range(number):
            agent(f"Agent {number} {each}")
            tasks.create_task({"name": f"Task {number} {each}"})
        counts.append(_queries(start))
    assert counts[0] == counts[1] <= 12


def _queries(start: int) -> int:
    db.session.remove()
    statements: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith("SELECT"):
            statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        dump(since(start))
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    return len(statements)
