"""LangChain and LangGraph: a chat model that asks Switchyard at every call.

llm = ChatSwitchyard(client=client)  # in a graph: the agent named like the node
llm = ChatSwitchyard(client=client, agent_id="market-analyst")
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, SkipValidation

from .._async import AsyncSwitchyardClient
from .._attempts import Attempt
from .._client import SwitchyardClient
from .._errors import ConfigurationError, UnparsableReply
from ._anthropic import anthropic_parameters
from ._chains import ChainedCalls, agent_id_of, blocking

__all__ = ["ChatSwitchyard", "RecordUsage"]

FORCED = ("required", "any", True)
"""What means "call some tool"; `any` is what each provider's package takes."""

TOOL_ARGUMENTS = ("tools", "tool_choice", "strict", "parallel_tool_calls")
"""What `bind_tools` of a provider's package takes."""

READERS = {"_create_chat_result", "_format_output"}
"""Where `langchain-openai` and `langchain-anthropic` make a message of an answer."""


class ChatSwitchyard(BaseChatModel):
    """A chat model whose provider, model, parameters and key are what an agent has at the moment.

    Every call runs the agent's chain: fallbacks, cooldowns, the red button and budgets work as in
    `client.attempts`, and usage is recorded. Tools, structured output, streaming and asyncio work
    as with any chat model. Needs `langchain-openai`, and `langchain-anthropic` for Anthropic's
    steps; both come with the extra `[langchain]`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    """Pydantic's settings of this class."""

    client: SkipValidation[SwitchyardClient | AsyncSwitchyardClient]
    """Its token and keys are in no serialised form of this model."""
    agent_id: str | None = None
    """Whose chain. None: in LangGraph the agent named like the node, `Bull Researcher` being
    `bull-researcher`; of nested graphs the innermost node that has an agent."""
    task: str | None = None
    """What the calls are for, a name usage is reported under."""
    deadline: float | None = None
    """Seconds for each whole chain."""

    @property
    def _llm_type(self) -> str:
        return "switchyard"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What a cache of answers tells apart: another model is another question."""
        agent_id = self._find_agent(None)
        known = agent_id and blocking(self.client)._cache.latest(agent_id)
        steps = known.steps if known else ()
        return {
            "agent_id": agent_id,
            "steps": [(step.provider, step.model, step.temperature, step.top_p) for step in steps],
        }

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """As of any chat model. The step that answers gets them in its provider's own form."""
        if tool_choice in FORCED:
            tool_choice = "any"
        elif isinstance(tool_choice, dict) and "function" in tool_choice:
            tool_choice = tool_choice["function"]["name"]
        formatted = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=formatted, tool_choice=tool_choice or None, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        def ask(attempt: Attempt) -> ChatResult:
            model, bound = _model_of(attempt, kwargs)
            with _reading_answers():
                result = model._generate(messages, stop, **bound)
            return _recorded(attempt, result)

        return self._chain(run_manager).call(ask)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        async def ask(attempt: Attempt) -> ChatResult:
            model, bound = _model_of(attempt, kwargs)
            with _reading_answers():
                result = await model._agenerate(messages, stop, **bound)
            return _recorded(attempt, result)

        return await self._chain(run_manager).call_async(ask)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        def ask(attempt: Attempt) -> Iterator[BaseMessage]:
            model, bound = _model_of(attempt, kwargs)
            return (_message_of(chunk) for chunk in model._stream(messages, stop, **bound))

        for message in self._chain(run_manager).stream(ask):
            yield ChatGenerationChunk(message=message)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async def ask(attempt: Attempt) -> AsyncIterator[BaseMessage]:
            model, bound = _model_of(attempt, kwargs)
            return (_message_of(chunk) async for chunk in model._astream(messages, stop, **bound))

        async for message in self._chain(run_manager).stream_async(ask):
            yield ChatGenerationChunk(message=message)

    def _find_agent(self, run_manager: Any) -> str | None:
        return self.agent_id or _agent_of(blocking(self.client), run_manager)

    def _chain(self, run_manager: Any) -> ChainedCalls:
        agent_id = self._find_agent(run_manager)
        if not agent_id:
            raise ConfigurationError(
                "outside of a LangGraph node ChatSwitchyard needs agent_id='...'"
            )
        return ChainedCalls(self.client, agent_id, task=self.task, deadline=self.deadline)


