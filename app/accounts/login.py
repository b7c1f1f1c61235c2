"""Signing in with Flask-Security: sessions, password hashing, throttling."""

from collections.abc import Callable
from functools import cache
from typing import Any

from flask import Flask, current_app, request
from flask_limiter.util import get_remote_address
from flask_security import RoleMixin, SQLAlchemyUserDatastore

from app.accounts.models import User
from app.core.db import db
from app.extensions import limiter, security

SETTINGS = {
    "SECURITY_PASSWORD_HASH": "argon2",
    "SECURITY_POST_LOGIN_VIEW": "/admin/",
    "SECURITY_POST_LOGOUT_VIEW": "/login",
    "SECURITY_JOIN_USER_ROLES": False,  # the role is a column of the user
    "SECURITY_RETURN_GENERIC_RESPONSES": True,  # does not tell who has an account
    "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},
    "SECURITY_SEND_REGISTER_EMAIL": False,
    "SECURITY_DEFAULT_REMEMBER_ME": False,
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_COOKIE_NAME": "switchyard",
    "REMEMBER_COOKIE_SAMESITE": "Lax",
    "WTF_CSRF_TIME_LIMIT": None,  # as long as the session: an admin's page stays open all night
}


def init_app(app: Flask) -> None:
    """Bind Flask-Security and throttle its login per account and address."""
    app.config.update(SETTINGS)
    security.init_app(app, SQLAlchemyUserDatastore(db, User, RoleMixin))
    # The gate knows the roles. Principal would load the user on every request, static files and
    # sockets too, outside the snapshot that a read gets.
    security.principal.identity_loaders.clear()
    views: dict[str, Any] = app.view_functions
    views["security.login"] = _throttled(views["security.login"])


@cache
def _throttled(view: Callable[..., Any]) -> Callable[..., Any]:
    """Once a process, not once an app: each further time would count every login once more."""
    throttle: Callable[..., Callable[..., Any]] = limiter.limit(
        lambda: current_app.config["RATE_LIMIT_LOGIN"],
        key_func=_account_and_address,
        methods=["POST"],
    )
    return throttle(view)


def _account_and_address() -> str:
    body = request.get_json(silent=True) if request.is_json else request.form
    email = body.get("email", "") if isinstance(body, dict) else ""
    return f"{get_remote_address()}:{str(email).strip().lower()[:254]}"
