"""Users and API tokens."""

import secrets
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from flask_security import UserMixin
from sqlalchemy.orm import Mapped, mapped_column

from app.changes.tracker import TrackedRoot, secret, tracked
from app.core.clock import utcnow
from app.core.db import IDS_ONCE, Base, Json, text_enum


class Role(StrEnum):
    """What a person is here for; the gate says what each may do."""

    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"


class Scope(StrEnum):
    """What an API token opens."""

    CONFIG_READ = "config:read"
    SECRETS_READ = "secrets:read"
    USAGE_WRITE = "usage:write"
    CONFIG_WRITE = "config:write"
    ADMIN = "admin"


class User(TrackedRoot, Base, UserMixin):
    """Somebody who signs in."""

    __tablename__ = "users"
    __table_args__ = IDS_ONCE
    entity = "user"

    username: Mapped[str] = tracked(sa.String(64), unique=True)
    email: Mapped[str] = tracked(sa.String(254), unique=True)
    role: Mapped[Role] = tracked(text_enum(Role), default=Role.VIEWER)
    active: Mapped[bool] = tracked(default=True)
    password: Mapped[str] = mapped_column(sa.String(255))
    fs_uniquifier: Mapped[str] = secret(
        sa.String(64), unique=True, shown_as="password", default=lambda: secrets.token_hex(32)
    )
    """Flask-Security's session key. A new password comes with a new one: all sessions end."""

    @property
    def root_name(self) -> str:
        return self.email

    roles: ClassVar[list[Any]] = []  # type: ignore[misc]
    """Flask-Security's own roles: none. The gate decides, on ``role``."""


class ApiToken(TrackedRoot, Base):
    """A program's way in: hashed, scoped, optionally bound to agents, expiring, revocable."""

    __tablename__ = "api_tokens"
    __table_args__ = IDS_ONCE
    entity = "token"

    name: Mapped[str] = tracked(sa.String(128))
    token_hash: Mapped[str] = secret(sa.String(64), unique=True, shown_as="token")
    prefix: Mapped[str] = mapped_column(sa.String(12))
    """The first characters, to recognise it by."""
    scopes: Mapped[list[str]] = tracked(Json)
    agents: Mapped[list[str] | None] = tracked(Json, default=None)
    """The slugs it is bound to; null = all."""
    user_id: Mapped[int | None] = tracked(
        sa.ForeignKey("users.id", ondelete="CASCADE"), index=True, default=None
    )
    """Whose default agent is "the caller's own"."""
    expires_at: Mapped[datetime | None] = tracked(default=None)
    revoked_at: Mapped[datetime | None] = tracked(default=None)

    @property
    def root_name(self) -> str:
        return self.name

    @property
    def is_live(self) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > utcnow())
