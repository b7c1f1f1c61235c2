"""What the integrations have in common: an agent's chain, run around one call of an SDK."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from .._async import AsyncSwitchyardClient
from .._attempts import Attempt, Fits
from .._client import SwitchyardClient
from .._errors import UnparsableReply

AnyClient = SwitchyardClient | AsyncSwitchyardClient


def blocking(client: AnyClient) -> SwitchyardClient:
    """The client's face for threads."""
    return client.sync if isinstance(client, AsyncSwitchyardClient) else client


def awaiting(client: AnyClient) -> AsyncSwitchyardClient:
    """The client's face for asyncio."""
    if isinstance(client, AsyncSwitchyardClient):
        return client
    return AsyncSwitchyardClient.over(client)


def agent_id_of(name: str) -> str:
    """The agent that a graph's node stands for: `Bull Researcher` is `bull-researcher`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def recorded(attempt: Attempt, reply: Any) -> Any:
    """The same answer, its usage reported. Where it is none at all, the next step is tried."""
    attempt.record(reply)
    return reply


class ChainedCalls:
    """One call after the other down the chain, recorded; streams fail over up to their first token.

    Args:
        only: the steps that the SDK can speak to; None = all.
    """

    def __init__(
        self,
        client: AnyClient,
        agent_id: str,
        *,
        task: str | None = None,
        deadline: float | None = None,
        only: Fits | None = None,
    ) -> None:
        self._client = client
        self._agent_id = agent_id
        self._options: dict[str, Any] = {"task": task, "deadline": deadline, "only": only}

    def call(self, ask: Callable[[Attempt], Any]) -> Any:
        """The first answer."""
        return blocking(self._client).call(self._agent_id, ask, **self._options)

    def stream(self, ask: Callable[[Attempt], Any]) -> Iterator[Any]:
        """The chunks of the first answer that begins."""
        for attempt in blocking(self._client).attempts(self._agent_id, **self._options):
            with attempt:
                begun = False
                for chunk in attempt.streaming(ask(attempt)):
                    begun = True
                    yield chunk
                _insist(begun)

    async def call_async(self, ask: Callable[[Attempt], Awaitable[Any]]) -> Any:
        """The first answer."""
        return await awaiting(self._client).call(self._agent_id, ask, **self._options)

    async def stream_async(self, ask: Callable[[Attempt], Awaitable[Any]]) -> AsyncIterator[Any]:
        """The chunks of the first answer that begins."""
        async for attempt in awaiting(self._client).attempts(self._agent_id, **self._options):
            async with attempt:
                begun = False
                async for chunk in attempt.streaming(await ask(attempt)):
                    begun = True
                    yield chunk
                _insist(begun)


def _insist(begun: bool) -> None:
    """A web page in the place of a stream is, to an SDK, a stream without events."""
    if not begun:
        raise UnparsableReply("the provider has answered with a stream of nothing")
