"""Reading the log: where the counter stands, what came after a rev."""

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from app.changes.models import Change, ConfigState, Operation
from app.core.db import UtcDateTime, db
from app.core.errors import NotFound
from app.core.read_now import read_now


class State(NamedTuple):
    """Where the configuration stands."""

    epoch: str
    rev: int
    log_floor: int


_STATE = sa.select(*(ConfigState.__table__.c[name] for name in State._fields))
_STATE_SQL = str(_STATE)
_BETWEEN = (
    sa.select(Change)
    .where(Change.rev > sa.bindparam("after"), Change.rev <= sa.bindparam("up_to"))
    .order_by(Change.rev, Change.seq)
)


def read_state() -> State:
    """The counter row, in the transaction that the session is in."""
    return State(*db.session.execute(_STATE).one())


def peek_state() -> State:
    """The counter row as it is committed now, apart from the session. Raises Unavailable."""
    return State(*read_now(_STATE_SQL))


def list_changes_of(rev: int) -> list[Change]:
    """Everything that one rev changed. Raises NotFound where the history has no such rev."""
    changes = list_changes_since(rev - 1, rev)
    if not changes:
        raise NotFound(f"There is no change {rev} in the history.")
    return changes


def list_changes_since(rev: int, up_to: int) -> list[Change]:
    """The changes of every rev after ``rev``, to ``up_to`` inclusive, in commit order."""
    return list(db.session.scalars(_BETWEEN, {"after": rev, "up_to": up_to}))


def history_query(
    entity: str | None = None,
    root: str | None = None,
    actor: str | None = None,
    *,
    entity_id: int | None = None,
    operation: Operation | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    rev_from: int | None = None,
    rev_to: int | None = None,
) -> sa.Select[tuple[Change]]:
    """The history, newest first. ``until`` itself is left out, every other bound belongs to it."""
    wanted = (
        (entity, Change.entity == entity),
        (root, Change.root == root),
        (actor, Change.actor.icontains(actor or "", autoescape=True)),
        (entity_id, Change.entity_id == entity_id),
        (operation, Change.operation == operation),
        (since, Change.at >= sa.literal(since, UtcDateTime)),
        (until, Change.at < sa.literal(until, UtcDateTime)),
        (rev_from, Change.rev >= sa.literal(rev_from, sa.BigInteger)),
        (rev_to, Change.rev <= sa.literal(rev_to, sa.BigInteger)),
    )
    query = sa.select(Change).order_by(Change.rev.desc(), Change.seq)
    return query.where(*(condition for given, condition in wanted if given is not None))


def list_entities() -> list[str]:
    """The kinds of things that the history speaks of."""
    return list(db.session.scalars(sa.select(Change.entity).distinct().order_by(Change.entity)))


class Past(NamedTuple):
    """What an entity was right after some rev."""

    image: dict[str, Any]
    """Its fields as the history writes them; what was null may be missing."""
    secrets: frozenset[str]
    """The secrets that have been changed, or were lost with it, since: they cannot come back."""
    ended: bool
    """It has been deleted since. Its id may belong to another by now."""


def find_past(entity: str, entity_id: int, rev: int, now: dict[str, Any] | None) -> Past | None:
    """The entity right after ``rev``, or None where it was not there.

    ``now`` is its present image, None where it is gone.
    """
    query = history_query(entity, entity_id=entity_id, rev_from=rev + 1)
    later = list(db.session.scalars(query.order_by(None).order_by(Change.rev)))
    turns = (
        n for n, it in enumerate(later) if it.operation in {Operation.CREATE, Operation.DELETE}
    )
    turn = next(turns, None)
    if turn is None:
        return None if now is None else _rewound(now, later, ended=False)
    if later[turn].operation is Operation.CREATE:
        return None
    return _rewound({}, later[: turn + 1], ended=True)


def _rewound(image: dict[str, Any], changes: list[Change], *, ended: bool) -> Past:
    """The image before these changes, taken back from the newest to the oldest."""
    image = dict(image)
    secrets: set[str] = set()
    for change in reversed(changes):
        for name, entry in change.diff.items():
            if isinstance(entry, list):
                image[name] = entry[0]
            else:
                secrets.add(name)
    return Past(image, frozenset(secrets), ended)
