"""`AsyncSwitchyardClient`: the same client on asyncio.

A facade: reads come from the same memory, the same threads follow the server. What would wait
is awaited, and listeners run on the event loop. docs/decisions has the reasons.
"""

import asyncio
import contextlib
import functools
import inspect
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack, cast

from ._agents import AsyncAgent, Part
from ._arguments import check_agent_id, check_deadline, check_text
from ._attempts import Attempt, Chain, Fits
from ._client import SwitchyardClient
from ._landing import Landing
from ._log import logger
from ._models import AgentConfig, Status
from ._recording import Usage, reported_event

Result = TypeVar("Result")
Listener = Callable[[str, AgentConfig], Awaitable[object] | object]

_P = ParamSpec("_P")
_Init = Callable[Concatenate[Any, _P], None]


def _taking_what(init: _Init[_P]) -> Callable[[Callable[..., None]], _Init[_P]]:
    """The decorated constructor has the other's signature, for readers and type checkers."""
    return functools.wraps(init)


class AsyncSwitchyardClient:
    """The live LLM configuration of your agents, on asyncio.

    Takes the arguments of `SwitchyardClient` and has its names; what may wait is a coroutine.
    Nothing here blocks the event loop.
    """

    @_taking_what(SwitchyardClient.__init__)
    def __init__(self, *args: Any, **options: Any) -> None:
        self._wrap(SwitchyardClient(*args, **options))

    @classmethod
    def over(cls, client: SwitchyardClient) -> "AsyncSwitchyardClient":
        """The asyncio face of a client that exists: both share memory, connection, cooldowns."""
        face = cls.__new__(cls)
        face._wrap(client)
        return face

    def _wrap(self, client: SwitchyardClient) -> None:
        self._sync = client
        self._listeners: set[asyncio.Task[None]] = set()
        self._agents: weakref.WeakValueDictionary[str, AsyncAgent] = weakref.WeakValueDictionary()

    @property
    def sync(self) -> SwitchyardClient:
        """The client behind this one, for code that runs in threads."""
        return self._sync

    # Reading

    async def get_agent_config(self, agent_id: str) -> AgentConfig:
        """The resolved configuration of an agent; from memory but for the first read.

        That one may wait for `Timings.first_read`, while the event loop goes on. Raises
        ValueError for an id that cannot be one, and nothing for a server that is away.
        """
        try:
            return self._sync._cache.fresh[agent_id]
        except KeyError:
            return await self._read(agent_id)

    async def _read(self, agent_id: str) -> AgentConfig:
        check_agent_id(agent_id)
        runtime = self._sync._running()
        if runtime.disk_is_cold and self._sync._cache.latest(agent_id) is None:
            await _in_thread(runtime.warm_disk)
        found = runtime.begin_read(agent_id)
        if isinstance(found, AgentConfig):
            return found
        await _wait_for(found, runtime.patience)
        return runtime.end_read(agent_id, found)

    def agent(self, agent_id: str) -> AsyncAgent:
        """A live handle of one agent; the same object for as long as somebody holds it."""
        check_agent_id(agent_id)
        return self._agents.setdefault(agent_id, AsyncAgent(self, agent_id))

    async def _detail(self, agent_id: str, part: Part) -> Any:
        answering = (await self.get_agent_config(agent_id)).agent_id
        asked = agent_id if part is Part.VOICE else answering
        inquiry = self._sync._inquire(asked, part)
        if inquiry is not None:
            await _wait_for(inquiry, self._sync._settings.timings.first_read)
        return self._sync._details.end(asked, part, inquiry)

    def on_config_change(self, callback: Listener) -> Callable[[], None]:
        """Call or await `callback(agent_id, config)` on this event loop at each change.

        One by one, in the order of the changes; one that raises is logged. Returns a function
        that ends the subscription. Raises RuntimeError outside of a running event loop.
        """
        loop = asyncio.get_running_loop()
        changes: asyncio.Queue[tuple[str, AgentConfig]] = asyncio.Queue()
        task = loop.create_task(_tell(callback, changes))
        self._listeners.add(task)

        def hear(agent_id: str, config: AgentConfig) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(changes.put_nowait, (agent_id, config))

        unsubscribe = self._sync.on_config_change(hear)

        def ended(_: object) -> None:
            unsubscribe()
            self._listeners.discard(task)

        task.add_done_callback(ended)

        def end() -> None:
            task.cancel()

        return end

    # Calling

    def attempts(
        self,
        agent_id: str,
        *,
        deadline: float | None = None,
        task: str | None = None,
        only: Fits | None = None,
    ) -> AsyncIterator[Attempt]:
        """The agent's chain, to be tried step by step until one answers.

            async for attempt in client.attempts("market-analyst"):
                async with attempt:
                    reply = await AsyncOpenAI(**attempt.openai()).chat.completions.create(...)
                    attempt.record(reply)

        As `SwitchyardClient.attempts`, but that AgentHalted and BudgetBlocked are raised when
        the iteration begins, before any call.
        """
        check_deadline(deadline)
        check_text("task", task)
        return _AsyncAttempts(lambda: self._chain(agent_id, deadline, task, only))

    async def _chain(
        self, agent_id: str, deadline: float | None, task: str | None, only: Fits | None
    ) -> Chain:
        return self._sync._chain(await self.get_agent_config(agent_id), deadline, task, only)

    async def call(
        self,
        agent_id: str,
        fn: Callable[[Attempt], Awaitable[Result]],
        *,
        deadline: float | None = None,
        task: str | None = None,
        only: Fits | None = None,
    ) -> Result:
        """`await fn(attempt)` of the first step that answers; `attempts` in one line.

        The answer's usage is recorded if `fn` returns it as it came.
        """
        async for attempt in self.attempts(agent_id, deadline=deadline, task=task, only=only):
            async with attempt:
                result = await fn(attempt)
                attempt._record_result(result)
                return result
        raise AssertionError("a chain ends with a result or an exception")

    # Usage

    async def report_usage(
        self, agent_id: str, reply: object = None, **values: Unpack[Usage]
    ) -> str:
        """Report a call that was made without `attempts`; see `SwitchyardClient.report_usage`."""
        event = reported_event(await self.get_agent_config(agent_id), reply, values)
        self._sync._usage.submit(event)
        return str(event["event_id"])

    async def flush_usage(self, timeout: float = 5) -> bool:  # the same names
        """Send waiting usage now. False when that cannot be done in `timeout` seconds."""
        return await _in_thread(lambda: self._sync.flush_usage(timeout))

    @property
    def usage_dropped(self) -> int:
        """Usage events that are lost: too many were waiting, or the server rejected them."""
        return self._sync.usage_dropped

    # Life cycle

    async def connect(self) -> None:
        """Start (again) to follow the server, in the background."""
        self._sync.connect()

    async def close(self) -> None:
        """Stop following; see `SwitchyardClient.close`. Subscriptions end."""
        await _in_thread(self._sync.close)
        for task in list(self._listeners):
            task.cancel()

    disconnect = close
    """The same as `close`."""

    async def wait_ready(
        self,
        timeout: float | None = 10,  # the same names
    ) -> bool:
        """Wait until the server has told its whole configuration.

        False after `timeout` seconds (None: no limit), or at once if it refuses the token.
        """
        return await _in_thread(lambda: self._sync.wait_ready(timeout))

    @property
    def status(self) -> Status:
        """How the client stands towards the server; a str, e.g. `LIVE`."""
        return self._sync.status

    @property
    def is_connected(self) -> bool:
        """The server answers: by the stream (`LIVE`) or by polls (`POLLING`)."""
        return self._sync.is_connected

    @property
    def applied_rev(self) -> int | None:
        """The server's rev that reads reflect; None before the first sync."""
        return self._sync.applied_rev

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Async{repr(self._sync)[1:]}"


