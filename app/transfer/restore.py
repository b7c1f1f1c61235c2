"""Restore: one entity as it was right after a change, written as a new change."""

from typing import NamedTuple

from app.agents.effective import PARTS_OF_AN_AGENT
from app.agents.services import lock_defaults
from app.changes.models import Change
from app.changes.services import history_query, list_changes_of
from app.core.db import commit, db, flush, read_on
from app.core.errors import Invalid, NotFound
from app.transfer.restorers import RESTORERS, Wish


class Restored(NamedTuple):
    """The entity after a restore. ``rev`` is null where it was in that state already."""

    rev: int | None
    entity: str
    entity_id: int
    root: str
    warnings: list[str]


def can_restore(entity: str) -> bool:
    """Whether the history can bring this kind of thing back."""
    return entity in RESTORERS


def rev_before(rev: int) -> int:
    """The newest rev before this one that the history knows. Raises NotFound."""
    query = history_query(rev_to=rev - 1).with_only_columns(Change.rev).limit(1)
    found = db.session.scalar(query)
    if found is None:
        raise NotFound(f"The history knows nothing from before the change {rev}.")
    return found


def restore(
    rev: int,
    entity: str | None = None,
    entity_id: int | None = None,
    *,
    expected_version: int | None = None,
    may_give_away: bool = False,
) -> Restored:
    """Bring one entity back to its state right after ``rev``; a deleted one gets a new id.

    What it is may be left out where the rev changed one entity, or one agent with its parts. Raises
    NotFound, Invalid, Stale, Conflict, BadRequest, Forbidden.
    """
    entity, entity_id = _meant(rev, list_changes_of(rev), entity, entity_id)
    restorer = RESTORERS.get(entity)
    if restorer is None:
        known = ", ".join(RESTORERS)
        raise Invalid.field("entity", f"The history restores only: {known}.")
    lock_defaults({"is_default": True})
    wish = Wish(entity, entity_id, rev, expected_version, may_give_away)
    row, warnings = restorer(wish)
    flush()
    before = row.root.config_rev
    commit()
    read_on()
    db.session.refresh(row.root)
    now = row.root.config_rev
    return Restored(now if now > before else None, entity, row.id, row.root.root_name, warnings)


def _meant(
    rev: int, changes: list[Change], entity: str | None, entity_id: int | None
) -> tuple[str, int]:
    if entity is not None and entity_id is not None:
        return entity, entity_id
    if entity is not None or entity_id is not None:
        missing = "entity_id" if entity_id is None else "entity"
        raise Invalid.field(missing, "Send both of entity and entity_id, or neither.")
    agents = [change for change in changes if change.entity == "agent"]
    if len(agents) == 1 and {change.entity for change in changes} <= PARTS_OF_AN_AGENT:
        changes = agents
    if len(changes) != 1:
        named = ", ".join(f"{change.entity} {change.entity_id}" for change in changes[:20])
        raise Invalid.field("entity", f"The change {rev} is of several: name one of {named}.")
    return changes[0].entity, changes[0].entity_id
