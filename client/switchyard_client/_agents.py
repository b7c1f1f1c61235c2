"""`client.agent("x")`: a handle that always answers with what is so now."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ._errors import InvalidAnswer
from ._frozen import EMPTY, FrozenDict, freeze, thaw
from ._models import AgentConfig
from ._response_models import response_model
from ._secret import MASK, Secret
from ._wire import Json, Malformed, optional_text, require_object, text

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ._async import AsyncSwitchyardClient
    from ._client import SwitchyardClient


class Part(StrEnum):
    """What the server tells under which path below an agent."""

    PROMPTS = ""
    TASKS = "tasks"
    VOICE = "config"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """The agent's prompts; None where none is written."""

    system_prompt: str | None = None
    """Who the model is told to be."""
    user_prompt: str | None = None
    """What a conversation begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTask:
    """A task the agent has."""

    name: str
    """Unique on the server."""
    description: str | None = None
    """For people; None where none is written."""
    response_schema: FrozenDict | None = None
    """JSON Schema of its answers; None where they have no shape. Read-only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechConfig:
    """How the agent speaks (`tts`) or listens (`stt`)."""

    provider: str
    """The provider's type, e.g. `async.ai`."""
    api_key: Secret | None = None
    """None where the provider needs none or the token may not read it."""
    settings: FrozenDict = EMPTY
    """What the provider's type has: `voice_id`, `model_id`, `sample_rate`, `url`, `path`, ..."""

    def to_dict(self, *, reveal_keys: bool = False) -> dict[str, Any]:
        """A plain dict ready for JSON, settings at the top; the key masked unless `reveal_keys`."""
        key = self.api_key and (self.api_key.get_secret_value() if reveal_keys else MASK)
        settings: dict[str, Any] = thaw(self.settings)
        return {"provider": self.provider, "api_key": key} | settings


@dataclass(frozen=True, slots=True)
class Voice:
    """Both sides of an agent's speech."""

    tts: SpeechConfig | None
    stt: SpeechConfig | None


class Agent:
    """A live handle: each property answers with what is so now.

    `config` never raises for a server that is away. The other properties ask the server at first
    use and after a change; an old value stays in use while it is away, and where there is none
    yet they raise TransportError. An unknown agent has its default's.
    """

    def __init__(self, client: "SwitchyardClient", agent_id: str) -> None:
        self._client = client
        self.agent_id = agent_id

    @property
    def config(self) -> AgentConfig:
        """As `client.get_agent_config`."""
        return self._client.get_agent_config(self.agent_id)

    @property
    def prompts(self) -> Prompts:
        """The agent's prompts."""
        prompts: Prompts = self._client._detail(self.agent_id, Part.PROMPTS)
        return prompts

    @property
    def tasks(self) -> Mapping[str, AgentTask]:
        """The agent's active tasks by name."""
        tasks: Mapping[str, AgentTask] = self._client._detail(self.agent_id, Part.TASKS)
        return tasks

    @property
    def tts(self) -> SpeechConfig | None:
        """How it speaks; None where nothing is configured."""
        voice: Voice = self._client._detail(self.agent_id, Part.VOICE)
        return voice.tts

    @property
    def stt(self) -> SpeechConfig | None:
        """How it listens; None where nothing is configured."""
        voice: Voice = self._client._detail(self.agent_id, Part.VOICE)
        return voice.stt

    def response_model(self, task: str) -> "type[BaseModel]":
        """A Pydantic model of what the agent answers to a task, made from its schema.

        The same class for as long as the schema is the same. Needs the extra `[pydantic]`
        (ConfigurationError). Raises KeyError for a task that the agent does not have, and
        ValueError for one whose answers have no schema.
        """
        return _model_of(self.tasks, self.agent_id, task)

    def __repr__(self) -> str:
        return f"<Agent {self.agent_id}>"


class AsyncAgent:
    """The same on asyncio: `await agent.config`, `await agent.prompts`, ..."""

    def __init__(self, client: "AsyncSwitchyardClient", agent_id: str) -> None:
        self._client = client
        self.agent_id = agent_id

    @property
    def config(self) -> Awaitable[AgentConfig]:
        """As `client.get_agent_config`."""
        return self._client.get_agent_config(self.agent_id)

    @property
    def prompts(self) -> Awaitable[Prompts]:
        """The agent's prompts."""
        return self._client._detail(self.agent_id, Part.PROMPTS)

    @property
    def tasks(self) -> Awaitable[Mapping[str, AgentTask]]:
        """The agent's active tasks by name."""
        return self._client._detail(self.agent_id, Part.TASKS)

    @property
    def tts(self) -> Awaitable[SpeechConfig | None]:
        """How it speaks; None where nothing is configured."""
        return self._side("tts")

    @property
    def stt(self) -> Awaitable[SpeechConfig | None]:
        """How it listens; None where nothing is configured."""
        return self._side("stt")

    async def response_model(self, task: str) -> "type[BaseModel]":
        """A Pydantic model of what the agent answers to a task; see `Agent.response_model`."""
        return _model_of(await self.tasks, self.agent_id, task)

    async def _side(self, side: str) -> SpeechConfig | None:
        voice = await self._client._detail(self.agent_id, Part.VOICE)
        found: SpeechConfig | None = getattr(voice, side)
        return found

    def __repr__(self) -> str:
        return f"<AsyncAgent {self.agent_id}>"


def _model_of(tasks: Mapping[str, AgentTask], agent_id: str, name: str) -> "type[BaseModel]":
    task = tasks.get(name)
    if task is None:
        raise KeyError(f"agent {agent_id} has no task {name!r}, only {sorted(tasks)}")
    if task.response_schema is None:
        raise ValueError(f"task {name!r} has no response schema")
    return response_model(name, task.response_schema)


def parse_part(part: Part, data: Json) -> Prompts | Mapping[str, AgentTask] | Voice:
    """What a handle gives of the server's JSON. Raises InvalidAnswer."""
    try:
        match part:
            case Part.PROMPTS:
                return _prompts(data)
            case Part.TASKS:
                return _tasks(data)
            case Part.VOICE:
                sides = (data.get(f"{side}_provider_config") for side in ("tts", "stt"))
                return Voice(*(side and _speech(require_object(side, "voice")) for side in sides))
    except Malformed as error:
        raise InvalidAnswer(f"agent: {error}") from None


def _prompts(data: Json) -> Prompts:
    return Prompts(
        system_prompt=optional_text(data, "system_prompt"),
        user_prompt=optional_text(data, "user_prompt"),
    )


def _tasks(data: Json) -> Mapping[str, AgentTask]:
    listed = data.get("tasks")
    if not isinstance(listed, list):
        raise Malformed("tasks: not a list")
    items = [require_object(item, "tasks") for item in listed]
    tasks = [_task(item) for item in items if item.get("is_active") is not False]
    return MappingProxyType({task.name: task for task in tasks})


def _task(data: Json) -> AgentTask:
    schema = data.get("response_schema")
    return AgentTask(
        name=text(data, "name"),
        description=optional_text(data, "description"),
        response_schema=schema and freeze(require_object(schema, "response_schema")),
    )


def _speech(data: Json) -> SpeechConfig:
    key = optional_text(data, "api_key")
    known = ("provider", "api_key", "api_key_id")
    return SpeechConfig(
        provider=text(data, "provider"),
        api_key=None if key is None else Secret(key),
        settings=freeze(
            {name: value for name, value in data.items() if name not in known and value is not None}
        ),
    )