class _AsyncAttempts(AsyncIterator[Attempt]):
    """The chain begins with the first round: only there can its config be awaited."""

    def __init__(self, begin: Callable[[], Awaitable[Chain]]) -> None:
        self._begin = begin
        self._chain: Chain | None = None

    async def __anext__(self) -> Attempt:
        if self._chain is None:
            self._chain = await self._begin()
        attempt = self._chain.next()
        if attempt is None:
            raise StopAsyncIteration
        return attempt


async def _tell(callback: Listener, changes: asyncio.Queue[tuple[str, AgentConfig]]) -> None:
    while True:
        agent_id, config = await changes.get()
        try:
            result = callback(agent_id, config)
            if inspect.isawaitable(result):
                await result
        except Exception:  # the caller's fault must not end the later news
            logger.exception("a listener failed on a change of %s", agent_id)


async def _wait_for(landing: Landing, patience: float) -> None:
    """Wait without a thread of its own, whatever number of tasks do."""
    loop, landed = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(landed.set)

    landing.when_landed(wake)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(landed.wait(), patience)


async def _in_thread(work: Callable[[], Result]) -> Result:
    """Await blocking work on a daemon thread.

    The loop's own executor may be full of the caller's work, and it is joined at the end of
    `asyncio.run`: a cancelled wait without a limit would hang the program there.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def finish(result: Result | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast(Result, result))

    def run() -> None:
        result, failed = None, None
        try:
            result = work()
        except BaseException as error:
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(finish, result, failed)

    threading.Thread(target=run, name="switchyard-wait", daemon=True).start()
    return await future
