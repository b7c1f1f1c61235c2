"""Agents with their chains, voices and tasks in a configuration document."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from marshmallow import fields, post_load, validate
from sqlalchemy.orm import selectinload

from app.accounts.models import User
from app.accounts.services import find_user
from app.agents import services
from app.agents.chain import CLEARED_TO
from app.agents.chain_schemas import MAX_STEPS, PRICES, LLMConfigFields
from app.agents.fields import Slug
from app.agents.models import Agent, LLMConfig
from app.agents.schemas import MAX_TEXT
from app.agents.speech import FIELD_OF, as_a_whole, find_speech
from app.core.db import db
from app.core.errors import Invalid
from app.core.rest import Flag, Schema, Text
from app.providers.models import Capability, Provider
from app.transfer.document import FreeForm, Item, ItemSchema, KeyMarker
from app.transfer.sections.base import Rows, Section
from app.transfer.sections.tasks import AssignedItem, write_assigned

STEP_DEFAULTS: Item = {
    "endpoint": None,
    **CLEARED_TO,
    "enabled": True,
    "metadata_": {},
    **dict.fromkeys(PRICES),
}
VOICES = {"tts": Capability.TTS, "stt": Capability.STT}


class StepItem(ItemSchema, LLMConfigFields):
    """A step of a chain: its place in the list is its position."""

    class Meta(Schema.Meta):
        exclude = ("provider_id",)

    # The dot: read from the row's provider, written below "provider" in what is loaded.
    provider = Text(min_length=1, max_length=128, required=True, attribute="provider.name")
    model_name = Text(min_length=1, max_length=256, required=True)
    metadata_ = FreeForm(data_key="metadata")
    api_key = KeyMarker()  # type: ignore[assignment]  # a marker in a key's place

    @post_load
    def fill(self, data: Item, **_kwargs: Any) -> Item:
        """A chain is given whole, so what a step does not say is as usual."""
        given = {name: value for name, value in data.items() if value is not None}
        return {**STEP_DEFAULTS, **given}


class SpeechItem(ItemSchema):
    """How an agent speaks or listens."""

    provider = Text(min_length=1, max_length=128, required=True, attribute="provider.name")
    settings = FreeForm(load_default=dict)
    api_key = KeyMarker()


class AgentItem(ItemSchema):
    """An agent as it stands in a document. What it does not say stays as it is."""

    agent_id = Slug(required=True)
    name = Text(min_length=1, max_length=128)
    description = Text(max_length=MAX_TEXT, allow_none=True)
    system_prompt = Text(max_length=MAX_TEXT, allow_none=True)
    user_prompt = Text(max_length=MAX_TEXT, allow_none=True)
    owner = Text(min_length=1, max_length=254, allow_none=True)
    is_default = Flag()
    is_active = Flag()
    metadata_ = FreeForm(data_key="metadata")
    llm_configs = fields.List(fields.Nested(StepItem), validate=validate.Length(max=MAX_STEPS))
    tts = fields.Nested(SpeechItem, allow_none=True)
    stt = fields.Nested(SpeechItem, allow_none=True)
    tasks = fields.List(fields.Nested(AssignedItem))


class Agents(Section):
    """Told apart by their agent_id, owned by whom has an e-mail address."""

    name = "agents"
    key = "agent_id"
    model = Agent
    item = AgentItem
    needed = ("name",)

    def query(self) -> sa.Select[Any]:
        parts: tuple[Any, ...] = (Agent.llm_configs, Agent.speech_configs, Agent.assignments)
        return super().query().options(*map(selectinload, parts))

    def dump_rows(self, rows: Rows) -> list[Item]:
        emails = dict(db.session.execute(sa.select(User.id, User.email)).tuples().all())
        return [self.schema.dump(_readable(row, emails)) for row in rows.values()]

    def create(self, data: Item) -> list[str]:
        self.check_new(data)
        with _paths_of_the_document():
            row, warnings = services.add_agent(_for_services(data, ()))
        if data.get("tasks"):
            write_assigned(row, data["tasks"])
        return warnings

    def update(self, row: Any, data: Item) -> list[str]:
        with _paths_of_the_document():
            warnings = services.change_agent(row, _for_services(data, row.llm_configs))
        if "tasks" in data:
            write_assigned(row, data["tasks"])
        return warnings

    def delete(self, row: Any) -> None:
        services.remove_agent(row)

    def in_order(self, items: Iterable[Item]) -> list[Item]:
        """New defaults first: the present ones cannot be unset before."""
        return sorted(items, key=lambda item: not item.get("is_default", False))

    def check_outcome(self, items: Iterable[Item], after: Mapping[str, Item]) -> None:
        for item in items:
            name = item["agent_id"]
            if item.get("is_default") and not after[name]["is_default"]:
                message = "Another agent of the document is the default of the same owner."
                raise Invalid.field(f"agents[{name}].is_default", message)


def match_steps(steps: Iterable[LLMConfig], items: list[Item]) -> list[int | None]:
    """The id of the present step that each item goes on with, so that keys stay where they belong.

    The likest first; a step without one is new.
    """
    free = list(steps)
    ids: list[int | None] = [None] * len(items)
    for likeness in range(3, -1, -1):
        for number, item in enumerate(items):
            alike = (
                step for step in free if _target_of(step)[:likeness] == _named(item)[:likeness]
            )
            if ids[number] is None and (step := next(alike, None)):
                ids[number] = step.id
                free.remove(step)
    return ids


def _target_of(step: LLMConfig) -> tuple[str, str | None, str]:
    return step.provider.name, step.endpoint, step.model_name


def _named(item: Item) -> tuple[str, str | None, str]:
    return item["provider"]["name"], item["endpoint"], item["model_name"]


def _readable(agent: Agent, emails: Mapping[int, str]) -> Item:
    """The agent as its schema reads it: names instead of ids."""
    own = {name: getattr(agent, name) for name in (*services.FIELDS, "is_default", "is_active")}
    voices = {name: find_speech(agent, capability) for name, capability in VOICES.items()}
    owner = emails.get(agent.owner_id) if agent.owner_id is not None else None
    tasks = sorted(agent.assignments, key=lambda assignment: assignment.task.name)
    parts = {"llm_configs": agent.llm_configs, **voices, "tasks": tasks}
    return {**own, "owner": owner, **parts}


def _for_services(data: Item, steps: Iterable[LLMConfig]) -> Item:
    """The item as the services take it: ids instead of names, steps matched with present ones."""
    data = {name: value for name, value in data.items() if name != "tasks"}
    if "owner" in data:
        data["owner_id"] = _owner_id(data.pop("owner"))
    if "llm_configs" in data:
        items = data["llm_configs"]
        ids = match_steps(steps, items)
        data["llm_configs"] = [
            _step_for_services(item, f"llm_configs.{number}") | {"id": step_id}
            for number, (item, step_id) in enumerate(zip(items, ids, strict=True))
        ]
    for name in VOICES.keys() & data.keys():
        voice, capability = data.pop(name), VOICES[name]
        data[FIELD_OF[capability]] = voice and {
            "provider_id": _provider_id(voice, name),
            **as_a_whole(capability, voice["settings"]),
        }
    return data


def _step_for_services(item: Item, path: str) -> Item:
    without = {name: value for name, value in item.items() if name != "provider"}
    return without | {"provider_id": _provider_id(item, path)}


def _owner_id(email: str | None) -> int | None:
    if email is None:
        return None
    user = find_user(email)
    if user is None:
        raise Invalid.field("owner", "No user has this e-mail address.")
    return user.id


def _provider_id(item: Item, path: str) -> int:
    name = item["provider"]["name"]
    provider_id = db.session.scalar(sa.select(Provider.id).where(Provider.name == name))
    if provider_id is None:
        raise Invalid.field(f"{path}.provider", f"There is no provider named '{name}'.")
    return provider_id


@contextmanager
def _paths_of_the_document() -> Iterator[None]:
    """What the services refuse, under the names that the document has for it."""
    try:
        yield
    except Invalid as error:
        errors = error.errors
        for name, capability in VOICES.items():
            errors = {
                it.replace(FIELD_OF[capability], f"{name}.settings"): errors[it] for it in errors
            }
        raise Invalid(errors) from None
