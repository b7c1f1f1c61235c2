"""`SwitchyardClient`: the public face. A hit is one lookup; all else is the runtime's."""

import os
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar, Unpack

from ._agents import Agent, Part
from ._arguments import (
    check_agent_id,
    check_bundle,
    check_deadline,
    check_text,
    checked_switch,
    checked_token,
    checked_url,
)
from ._attempts import Attempt, Attempts, Chain, Fits
from ._cache import Cache, Change
from ._details import Details, Inquiry
from ._errors import ConfigurationError
from ._failover import Cooldowns
from ._forks import in_forked_children
from ._models import AgentConfig, Status
from ._recording import Usage, reported_event
from ._runtime import SETTLED, Runtime, Settings
from ._snapshot import disk_snapshot
from ._spool import Spool
from ._stream import Verify
from ._timings import Timings
from ._transport import HttpTransport, Transport
from ._usage import UsageReporter
from ._worker import Callback

Result = TypeVar("Result")

DEFAULT_URL = "http://127.0.0.1:8000"


class SwitchyardClient:
    """The live LLM configuration of your agents.

    Connects in the background; the constructor returns at once whether or not the server is
    there. One client serves all threads of a process and survives `fork`.

    Args:
        url: the server, e.g. `https://switchyard.example`; default `SWITCHYARD_URL`, else
            `http://127.0.0.1:8000`.
        token: the API token; default `SWITCHYARD_TOKEN`.
        snapshot_path: file for the last known good configuration, encrypted under the token;
            default `SWITCHYARD_SNAPSHOT`; off when unset. `SWITCHYARD_PREVIOUS_TOKEN` opens one
            written before the token was rotated.
        streaming: False polls only.
        ttl: seconds after which values the server has not confirmed are asked for again. They
            stay in use meanwhile.
        env_prefix: prefix of the environment variables that step in when nothing else is known.
        client_id: names this program to the server across restarts; default
            `SWITCHYARD_CLIENT_ID`, else kept beside the snapshot, else random.
        verify: False, or a CA bundle's path, as in `requests`.
        timings: every wait, in seconds.
        transport: makes the object that talks to the server, in place of HTTP.
        autoconnect: False waits for `connect()` or the first read.
        enforce_budgets: False makes `attempts` call whom a spent budget blocks; default
            `SWITCHYARD_ENFORCE_BUDGETS`, else True.

    Raises ConfigurationError for arguments that can never work.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        snapshot_path: str | Path | None = None,
        streaming: bool = True,
        ttl: float = 300,
        env_prefix: str = "SWITCHYARD_LLM_",
        client_id: str | None = None,
        verify: Verify = True,
        timings: Timings | None = None,
        transport: Callable[[], Transport] | None = None,
        autoconnect: bool = True,
        enforce_budgets: bool | None = None,
    ) -> None:
        url = checked_url(url or os.environ.get("SWITCHYARD_URL") or DEFAULT_URL)
        token = checked_token(token or os.environ.get("SWITCHYARD_TOKEN"))
        check_bundle(verify)
        timings = timings or Timings()
        if not ttl >= 0:
            raise ConfigurationError("ttl must not be negative; use seconds, e.g. 300")
        self._settings = Settings(
            new_transport=transport
            or (lambda: HttpTransport(url, token, verify=verify, timings=timings)),
            timings=timings,
            streaming=streaming,
            ttl=ttl,
            env_prefix=env_prefix,
            client_id=client_id or os.environ.get("SWITCHYARD_CLIENT_ID"),
            disk=disk_snapshot(snapshot_path, token),
        )
        self._url = url
        self._enforce_budgets = checked_switch(
            "SWITCHYARD_ENFORCE_BUDGETS", enforce_budgets, default=True
        )
        self._callbacks: tuple[Callback, ...] = ()
        self._agents: weakref.WeakValueDictionary[str, Agent] = weakref.WeakValueDictionary()
        self._details = Details(timings.cold_retry)
        self._cache = Cache(self._dispatch)
        self._cooldowns = Cooldowns(timings.cooldown, timings.cooldown_max)
        disk = self._settings.disk
        self._usage = UsageReporter(
            self._settings.new_transport, timings, Spool(disk.path) if disk else None
        )
        self._runtime: Runtime | None = None
        self._closed = False
        self._forked = False
        self._lock = threading.RLock()
        _clients.add(self)
        if autoconnect:
            self.connect()

    # Reading

    def get_agent_config(self, agent_id: str) -> AgentConfig:
        """The resolved configuration of an agent; see `AgentConfig.source` for who said so.

        From memory, in the time of a dict lookup. Only the first read of an agent may wait, for
        `Timings.first_read` at most; it never raises for a server that is away. Raises ValueError
        for an id that cannot be one.
        """
        try:
            return self._cache.fresh[agent_id]
        except KeyError:
            return self._read(agent_id)

    def _read(self, agent_id: str) -> AgentConfig:
        check_agent_id(agent_id)
        return self._running().read(agent_id)

    def agent(self, agent_id: str) -> Agent:
        """A live handle of one agent; the same object for as long as somebody holds it.

        It has the agent's `config`, `prompts`, `tasks`, `tts` and `stt`, as of now.
        """
        check_agent_id(agent_id)
        with self._lock:
            return self._agents.setdefault(agent_id, Agent(self, agent_id))

    def _detail(self, agent_id: str, part: Part) -> Any:
        """A part of an agent that is not in its config: kept until the next change."""
        # Only A9 resolves defaults on the server.
        asked = agent_id if part is Part.VOICE else self.get_agent_config(agent_id).agent_id
        inquiry = self._inquire(asked, part)
        if inquiry is not None:
            inquiry.wait(self._settings.timings.first_read)
        return self._details.end(asked, part, inquiry)

    def _inquire(self, agent_id: str, part: Part) -> Inquiry | None:
        snapshot, runtime = self._cache.snapshot, self._running()
        if self._closed:
            return None
        return self._details.begin(agent_id, part, (snapshot.epoch, snapshot.rev), runtime.run_soon)

    def on_config_change(self, callback: Callback) -> Callable[[], None]:
        """Call `callback(agent_id, config)` whenever an agent's configuration changes.

        Also when it falls back to the default because its agent was deleted. Callbacks run one
        by one on a thread of their own, in the order of the changes; one that raises is logged.
        Returns a function that ends the subscription. Works as a decorator too, in which case
        the name stands for that function.
        """
        with self._lock:
            self._callbacks = (*self._callbacks, callback)

        def unsubscribe() -> None:
            with self._lock:
                kept = list(self._callbacks)
                if callback in kept:
                    kept.remove(callback)
                self._callbacks = tuple(kept)

        return unsubscribe

    # Calling

    def attempts(
        self,
        agent_id: str,
        *,
        deadline: float | None = None,
        task: str | None = None,
        only: Fits | None = None,
    ) -> Attempts:
        """The agent's chain, to be tried step by step until one answers.

            for attempt in client.attempts("market-analyst"):
                with attempt:
                    reply = OpenAI(**attempt.openai()).chat.completions.create(...)
                    attempt.record(reply)

        Goes on to the next step after a fault of the provider (connection, TLS, time-out, 5xx,
        429, quota, 401, 403, unknown model, unparsable answer), not after one of the request
        (400, 422), a cancellation, or the first token of `attempt.streaming(...)`. Steps that
        failed lately are passed over.

        Args:
            deadline: seconds for the whole chain; each attempt's `timeout` fits into it, and no
                further one begins after it.
            task: what the call is for, a name usage is reported under.
            only: passes over the steps for which it is False, e.g. those that your SDK cannot
                speak to.

        Raises AgentHalted or BudgetBlocked before any call, and AllAttemptsFailed at the end;
        ConfigurationError where `only` leaves nothing.
        """
        check_deadline(deadline)
        check_text("task", task)
        return Attempts(self._chain(self.get_agent_config(agent_id), deadline, task, only))

    def _chain(
        self, config: AgentConfig, deadline: float | None, task: str | None, only: Fits | None
    ) -> Chain:
        agent_id = config.requested_agent_id
        return Chain(
            config,
            self._cooldowns,
            lambda: self._cache.latest(agent_id) or config,
            self._usage.submit,
            deadline=deadline,
            task=task,
            only=only,
            enforce_budgets=self._enforce_budgets,
        )

    def call(
        self,
        agent_id: str,
        fn: Callable[[Attempt], Result],
        *,
        deadline: float | None = None,
        task: str | None = None,
        only: Fits | None = None,
    ) -> Result:
        """`fn(attempt)` of the first step that answers; `attempts` in one line.

        The answer's usage is recorded if `fn` returns it as it came.
        """
        for attempt in self.attempts(agent_id, deadline=deadline, task=task, only=only):
            with attempt:
                result = fn(attempt)
                attempt._record_result(result)
                return result
        raise AssertionError("a chain ends with a result or an exception")

    # Usage

    def report_usage(self, agent_id: str, reply: object = None, **values: Unpack[Usage]) -> str:
        """Report a call that was made without `attempts`; returns the event's id at once.

        Counts come from `reply` (as in `attempt.record`) or by name, names winning: see `Usage`.
        Provider and model are those of the agent's step `attempt` unless given. Sent in the
        background; at most 10,000 events wait. Raises ValueError for values that cannot be.
        """
        event = reported_event(self.get_agent_config(agent_id), reply, values)
        self._usage.submit(event)
        return str(event["event_id"])

    def flush_usage(self, timeout: float = 5) -> bool:
        """Send waiting usage now. False when that cannot be done in `timeout` seconds."""
        return self._usage.flush(timeout)

    @property
    def usage_dropped(self) -> int:
        """Usage events that are lost: too many were waiting, or the server rejected them."""
        return self._usage.dropped

    # Life cycle

    def connect(self) -> None:
        """Start (again) to follow the server, in the background. Harmless when it does already."""
        with self._lock:
            self._closed = False
            self._running()
            self._usage.open()

    def close(self) -> None:
        """Stop following. Idempotent, and bounded by `Timings.close` even if DNS hangs.

        Waiting usage is sent, or left on disk for the next start where there is a snapshot.
        Reads go on working from what is known; `connect()` starts over.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            runtime = self._runtime
        deadline = time.monotonic() + self._settings.timings.close
        self._usage.close(self._settings.timings.close / 2)
        if runtime is not None:
            runtime.close(deadline - time.monotonic())
        self._details.reset()

    disconnect = close
    """The same as `close`."""

    def wait_ready(self, timeout: float | None = 10) -> bool:
        """Wait until the server has told its whole configuration.

        False after `timeout` seconds (None: no limit), or at once if it refuses the token.
        """
        return self._running().wait_settled(timeout)

    @property
    def status(self) -> Status:
        """How the client stands towards the server; a str, e.g. `LIVE`."""
        runtime = self._runtime
        if self._closed:
            return Status.CLOSED
        if runtime is None or runtime.status is Status.CLOSED:  # closed: it could not be started
            return Status.INITIALIZING
        return runtime.status

    @property
    def is_connected(self) -> bool:
        """The server answers: by the stream (`LIVE`) or by polls (`POLLING`)."""
        return self.status in SETTLED

    @property
    def applied_rev(self) -> int | None:
        """The server's rev that reads reflect; None before the first sync."""
        snapshot = self._cache.snapshot
        return None if snapshot.epoch is None else snapshot.rev

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<SwitchyardClient {self._url} {self.status}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a client stays in its process: make one in each, or use get_client() there"
        )

    # Inside

    def _running(self) -> Runtime:
        """This process' runtime. A closed client keeps its old one: it answers from memory."""
        runtime = self._runtime
        if runtime is not None and (self._closed or runtime.status is not Status.CLOSED):
            return runtime
        with self._lock:
            if self._runtime is None or self._runtime.status is Status.CLOSED:
                self._runtime = Runtime(
                    self._settings, self._cache, lambda: self._callbacks, forked=self._forked
                )
                if self._closed:
                    self._runtime.close(0)
                else:
                    self._runtime.start()
            return self._runtime

    def _dispatch(self, changes: list[Change]) -> None:
        runtime = self._runtime
        if runtime is not None:
            runtime.dispatcher.put(changes)

    def _after_fork(self) -> None:
        """In the child: keep the values, leave threads, locks and connections behind."""
        runtime, self._runtime = self._runtime, None
        self._lock = threading.RLock()
        self._forked = True
        self._cache.after_fork()
        self._cooldowns.after_fork()
        self._usage.after_fork()
        self._details.reset()
        if runtime is not None and not self._closed:
            runtime.abandon()


# One hook for all clients: os.getpid() at each read would cost more than the read.
_clients: weakref.WeakSet[SwitchyardClient] = weakref.WeakSet()


@in_forked_children
def _leave_the_parents() -> None:
    for client in list(_clients):
        client._after_fork()
