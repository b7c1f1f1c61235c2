"""What each audience is sent of a change: every message spelled out once for all sockets."""

import logging
from collections.abc import Collection, Iterable

import sqlalchemy as sa

from app.agents.models import Agent
from app.changes.models import Change
from app.changes.services import State, list_changes_since
from app.core.db import db
from app.push import frames
from app.push.messages import Item, dump_items, is_in_reach, list_items
from app.push.subscriber import Audience

BATCH_LIMIT = 512 * 1024
"""Bytes at once. More would overflow the outbox of a reader that is merely far away."""

log = logging.getLogger(__name__)


class Batch:
    """The messages of one audience up to one rev. ``bodies`` None: fetch everything instead,
    at some moment within ``spread`` seconds."""

    def __init__(self, state: State, bodies: list[bytes] | None, spread: float) -> None:
        self._state = state
        self._spread = spread
        fits = bodies is not None and all(map(frames.fits, bodies))
        self._bodies = bodies if fits and sum(map(len, bodies or ())) <= BATCH_LIMIT else None
        self._frames: dict[int, bytes] = {}

    @property
    def empty(self) -> bool:
        """Nothing of it concerns this audience."""
        return self._bodies == []

    def frames_after(self, prev: int) -> bytes:
        """The frames for sockets that were last sent ``prev``, in one piece."""
        if prev not in self._frames:
            self._frames[prev] = self._join(prev)
        return self._frames[prev]

    def _join(self, prev: int) -> bytes:
        if self._bodies is None:
            return frames.resync(self._state, self._spread)
        last = len(self._bodies) - 1
        return b"".join(
            frames.change_frame(body, prev, more=number < last)
            for number, body in enumerate(self._bodies)
        )


def list_new(seen: State, now: State) -> list[Change] | None:
    """What happened between two states, or None where the log does not lead from one to the
    other."""
    if now.epoch != seen.epoch or not is_in_reach(seen.rev, now):
        return None
    return list_changes_since(seen.rev, now.rev)


def prepare(
    changes: list[Change] | None, now: State, audiences: Collection[Audience], spread: float
) -> dict[Audience, Batch]:
    """What is said of these changes (None = nobody knows them) to each audience, in the state of
    now. Reads in the caller's snapshot."""
    items = None if changes is None else _list_items(changes, audiences)
    if items is None:
        return {audience: Batch(now, None, spread) for audience in audiences}
    own_defaults = _own_defaults() if any(item.gone for item in items) else set()
    chosen = {audience: audience.select(items, own_defaults) for audience in audiences}
    bodies = _spell_out({item for batch in chosen.values() for item in batch or ()}, now)
    return {
        audience: Batch(now, None if batch is None else [bodies[item] for item in batch], spread)
        for audience, batch in chosen.items()
    }


def _list_items(changes: list[Change], audiences: Iterable[Audience]) -> list[Item] | None:
    everyone = any(audience.hears_everyone for audience in audiences)
    named = {slug for audience in audiences for slug in audience.named}
    return list_items(changes, named, everyone=everyone)


def _spell_out(items: set[Item], state: State) -> dict[Item, bytes]:
    ordered = list(items)
    bodies = dump_items(ordered, state)
    return {item: frames.change_body(body) for item, body in zip(ordered, bodies, strict=True)}


def _own_defaults() -> set[int]:
    """The users with a default agent of their own."""
    query = sa.select(Agent.owner_id).where(Agent.is_default, Agent.owner_id.is_not(None))
    return {owner_id for owner_id in db.session.scalars(query) if owner_id is not None}
