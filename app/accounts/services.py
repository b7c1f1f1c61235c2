"""The verbs of accounts: the first admin, users, tokens."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask_security import hash_password

from app.accounts.models import ApiToken, Role, Scope, User
from app.changes.tracker import Tracked
from app.core.clock import utcnow
from app.core.crypto import hash_token, new_token
from app.core.db import commit, db, find_row, flush, lock, referrers
from app.core.errors import BadRequest, Conflict, Invalid, NotFound
from app.core.read_now import find_now
from app.core.versions import check_version
from app.extensions import security

LAST_ADMIN = "last admin"
_RIGHTS = (
    sa.select(
        ApiToken.version,
        ApiToken.name,
        ApiToken.scopes,
        ApiToken.agents,
        ApiToken.expires_at,
        ApiToken.revoked_at,
        ApiToken.user_id,
        User.active,
    )
    .outerjoin(User, User.id == ApiToken.user_id)
    .where(ApiToken.token_hash == sa.bindparam("token_hash"))
)
CLIENT_SCOPES = (Scope.CONFIG_READ, Scope.SECRETS_READ, Scope.USAGE_WRITE)


def find_live_token(token: str) -> ApiToken | None:
    """The stored token that this one is, unless it is revoked, expired or of a disabled user."""
    found = db.session.scalar(sa.select(ApiToken).where(ApiToken.token_hash == hash_token(token)))
    if found is None or not found.is_live:
        return None
    owner = db.session.get(User, found.user_id) if found.user_id else None
    return None if owner is not None and not owner.active else found


def peek_token(token_hash: str) -> tuple[Any, ...] | None:
    """All that decides what a stored token may do, as the database has it at this moment: while it
    is the same, so are the token's rights. None: there is no such token. Raises Unavailable."""
    return find_now(_RIGHTS, token_hash=token_hash)


def find_user(email: str) -> User | None:
    """The user with this e-mail address."""
    return db.session.scalar(sa.select(User).where(User.email == email.strip().lower()))


def list_users() -> list[User]:
    """Everybody, by e-mail address."""
    return list(db.session.scalars(sa.select(User).order_by(User.email)))


def get_user(user_id: int, *, for_update: bool = False) -> User:
    """The user with this id. Raises NotFound."""
    user = find_row(User, user_id, for_update=for_update)
    if user is None:
        raise NotFound("There is no such user.")
    return user


def users_query(args: dict[str, Any]) -> sa.Select[Any]:
    """Users by e-mail, filtered by role and a part of name or address."""
    query = sa.select(User).order_by(User.email)
    if args.get("role"):
        query = query.where(User.role == args["role"])
    if args.get("search"):
        parts = (User.email, User.username)
        query = query.where(
            sa.or_(*(part.icontains(args["search"], autoescape=True) for part in parts))
        )
    return query


def create_user(
    email: str,
    password: str,
    role: str = Role.VIEWER,
    username: str | None = None,
    active: bool = True,
) -> User:
    """Store a user, with the password as a hash. Raises Conflict where the address is taken."""
    email = email.strip().lower()
    user = User(
        email=email,
        username=username or email[:64],
        role=Role(role),
        active=active,
        password=_hashed(password),
    )
    db.session.add(user)
    commit()
    return user


def _hashed(password: str) -> str:
    """The password as sign-in will read it: keyboards send an umlaut in one piece or in two."""
    return hash_password(security.password_util.normalize(password))


def update_user(user_id: int, data: dict[str, Any], expected_version: int | None = None) -> User:
    """Change the sent fields. Raises NotFound, Stale, Conflict, BadRequest for the last admin."""
    lock(LAST_ADMIN)
    user = get_user(user_id, for_update=True)
    check_version(user.version, expected_version)
    role, active = Role(data.get("role", user.role)), data.get("active", user.active)
    if role is not Role.ADMIN or not active:
        _keep_an_admin(user)
    user.role, user.active = role, active
    user.username = data.get("username", user.username)
    user.email = data.get("email", user.email).strip().lower()
    if "password" in data:
        user.password = _hashed(data["password"])
        user.fs_uniquifier = secrets.token_hex(32)  # ends every session of theirs
    commit()
    return user


