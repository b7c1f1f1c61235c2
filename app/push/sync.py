"""S1: everything that changed since a rev, for whoever was not connected or lost count."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import sqlalchemy as sa
from flask import Response, jsonify, request
from marshmallow import fields, validate

from app.accounts.gate import Caller, Permission, current_caller, requires, state_at_start
from app.agents.all_configs import all_configs
from app.agents.effective_cache import EffectiveConfig, get_configs
from app.agents.models import Agent
from app.changes.models import Change
from app.changes.services import State, list_changes_since, read_state
from app.core.db import db
from app.core.rest import Blueprint, Schema, Text
from app.push import rights
from app.push.messages import ItemType, dump_agent_item, dump_items, is_in_reach, list_items

NONE, CHANGES, FULL = "none", "changes", "full"

blueprint = Blueprint("sync", __name__, description="Catching up with the configuration")


class SyncArgs(Schema):
    """What the caller has: nothing, or everything up to a rev of an epoch."""

    epoch = Text(max_length=64, load_default=None)
    since = fields.Integer(load_default=None, validate=validate.Range(0, 2**63 - 1))


class SyncOut(Schema):
    """The answer: apply all of it, or none."""

    epoch = fields.String()
    rev = fields.Integer()
    intent = fields.String(validate=validate.OneOf([NONE, CHANGES, FULL]))
    items = fields.List(fields.Dict())


def unless_unchanged(view: Callable[..., Response]) -> Callable[..., Response]:
    """Answer 304 before even the arguments are looked at: this is what a polling client asks."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Response:
        etag = _etag(state_at_start(), current_caller())
        if request.if_none_match.contains_weak(etag):
            return _finish(Response(status=304, mimetype="application/json"), etag)
        return view(*args, **kwargs)

    return guarded


@blueprint.route("/sync")
@requires(Permission.READ)
@unless_unchanged
@blueprint.arguments(SyncArgs, location="query")
@blueprint.response(200, SyncOut)
@blueprint.alt_response(304, description="Nothing changed since the ETag")
def get_sync(args: dict[str, Any]) -> Response:
    """What changed for the token's agents since a rev, or everything (row S1)."""
    caller = current_caller()
    state = read_state()  # in the snapshot that the items come from
    items = _find_changes(caller, state, args)
    if items is not None:
        return _send(caller, state, CHANGES if items else NONE, items)
    slugs = _visible(caller)
    if slugs is not None:
        configs = get_configs(state, slugs, caller.user_id)
        return _send(caller, state, FULL, _spell_out(caller, state, configs))
    with all_configs().turn(state) as everything:
        items = _spell_out(caller, *everything)
        return _send(caller, everything.state, FULL, items)


def _send(caller: Caller, state: State, intent: str, items: list[dict[str, Any]]) -> Response:
    start = state_at_start()
    if state[:2] != start[:2]:
        # Whoever has applied a state is never told again what it did to their rights.
        rights.confirm(caller, start.rev)
    body = {"epoch": state.epoch, "rev": state.rev, "intent": intent, "items": _chained(items)}
    return _finish(jsonify(body), _etag(state, caller))


def _finish(response: Response, etag: str) -> Response:
    response.set_etag(etag, weak=True)
    return response


def _etag(state: State, caller: Caller) -> str:
    """Scopes and binding are changes themselves: they raise the rev."""
    who = f"t{caller.token_id}" if caller.token_id else f"u{caller.user_id}"
    return f"{state.epoch}-{state.rev}-{who}"


def _find_changes(
    caller: Caller, state: State, args: dict[str, Any]
) -> list[dict[str, Any]] | None:
    """What has changed since the caller's rev, or None where only everything will do."""
    since = args["since"]
    if since is None or args["epoch"] != state.epoch:
        return None
    if since == state.rev:
        return []
    if not is_in_reach(since, state) or caller.owned_only:
        # A viewer may also have lost sight of an agent: only what is absent can say that.
        return None
    changes = list_changes_since(since, state.rev)
    items = None if _concerns_rights(changes, caller) else _list_agent_items(changes, caller)
    if items is None:
        return None
    reveal = caller.may(Permission.REVEAL)
    return dump_items(items, state, reveal=reveal, user_id=caller.user_id)


def _list_agent_items(changes: list[Change], caller: Caller) -> list[Any] | None:
    everyone = caller.agents is None
    items = list_items(changes, caller.agents or (), everyone=everyone)
    return items and [item for item in items if item.agent_id is not None]


def _concerns_rights(changes: list[Change], caller: Caller) -> bool:
    """Whether the caller may see other agents than before, or owns other defaults."""
    own = {("token", caller.token_id), ("user", caller.user_id)}
    return any((change.entity, change.entity_id) in own for change in changes)


def _spell_out(
    caller: Caller, state: State, configs: Mapping[str, EffectiveConfig | None]
) -> list[dict[str, Any]]:
    reveal = caller.may(Permission.REVEAL)
    return [
        dump_agent_item(ItemType.AGENT_CONFIG_CHANGED, slug, config, state, reveal=reveal)
        for slug, config in configs.items()
        if config is not None
    ]


def _visible(caller: Caller) -> list[str] | None:
    """The slugs that the caller may see; None = all there are."""
    if caller.agents is not None:
        return sorted(caller.agents)
    if caller.visible_to is None:
        return None
    visible = sa.select(Agent.agent_id).where(Agent.visible(caller.visible_to))
    return list(db.session.scalars(visible))


def _chained(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All but the last say that more follows: they are applied together."""
    last = len(messages) - 1
    return [message | {"more": number < last} for number, message in enumerate(messages)]
