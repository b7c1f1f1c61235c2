"""The REST API: every domain's blueprint under /api, one error payload, OpenAPI, offline docs."""

import logging
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import swagger_ui_bundle
from flask import Flask, Response, g, request, send_from_directory
from flask_security import current_user
from sqlalchemy.exc import DataError
from werkzeug.exceptions import HTTPException, InternalServerError

from app.admin.errors import error_page
from app.core.crypto import hash_token
from app.core.db import CLASHES, conflict_of, db
from app.core.errors import Invalid, SwitchyardError, Unavailable
from app.core.openapi import ErrorSchema, LateApi, LateBlueprint
from app.core.rate_limits import check_rate
from app.core.trouble import AWAY, unavailable
from app.extensions import csrf

log = logging.getLogger(__name__)

ABOUT = """\
The control plane for the LLM configuration of software agents.

* **Tokens** go into `Authorization: Bearer ...`; their scopes say what they open.
* **Errors** have one payload: `errors` names the fields, the log has it under `request_id`.
* **Concurrent edits**: a single resource has its `version` as `ETag`. Sent back in `If-Match`, a \
save of somebody else in between is answered with 412.
* **Lists** take `page` and `page_size` (at most 200), and answer the items with their `total`.
* **Only the sent fields change**; `null` clears, unknown fields are refused.
"""
SETTINGS = {
    "API_TITLE": "Switchyard",
    "API_VERSION": "1",
    "OPENAPI_VERSION": "3.0.3",
    "OPENAPI_URL_PREFIX": "/api",
    "OPENAPI_JSON_PATH": "openapi.json",
    "API_SPEC_OPTIONS": {"info": {"description": ABOUT}, "servers": [{"url": "/"}]},
}
BEARER = {"type": "http", "scheme": "bearer", "description": "An API token"}
SWAGGER_UI = next(Path(swagger_ui_bundle.__file__).parent.glob("vendor/swagger-ui-*"))


class ErrorPayloadApi(LateApi):
    """flask-smorest's error payload plus the request id, for /api: the admin answers in HTML."""

    ERROR_SCHEMA = ErrorSchema

    def handle_http_exception(self, error: HTTPException) -> Any:
        if isinstance(away := getattr(error, "original_exception", None), AWAY):
            return _database_away(away)  # behind the view: sign-in commits there
        if not request.path.startswith("/api"):
            return error_page(error)
        payload, status, headers = super().handle_http_exception(error)
        payload.setdefault("errors", {})
        payload.setdefault("message", _message(error, payload["errors"]))
        payload["request_id"] = g.get("request_id", "")
        return payload, status, {**_headers_of(error), **(headers or {})}


def init_app(app: Flask) -> None:
    """Register every domain's blueprint and the error handlers."""
    from app.probes import blueprint as probes

    for name, value in SETTINGS.items():
        app.config.setdefault(name, value)
    # Fields come out as they are declared; the order of a schema's properties means something.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    api = ErrorPayloadApi(app)
    api.spec.components.security_scheme("bearer", BEARER)
    api.spec.options["security"] = [{"bearer": []}]
    blueprints = _blueprints()
    for blueprint in blueprints:
        # Sessions are checked in the gate, which knows a token from a session.
        csrf.exempt(blueprint)
        api.register_blueprint(blueprint, url_prefix="/api")
    api.describe_from_now_on()
    app.register_blueprint(probes)
    app.before_request(partial(_limit, frozenset(blueprint.name for blueprint in blueprints)))
    app.add_url_rule("/api/docs", "docs", _docs)
    app.add_url_rule("/api/docs/<path:filename>", "docs_asset", _docs_asset)
    _handle_errors(app)


