"""What agents get (row A8), resolved once for each state of the configuration.

No key is kept in clear: a cached configuration holds ciphertext, opened for each answer and only
for whoever may see it, or the name of a variable of the environment, read for each answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.agents.effective import resolve_agent, resolve_agents
from app.agents.resolution import Resolved, effective_key
from app.agents.schemas import dump_resolved, reveal_key
from app.agents.spelling import to_flat
from app.changes.services import State, read_state
from app.changes.state_cache import StateCache, cache_of_app
from app.providers.keys import EffectiveKey, EnvironmentKey

MAX_CONFIGS = 4096  # some 4 KiB each


@dataclass(frozen=True, slots=True)
class EffectiveConfig:
    """Row A8 without its keys, and where each step finds its own."""

    body: dict[str, Any]
    keys: tuple[EffectiveKey | EnvironmentKey | None, ...]

    @classmethod
    def of(cls, resolved: Resolved, state: State) -> "EffectiveConfig":
        """The configuration as it is at ``state``."""
        body = dump_resolved(resolved, epoch=state.epoch, rev=state.rev, reveal=False)
        return cls(body, tuple(effective_key(step, EnvironmentKey) for step in resolved.steps))

    @property
    def stamp(self) -> str:
        """Another one for every other content: no rev tells of the environment's keys."""
        found = (key.find() for key in self.keys if isinstance(key, EnvironmentKey))
        ids = [key.key_id[:8] for key in found if key]
        return "-".join([self.body["epoch"][:8], str(self.body["rev"]), *ids])

    def dump(self, *, reveal: bool) -> dict[str, Any]:
        """Row A8; ``reveal`` puts the keys in."""
        first, *rest = (_dump_key(key, reveal) for key in self.keys)
        fallbacks = zip(self.body["fallbacks"], rest, strict=True)
        return {**self.body, **first, "fallbacks": [{**step, **key} for step, key in fallbacks]}


def get_config(state: State, agent_id: str, user_id: int | None = None) -> EffectiveConfig:
    """What a read of ``agent_id`` gets at ``state``, or at a later one if it has to be read.

    ``user_id`` owns the defaults of an unknown agent. Raises NotFound.
    """
    cache, key = _cache(), (agent_id, user_id)
    config = cache.get(state, key)
    if config is None:
        state = read_state()  # in the snapshot that the rows come from
        config = EffectiveConfig.of(resolve_agent(agent_id, user_id), state)
        cache.put(state, key, config)
    return config


def get_configs(
    state: State, agent_ids: Iterable[str], user_id: int | None = None
) -> dict[str, EffectiveConfig | None]:
    """The same for many; None where nothing answers. ``state`` is the session's snapshot's."""
    cache = _cache()
    found = {agent_id: cache.get(state, (agent_id, user_id)) for agent_id in agent_ids}
    missing = [agent_id for agent_id, config in found.items() if config is None]
    for agent_id, config in (_resolve(state, missing, user_id) if missing else {}).items():
        if config is not None:
            found[agent_id] = config
            cache.put(state, (agent_id, user_id), config)
    return found


def _resolve(
    state: State, agent_ids: list[str], user_id: int | None
) -> dict[str, EffectiveConfig | None]:
    resolved = resolve_agents(agent_ids, user_id)
    return {
        name: EffectiveConfig.of(found, state) if found else None
        for name, found in resolved.items()
    }


def _cache() -> StateCache[EffectiveConfig]:
    return cache_of_app("effective configs", MAX_CONFIGS)


def _dump_key(held: EffectiveKey | EnvironmentKey | None, reveal: bool) -> dict[str, Any]:
    key = held.find() if isinstance(held, EnvironmentKey) else held
    return {
        **to_flat({"api_key": reveal_key(key) if reveal else None}),
        "llm_api_key_id": key.key_id if key else None,
    }
