"""What restorers share: what is asked of them, the past they look up, what is said about keys."""

from collections.abc import Callable
from typing import Any, NamedTuple

import sqlalchemy as sa

from app.changes.services import Past, find_past
from app.changes.tracker import Tracked, image_of
from app.core.db import db
from app.core.errors import NotFound


class Wish(NamedTuple):
    """One entity, as it was right after ``rev``."""

    entity: str
    entity_id: int
    rev: int
    expected_version: int | None = None
    may_give_away: bool = False
    """Whether the caller is an admin: may change whose an agent is, and who is told of events."""


Restorer = Callable[[Wish], tuple[Any, list[str]]]
"""Brings the entity back, flushed. Returns its row (a new one where it was deleted), warnings."""


def past_of(wish: Wish, row: Tracked | None) -> Past:
    """The entity as the wish has it; ``row`` has its id now. Raises NotFound."""
    past = find_past(wish.entity, wish.entity_id, wish.rev, image_of(row) if row else None)
    if past is None:
        raise NotFound(
            f"There was no {wish.entity} {wish.entity_id} after the change {wish.rev}, "
            "or the history no longer knows it."
        )
    return past


def is_still_there(model: type[Any], row_id: int, rev: int) -> bool:
    """Whether the row with this id is the one of that time, and not another that got its id."""
    row = db.session.get(model, row_id)
    past = find_past(model.entity, row_id, rev, image_of(row) if row else None)
    return past is not None and not past.ended


def find_today(model: type[Any], row_id: int, rev: int) -> tuple[int | None, str]:
    """The id today of what had this id then, or of what has its name by now, and that name."""
    if is_still_there(model, row_id, rev):
        return row_id, db.session.get_one(model, row_id).name
    past = find_past(model.entity, row_id, rev, None)
    name = past.image["name"] if past else f"number {row_id}"
    return db.session.scalar(sa.select(model.id).where(model.name == name)), name


def key_warnings(what: str, past: Past, has_key: bool) -> list[str]:
    """What became of a key: the history knows that it was another, but not which."""
    if "api_key" not in past.secrets:
        return []
    if has_key:
        return [f"{what} keeps today's key: earlier ones are not stored."]
    return [f"{what} has no key now: enter it again if it needs one."]