class RecordUsage(BaseCallbackHandler):
    """A callback that records what LangChain models of your own answer within an attempt.

    For graphs that make their models themselves: `callbacks=[RecordUsage(attempt)]`. Not beside
    `ChatSwitchyard`, which records by itself.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """LangChain calls this with every answer."""
        for generation in response.generations[:1]:
            message = getattr(generation[0], "message", None) if generation else None
            if message is not None:
                self._attempt.record(_counted(message, response.llm_output))


def _agent_of(client: SwitchyardClient, run_manager: Any) -> str | None:
    """The agent that the graph's node stands for, from the innermost graph outwards.

    A ready-made agent in a node is a graph itself, whose nodes have names such as `agent`: so the
    first name that the server knows counts, and the innermost one where it knows none.
    """
    names = [agent_id_of(name) for name in _nodes(run_manager)]
    known = client._cache.snapshot.roster
    return next((name for name in names if name in known), names[0] if names else None)


def _nodes(run_manager: Any) -> list[str]:
    """The nodes that this runs in, innermost first; streams have a context, but no run manager."""
    for metadata in (getattr(run_manager, "metadata", None), ensure_config().get("metadata")):
        if metadata and "langgraph_node" in metadata:
            path = str(metadata.get("langgraph_checkpoint_ns", "")).split("|")
            outer = [part.partition(":")[0] for part in path[:-1]]
            return [str(metadata["langgraph_node"]), *reversed(outer)]
    return []


def _model_of(attempt: Attempt, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The provider's own chat model, and the arguments with tools in the form it takes."""
    model = _anthropic(attempt) if attempt.provider == "anthropic" else _openai(attempt)
    bound = dict(kwargs)
    if "tools" in bound:
        tools = {name: bound.pop(name) for name in TOOL_ARGUMENTS if name in bound}
        given = {name: value for name, value in tools.items() if value is not None}
        bound |= model.bind_tools(given.pop("tools"), **given).kwargs
    return model, bound


def _openai(attempt: Attempt) -> Any:
    from langchain_openai import ChatOpenAI
    from langchain_openai.chat_models.base import BaseChatOpenAI

    arguments = {"model": attempt.model, "stream_usage": True, **attempt.openai()}
    if attempt.provider == "openai":
        return ChatOpenAI(**arguments, **attempt.parameters())
    # The base class keeps to what everybody understands who speaks this language.
    return BaseChatOpenAI(**arguments, **attempt.parameters(), use_responses_api=False)


def _anthropic(attempt: Attempt) -> Any:
    try:
        from langchain_anthropic import ChatAnthropic
    except ImportError:
        raise ConfigurationError(
            "a step of Anthropic's needs: pip install 'switchyard-client[langchain]'"
        ) from None
    own = anthropic_parameters(attempt.step)
    return ChatAnthropic(model=attempt.model, **attempt.anthropic(), **own)


@contextmanager
def _reading_answers() -> Iterator[None]:
    """What LangChain stumbles over while it reads an answer is the provider's fault.

    A web page, or JSON of another shape, comes out of the middle of a provider's package as an
    AttributeError, a KeyError, a ValueError; so do the caller's own mistakes, but elsewhere.
    """
    try:
        yield
    except Exception as error:
        frames = (frame.f_code.co_name for frame, _ in walk_tb(error.__traceback__))
        if READERS.isdisjoint(frames):
            raise
        raise UnparsableReply("the provider's answer is not its API's") from error


def _recorded(attempt: Attempt, result: ChatResult) -> ChatResult:
    attempt.record(_counted(result.generations[0].message, result.llm_output))
    return result


def _counted(message: BaseMessage, told: dict[str, Any] | None) -> dict[str, Any]:
    """What usage needs of an answer; BaseChatModel merges the two later."""
    model = {**(told or {}), **message.response_metadata}.get("model_name")
    return {"usage_metadata": getattr(message, "usage_metadata", None), "model": model}


def _message_of(chunk: ChatGenerationChunk) -> BaseMessage:
    """The message alone; what the chunk says beside it moves where BaseChatModel would put it."""
    message = chunk.message
    message.response_metadata = {**(chunk.generation_info or {}), **message.response_metadata}
    return message
