"""The `anthropic` package, run over the steps of an agent's chain that speak its language.

ai = SwitchyardAnthropic(client, "market-analyst")
reply = ai.messages.create(messages=messages)
"""

from typing import Any

import anthropic

from .._attempts import Attempt
from .._models import LLMStep
from ._anthropic import anthropic_parameters
from ._chains import AnyClient, ChainedCalls, recorded
from ._pools import Pool

__all__ = ["AsyncMessages", "AsyncSwitchyardAnthropic", "Messages", "SwitchyardAnthropic"]

MAX_TOKENS = 4096
"""What Anthropic is asked for where neither step nor caller says: it insists on a number."""


class SwitchyardAnthropic:
    """`Anthropic().messages` over the Anthropic steps of an agent's chain.

    `.messages.create` fails over from one to the next and records usage; with `stream=True` the
    events come as an iterator. Steps of other providers are passed over, for they cannot be called
    with this SDK; an agent without any raises ConfigurationError.

    Args:
        client: a `SwitchyardClient` or an `AsyncSwitchyardClient`.
        agent_id: whose chain.
        task: what the calls are for, a name usage is reported under.
        deadline: seconds for each whole chain.
    """

    def __init__(
        self,
        client: AnyClient,
        agent_id: str,
        *,
        task: str | None = None,
        deadline: float | None = None,
    ) -> None:
        self.messages: Messages = Messages(_calls(client, agent_id, task, deadline))


class AsyncSwitchyardAnthropic:
    """The same on asyncio: `await ai.messages.create(...)`."""

    def __init__(
        self,
        client: AnyClient,
        agent_id: str,
        *,
        task: str | None = None,
        deadline: float | None = None,
    ) -> None:
        self.messages: AsyncMessages = AsyncMessages(_calls(client, agent_id, task, deadline))


class Messages:
    """`create` of the SDK's messages."""

    def __init__(self, calls: ChainedCalls) -> None:
        self._calls = calls

    def create(self, **arguments: Any) -> Any:
        """As the SDK's, without `model`. An iterator of events with `stream=True`."""
        run = self._calls.stream if arguments.get("stream") else self._calls.call
        return run(lambda attempt: self._ask(attempt, arguments))

    def _ask(self, attempt: Attempt, arguments: dict[str, Any]) -> Any:
        sdk = anthropic.Anthropic(**attempt.anthropic(), http_client=_pool.get())
        reply = sdk.messages.create(**_chosen(attempt, arguments))
        return reply if arguments.get("stream") else recorded(attempt, reply)


class AsyncMessages:
    """The same on asyncio."""

    def __init__(self, calls: ChainedCalls) -> None:
        self._calls = calls

    async def create(self, **arguments: Any) -> Any:
        """As the SDK's, without `model`. An async iterator of events with `stream=True`."""
        if arguments.get("stream"):
            return self._calls.stream_async(lambda attempt: self._ask(attempt, arguments))
        return await self._calls.call_async(lambda attempt: self._ask(attempt, arguments))

    async def _ask(self, attempt: Attempt, arguments: dict[str, Any]) -> Any:
        sdk = anthropic.AsyncAnthropic(**attempt.anthropic(), http_client=_pool.get_async())
        reply = await sdk.messages.create(**_chosen(attempt, arguments))
        return reply if arguments.get("stream") else recorded(attempt, reply)


_pool = Pool(anthropic.DefaultHttpxClient, anthropic.DefaultAsyncHttpxClient)


def _calls(
    client: AnyClient, agent_id: str, task: str | None, deadline: float | None
) -> ChainedCalls:
    return ChainedCalls(client, agent_id, task=task, deadline=deadline, only=_speaks_it)


def _speaks_it(step: LLMStep) -> bool:
    return step.provider == "anthropic"


def _chosen(attempt: Attempt, arguments: dict[str, Any]) -> dict[str, Any]:
    """The step's parameters as far as this SDK takes them, then the caller's."""
    own = {"max_tokens": MAX_TOKENS, **anthropic_parameters(attempt.step)}
    return {"model": attempt.model, **own, **arguments}
