"""The server's messages, typed. Pure: text in, dataclasses out, `Malformed` otherwise."""

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

from ._models import AgentConfig
from ._wire import Json, Malformed, decode_config, integer, optional_text, require_object, text

USUAL_HEARTBEAT = 10.0
# A tuple: what is compared came from outside, and may be of a type that has no hash.
AGENT_TYPES = ("agent_config_changed", "agent_created", "agent_deleted")


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one agent. `config` None: nothing answers for it any more."""

    agent_id: str
    config: AgentConfig | None
    deleted: bool = False
    """The agent itself is gone; `config`, if any, is the default that steps in."""


@dataclass(frozen=True, slots=True)
class Batch:
    """All that changed up to `rev`: applied whole or not at all."""

    epoch: str
    rev: int
    items: tuple[Item, ...] = ()
    full: bool = False
    """The items are everything there is; what is absent is deleted."""
    has_keys: bool = False
    """From S1: keys are inside. On the socket they never travel."""


@dataclass(frozen=True, slots=True)
class SyncAnswer:
    """What S1 answered, with the ETag to ask it again by."""

    batch: Batch
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Welcome:
    epoch: str
    rev: int
    heartbeat_s: float


@dataclass(frozen=True, slots=True)
class Heartbeat:
    epoch: str
    rev: int
    last: int


@dataclass(frozen=True, slots=True)
class Resync:
    spread_s: float


@dataclass(frozen=True, slots=True)
class Goodbye:
    reason: str
    retry_s: float


@dataclass(frozen=True, slots=True)
class ServerError:
    message: str


@dataclass(frozen=True, slots=True)
class Change:
    """One item of the change stream; `item` None where it concerns no agent's config."""

    epoch: str
    rev: int
    prev: int
    more: bool
    item: Item | None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A type from a newer server."""


Message = Welcome | Heartbeat | Resync | Goodbye | ServerError | Change | Ignored


def parse_frame(frame: str) -> Message:
    """One message of the socket."""
    data = require_object(parse_json(frame), "message")
    match text(data, "type"):
        case "welcome":
            beat = _seconds(data, "heartbeat_s") or USUAL_HEARTBEAT
            return Welcome(text(data, "epoch"), integer(data, "rev"), beat)
        case "heartbeat":
            rev = integer(data, "rev")
            return Heartbeat(text(data, "epoch"), rev, integer(data, "last", rev))
        case "resync":
            return Resync(_seconds(data, "spread_s"))
        case "goodbye":
            return Goodbye(optional_text(data, "reason") or "", _seconds(data, "retry_s"))
        case "error":
            return ServerError(optional_text(data, "message") or "")
        case _:
            return _parse_change(data)


def _parse_change(data: Json) -> Change | Ignored:
    """Types that are not about agents still move the stream on if they carry its revs."""
    relevant = data["type"] in AGENT_TYPES
    if not relevant and not ("rev" in data and "prev" in data):
        return Ignored()
    rev = integer(data, "rev")
    return Change(
        epoch=text(data, "epoch"),
        rev=rev,
        prev=integer(data, "prev"),
        more=data.get("more") is True,
        item=_parse_item(data, rev) if relevant else None,
    )


def _parse_item(data: Json, rev: int) -> Item:
    agent_id = text(data, "agent_id")
    config = data.get("config")
    return Item(
        agent_id=agent_id,
        config=None if config is None else decode_config(config, requested=agent_id, rev=rev),
        deleted=data["type"] == "agent_deleted",
    )


def parse_sync(data: object, etag: str | None = None) -> SyncAnswer:
    """S1's answer."""
    source = require_object(data, "answer")
    epoch, rev, intent = text(source, "epoch"), integer(source, "rev"), text(source, "intent")
    if intent not in ("none", "changes", "full"):
        raise Malformed("intent: not one of none, changes, full")
    listed = source.get("items", [])
    if not isinstance(listed, list):
        raise Malformed("items: not a list")
    entries = [require_object(entry, "items") for entry in listed]
    items = tuple(_parse_item(e, rev) for e in entries if e.get("type") in AGENT_TYPES)
    return SyncAnswer(Batch(epoch, rev, items, full=intent == "full", has_keys=True), etag)


def parse_rejections(data: object) -> list[str]:
    """Why the server took some usage events for none, from the answer to `POST /usage`."""
    listed = require_object(data, "answer").get("rejected", [])
    if not isinstance(listed, list):
        raise Malformed("rejected: not a list")
    entries = [require_object(entry, "rejected") for entry in listed]
    return [f"{entry.get('code')}: {entry.get('message')}" for entry in entries]


def parse_json(body: str | bytes) -> Any:
    """JSON as the standard has it: no NaN, and no nesting that exhausts the stack."""
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        # The parser's own message quotes the text, and the text may hold keys.
        raise Malformed("not JSON") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _seconds(data: Json, name: str) -> float:
    value = data.get(name, 0)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise Malformed(f"{name}: not a number of seconds")
    return min(max(float(value), 0.0), 3600.0)
