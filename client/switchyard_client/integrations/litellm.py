"""LiteLLM: a Router whose model groups are Switchyard's agents.

router = SwitchyardRouter(client)
reply = router.completion("market-analyst", messages=messages)
"""

from typing import Any

import litellm

from .._attempts import Attempt
from .._sdk import litellm_arguments
from ._chains import AnyClient, ChainedCalls, blocking, recorded

__all__ = ["SwitchyardRouter", "fallbacks", "model_list"]


class SwitchyardRouter(litellm.Router):
    """A `litellm.Router` that asks Switchyard at every call; `model` is the agent's id.

    Fallbacks, cooldowns, the red button and budgets work as in `client.attempts`, and usage is
    recorded. Model groups of a `model_list` of your own go on working beside.

    Args:
        client: a `SwitchyardClient` or an `AsyncSwitchyardClient`.
        options: those of `litellm.Router`.
    """

    def __init__(self, client: AnyClient, **options: Any) -> None:
        super().__init__(**options)
        self._switchyard = client

    def completion(self, model: str, messages: Any, **kwargs: Any) -> Any:
        """As `litellm.completion`; `model` is an agent's id."""
        if self._is_own(model):
            return super().completion(model, messages, **kwargs)
        chain = self._chain(model, kwargs)

        def ask(attempt: Attempt) -> Any:
            reply = litellm.completion(messages=messages, **_arguments(attempt, kwargs))
            return reply if kwargs.get("stream") else recorded(attempt, reply)

        return chain.stream(ask) if kwargs.get("stream") else chain.call(ask)

    async def acompletion(self, model: str, messages: Any, **kwargs: Any) -> Any:
        """As `litellm.acompletion`; `model` is an agent's id."""
        if self._is_own(model):
            return await super().acompletion(model, messages, **kwargs)
        chain = self._chain(model, kwargs)

        async def ask(attempt: Attempt) -> Any:
            reply = await litellm.acompletion(messages=messages, **_arguments(attempt, kwargs))
            return reply if kwargs.get("stream") else recorded(attempt, reply)

        return chain.stream_async(ask) if kwargs.get("stream") else await chain.call_async(ask)

    def _is_own(self, model: str) -> bool:
        return model in self.get_model_names()

    def _chain(self, agent_id: str, kwargs: dict[str, Any]) -> ChainedCalls:
        return ChainedCalls(self._switchyard, agent_id, task=kwargs.pop("task", None))


def model_list(client: AnyClient, *agent_ids: str) -> list[dict[str, Any]]:
    """The agents as a `model_list` of LiteLLM, for its proxy or a plain Router.

    A picture of the moment: it does not follow later changes. The steps after the first stand under
    `<agent_id>#1`, `#2`, ...; see `fallbacks`. The keys in it are in clear.
    """
    configs = [blocking(client).get_agent_config(agent_id) for agent_id in agent_ids]
    return [
        {
            "model_name": _name(agent_id, position),
            "litellm_params": litellm_arguments(step, step.timeout),
        }
        for agent_id, config in zip(agent_ids, configs, strict=True)
        for position, step in enumerate(config.steps)
    ]


def fallbacks(client: AnyClient, *agent_ids: str) -> list[dict[str, list[str]]]:
    """`Router(fallbacks=...)` that goes with `model_list`."""
    configs = [blocking(client).get_agent_config(agent_id) for agent_id in agent_ids]
    return [
        {agent_id: [_name(agent_id, position) for position in range(1, len(config.steps))]}
        for agent_id, config in zip(agent_ids, configs, strict=True)
        if config.fallbacks
    ]


def _name(agent_id: str, position: int) -> str:
    return f"{agent_id}#{position}" if position else agent_id


def _arguments(attempt: Attempt, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The step's, then the caller's; a stream's usage is asked for."""
    arguments = {**attempt.litellm(), **kwargs}
    if arguments.get("stream"):
        arguments.setdefault("stream_options", {"include_usage": True})
    return arguments
