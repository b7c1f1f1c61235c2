"""`attempts`: an agent's chain, run. The caller makes the calls; this decides who is next.

for attempt in client.attempts("market-analyst"):
    with attempt:
        reply = OpenAI(**attempt.openai()).chat.completions.create(model=attempt.model, ...)
        attempt.record(reply)
"""

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from ._errors import (
    AgentHalted,
    AllAttemptsFailed,
    BudgetBlocked,
    ConfigurationError,
    FailedAttempt,
)
from ._failover import Cooldowns
from ._failures import Reason, StepFailure, classify, status_of
from ._models import AgentConfig, LLMStep
from ._recording import Recorder, Submit
from ._sdk import anthropic_arguments, litellm_arguments, openai_arguments, parameters
from ._secret import Secret
from ._streams import carries_content
from ._tokens import StreamedCounts, raw_counts

Chunk = TypeVar("Chunk")

Fits = Callable[[LLMStep], bool]

BLOCKED = "blocked"


class Attempt:
    """One step of the chain, to be tried inside `with attempt:` (or `async with`).

    An exception that another step may not meet ends the block quietly and the loop goes on;
    every other one goes through.
    """

    def __init__(
        self,
        config: AgentConfig,
        position: int,
        cooldowns: Cooldowns,
        remaining: float | None,
        recorder: Recorder,
    ) -> None:
        self._config = config
        self._position = position
        self._step: LLMStep = config.steps[position]
        self._cooldowns = cooldowns
        self._recorder = recorder
        self._began = time.monotonic()
        whole = self._step.timeout
        self._timeout = whole if remaining is None else min(whole, remaining)
        self._entered = self._settled = self._answered = False
        self.failed: FailedAttempt | None = None
        """Why this step failed; None as long as it has not."""

    @property
    def config(self) -> AgentConfig:
        """The agent's whole configuration; `step` is the part that is tried here."""
        return self._config

    @property
    def step(self) -> LLMStep:
        """The step that is tried, with all its values."""
        return self._step

    @property
    def position(self) -> int:
        """0 for the primary, then the fallbacks."""
        return self._position

    @property
    def provider(self) -> str:
        """The provider's type, e.g. `openai`."""
        return self._step.provider

    @property
    def model(self) -> str:
        """As the provider calls it."""
        return self._step.model

    @property
    def endpoint(self) -> str | None:
        """Base URL including its version path."""
        return self._step.endpoint

    @property
    def api_key(self) -> Secret | None:
        """None where the provider needs none or the token may not read it."""
        return self._step.api_key

    @property
    def timeout(self) -> float:
        """Seconds for this call: the step's own, or what is left for the whole chain."""
        return self._timeout

    def openai(self) -> dict[str, Any]:
        """Keyword arguments for `OpenAI(...)` or `AsyncOpenAI(...)`; the key is in clear."""
        return openai_arguments(self._step, self._timeout)

    def anthropic(self) -> dict[str, Any]:
        """Keyword arguments for `Anthropic(...)` or `AsyncAnthropic(...)`; the key is in clear."""
        return anthropic_arguments(self._step, self._timeout)

    def litellm(self) -> dict[str, Any]:
        """Keyword arguments for `litellm.completion(...)`, model and parameters included."""
        return litellm_arguments(self._step, self._timeout)

    def parameters(self) -> dict[str, Any]:
        """`temperature`, `top_p` and `max_tokens` for the call itself, as far as they are set."""
        return parameters(self._step)

    def record(self, reply: object) -> None:
        """Report an answer's usage: object or dict, of openai, anthropic, LangChain, Gemini, ...

        Only counts, the model's name and times are taken from it, never a text. The same answer
        counts once. Sent in the background. A bare text is no answer an SDK gives: where a proxy
        has sent a page instead of one, the next step is tried.
        """
        self._recorder.reply(reply)

    def begin_answer(self) -> None:
        """From here on the answer is this step's: what fails later goes through to the caller.

        `streaming` says so by itself at the first token; this is for answers read in another way.
        """
        self._answered = True

    @overload
    def streaming(self, chunks: AsyncIterable[Chunk]) -> AsyncIterator[Chunk]: ...

    @overload
    def streaming(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]: ...

    def streaming(
        self, chunks: Iterable[Chunk] | AsyncIterable[Chunk]
    ) -> Iterator[Chunk] | AsyncIterator[Chunk]:
        """The chunks of a streamed answer, passed on one by one.

        From the first token on the answer is this step's: a later failure goes through, for
        another step would start the answer again. Its usage is recorded at its end, as far as
        the chunks tell (OpenAI's do with `stream_options={"include_usage": True}`).
        """
        if not isinstance(chunks, AsyncIterable):
            return self._pass_on(chunks)
        if not isinstance(chunks, Iterable):
            return self._pass_on_async(chunks)
        return _Either(self._pass_on(chunks), self._pass_on_async(chunks))

    def __enter__(self) -> Self:
        if self._entered:
            raise RuntimeError("an attempt is entered once; the loop brings the next one")
        self._entered = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._settle(error)
        return self.failed is not None and not self._answered

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return self.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<Attempt {self._position} {self._step.provider} {self._step.model}>"

    # Inside

    def _record_result(self, result: object) -> None:
        """`record`, if nothing has been recorded yet and `result` has counts at all."""
        if not self._recorder.reported and raw_counts(result):
            self._recorder.reply(result)

    def _pass_on(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        counts = StreamedCounts()
        try:
            for chunk in chunks:
                self._take(chunk, counts)
                yield chunk
        except BaseException as error:
            self._stream_broke(counts, error)
            raise
        self._recorder.stream(counts)

    async def _pass_on_async(self, chunks: AsyncIterable[Chunk]) -> AsyncIterator[Chunk]:
        counts = StreamedCounts()
        try:
            async for chunk in chunks:
                self._take(chunk, counts)
                yield chunk
        except BaseException as error:
            self._stream_broke(counts, error)
            raise
        self._recorder.stream(counts)

    def _take(self, chunk: object, counts: StreamedCounts) -> None:
        counts.add(chunk)
        self._answered = self._answered or carries_content(chunk)

    def _stream_broke(self, counts: StreamedCounts, error: BaseException) -> None:
        if self._answered:
            stopped = isinstance(error, GeneratorExit)  # the reader has enough
            self._recorder.stream(counts, None if stopped else error)
        # Inside the block its end settles this; a stream may also be read after it.
        if self._settled and isinstance(error, Exception):
            self._settle(error)

    def _settle(self, error: BaseException | None) -> None:
        """Tell the cooldowns how it went, and the server what failed."""
        self._settled = True
        if error is None:
            self._cooldowns.succeeded(self._step)
            return
        now, failure = time.monotonic(), classify(error)
        if failure is not None or status_of(error) is not None:
            unparsable = failure is not None and failure.reason is Reason.UNPARSABLE
            self._recorder.failure(error, of_answer=unparsable)
        if failure is None or not isinstance(error, Exception):
            self._cooldowns.released(self._step, self._began, now)
            return
        self._cooldowns.failed(self._step, self._began, now, failure.retry_after or 0)
        self.failed = self._describe(failure, error, now)

    def _describe(self, failure: StepFailure, error: Exception, now: float) -> FailedAttempt:
        step = self._step
        return FailedAttempt(
            self._position,
            step.provider,
            step.model,
            step.endpoint,
            failure.reason,
            failure.status,
            now - self._began,
            error,
        )


class _Either(AsyncIterator[Chunk], Iterator[Chunk]):
    """For streams that can be read in both ways, as LiteLLM's: the reader chooses."""

    def __init__(self, chunks: Iterator[Chunk], async_chunks: AsyncIterator[Chunk]) -> None:
        self._chunks = chunks
        self._async_chunks = async_chunks

    def __next__(self) -> Chunk:
        return next(self._chunks)

    async def __anext__(self) -> Chunk:
        return await anext(self._async_chunks)


class Chain:
    """One run through an agent's steps; drives the loops of both clients."""

    def __init__(
        self,
        config: AgentConfig,
        cooldowns: Cooldowns,
        read: Callable[[], AgentConfig],
        submit: Submit,
        *,
        deadline: float | None = None,
        task: str | None = None,
        only: Fits | None = None,
        enforce_budgets: bool = True,
    ) -> None:
        self._enforce_budgets = enforce_budgets
        self._refuse(config)
        self._config = config
        self._cooldowns = cooldowns
        self._read = read
        self._submit = submit
        self._task = task
        self._ends = None if deadline is None else time.monotonic() + deadline
        self._passed_over = self._unfit(only)
        self._tried: set[int] = set()
        self._failed: list[FailedAttempt] = []
        self._current: Attempt | None = None
        self._last_resort = False

    def next(self) -> Attempt | None:
        """The next attempt; None when the last one went through."""
        if self._current is not None and not self._note_failure(self._current):
            return None
        self._refuse(self._read())  # the button may have been pressed during the last attempt
        now = time.monotonic()
        remaining = None if self._ends is None else self._ends - now
        if remaining is not None and remaining <= 0:
            raise self._exhausted(deadline=True)
        pick = None
        if not self._last_resort:
            done = self._tried | self._passed_over
            pick = self._cooldowns.pick(self._config.steps, done, now)
        if pick is None:
            raise self._exhausted()
        self._tried.add(pick.position)
        self._last_resort = pick.last_resort
        recorder = Recorder(self._config, pick.position, self._task, self._submit)
        self._current = Attempt(self._config, pick.position, self._cooldowns, remaining, recorder)
        return self._current

    def _refuse(self, config: AgentConfig) -> None:
        if config.halted:
            raise AgentHalted(config.requested_agent_id, config.halted_reason)
        if self._enforce_budgets and config.budget_state == BLOCKED:
            raise BudgetBlocked(config.requested_agent_id)

    def _unfit(self, only: Fits | None) -> set[int]:
        """The positions that are not to be called: not the caller's, or no money is left."""
        steps = list(enumerate(self._config.steps))
        wanted = {position for position, step in steps if only is None or only(step)}
        if not wanted:
            agent_id = self._config.requested_agent_id
            raise ConfigurationError(f"agent {agent_id} has no step that can be called this way")
        spent = {
            position
            for position, step in steps
            if self._enforce_budgets and step.provider_budget_state == BLOCKED
        }
        if not wanted - spent:
            raise BudgetBlocked(self._config.requested_agent_id)
        return {position for position, _ in steps} - (wanted - spent)

    def _note_failure(self, attempt: Attempt) -> bool:
        if not attempt._entered:
            raise RuntimeError("use `with attempt:` in the body of the loop")
        if attempt.failed is not None:
            self._failed.append(attempt.failed)
        return attempt.failed is not None

    def _exhausted(self, *, deadline: bool = False) -> AllAttemptsFailed:
        error = AllAttemptsFailed(self._config.requested_agent_id, self._failed, deadline=deadline)
        error.__cause__ = self._failed[-1].error if self._failed else None
        return error


class Attempts(Iterator[Attempt]):
    """What `client.attempts` returns: iterate over it once."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def __next__(self) -> Attempt:
        attempt = self._chain.next()
        if attempt is None:
            raise StopIteration
        return attempt
