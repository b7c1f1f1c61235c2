"""The verbs of accounts: the first admin, users, tokens."""

import secrets
from datetime import datetime

import sqlalchemy as sa
from flask_security import hash_password

from app.accounts.models import ApiToken, Role, Scope, User
from app.core.clock import utcnow
from app.core.crypto import hash_token, new_token
from app.core.db import commit, db
from app.core.errors import NotFound

CLIENT_SCOPES = (Scope.CONFIG_READ, Scope.SECRETS_READ, Scope.USAGE_WRITE)


def find_live_token(token: str) -> ApiToken | None:
    """The stored token that this one is, unless it is revoked, expired or of a disabled user."""
    found = db.session.scalar(sa.select(ApiToken).where(ApiToken.token_hash == hash_token(token)))
    if found is None or not found.is_live:
        return None
    owner = db.session.get(User, found.user_id) if found.user_id else None
    return None if owner is not None and not owner.active else found


def find_user(email: str) -> User | None:
    """The user with this e-mail address."""
    return db.session.scalar(sa.select(User).where(User.email == email.strip().lower()))


def list_users() -> list[User]:
    """Everybody, by e-mail address."""
    return list(db.session.scalars(sa.select(User).order_by(User.email)))


def create_user(
    email: str, password: str, role: Role = Role.VIEWER, username: str | None = None
) -> User:
    """Store a new user, with the password as a hash. Raises Conflict where the address is taken."""
    email = email.strip().lower()
    user = User(
        email=email,
        username=username or email[:64],
        role=role,
        password=hash_password(password),
    )
    db.session.add(user)
    commit()
    return user


def create_token(
    name: str,
    scopes: tuple[Scope, ...],
    *,
    agents: list[str] | None = None,
    user_id: int | None = None,
    expires_at: datetime | None = None,
    value: str | None = None,
) -> tuple[ApiToken, str]:
    """Store a new token's hash. Returns the row and the token itself, which is shown this once.

    ``value`` presets the token (``ADMIN_TOKEN``) instead of a random one.
    """
    value = value or new_token()
    token = ApiToken(
        name=name,
        token_hash=hash_token(value),
        prefix=value[:8],
        scopes=[scope.value for scope in scopes],
        agents=agents,
        user_id=user_id,
        expires_at=expires_at,
    )
    db.session.add(token)
    commit()
    return token, value


def revoke_token(token_id: int) -> ApiToken:
    """End a token's life; its sockets are closed within seconds. Raises NotFound."""
    token = db.session.get(ApiToken, token_id)
    if token is None:
        raise NotFound("There is no such token.")
    token.revoked_at = token.revoked_at or utcnow()
    commit()
    return token


def ensure_admin(email: str, password: str | None) -> tuple[User, str | None]:
    """Make sure an admin exists. Returns them, and the password where it was made up just now."""
    admins = sa.select(User).where(User.role == Role.ADMIN).order_by(User.id)
    if (admin := db.session.scalars(admins).first()) is not None:
        return admin, None
    chosen = password or secrets.token_urlsafe(12)
    return create_user(email, chosen, Role.ADMIN, username="admin"), chosen


def ensure_admin_token(value: str) -> None:
    """Make sure the preset ADMIN_TOKEN works, unbound and with every scope."""
    if find_live_token(value) is None:
        create_token("ADMIN_TOKEN", (Scope.ADMIN,), value=value)


def ensure_client_token() -> str | None:
    """Make sure a token for agents exists. Returns it where it was made just now."""
    query = sa.select(ApiToken).where(ApiToken.name == "client", ApiToken.revoked_at.is_(None))
    if db.session.scalars(query).first() is not None:
        return None
    return create_token("client", CLIENT_SCOPES)[1]
