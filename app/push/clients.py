"""Clients in the database: what is seen of them on the sockets, and who runs which rev."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import joinedload, with_expression

from app.accounts.models import ApiToken, User
from app.changes.services import State, read_state
from app.core.clock import utcnow
from app.core.db import UtcDateTime, commit, db
from app.push.models import Client

FORGET_AFTER = timedelta(days=30)
SIGN_OF_LIFE = timedelta(minutes=3)
"""A row without one for so long is not connected: its process has ended without a word."""

_INSERT: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class Sighting(NamedTuple):
    """What a process knows of one of its clients. Either a token or a user is who it comes as."""

    id: str
    client_id: str
    token_id: int | None
    user_id: int | None
    sdk: str | None
    epoch: str | None
    applied_rev: int | None
    sent_rev: int
    connected_at: datetime
    disconnected_at: datetime | None = None


def record(sightings: Sequence[Sighting], process: str) -> None:
    """Store what ``process`` saw, in one transaction. Raises Conflict, Unavailable."""
    now = utcnow()
    rows = [
        {**seen._asdict(), "process": process, "last_seen_at": seen.disconnected_at or now}
        # In one order everywhere: two processes that lock the same rows do not cross.
        for seen in sorted(_of_known_owners(sightings))
    ]
    if rows:
        db.session.execute(_upsert(), rows)
    commit()


def prune() -> None:
    """Forget who has not been seen for 30 days. Raises Unavailable."""
    table = Client.__table__
    long_ago = sa.literal(utcnow() - FORGET_AFTER, UtcDateTime)
    db.session.execute(sa.delete(table).where(table.c.last_seen_at < long_ago))  # type: ignore[arg-type]
    commit()


def list_query(args: dict[str, Any]) -> sa.Select[tuple[Client]]:
    """Clients by `client_id`, filtered by agent, connection, arrears and a part of the id.

    ``agent_id`` keeps those that may read that agent.
    """
    connected = _connected()
    behind = _behind(read_state(), connected)
    query = sa.select(Client).order_by(Client.client_id, Client.id)
    if args.get("agent_id") is not None:
        query = query.where(_may_read(args["agent_id"]))
    if args.get("connected") is not None:
        query = query.where(connected if args["connected"] else sa.not_(connected))
    if args.get("behind") is not None:
        query = query.where(behind > 0 if args["behind"] else behind == 0)
    if args.get("search"):
        query = query.where(Client.client_id.icontains(args["search"], autoescape=True))
    return query.options(
        with_expression(Client.connected, connected),
        with_expression(Client.behind, behind),
        joinedload(Client.token).load_only(ApiToken.name),
        joinedload(Client.user).load_only(User.email),
    )


class ClientCounts(NamedTuple):
    """Those that are connected, those of them that lack a rev, and how many the furthest lacks."""

    connected: int
    behind: int
    lag: int


def count_clients() -> ClientCounts:
    """The clients of all processes, in one query."""
    connected = _connected()
    behind = _behind(read_state(), connected)
    query = sa.select(
        sa.func.count(), sa.func.count().filter(behind > 0), sa.func.max(behind)
    ).where(connected)
    total, late, lag = db.session.execute(query).one()
    return ClientCounts(total, late, lag or 0)


def _of_known_owners(sightings: Iterable[Sighting]) -> list[Sighting]:
    """Without those whose token or user was deleted while they were connected."""
    seen = list(sightings)
    tokens = {each.token_id for each in seen if each.token_id is not None}
    users = {each.user_id for each in seen if each.user_id is not None}
    known_tokens = db.session.scalars(sa.select(ApiToken.id).where(ApiToken.id.in_(tokens)))
    known_users = db.session.scalars(sa.select(User.id).where(User.id.in_(users)))
    known = {(token_id, None) for token_id in known_tokens} | {
        (None, user_id) for user_id in known_users
    }
    return [each for each in seen if (each.token_id, each.user_id) in known]


def _upsert() -> sa.Executable:
    """Who is here is always written; an end only where the client has not come back elsewhere."""
    insert = _INSERT[db.engine.dialect.name](Client)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=[Client.id],
        set_={column.name: column for column in new if column.name != "id"},
        where=sa.or_(
            new.disconnected_at.is_(None),
            Client.process == new.process,
            Client.connected_at < new.connected_at,
        ),
    )


def _connected() -> sa.ColumnElement[bool]:
    recently = sa.literal(utcnow() - SIGN_OF_LIFE, UtcDateTime)
    return sa.and_(Client.disconnected_at.is_(None), Client.last_seen_at > recently)


def _behind(state: State, connected: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    applied = sa.func.coalesce(Client.applied_rev, 0)
    rev = sa.literal(state.rev, sa.BigInteger)
    return sa.case(
        (sa.or_(Client.epoch.is_distinct_from(state.epoch), applied > rev), rev),
        # Revs after the last one that it was sent do not concern it.
        (sa.and_(connected, applied >= Client.sent_rev), 0),
        else_=rev - applied,
    )


def _may_read(agent_id: str) -> sa.ColumnElement[bool]:
    # A binding is a JSON list of slugs, which need no escapes: its text has this one in quotes.
    bound = sa.cast(ApiToken.agents, sa.Text).contains(f'"{agent_id}"', autoescape=True)
    return sa.or_(
        Client.token_id.is_(None), Client.token.has(sa.or_(ApiToken.agents.is_(sa.null()), bound))
    )