def delete_user(
    user_id: int, expected_version: int | None = None, *, cascade: bool = False
) -> None:
    """Remove a user with their tokens; ``cascade`` removes their agents too.

    Raises NotFound, Stale, BadRequest for the last admin, Conflict naming the agents they own.
    """
    lock(LAST_ADMIN)
    # Agents before their owner and their steps, as a save of an agent takes them.
    found = referrers(get_user(user_id), for_update=True)
    rows = [row for row in found if isinstance(row, Tracked)]
    user = get_user(user_id, for_update=True)
    check_version(user.version, expected_version)
    _keep_an_admin(user)
    owned = sorted(row.root.root_name for row in rows if not isinstance(row, ApiToken))
    if owned and not cascade:
        raise Conflict(f"They own agents: {', '.join(owned)}. Use ?cascade=true to delete them.")
    for row in rows:
        db.session.delete(row)
    flush()
    db.session.delete(user)
    commit()


def get_token(token_id: int, *, for_update: bool = False) -> ApiToken:
    """The token with this id. Raises NotFound."""
    token = find_row(ApiToken, token_id, for_update=for_update)
    if token is None:
        raise NotFound("There is no such token.")
    return token


def tokens_query(args: dict[str, Any]) -> sa.Select[Any]:
    """Tokens, newest first, filtered by life and a part of the name."""
    query = sa.select(ApiToken).order_by(ApiToken.id.desc())
    if args.get("active_only"):
        unexpired = sa.or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > utcnow())
        query = query.where(ApiToken.revoked_at.is_(None), unexpired)
    if args.get("search"):
        query = query.where(ApiToken.name.icontains(args["search"], autoescape=True))
    return query


def create_token(
    name: str,
    scopes: Sequence[str],
    *,
    agents: list[str] | None = None,
    user_id: int | None = None,
    expires_at: datetime | None = None,
    value: str | None = None,
) -> tuple[ApiToken, str]:
    """Store a new token's hash. Returns the row and the token itself, which is shown this once.

    ``value`` presets the token (``ADMIN_TOKEN``) instead of a random one. Raises Invalid where the
    user is unknown.
    """
    if user_id is not None and db.session.get(User, user_id) is None:
        raise Invalid.field("user_id", "There is no such user.")
    value = value or new_token()
    token = ApiToken(
        name=name,
        token_hash=hash_token(value),
        prefix=value[:8],
        scopes=_in_order(scopes),
        agents=agents,
        user_id=user_id,
        expires_at=expires_at,
    )
    db.session.add(token)
    commit()
    return token, value


def update_token(
    token_id: int, data: dict[str, Any], expected_version: int | None = None
) -> ApiToken:
    """Change the sent fields. Raises NotFound, Stale."""
    token = get_token(token_id, for_update=True)
    check_version(token.version, expected_version)
    if "scopes" in data:
        token.scopes = _in_order(data["scopes"])
    for name in ("name", "agents", "expires_at"):
        if name in data:
            setattr(token, name, data[name])
    commit()
    return token


def revoke_token(token_id: int, expected_version: int | None = None) -> ApiToken:
    """End a token's life; its sockets are closed within seconds. Raises NotFound, Stale."""
    token = get_token(token_id, for_update=True)
    check_version(token.version, expected_version)
    token.revoked_at = token.revoked_at or utcnow()
    commit()
    return token


def _in_order(scopes: Sequence[str]) -> list[str]:
    """Each scope once, in the order of the contract."""
    return [scope.value for scope in Scope if scope.value in scopes]


def _keep_an_admin(user: User) -> None:
    """Raises BadRequest where nobody would be left to administer."""
    if user.role is not Role.ADMIN or not user.active:
        return
    others = sa.select(User.id).where(User.role == Role.ADMIN, User.active, User.id != user.id)
    if db.session.scalars(others.limit(1)).first() is None:
        raise BadRequest("This is the last active admin: make another one first.")


def ensure_admin(email: str, password: str | None) -> tuple[User, str | None]:
    """Make sure an admin exists. Returns them, and the password where it was made up just now."""
    admins = sa.select(User).where(User.role == Role.ADMIN).order_by(User.id)
    if (admin := db.session.scalars(admins).first()) is not None:
        return admin, None
    chosen = password or secrets.token_urlsafe(12)
    return create_user(email, chosen, Role.ADMIN, username="admin"), chosen


def ensure_admin_token(value: str) -> None:
    """Store the preset ADMIN_TOKEN, unbound and with every scope.

    One that is stored already is left as it is: an admin who revoked it meant it.
    """
    query = sa.select(ApiToken.id).where(ApiToken.token_hash == hash_token(value))
    if db.session.scalar(query) is None:
        create_token("ADMIN_TOKEN", (Scope.ADMIN,), value=value)


def ensure_client_token() -> str | None:
    """Make sure a token for agents exists. Returns it where it was made just now."""
    query = sa.select(ApiToken).where(ApiToken.name == "client", ApiToken.revoked_at.is_(None))
    if db.session.scalars(query).first() is not None:
        return None
    return create_token("client", CLIENT_SCOPES)[1]
