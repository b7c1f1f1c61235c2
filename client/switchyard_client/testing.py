"""A Switchyard in memory, for the tests of programs that use the client. No server, no socket.

from switchyard_client.testing import TestData

data = TestData()
data.agent("market-analyst", provider="openai", model="gpt-4.1", api_key="sk-test")
client = data.client()
data.halt("market-analyst", "too expensive")  # live: the client knows it when this returns
"""

import contextlib
import json
import socket
import threading
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._agents import AgentTask, Prompts, SpeechConfig
from ._async import AsyncSwitchyardClient
from ._client import SwitchyardClient
from ._errors import NotFound, StreamClosed, Unauthorized, Unreachable
from ._frozen import freeze, thaw
from ._messages import Batch, Item, SyncAnswer
from ._models import AgentConfig, LLMStep, Status
from ._secret import Secret
from ._sockets import abandon_socket
from ._timings import Timings

__all__ = ["MockTransport", "TestData"]

EPOCH = "test-data"

# A test waits for nothing longer than it must. What is there at once may take its time: a busy
# machine must not look like a silent server.
QUICK = Timings(
    first_read=30.0,
    cold_retry=0.02,
    poll=0.05,
    refresh_gap=0.01,
    backoff_min=0.01,
    backoff_max=0.05,
    unauthorized_min=0.02,
    unauthorized_max=0.05,
    usage_delay=0.01,
    close=30.0,
)


