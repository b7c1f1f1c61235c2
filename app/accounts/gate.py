"""The one gate: who is calling, and may they? Used by every API view, the socket and the admin.

A person's role and a token's scopes both come down to permissions, and only those are compared.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from flask import current_app, g, request
from flask_security import current_user
from werkzeug.exceptions import Unauthorized

from app.accounts import services
from app.accounts.models import ApiToken, Role, Scope, User
from app.changes.services import State, peek_state
from app.changes.state_cache import RecentlyUsed
from app.core.actor import set_actor
from app.core.clock import utcnow
from app.core.crypto import hash_token
from app.core.db import db, reading
from app.core.errors import Forbidden
from app.extensions import csrf

View = TypeVar("View", bound=Callable[..., Any])
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_CALLERS = 1024
MAX_AGE = 1.0  # seconds, were a token ever ended without raising the rev


class Permission(StrEnum):
    """What a view may ask for."""

    READ = "read"
    SURVEY = "read what is about all agents"
    INSPECT = "read users, tokens and webhooks"
    REVEAL = "reveal keys"
    REPORT = "report usage"
    OPERATE = "operate: validate, test, halt"
    WRITE = "write configuration"
    ADMINISTER = "administer"


OF_SCOPE = {
    Scope.CONFIG_READ: {Permission.READ, Permission.SURVEY},
    Scope.SECRETS_READ: {Permission.REVEAL},
    Scope.USAGE_WRITE: {Permission.REPORT},
    Scope.CONFIG_WRITE: {Permission.WRITE, Permission.OPERATE},
    Scope.ADMIN: set(Permission),
}
# A browser never needs a key in clear: no role reveals one.
OF_ROLE = {
    Role.VIEWER: {Permission.READ},
    Role.OPERATOR: {
        Permission.READ,
        Permission.SURVEY,
        Permission.INSPECT,
        Permission.OPERATE,
    },
    Role.ADMIN: set(Permission) - {Permission.REVEAL},
}
SHARED = frozenset({Permission.SURVEY, Permission.INSPECT, Permission.ADMINISTER})
"""What these are about is no agent's own: outside every binding, but for a route of an agent."""


@dataclass(frozen=True)
class Caller:
    """Who is calling: a person with a session, or a program with a token."""

    actor: str
    permissions: frozenset[Permission]
    user_id: int | None = None
    token_id: int | None = None
    agents: frozenset[str] | None = None
    """The slugs that a bound token is for; None = all."""
    owned_only: bool = False
    """A viewer sees what is theirs and what is nobody's."""

    @property
    def visible_to(self) -> int | None:
        """Whose agents, and nobody's, a viewer's lists are narrowed to; None = not narrowed."""
        return self.user_id if self.owned_only else None

    def sees(self, owner_id: int | None) -> bool:
        """Whether the agents of this owner (None = of nobody) are in a person's sight."""
        return not self.owned_only or owner_id in {None, self.user_id}

    def may(self, permission: Permission) -> bool:
        """Whether the caller has this permission."""
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        """Raises Forbidden without the permission."""
        if not self.may(permission):
            raise Forbidden(f"This needs the permission to {permission.value}.")

    def require_agent(self, agent_id: str) -> None:
        """Raises Forbidden where a bound token asks about another agent."""
        if self.agents is not None and agent_id not in self.agents:
            raise Forbidden(f"This token is not for the agent '{agent_id}'.")

    def require_unbound(self) -> None:
        """Raises Forbidden for a bound token: what is not an agent's is outside every binding."""
        if self.agents is not None:
            raise Forbidden("This token is bound to agents: what others share is not for it.")


class _Known(NamedTuple):
    """A token's caller, and what the database held when it was read."""

    caller: Caller
    expires_at: datetime | None
    rights: tuple[Any, ...]
    state: State
    read_at: float

    def holds_at(self, state: State) -> bool:
        """Whether nothing can have changed since, were it at once or by hand a moment ago."""
        return state == self.state and time.monotonic() - self.read_at < MAX_AGE

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= utcnow()


def state_at_start() -> State:
    """Where the configuration stood when this request was let in, read once."""
    state: State | None = g.get("state")
    if state is None:
        state = g.state = peek_state()
    return state


def caller_of_token(token: ApiToken) -> Caller:
    """The caller behind a live token."""
    permissions = {p for scope in token.scopes for p in OF_SCOPE[Scope(scope)]}
    return Caller(
        actor=f"token:{token.name}",
        permissions=frozenset(permissions),
        user_id=token.user_id,
        token_id=token.id,
        agents=None if token.agents is None else frozenset(token.agents),
    )


def caller_of_user(user: User) -> Caller:
    """The caller behind a session."""
    return Caller(
        actor=f"user:{user.email}",
        permissions=frozenset(OF_ROLE[user.role]),
        user_id=user.id,
        owned_only=user.role is Role.VIEWER,
    )


def authenticate() -> Caller:
    """Who sent this request. Raises Unauthorized."""
    header = request.headers.get("Authorization", "")
    if header:
        scheme, _, value = header.partition(" ")
        caller = _find_caller(value.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            raise Unauthorized("The token is unknown, expired or revoked.")
        return caller
    if current_user.is_authenticated:
        return caller_of_user(current_user._get_current_object())
    raise Unauthorized("Send an API token ('Authorization: Bearer ...') or sign in.")


def _find_caller(value: str) -> Caller | None:
    """The caller behind a token. Tokens and their owners are configuration: while the rev stands,
    what was read of them holds, and beyond that while their rows are the same."""
    recent, key = _recent_callers(), hash_token(value)
    known = recent.get(key)
    if known is None or not known.holds_at(state_at_start()):
        known = _look_again(value, key, known)
        if known is None:
            return None
        recent.put(key, known)
    return None if known.has_expired else known.caller


def _look_again(value: str, key: str, known: _Known | None) -> _Known | None:
    """The token as it is now: one row to compare, and everything where that is another one."""
    state, now, rights = state_at_start(), time.monotonic(), services.peek_token(key)
    if rights is None:
        return None
    if known is not None and known.rights == rights:
        return known._replace(state=state, read_at=now)
    with reading():  # a write begins its own transaction, when its body has been received
        token = services.find_live_token(value)
        if token is None:
            return None
        return _Known(caller_of_token(token), token.expires_at, rights, state, now)


def _recent_callers() -> RecentlyUsed[_Known]:
    callers: RecentlyUsed[_Known]
    callers = current_app.extensions.setdefault("callers", RecentlyUsed(MAX_CALLERS))
    return callers


def current_caller() -> Caller:
    """The caller of this request, found out once."""
    caller: Caller | None = g.get("caller")
    if caller is None:
        caller = g.caller = authenticate()
        set_actor(caller.actor)
    return caller


def requires(permission: Permission) -> Callable[[View], View]:
    """A view that only callers with ``permission`` reach; a session's writes need CSRF's token."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            caller = current_caller()
            if caller.token_id is None and request.method not in SAFE_METHODS:
                _check_csrf()
                # Who signed in is known. As with a token, the write begins its own transaction.
                db.session.rollback()
            caller.require(permission)
            if permission in SHARED and "agent_id" not in kwargs:
                caller.require_unbound()
            return view(*args, **kwargs)

        guarded.permission = permission  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return decorate


def _check_csrf() -> None:
    if current_app.config["WTF_CSRF_ENABLED"]:
        csrf.protect()
