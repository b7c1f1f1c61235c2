"""Who may still listen: when the rights of every token and person with a socket last changed."""

from collections.abc import Collection, Iterable

import sqlalchemy as sa

from app.accounts.gate import Caller
from app.accounts.models import ApiToken, User
from app.changes.models import Change
from app.core.clock import utcnow
from app.core.db import db
from app.push.subscriber import Identity

TOKEN, USER = "token", "user"


def identify(caller: Caller) -> Identity | None:
    """The caller and the rev of their rights, or None where they ended this very moment."""
    kind, key = (USER, caller.user_id) if caller.token_id is None else (TOKEN, caller.token_id)
    current = _live_tokens([key]) if kind == TOKEN else _live_users([key])
    return Identity(kind, *current[0]) if current else None


def are_touched(changes: Iterable[Change]) -> bool:
    """Whether these changed what somebody may hear."""
    return any(change.entity in {TOKEN, USER} for change in changes)


def list_current(identities: Collection[Identity]) -> set[Identity]:
    """The same tokens and people as they are now; who is revoked, expired or disabled is absent."""
    tokens = {identity.id for identity in identities if identity.kind == TOKEN}
    users = {identity.id for identity in identities if identity.kind == USER}
    live_tokens = _live_tokens(tokens) if tokens else []
    live_users = _live_users(users) if users else []
    return {Identity(TOKEN, *row) for row in live_tokens} | {
        Identity(USER, *row) for row in live_users
    }


def _live_tokens(ids: Collection[int | None]) -> list[tuple[int, int]]:
    query = (
        sa.select(ApiToken.id, ApiToken.config_rev)
        .outerjoin(User, User.id == ApiToken.user_id)
        .where(ApiToken.id.in_(ids), ApiToken.revoked_at.is_(None))
        .where(sa.or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > utcnow()))
        .where(sa.or_(ApiToken.user_id.is_(None), User.active))
    )
    return [(row_id, rev) for row_id, rev in db.session.execute(query)]


def _live_users(ids: Collection[int | None]) -> list[tuple[int, int]]:
    query = sa.select(User.id, User.config_rev).where(User.id.in_(ids), User.active)
    return [(row_id, rev) for row_id, rev in db.session.execute(query)]
