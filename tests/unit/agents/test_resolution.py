"""The chain, without a database: who answers, with which steps, keys and config version."""

from typing import Any

import pytest

from app.agents.models import Agent, GlobalHalt, LLMConfig
from app.agents.resolution import Source, effective_key, resolve, usable_steps
from app.core.clock import utcnow
from app.providers.keys import EffectiveKey
from app.providers.models import Provider

BUTTON = GlobalHalt(id=1, config_rev=0)
ENVIRONMENT = EffectiveKey("environment", lambda: None)


def provider(rev: int = 1, **fields: Any) -> Provider:
    values = {"type": "openai", "base_url": "https://api.example/v1", "is_active": True} | fields
    return Provider(name="p", config_rev=rev, **values)


def step(model: str = "m", on: Provider | None = None, **fields: Any) -> LLMConfig:
    values = {"enabled": True} | fields
    return LLMConfig(model_name=model, provider=on or provider(), **values)


def agent(slug: str, *steps: LLMConfig, rev: int = 1, **fields: Any) -> Agent:
    values = {"is_active": True, "is_default": False, "owner_id": None} | fields
    return Agent(agent_id=slug, config_rev=rev, llm_configs=list(steps), **values)


def test_the_first_that_can_answer_does() -> None:
    own, hers, default = (agent(slug, step(slug)) for slug in ("own", "hers", "default"))
    for candidates, source in (
        ((own, hers, default), Source.AGENT),
        ((None, hers, default), Source.OWNER_DEFAULT),
        ((None, None, default), Source.DEFAULT),
        ((agent("bare"), hers, default), Source.OWNER_DEFAULT),
        ((agent("off", step(), is_active=False), None, default), Source.DEFAULT),
        ((agent("bare"), agent("bare too"), default), Source.DEFAULT),
    ):
        found = resolve("asked", *candidates, BUTTON)
        assert found is not None
        assert (found.source, found.requested) == (source, "asked")
        assert [s.model_name for s in found.steps] == [found.agent.agent_id]


def test_nobody_may_answer() -> None:
    assert resolve("a", None, None, None, BUTTON) is None
    off = agent("default", step(enabled=False), step(on=provider(is_active=False)))
    assert resolve("a", agent("a"), None, off, BUTTON) is None


def test_steps_in_use_are_enabled_and_on_an_active_provider() -> None:
    chain = agent(
        "a", step("1"), step("2", enabled=False), step("3", provider(is_active=False)), step("4")
    )
    assert [s.model_name for s in usable_steps(chain)] == ["1", "4"]


@pytest.mark.parametrize(
    ("asked", "default", "removed_in", "version"),
    [
        (agent("a", step(on=provider(3)), rev=5), agent("d", step(), rev=9), 0, 5),
        (agent("a", step(on=provider(7)), rev=5), agent("d", step(), rev=9), 0, 7),
        # A provider that is off still decides which steps there are; a step that is off does not.
        (agent("a", step(), step(on=provider(8, is_active=False)), rev=5), None, 0, 8),
        (agent("a", step(), step(on=provider(8), enabled=False), rev=5), None, 0, 5),
        # Behind the default both count.
        (agent("a", rev=5), agent("d", step(on=provider(2)), rev=4), 0, 5),
        (agent("a", rev=5), agent("d", step(on=provider(6)), rev=4), 0, 6),
        (agent("a", step(on=provider(9)), rev=5, is_active=False), agent("d", step()), 0, 5),
        (None, agent("d", step(), rev=4), 8, 8),
    ],
)
def test_the_config_version_is_the_last_rev_of_anything_in_it(
    asked: Agent | None, default: Agent | None, removed_in: int, version: int
) -> None:
    found = resolve("a", asked, None, default, BUTTON, removed_in)
    assert found is not None
    assert found.config_version == version
    pressed = resolve("a", asked, None, default, GlobalHalt(id=1, config_rev=99), removed_in)
    assert pressed is not None
    assert pressed.config_version == 99


def test_a_halt_is_found_wherever_it_is() -> None:
    halted = agent("a", halted_at=utcnow())
    default = agent("d", step())
    button = GlobalHalt(id=1, config_rev=1, halted_at=utcnow())
    for candidates, red, by in (
        ((halted, None, default), BUTTON, halted),
        ((agent("b"), None, agent("d", step(), halted_at=utcnow())), BUTTON, "d"),
        ((halted, None, default), button, button),
        ((None, None, default), BUTTON, None),
    ):
        found = resolve("a", *candidates, red)
        assert found is not None
        culprit = found.halted_by
        assert culprit is by or getattr(culprit, "agent_id", None) == by


@pytest.mark.parametrize(
    ("own", "providers", "endpoint", "expected"),
    [
        ("own", "theirs", None, "own"),
        ("own", None, "https://other.example/v1", "own"),
        (None, "theirs", None, "theirs"),
        (None, "theirs", "https://api.example/v2", "theirs"),
        (None, "theirs", "https://API.example:443/v2", "theirs"),
        (None, "theirs", "https://other.example/v1", None),
        (None, "theirs", "http://api.example/v1", None),
        (None, "theirs", "https://api.example:8443/v1", None),
        (None, "theirs", "https://api.example.evil/v1", None),
        (None, None, None, "environment"),
        (None, None, "https://api.example/v2", "environment"),
        (None, None, "https://other.example/v1", None),
    ],
)
def test_a_key_goes_to_the_origin_it_is_for(
    own: str | None, providers: str | None, endpoint: str | None, expected: str | None
) -> None:
    theirs = provider(api_key_id=providers, api_key_sealed=providers)
    config = step(on=theirs, api_key_id=own, api_key_sealed=own, endpoint=endpoint)
    named = {"own": config.sealed_key, "theirs": theirs.sealed_key, "environment": ENVIRONMENT}
    wanted = named[expected] if expected else None
    found = effective_key(config, lambda _type: ENVIRONMENT)
    assert (found and found.key_id) == (wanted and wanted.key_id)
