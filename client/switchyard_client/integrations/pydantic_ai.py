"""Pydantic AI: a model that asks Switchyard at every request.

agent = Agent(SwitchyardModel(client, "market-analyst"))
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from typing import Any

from pydantic_ai.exceptions import UnexpectedModelBehavior
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings, merge_model_settings

from .._attempts import Attempt
from .._errors import ConfigurationError, UnparsableReply
from .._failures import classify
from .._models import LLMStep
from .._sdk import anthropic_arguments, openai_arguments, parameters
from ._anthropic import anthropic_parameters
from ._chains import AnyClient, awaiting, blocking
from ._pools import Pool

__all__ = ["SwitchyardModel"]


class SwitchyardModel(Model):
    """A model whose provider, name, settings and key are what an agent has at the moment.

    Every request runs the agent's chain: fallbacks, cooldowns, the red button and budgets work as
    in `client.attempts`, and usage is recorded. The settings of a Pydantic AI agent or run win over
    the step's. Needs the `openai` package, and `anthropic` for Anthropic's steps.

    Args:
        client: a `SwitchyardClient` or an `AsyncSwitchyardClient`.
        agent_id: whose chain.
        task: what the calls are for, a name usage is reported under.
        deadline: seconds for each whole chain.
        settings: defaults for every request.
    """

    def __init__(
        self,
        client: AnyClient,
        agent_id: str,
        *,
        task: str | None = None,
        deadline: float | None = None,
        settings: ModelSettings | None = None,
    ) -> None:
        super().__init__(settings=settings)
        self._client = client
        self._agent_id = agent_id
        self._options: dict[str, Any] = {"task": task, "deadline": deadline}

    @property
    def model_name(self) -> str:
        """The primary's, as of now."""
        return self._primary.model

    @property
    def system(self) -> str:
        """The primary's provider, as of now."""
        return self._primary.provider

    @property
    def base_url(self) -> str | None:
        """The primary's, as of now."""
        return self._primary.endpoint

    @property
    def profile(self) -> ModelProfile:
        """What the primary can do."""
        return _described(self._primary).profile

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """The first answer of the chain."""

        async def ask(attempt: Attempt) -> ModelResponse:
            model = _model_of(attempt)
            prepared = model.prepare_messages(messages, model_request_parameters)
            settings = merge_model_settings(_settings(attempt.step), model_settings)
            with _reading_answers():
                response = await model.request(prepared, settings, model_request_parameters)
            attempt.record(_counted(response.usage, response.model_name))
            return response

        return await awaiting(self._client).call(self._agent_id, ask, **self._options)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse, None]:
        """The first answer of the chain that begins."""
        async for attempt in awaiting(self._client).attempts(self._agent_id, **self._options):
            async with attempt:
                model = _model_of(attempt)
                prepared = model.prepare_messages(messages, model_request_parameters)
                settings = merge_model_settings(_settings(attempt.step), model_settings)
                async with model.request_stream(
                    prepared, settings, model_request_parameters, run_context
                ) as stream:
                    attempt.begin_answer()  # the models wait for the first chunk
                    with _recording(attempt, stream):
                        yield stream

    @property
    def _primary(self) -> LLMStep:
        return blocking(self._client).get_agent_config(self._agent_id)


@contextmanager
def _recording(attempt: Attempt, stream: StreamedResponse) -> Iterator[None]:
    """What a stream has cost, read to its end or left; one that breaks is reported as that."""
    try:
        yield
    except BaseException as error:
        if classify(error) is None:
            attempt.record(_counted(stream.usage, stream.model_name))
        raise
    attempt.record(_counted(stream.usage, stream.model_name))


@contextmanager
def _reading_answers() -> Iterator[None]:
    """Some answers of another shape are told apart by nothing but this class itself."""
    try:
        yield
    except UnexpectedModelBehavior as error:
        if type(error) is UnexpectedModelBehavior:
            raise UnparsableReply("the provider's answer is not its API's") from error
        raise


def _model_of(attempt: Attempt) -> Model:
    if attempt.provider == "anthropic":
        return _anthropic_model(attempt.model, attempt.anthropic())
    return _openai_model(attempt.model, attempt.openai())


def _described(step: LLMStep) -> Model:
    """A model to be asked about itself: it is never called."""
    if step.provider == "anthropic":
        return _anthropic_model(step.model, anthropic_arguments(step, step.timeout))
    return _openai_model(step.model, openai_arguments(step, step.timeout))


def _openai_model(name: str, arguments: dict[str, Any]) -> Model:
    import openai
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    pool = _pool(openai)
    sdk = openai.AsyncOpenAI(**arguments, http_client=pool.get_async())
    return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=sdk))


def _anthropic_model(name: str, arguments: dict[str, Any]) -> Model:
    try:
        import anthropic
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider
    except ImportError:
        raise ConfigurationError(
            "a step of Anthropic's needs: pip install 'pydantic-ai-slim[anthropic]'"
        ) from None
    pool = _pool(anthropic)
    sdk = anthropic.AsyncAnthropic(**arguments, http_client=pool.get_async())
    return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=sdk))


@lru_cache
def _pool(sdk: Any) -> Pool:
    return Pool(sdk.DefaultHttpxClient, sdk.DefaultAsyncHttpxClient)


def _settings(step: LLMStep) -> ModelSettings:
    own = anthropic_parameters if step.provider == "anthropic" else parameters
    return ModelSettings(**own(step))


def _counted(usage: Any, model_name: str | None) -> dict[str, Any]:
    """Pydantic AI's counts, spelled as OpenAI spells the same."""
    details = {
        "cached_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
    }
    return {
        "model": model_name,
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "input_tokens_details": details,
            "output_tokens_details": {"reasoning_tokens": usage.details.get("reasoning_tokens")},
        },
    }
