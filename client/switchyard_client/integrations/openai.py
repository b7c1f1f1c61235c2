"""The `openai` package, run over an agent's chain.

    ai = SwitchyardOpenAI(client, "market-analyst")
    reply = ai.chat.completions.create(messages=messages)

Model, parameters, endpoint and key are those of the step that answers; what you hand in wins.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Generic, TypeVar

import openai

from .._attempts import Attempt
from ._chains import AnyClient, ChainedCalls, recorded
from ._pools import Pool

__all__ = ["AsyncCompletions", "AsyncSwitchyardOpenAI", "Chat", "Completions", "SwitchyardOpenAI"]

Kind = TypeVar("Kind")
Arguments = dict[str, Any]
Shape = Callable[[Attempt, Arguments], Arguments]


class SwitchyardOpenAI:
    """`OpenAI` as far as chat completions and responses go, over an agent's chain.

    `.chat.completions` and `.responses` have `create` and `parse`. With `stream=True` the chunks
    come as an iterator; the next step takes over until the first token. Usage is recorded.

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
        calls = ChainedCalls(client, agent_id, task=task, deadline=deadline)
        completions = Completions(calls, "chat.completions", _chat_arguments)
        self.chat: Chat[Completions] = Chat(completions)
        self.responses: Completions = Completions(calls, "responses", _response_arguments)


class AsyncSwitchyardOpenAI:
    """The same on asyncio: `await ai.chat.completions.create(...)`."""

    def __init__(
        self,
        client: AnyClient,
        agent_id: str,
        *,
        task: str | None = None,
        deadline: float | None = None,
    ) -> None:
        calls = ChainedCalls(client, agent_id, task=task, deadline=deadline)
        completions = AsyncCompletions(calls, "chat.completions", _chat_arguments)
        self.chat: Chat[AsyncCompletions] = Chat(completions)
        self.responses: AsyncCompletions = AsyncCompletions(calls, "responses", _response_arguments)


class Chat(Generic[Kind]):
    """Where `openai` has them."""

    def __init__(self, completions: Kind) -> None:
        self.completions: Kind = completions


class Completions:
    """`create` and `parse` of one of the SDK's resources."""

    def __init__(self, calls: ChainedCalls, resource: str, shape: Shape) -> None:
        self._calls = calls
        self._resource = attrgetter(resource)
        self._shape = shape

    def create(self, **arguments: Any) -> Any:
        """As the SDK's, without `model`. An iterator of chunks with `stream=True`."""
        if arguments.get("stream"):
            chunks = self._calls.stream(lambda attempt: self._ask("create", attempt, arguments))
            asked_for = "stream_options" in arguments
            return (chunk for chunk in chunks if asked_for or not _only_counts(chunk))
        return self._calls.call(lambda attempt: self._ask("create", attempt, arguments))

    def parse(self, **arguments: Any) -> Any:
        """As the SDK's: the answer as the Pydantic model in `response_format` or `text_format`."""
        return self._calls.call(lambda attempt: self._ask("parse", attempt, arguments))

    def _ask(self, verb: str, attempt: Attempt, arguments: dict[str, Any]) -> Any:
        sdk = openai.OpenAI(**attempt.openai(), http_client=_pool.get())
        reply = getattr(self._resource(sdk), verb)(**self._shape(attempt, arguments))
        return reply if arguments.get("stream") else recorded(attempt, reply)


class AsyncCompletions:
    """The same on asyncio."""

    def __init__(self, calls: ChainedCalls, resource: str, shape: Shape) -> None:
        self._calls = calls
        self._resource = attrgetter(resource)
        self._shape = shape

    async def create(self, **arguments: Any) -> Any:
        """As the SDK's, without `model`. An async iterator of chunks with `stream=True`."""
        if arguments.get("stream"):
            chunks = self._calls.stream_async(lambda step: self._ask("create", step, arguments))
            asked_for = "stream_options" in arguments
            return (chunk async for chunk in chunks if asked_for or not _only_counts(chunk))
        return await self._calls.call_async(lambda step: self._ask("create", step, arguments))

    async def parse(self, **arguments: Any) -> Any:
        """As the SDK's: the answer as the Pydantic model in `response_format` or `text_format`."""
        return await self._calls.call_async(lambda step: self._ask("parse", step, arguments))

    async def _ask(self, verb: str, attempt: Attempt, arguments: dict[str, Any]) -> Any:
        sdk = openai.AsyncOpenAI(**attempt.openai(), http_client=_pool.get_async())
        reply = await getattr(self._resource(sdk), verb)(**self._shape(attempt, arguments))
        return reply if arguments.get("stream") else recorded(attempt, reply)


LIMITS = {"max_tokens", "max_completion_tokens", "max_output_tokens"}

_pool = Pool(openai.DefaultHttpxClient, openai.DefaultAsyncHttpxClient)


def _chat_arguments(attempt: Attempt, arguments: Arguments) -> Arguments:
    # OpenAI has renamed it for its newer models; those who speak its language have not.
    newer = attempt.provider == "openai"
    chosen = _chosen(attempt, arguments, "max_completion_tokens" if newer else "max_tokens")
    if arguments.get("stream"):
        chosen.setdefault("stream_options", {"include_usage": True})
    return chosen


def _response_arguments(attempt: Attempt, arguments: Arguments) -> Arguments:
    return _chosen(attempt, arguments, "max_output_tokens")


def _chosen(attempt: Attempt, arguments: Arguments, limit: str) -> Arguments:
    """The step's parameters, then the caller's; `limit` is what `max_tokens` is called here."""
    own = attempt.parameters()
    most = own.pop("max_tokens", None)
    if most is not None and not arguments.keys() & LIMITS:
        own[limit] = most
    return {"model": attempt.model, **own, **arguments}


def _only_counts(chunk: Any) -> bool:
    """The chunk that a stream ends with where usage was asked for: it has no choices."""
    return getattr(chunk, "object", None) == "chat.completion.chunk" and not chunk.choices
