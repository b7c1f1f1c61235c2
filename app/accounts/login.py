"""Signing in with Flask-Security: sessions, password hashing, throttling."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, redirect, request, url_for
from flask_security import RoleMixin, SQLAlchemyUserDatastore

from app.accounts.models import User
from app.accounts.sessions import PeopleSessions
from app.core.db import db
from app.core.rate_limits import check_rate
from app.extensions import security

SETTINGS = {
    "SECURITY_PASSWORD_HASH": "argon2",
    "SECURITY_POST_LOGIN_VIEW": "/admin/",
    "SECURITY_POST_LOGOUT_VIEW": "/login",
    "SECURITY_JOIN_USER_ROLES": False,  # the role is a column of the user
    "SECURITY_RETURN_GENERIC_RESPONSES": True,  # does not tell who has an account
    "SECURITY_MSG_GENERIC_AUTHN_FAILED": ("The e-mail address or the password is wrong.", "error"),
    "SECURITY_SEND_REGISTER_EMAIL": False,
    "SECURITY_DEFAULT_REMEMBER_ME": False,
    "SECURITY_FRESHNESS": timedelta(-1),  # no /verify, where a password could be tried unthrottled
    # Its commands know roles that nobody has here, and would make users past the services.
    "SECURITY_CLI_USERS_NAME": None,
    "SECURITY_CLI_ROLES_NAME": None,
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_COOKIE_NAME": "switchyard",
    "REMEMBER_COOKIE_SAMESITE": "Lax",
    "WTF_CSRF_TIME_LIMIT": None,  # as long as the session: an admin's page stays open all night
}


def init_app(app: Flask) -> None:
    """Bind Flask-Security and throttle its login per account and address."""
    app.config.update(SETTINGS)
    app.session_interface = PeopleSessions()
    security.init_app(app, SQLAlchemyUserDatastore(db, User, RoleMixin))
    # The gate knows the roles. Principal would load the user on every request, static files and
    # sockets too, outside the snapshot that a read gets.
    security.principal.identity_loaders.clear()
    views: dict[str, Any] = app.view_functions
    views["security.login"] = _leading_home(_throttled(views["security.login"]))


def _leading_home(view: Callable[..., Any]) -> Callable[..., Any]:
    """Flask-Security takes nobody elsewhere, but refuses the password without a word instead."""

    @wraps(view)
    def leading_home() -> Any:
        if not _is_ours(request.values.get("next") or "/"):
            return redirect(url_for("security.login"))
        return view()

    return leading_home


def _is_ours(address: str) -> bool:
    try:
        parts = urlsplit(address.replace("\\", "/"))
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc and parts.path.startswith("/")


def _throttled(view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def throttled() -> Any:
        if request.method == "POST":
            check_rate("RATE_LIMIT_LOGIN", _account_and_address())
        return view()

    return throttled


def _account_and_address() -> str:
    body = request.get_json(silent=True) if request.is_json else request.form
    email = body.get("email", "") if isinstance(body, dict) else ""
    return f"{request.remote_addr}:{str(email).strip().lower()[:254]}"
