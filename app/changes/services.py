"""Reading the log: where the counter stands, what came after a rev."""

from typing import NamedTuple

import sqlalchemy as sa

from app.changes.models import Change, ConfigState, Operation
from app.core.db import db


class State(NamedTuple):
    """Where the configuration stands."""

    epoch: str
    rev: int
    log_floor: int


def read_state() -> State:
    """The counter row, in the transaction that the session is in."""
    table = ConfigState.__table__.c
    return State(*db.session.execute(sa.select(table.epoch, table.rev, table.log_floor)).one())


def list_changes_since(rev: int, up_to: int) -> list[Change]:
    """The changes of every rev after ``rev``, to ``up_to`` inclusive, in commit order."""
    query = sa.select(Change).where(Change.rev > rev, Change.rev <= up_to)
    return list(db.session.scalars(query.order_by(Change.rev, Change.seq)))


def history_query(
    entity: str | None = None, root: str | None = None, actor: str | None = None
) -> sa.Select[tuple[Change]]:
    """The history, newest first."""
    query = sa.select(Change).order_by(Change.rev.desc(), Change.seq)
    if entity:
        query = query.where(Change.entity == entity)
    if root:
        query = query.where(Change.root == root)
    if actor:
        query = query.where(Change.actor.icontains(actor, autoescape=True))
    return query


def list_latest(limit: int) -> list[Change]:
    """The newest changes of the configuration; checks that merely settled are left out."""
    query = history_query().where(Change.operation != Operation.STATUS)
    return list(db.session.scalars(query.limit(limit)))


def list_entities() -> list[str]:
    """The kinds of things that the history speaks of."""
    return list(db.session.scalars(sa.select(Change.entity).distinct().order_by(Change.entity)))
