"""What every HTTP request gets: an id, a snapshot or a session, size limits, safe headers."""

import random
import re
from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response, current_app, g, redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound, RequestEntityTooLarge
from werkzeug.middleware.proxy_fix import ProxyFix

from app.accounts import login
from app.core.actor import set_actor
from app.core.db import db, read_first
from app.extensions import csrf, migrate

MAX_BODY = 1024 * 1024
_REQUEST_ID = re.compile(r"[\w.-]{8,64}\Z")
# These touch no database.
_NO_SNAPSHOT = {
    "static",
    "admin.static",
    "console.static",
    "docs",
    "docs_asset",
    "probes.healthz",
    "probes.readyz",
}
_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
]


class WholeBody(Request):
    """A request whose body is had whole or not at all."""

    def get_data(self, *args: Any, **kwargs: Any) -> Any:
        """Werkzeug's, which cuts a body that came in chunks where it is too large."""
        data = super().get_data(*args, **kwargs)
        limit = self.max_content_length
        if self.content_length is None and limit is not None and len(data) >= limit:
            raise RequestEntityTooLarge
        return data


class App(Flask):
    """Flask with plain functions only."""

    request_class = WholeBody

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Nothing here is async: Flask would look at each hook and view of every request."""
        return func

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer, with the headers that every answer has, whoever made it."""

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, headers + _HEADERS, *error)

        return super().__call__(environ, start)


def init_app(app: Flask) -> None:
    """Bind the web extensions and the hooks around every request."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    if app.config["TRUSTED_PROXIES"]:
        hops = app.config["TRUSTED_PROXIES"]
        app.wsgi_app = ProxyFix(app.wsgi_app, hops, hops, hops)  # type: ignore[method-assign]
    # Before every other hook: some look at the session and so at the database.
    app.before_request(_begin)
    app.after_request(_finish)
    migrate.init_app(app, db, directory="migrations", render_as_batch=True)
    csrf.init_app(app)
    login.init_app(app)
    app.add_url_rule("/", "home", _home)


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.match(given) else f"{random.getrandbits(128):032x}"
    set_actor("anonymous")
    if "\0" in request.path:  # PostgreSQL takes it for no text: nothing has such a name
        raise NotFound
    if request.method in {"GET", "HEAD"} and request.endpoint not in _NO_SNAPSHOT:
        read_first()


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.get("request_id", "")
    if request.path.startswith("/api/"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _home() -> ResponseReturnValue:
    return redirect(current_app.config["SECURITY_POST_LOGIN_VIEW"])