class TestData:
    """The agents of a made-up server, and what its clients told it. Safe for any thread.

    A change made here has reached every connected client when the method returns. Listeners are
    told on their own thread soon after, and agents that a default answers for follow then too.
    """

    __test__ = False  # pytest: not a test, whatever its name

    def __init__(self) -> None:
        self.usage: list[dict[str, Any]] = []
        """The usage events that have arrived; see `usage_of`."""
        self._agents: dict[str, AgentConfig] = {}
        self._parts: dict[str, dict[str, dict[str, Any]]] = {}
        self._rev = 1
        self._log: list[tuple[int, str]] = []
        self._fault: Exception | None = None
        self._streams: set[_MockStream] = set()
        self._changed = threading.Condition()

    # The world

    def agent(
        self,
        agent_id: str,
        *,
        provider: str = "openai",
        model: str = "test-model",
        api_key: str | None = None,
        fallbacks: Sequence[dict[str, Any]] = (),
        prompts: Prompts | None = None,
        tasks: Sequence[AgentTask] = (),
        tts: SpeechConfig | None = None,
        stt: SpeechConfig | None = None,
        **values: Any,
    ) -> AgentConfig:
        """Create or replace an agent.

        Args:
            api_key: plain text; wrapped as the client does.
            fallbacks: each a dict with the same names: `provider`, `model`, `api_key`, ...
            prompts, tasks, tts, stt: what `client.agent(agent_id)` has.
            values: any further field of `AgentConfig`, e.g. `endpoint`, `temperature`,
                `is_default`, `halted`, `metadata`.
        """
        config = AgentConfig(
            agent_id=agent_id,
            requested_agent_id=agent_id,
            fallbacks=tuple(_step(**step) for step in fallbacks),
            **_step_values(provider=provider, model=model, api_key=api_key, **values),
        )
        self._parts[agent_id] = {
            "": _prompts_json(prompts or Prompts()),
            "tasks": {"tasks": [_task_json(task) for task in tasks]},
            "config": {
                "tts_provider_config": tts and tts.to_dict(reveal_keys=True),
                "stt_provider_config": stt and stt.to_dict(reveal_keys=True),
            },
        }
        return self._put(config)

    def update(self, agent_id: str, **values: Any) -> AgentConfig:
        """Change some fields of an agent, as `agent` takes them. Raises KeyError if unknown."""
        if "fallbacks" in values:
            values["fallbacks"] = tuple(_step(**step) for step in values["fallbacks"])
        return self._put(replace(self._agents[agent_id], **_step_values(**values)))

    def halt(self, agent_id: str, reason: str | None = None) -> None:
        """Press the red button."""
        self.update(agent_id, halted=True, halted_reason=reason)

    def resume(self, agent_id: str) -> None:
        """Let go of it."""
        self.update(agent_id, halted=False, halted_reason=None)

    def delete(self, agent_id: str) -> None:
        """Remove an agent; the default agent, if there is one, answers for it then."""
        with self._changed:
            del self._agents[agent_id]
            self._publish(agent_id)

    def go_away(self) -> None:
        """The server cannot be reached any more: clients keep what they know."""
        self._fail(Unreachable("the test server is away"))

    def refuse(self) -> None:
        """The server refuses the token."""
        self._fail(Unauthorized("the test server refuses the token"))

    def come_back(self) -> None:
        """The server answers again."""
        with self._changed:
            self._fault = None

    # Clients

    def client(self, **options: Any) -> SwitchyardClient:
        """A client of this data, `LIVE` (without streaming: `POLLING`) when it is returned.

        Not waited for while the server is away or refuses, or with `autoconnect=False`. Takes the
        arguments of `SwitchyardClient`.
        """
        client = SwitchyardClient(**self._options(options))
        if self._fault is None and options.get("autoconnect", True):
            ready = Status.LIVE if options.get("streaming", True) else Status.POLLING
            if not client._running().wait_for((ready,), 30):
                client.close()
                raise AssertionError(f"waited in vain for the client to be {ready}")
        return client

    def async_client(self, **options: Any) -> AsyncSwitchyardClient:
        """The same for asyncio, as ready: this waits, for milliseconds, without the event loop."""
        return AsyncSwitchyardClient.over(self.client(**options))

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        defaults: dict[str, Any] = {
            "url": "http://switchyard.test",
            "token": "test-token",
            "timings": QUICK,
            "transport": lambda: MockTransport(self),
        }
        return defaults | options

    def usage_of(self, agent_id: str, count: int = 1, timeout: float = 20) -> list[dict[str, Any]]:
        """The usage events of an agent, once there are `count`. Raises AssertionError if not."""

        def found() -> list[dict[str, Any]]:
            return [event for event in self.usage if event["requested_agent_id"] == agent_id]

        self._wait(lambda: len(found()) >= count, timeout)
        return found()

    # Inside

    def _put(self, config: AgentConfig) -> AgentConfig:
        with self._changed:
            config = replace(config, config_version=self._rev + 1, rev=self._rev + 1)
            self._agents[config.agent_id] = config
            self._publish(config.agent_id)
            return config

    def _publish(self, agent_id: str) -> None:
        """One rev more, to every open stream; returns when all have applied it."""
        self._rev += 1
        self._log.append((self._rev, agent_id))
        streams = list(self._streams)
        for stream in streams:
            # Keys never travel on the stream: clients fetch the change, as from a real server.
            stream.push({"type": "resync", "epoch": EPOCH, "rev": self._rev, "spread_s": 0})
        rev = self._rev
        self._wait(lambda: all(stream.has(rev) for stream in streams))

    def _wait(self, condition: Callable[[], bool], timeout: float = 30) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise AssertionError("waited in vain for a client of the test data")

    def _fail(self, fault: Exception) -> None:
        with self._changed:
            self._fault = fault
            for stream in list(self._streams):
                stream.end()

    def _resolve(self, agent_id: str) -> AgentConfig | None:
        found = self._agents.get(agent_id)
        if found is not None:
            return found
        default = next((c for c in self._agents.values() if c.is_default), None)
        return default and replace(
            default, requested_agent_id=agent_id, source="default", rev=self._rev
        )


