"""Whatever is configured: exported, imported into an empty database, it exports as the same."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.accounts.models import Role
from app.accounts.services import create_user
from app.agents import services as agents
from app.agents.models import Agent, LLMConfig, SpeechConfig
from app.changes.services import read_state
from app.core.db import commit, db, reading
from app.providers import services as providers
from app.providers.models import Provider
from app.tasks import services as tasks
from app.tasks.assignments import replace_assignments
from app.tasks.models import Assignment, Task
from app.transfer import document
from app.transfer.export import export_document
from app.transfer.importing import import_document
from app.usage import budgets
from app.usage.budget_models import Budget, BudgetPeriod, BudgetScope
from app.webhooks import services as webhooks
from app.webhooks.models import EventType, Webhook

OWNERS = ("ada@example.com", "bob@example.com")
TABLES = (Assignment, LLMConfig, SpeechConfig, Agent, Task, Provider, Webhook, Budget)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
names = texts.filter(bool)
prompts = st.none() | texts | st.lists(texts, max_size=4).map("\n".join)
numbers = st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9)
free_form = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | numbers | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=4,
    ),
    max_size=3,
)
keys = st.none() | st.just("sk-canary-round-trip")
prices = st.none() | st.decimals(0, 9, places=9).map(lambda price: price + Decimal(0))
chosen = st.integers(0, 9)  # which of those there are

provider_items = st.fixed_dictionaries(
    {
        "name": names,
        "type": st.sampled_from(["openai", "ollama", "claude"]),
        "base_url": st.sampled_from(["https://one.example/v1", "http://127.0.0.1:1/x%20y"]),
        "options": free_form,
        "is_active": st.booleans(),
        "check_interval": st.none() | st.just(0) | st.integers(10, 86_400),
        "api_key": keys,
    }
)
speech_items = st.fixed_dictionaries({"voice_id": names.filter(str.isprintable), "api_key": keys})
step_items = st.fixed_dictionaries(
    {
        "provider": chosen,
        "model_name": names,
        "endpoint": st.none() | st.sampled_from(["https://two.example/v1"]),
        "api_key": keys,
        "timeout": st.integers(1, 300),
        "temperature": st.floats(0, 2),
        "top_p": st.none() | st.floats(0, 1),
        "max_tokens": st.none() | st.integers(1, 128_000),
        "enabled": st.booleans(),
        "metadata_": free_form,
        "cost_per_1k_input_tokens": prices,
        "cost_per_1k_reasoning_tokens": prices,
    }
)
agent_items = st.fixed_dictionaries(
    {
        "agent_id": st.from_regex(r"[a-z0-9-]{1,12}", fullmatch=True).filter("current".__ne__),
        "name": names,
        "description": prompts,
        "system_prompt": prompts,
        "user_prompt": prompts,
        "metadata_": free_form,
        "owner_id": st.sampled_from([None, *OWNERS]),
        "is_active": st.booleans(),
        "is_default": st.booleans(),
        "llm_configs": st.lists(step_items, max_size=3),
        "tts": st.none() | speech_items,
        "tasks": st.dictionaries(chosen, st.booleans(), max_size=2),
    }
)
task_items = st.fixed_dictionaries(
    {
        "name": names,
        "description": prompts,
        "response_schema": st.none()
        | st.dictionaries(
            st.from_regex(r"[a-z]{1,8}", fullmatch=True),
            st.sampled_from([{"type": "string"}, {"type": "enum", "values": ["b", "a"]}]),
            min_size=1,
        ),
    }
)
webhook_items = st.fixed_dictionaries(
    {
        "name": names,
        "url": st.sampled_from(["https://one.example/hook", "http://127.0.0.1:1/x%20y"]),
        "events": st.lists(st.sampled_from([*EventType]).map(str), max_size=3),
        "is_active": st.booleans(),
    }
)
budget_items = st.fixed_dictionaries(
    {
        "name": names,
        "scope": st.sampled_from(BudgetScope),
        "period": st.sampled_from(BudgetPeriod),
        "timezone": st.sampled_from(["UTC", "Asia/Kathmandu"]),
        "warn_at": st.none() | st.just(Decimal("0.000000000001")),
        "block_at": st.sampled_from([Decimal(1), Decimal("999999999.5")]),
        "is_active": st.booleans(),
    }
)
configurations = st.fixed_dictionaries(
    {
        "providers": st.lists(
            provider_items, min_size=1, max_size=3, unique_by=lambda it: it["name"]
        ),
        "tasks": st.lists(task_items, max_size=2, unique_by=lambda it: it["name"]),
        "agents": st.lists(agent_items, max_size=3, unique_by=lambda it: it["agent_id"]),
        "budgets": st.lists(budget_items, max_size=2, unique_by=lambda it: it["name"]),
        "webhooks": st.lists(webhook_items, max_size=2, unique_by=lambda it: it["name"]),
    }
)


@pytest.fixture
def owners(app: Flask) -> Iterator[dict[str | None, int | None]]:
    """Those who may own agents, on an app with its context open."""
    with app.app_context():
        found = {email: create_user(email, "long enough", Role.VIEWER).id for email in OWNERS}
        yield {None: None, **found}


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(configuration=configurations)
def test_a_round_trip_is_the_identity(
    owners: dict[str | None, int | None], configuration: dict[str, Any]
) -> None:
    empty()
    configure(configuration, owners)
    text = exported()
    assert "sk-canary" not in text
    raw = document.read(text.encode(), is_json=False)
    before = rev()
    assert import_document(raw).diff == []
    assert rev() == before

    empty()
    report = import_document(raw)
    assert {difference.operation for difference in report.diff} == {"create"}
    assert exported() == without_keys(raw)
    to_enter = text.count("api_key: set\n") + len(configuration["webhooks"])
    unlikely = [
        it for it in report.warnings if "outside what models cost" in it
    ]  # any will do here
    assert len(report.warnings) - len(unlikely) == to_enter
    assert import_document(raw).diff == []


def configure(configuration: dict[str, Any], owners: dict[str | None, int | None]) -> None:
    """Make it all through the services that REST uses, in one transaction for speed."""
    made = [providers.add_provider(item).id for item in configuration["providers"]]
    voice = {"name": "a voice", "type": "async.ai", "capability": "tts"}
    names = {item["name"] for item in configuration["providers"]}
    tts = providers.add_provider(voice).id if voice["name"] not in names else None
    for item in configuration["webhooks"]:
        webhooks.add_webhook(item)
    known = [tasks.add_task(item).id for item in configuration["tasks"]]
    for item in configuration["agents"]:
        data = {**item, "owner_id": owners[item["owner_id"]]}
        steps, speech, assigned = data.pop("llm_configs"), data.pop("tts"), data.pop("tasks")
        data["is_default"] = item["is_default"] and item["is_active"]
        data["llm_configs"] = [
            {**step, "provider_id": made[step["provider"] % len(made)], "provider": None}
            for step in steps
        ]
        if speech and tts:
            data["tts_provider_config"] = {**speech, "provider_id": tts}
        agent, _warnings = agents.add_agent(data)
        wanted = {known[number]: on for number, on in assigned.items() if number < len(known)}
        replace_assignments(agent, wanted)
    named = {
        "provider": configuration["providers"][0]["name"],
        "agent_id": "the-one-that-is-budgeted",
    }
    if any(item["scope"] is BudgetScope.AGENT for item in configuration["budgets"]):
        agents.add_agent({"agent_id": named["agent_id"], "name": "Budgeted"})
    for item in configuration["budgets"]:
        budgets.add_budget({**named, **item})
    commit()


def empty() -> None:
    """Nothing configured, without a trace: as a fresh database."""
    db.session.rollback()
    for model in TABLES:
        db.session.execute(model.__table__.delete())
    commit()
    db.session.expunge_all()


def exported() -> str:
    db.session.rollback()
    with reading():
        return document.write(export_document())


def rev() -> int:
    db.session.rollback()
    with reading():
        return read_state().rev


def without_keys(raw: dict[str, Any]) -> str:
    """The document as it is exported where no key has been entered yet."""

    def cleared(value: Any) -> Any:
        if isinstance(value, list):
            return [cleared(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        free = ("metadata", "options", "settings", "response_schema")
        return {
            name: None if name == "api_key" else inner if name in free else cleared(inner)
            for name, inner in value.items()
        }

    sections = {name: cleared(items) for name, items in raw.items() if name != "format_version"}
    return document.write(sections)
