"""Who may still listen: when the rights of every token and person with a socket last changed."""

from collections.abc import Collection, Iterable

import sqlalchemy as sa
from werkzeug.exceptions import Unauthorized

from app.accounts.gate import Caller
from app.accounts.models import ApiToken, User
from app.changes.models import Change
from app.core.clock import utcnow
from app.core.db import db
from app.core.errors import Unavailable
from app.push.subscriber import Identity

TOKEN, USER = "token", "user"


def confirm(caller: Caller, known_at: int) -> Identity:
    """The caller and the rev of their rights, which were looked at when ``known_at`` was reached.

    Raises Unauthorized where they have ended since, Unavailable where they have changed.
    """
    kind, key = (USER, caller.user_id) if caller.token_id is None else (TOKEN, caller.token_id)
    current = _live_tokens([key]) if kind == TOKEN else _live_users([key])
    if not current:
        raise Unauthorized("The token is unknown, expired or revoked.")
    identity = Identity(kind, *current[0])
    if identity.changed_in > known_at:
        raise Unavailable("Your rights have changed this moment; come again.", retry_after=1)
    return identity


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