class MockTransport:
    """The client's transport to a `TestData`: `SwitchyardClient(transport=lambda: ...)`.

    For clients that a program makes itself; `TestData.client` is shorter.
    """

    def __init__(self, data: TestData) -> None:
        self._data = data

    def fetch_agent(self, agent_id: str) -> tuple[AgentConfig, str]:
        """One agent's configuration and the epoch."""
        with self._data._changed:
            self._check()
            config = self._data._resolve(agent_id)
            if config is None:
                raise NotFound(f"no agent {agent_id} and no default one")
            return config, EPOCH

    def sync(self, epoch: str | None, since: int | None, etag: str | None) -> SyncAnswer | None:
        """What has changed since, or everything."""
        data = self._data
        with data._changed:
            self._check()
            full = epoch != EPOCH or since is None
            touched = {agent_id for rev, agent_id in data._log if since is None or rev > since}
            listed = data._agents.keys() if full else touched
            items = tuple(
                Item(agent_id, data._resolve(agent_id), deleted=agent_id not in data._agents)
                for agent_id in sorted(listed)
            )
            return SyncAnswer(Batch(EPOCH, data._rev, items, full=full, has_keys=True))

    def fetch_part(self, agent_id: str, part: str) -> Mapping[str, Any]:
        """What a handle reads beside the config."""
        data = self._data
        with data._changed:
            self._check()
            resolved = data._resolve(agent_id)
            if resolved is None or (part != "config" and agent_id not in data._agents):
                raise NotFound(f"no agent {agent_id}")
            return data._parts[resolved.agent_id][part]

    def send_usage(self, events: Sequence[dict[str, Any]]) -> Sequence[str]:
        """Keep usage events, each once."""
        data = self._data
        with data._changed:
            self._check()
            known = {event["event_id"] for event in data.usage}
            data.usage += [dict(event) for event in events if event["event_id"] not in known]
            data._changed.notify_all()
        return []

    def open_stream(self) -> "_MockStream":
        """The stream of changes."""
        with self._data._changed:
            self._check()
            return _MockStream(self._data)

    def interrupt(self) -> None:
        """Nothing here ever waits."""

    def close(self) -> None:
        """Streams are closed by their reader."""

    def abandon(self) -> None:
        """In a forked child there is nothing to let go of."""

    def _check(self) -> None:
        if self._data._fault is not None:
            raise self._data._fault


class _MockStream:
    """The change stream: a queue, and a socket pair that makes it look like a connection."""

    def __init__(self, data: TestData) -> None:
        self._data = data
        self._frames: deque[str] = deque()
        self._bell, self._rope = socket.socketpair()
        self._ended = self._closed = False
        self._applied = -1
        data._streams.add(self)
        # Silence is no fault here: no heartbeat is ever missed.
        self.push({"type": "welcome", "epoch": EPOCH, "rev": data._rev, "heartbeat_s": 3600})

    def push(self, message: dict[str, Any]) -> None:
        self._frames.append(json.dumps(message))
        self._ring()

    def has(self, rev: int) -> bool:
        """The client has applied this rev, or is not listening any more."""
        return self._closed or self._ended or self._applied >= rev

    def end(self) -> None:
        self._ended = True
        self._ring()

    def fileno(self) -> int:
        return self._bell.fileno()

    def receive(self) -> str | None:
        if self._frames:
            self._bell.recv(1)
            return self._frames.popleft()
        if self._ended:
            raise StreamClosed(1001)
        return None

    def send(self, text: str) -> None:
        with self._data._changed:
            self._applied = json.loads(text)["hello"]["applied_rev"]
            self._data._changed.notify_all()

    def close(self) -> None:
        with self._data._changed:
            self._closed = True
            self._data._streams.discard(self)
            self._data._changed.notify_all()
        self._bell.close()
        self._rope.close()

    def abandon(self) -> None:
        abandon_socket(self._bell)
        abandon_socket(self._rope)

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # closed by its reader
            self._rope.send(b"!")


def _prompts_json(prompts: Prompts) -> dict[str, Any]:
    return {"system_prompt": prompts.system_prompt, "user_prompt": prompts.user_prompt}


def _task_json(task: AgentTask) -> dict[str, Any]:
    schema = task.response_schema
    return {"name": task.name, "description": task.description, "response_schema": thaw(schema)}


def _step(**values: Any) -> LLMStep:
    defaults = {"provider": "openai", "model": "test-model"}
    return LLMStep(**_step_values(**(defaults | values)))


def _step_values(**values: Any) -> dict[str, Any]:
    """Plain values as the client holds them: keys masked and named, JSON frozen."""
    key = values.get("api_key")
    if isinstance(key, str):
        values["api_key"] = Secret(key)
        values.setdefault("api_key_id", f"test-{zlib.crc32(key.encode()):08x}")
    if "metadata" in values:
        values["metadata"] = freeze(values["metadata"])
    return values
