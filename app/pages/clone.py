"""A copy of an agent with all that is part of it: chain, voices, tasks, keys of its own."""

from typing import Any

from app.agents import services as agents
from app.agents.chain import CLEARED_TO, PLAIN_FIELDS, get_agent
from app.agents.models import Agent, LLMConfig, SpeechConfig
from app.agents.schemas import reveal_key
from app.agents.speech import FIELD_OF
from app.core.db import commit
from app.tasks.assignments import replace_assignments

COPIED = ("description", "system_prompt", "user_prompt", "owner_id", "is_active", "metadata_")


def clone_agent(agent_id: str, data: dict[str, Any]) -> tuple[Agent, list[str]]:
    """Store a copy under another name; it is neither the default nor halted.

    ``data`` is ``name`` and perhaps ``agent_id``. Returns it with warnings. Raises NotFound,
    Invalid, Conflict.
    """
    original = get_agent(agent_id)
    copied = {name: getattr(original, name) for name in COPIED}
    steps = [_step(step) for step in original.llm_configs]
    voices = {FIELD_OF[it.capability]: _voice(it) for it in original.speech_configs}
    copy, warnings = agents.add_agent({**copied, **voices, "llm_configs": steps, **data})
    replace_assignments(copy, {it.task_id: it.is_active for it in original.assignments})
    commit()
    return copy, warnings + _lost_keys(original)


def _step(step: LLMConfig) -> dict[str, Any]:
    names = ("provider_id", "endpoint", *PLAIN_FIELDS, *CLEARED_TO)
    return {name: getattr(step, name) for name in names} | _key(step)


def _voice(speech: SpeechConfig) -> dict[str, Any]:
    return {**speech.settings, "provider_id": speech.provider_id} | _key(speech)


def _key(holder: LLMConfig | SpeechConfig) -> dict[str, Any]:
    key = reveal_key(holder.sealed_key)
    return {"api_key": key} if key else {}


def _lost_keys(original: Agent) -> list[str]:
    holders: list[Any] = [*original.llm_configs, *original.speech_configs]
    if all(reveal_key(it.sealed_key) for it in holders if it.api_key_set):
        return []
    return ["A key of its own could not be read, so the copy has none: enter it again."]
