"""What an agent really gets: itself, else its owner's default, else the global one. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from app.agents.models import Agent, GlobalHalt, LLMConfig, SpeechConfig
from app.changes.tracker import TrackedRoot
from app.core.crypto import origin_of
from app.providers.keys import EffectiveKey
from app.providers.models import BudgetState, Capability

FromEnvironment = TypeVar("FromEnvironment")


class Source(StrEnum):
    """Who answers for the agent that was asked for."""

    AGENT = "agent"
    OWNER_DEFAULT = "owner_default"
    DEFAULT = "default"


@dataclass(frozen=True)
class Resolved:
    """The configuration that a request for ``requested`` gets."""

    requested: str
    source: Source
    agent: Agent
    steps: tuple[LLMConfig, ...]
    config_version: int
    halted_by: Agent | GlobalHalt | None
    """What halts it: a halted agent stays halted behind its default."""
    budget_state: BudgetState = BudgetState.OK
    """The worst of what is spent for all, by the agent that was asked for, by the one that
    answers."""


def resolve(
    requested: str,
    agent: Agent | None,
    owner_default: Agent | None,
    global_default: Agent | None,
    red_button: GlobalHalt,
    removed_in: int = 0,
) -> Resolved | None:
    """The first of the three that is active and has a usable step, or None.

    ``red_button`` halts everybody; ``removed_in`` is the rev that removed the agent, where it is
    gone.
    """
    candidates = (
        (Source.AGENT, agent),
        (Source.OWNER_DEFAULT, owner_default),
        (Source.DEFAULT, global_default),
    )
    passed_over: list[Agent] = []
    for source, candidate in candidates:
        if candidate is None:
            continue
        passed_over.append(candidate)
        if candidate.is_active and (steps := usable_steps(candidate)):
            return Resolved(
                requested=requested,
                source=source,
                agent=candidate,
                steps=steps,
                config_version=max(removed_in, red_button.config_rev, _last_rev(passed_over)),
                halted_by=find_halt(red_button, agent, candidate),
                budget_state=find_budget_state(red_button, agent, candidate),
            )
    return None


def _last_rev(agents: list[Agent]) -> int:
    """The rev that last changed what these agents are made of, what is switched off included."""
    active = (agent for agent in agents if agent.is_active)
    parts: list[TrackedRoot] = [*agents]
    parts += [s.provider for agent in active for s in agent.llm_configs if s.enabled]
    return max(part.config_rev for part in parts)


def find_halt(red_button: GlobalHalt, *agents: Agent | None) -> Agent | GlobalHalt | None:
    """What halts these agents, if anything does."""
    return next((it for it in (red_button, *agents) if it is not None and it.halted), None)


def find_budget_state(*parts: Agent | GlobalHalt | None) -> BudgetState:
    """The worst of their budgets' states."""
    return BudgetState.worst(*(part.budget_state for part in parts if part is not None))


def resolve_speech(
    capability: Capability,
    agent: Agent | None,
    owner_default: Agent | None,
    global_default: Agent | None,
) -> SpeechConfig | None:
    """The speech configuration of the first of the three that is active and has a usable one."""
    for candidate in (agent, owner_default, global_default):
        if candidate is None or not candidate.is_active:
            continue
        for speech in candidate.speech_configs:
            if speech.capability is capability and speech.provider.is_active:
                return speech
    return None


def usable_steps(agent: Agent) -> tuple[LLMConfig, ...]:
    """The enabled steps whose provider is active, in order."""
    return tuple(s for s in agent.llm_configs if s.enabled and s.provider.is_active)


def effective_endpoint(step: LLMConfig | SpeechConfig) -> str:
    """Where the step's calls go."""
    return step.endpoint or step.provider.base_url


def target_of(step: LLMConfig | SpeechConfig) -> tuple[int, str]:
    """The provider and the origin that its calls go to: a key of its own follows to no other."""
    return step.provider_id, origin_of(effective_endpoint(step))


def effective_key(
    step: LLMConfig | SpeechConfig, environment_key: Callable[[str], FromEnvironment]
) -> EffectiveKey | FromEnvironment | None:
    """The step's own key, else the provider's, else the server's for the type.

    The last two go to the provider's own origin only, never to an override of another origin.
    """
    if step.api_key_id is not None:
        return step.sealed_key
    if origin_of(effective_endpoint(step)) != origin_of(step.provider.base_url):
        return None
    if step.provider.api_key_id is not None:
        return step.provider.sealed_key
    return environment_key(step.provider.type)