def _blueprints() -> tuple[LateBlueprint, ...]:
    """Every domain's, in the order in which the documentation has them."""
    from app.accounts.api import blueprint as accounts
    from app.agents.agent_test_api import blueprint as agent_tests
    from app.agents.api import blueprint as agents
    from app.agents.chain_api import blueprint as chain
    from app.agents.halt_api import blueprint as halt
    from app.agents.price_fill_api import blueprint as price_fill
    from app.health.api import blueprint as health
    from app.prices.api import blueprint as prices
    from app.providers.api import blueprint as providers
    from app.push.api import blueprint as clients
    from app.push.sync import blueprint as sync
    from app.tasks.api import blueprint as tasks
    from app.transfer.api import blueprint as transfer
    from app.usage.api import blueprint as usage
    from app.usage.budget_api import blueprint as budgets
    from app.webhooks.api import blueprint as webhooks

    return (
        accounts,
        webhooks,
        agents,
        agent_tests,
        chain,
        halt,
        providers,
        health,
        prices,
        price_fill,
        budgets,
        tasks,
        usage,
        sync,
        clients,
        transfer,
    )


def _handle_errors(app: Flask) -> None:
    app.register_error_handler(SwitchyardError, _refused)
    app.register_error_handler(DataError, _not_storable)
    # A query may flush what is pending, and so meet a conflict before the commit does.
    for clash in CLASHES:
        app.register_error_handler(clash, _clash)
    for away in AWAY:
        app.register_error_handler(away, _database_away)
    app.register_error_handler(Exception, _unexpected)


def _limit(limited: frozenset[str]) -> None:
    if request.blueprint in limited:
        check_rate("RATE_LIMIT_API", _caller_key())


def _caller_key() -> str:
    """Whose limit a request counts for, before anybody has looked whether the token is good."""
    header = request.headers.get("Authorization")
    if header:
        return hash_token(header)
    return str(current_user.get_id() or request.remote_addr)


def error_payload(status: int, message: str, errors: dict[str, Any] | None = None) -> Any:
    """The one shape of an error."""
    return {
        "code": status,
        "status": HTTPStatus(status).phrase,
        "message": message,
        "errors": errors or {},
        "request_id": g.get("request_id", ""),
    }


def _refused(error: SwitchyardError) -> Any:
    db.session.rollback()
    errors = {_location(): error.errors} if isinstance(error, Invalid) else {}
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, Unavailable) else {}
    return error_payload(error.status, error.message, errors), error.status, headers


def _location() -> str:
    """Where the caller wrote what was refused, as smorest says it."""
    return "query" if request.method == "GET" else "json"


def _database_away(error: Exception) -> Any:
    return _refused(unavailable(error, "try again in a moment"))


def _clash(error: Exception) -> Any:
    return _refused(conflict_of(error))


def _not_storable(error: DataError) -> Any:
    return _refused(Invalid({"_schema": ["A value cannot be stored."]}))


def _unexpected(error: Exception) -> Any:
    """The log gets the traceback, the caller an id to find it by."""
    db.session.rollback()
    log.exception("unexpected error on %s %s", request.method, request.path)
    if not request.path.startswith("/api"):
        return error_page(InternalServerError())
    message = "Something went wrong here; the log has it under this request id."
    return error_payload(500, message), 500


def _message(error: HTTPException, errors: dict[str, Any]) -> str | None:
    located = [fields for fields in errors.values() if isinstance(fields, dict)]
    if whole := [text for fields in located for text in fields.get("_schema", ())]:
        return " ".join(whole)
    names = [name for fields in located for name in fields]
    return f"Not valid: {', '.join(names)}." if names else error.description


def _headers_of(error: HTTPException) -> dict[str, str]:
    keep = {"Retry-After", "WWW-Authenticate", "Allow"}
    found = {name: value for name, value in error.get_headers() if name in keep}
    if error.code == 401:
        found.setdefault("WWW-Authenticate", "Bearer")
    return found


def _docs() -> Response:
    return send_from_directory(Path(__file__).parent / "static", "docs.html")


def _docs_asset(filename: str) -> Response:
    return send_from_directory(SWAGGER_UI, filename)
