"""What people call the rows that a diff points at by their ids: those that are gone, too."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa

from app.accounts.models import User
from app.agents.models import Agent
from app.changes.models import Change, Operation
from app.core.db import db
from app.providers.models import Provider
from app.tasks.models import Task


class Kind(NamedTuple):
    """What a field refers to: the rows' id and name, and what the history calls them."""

    entity: str
    row_id: Any
    name: Any


USER = Kind("user", User.id, User.email)
REFERENCES = {
    "agent_id": Kind("agent", Agent.id, Agent.agent_id),
    "provider_id": Kind("provider", Provider.id, Provider.name),
    "task_id": Kind("task", Task.id, Task.name),
    "owner_id": USER,
    "user_id": USER,
}


def find_names(changes: Iterable[Change], *, people: bool) -> dict[tuple[str, int], str]:
    """The names behind the ids in these changes, by field and id, in one query; behind a budget's
    ``target_id`` by ``agent_id`` or ``provider_id``, as its scope has it.

    ``people``: those of accounts as well, which a viewer is not told. What nobody remembers is
    left out.
    """
    references = [it for it in _references(changes) if people or REFERENCES[it[0]] is not USER]
    if not references:
        return {}
    wanted: dict[Kind, set[int]] = defaultdict(set)
    for field, row_id in references:
        wanted[REFERENCES[field]].add(row_id)
    parts = (part for kind, ids in wanted.items() for part in (_gone(kind, ids), _here(kind, ids)))
    rows = db.session.execute(sa.union_all(*parts).order_by("here"))
    names = {(entity, row_id): name for entity, row_id, name, _here in rows}
    keys = ((field, row_id, (REFERENCES[field].entity, row_id)) for field, row_id in references)
    return {(field, row_id): names[key] for field, row_id, key in keys if key in names}


def _references(changes: Iterable[Change]) -> Iterator[tuple[str, int]]:
    """Every field that holds another row's id, with each id that it held."""
    for change in changes:
        for name, entry in change.diff.items():
            field = _target_of_budget(change) if name == "target_id" else name
            if field in REFERENCES and isinstance(entry, list):
                # An agent's own agent_id is a slug, which is a name already.
                yield from ((field, row_id) for row_id in entry if isinstance(row_id, int))


def _target_of_budget(change: Change) -> str:
    """Whom it is for, an agent or a provider, its scope tells."""
    return f"{next(filter(None, change.diff.get('scope', ())), 'target')}_id"


def _here(kind: Kind, ids: set[int]) -> Any:
    query = sa.select(
        sa.literal(kind.entity).label("entity"), kind.row_id, kind.name, sa.literal(1).label("here")
    )
    return query.where(kind.row_id.in_(ids))


def _gone(kind: Kind, ids: set[int]) -> Any:
    """As the history last knew them: it never gives an id to a second row."""
    query = sa.select(Change.entity, Change.entity_id, Change.root, sa.literal(0).label("here"))
    is_one = (Change.entity == kind.entity, Change.entity_id.in_(ids))
    return query.where(*is_one, Change.operation == Operation.DELETE)
