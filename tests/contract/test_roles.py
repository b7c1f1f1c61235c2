"""Role x route x method, and scope x route x method: every cell of the URL map.

What each route needs stands here as the contract says it; a route that is missing fails the test.
"""

import re

import pytest
from flask import Flask
from werkzeug.routing import Rule

from tests.conftest import Api
from tests.contract.conftest import MakeToken, MakeUser, SignIn, on_sqlite

READ, REPORT, SURVEY, INSPECT, OPERATE, WRITE, ADMINISTER = (
    "read",
    "report",
    "survey",
    "inspect",
    "operate",
    "write",
    "administer",
)

NEEDS = {
    "/agents": {"GET": READ, "POST": WRITE},
    "/agents/<>": {"GET": READ, "PUT": WRITE, "PATCH": WRITE, "DELETE": WRITE},
    "/agents/<>/config": {"GET": READ},
    "/agents/<>/halt": {"POST": OPERATE},
    "/agents/<>/llm": {"GET": READ},
    "/agents/<>/llm-configs": {"GET": READ, "POST": WRITE, "PUT": WRITE},
    "/agents/<>/llm-configs/<>": {"GET": READ, "PATCH": WRITE, "DELETE": WRITE},
    "/agents/<>/llm-configs/primary": {"GET": READ},
    "/agents/<>/resume": {"POST": ADMINISTER},
    "/agents/<>/set-default": {"POST": WRITE},
    "/agents/<>/tasks": {"GET": READ, "POST": WRITE},
    "/agents/<>/tasks/<>": {"GET": READ, "PATCH": WRITE, "DELETE": WRITE},
    "/agents/current": {"GET": READ},
    "/agents/<>/test": {"POST": OPERATE},
    "/agents/<>/tests/<>": {"GET": READ},
    "/agents/default": {"GET": READ},
    "/assignments": {"GET": READ},
    "/budgets": {"GET": SURVEY, "POST": ADMINISTER},
    "/budgets/<>": {"GET": SURVEY, "PATCH": ADMINISTER, "DELETE": ADMINISTER},
    "/changes": {"GET": READ},
    "/changes/<>/restore": {"POST": WRITE},
    "/clients": {"GET": SURVEY},
    "/config/export": {"GET": SURVEY},
    "/config/import": {"POST": ADMINISTER},
    "/halt": {"GET": READ, "POST": OPERATE},
    "/llm-configs/bulk": {"POST": WRITE},
    "/prices": {"GET": SURVEY, "POST": ADMINISTER},
    "/prices/<>": {"GET": SURVEY, "PATCH": ADMINISTER, "DELETE": ADMINISTER},
    "/prices/effective": {"GET": SURVEY},
    "/prices/fill": {"POST": ADMINISTER},
    "/providers": {"GET": READ, "POST": WRITE},
    "/providers/<>": {"GET": READ, "PUT": WRITE, "PATCH": WRITE, "DELETE": WRITE},
    "/providers/<>/checks": {"GET": READ},
    "/providers/<>/health": {"GET": READ},
    "/providers/<>/models": {"GET": READ},
    "/providers/<>/validate": {"POST": OPERATE},
    "/resume": {"POST": ADMINISTER},
    "/sync": {"GET": READ},
    "/tasks": {"GET": READ, "POST": WRITE},
    "/tasks/<>": {"GET": READ, "PUT": WRITE, "PATCH": WRITE, "DELETE": WRITE},
    "/tasks/<>/check": {"POST": READ},
    "/tasks/<>/pydantic": {"GET": READ},
    "/tokens": {"GET": INSPECT, "POST": ADMINISTER},
    "/tokens/<>": {"GET": INSPECT, "PATCH": ADMINISTER, "DELETE": ADMINISTER},
    "/usage": {"POST": REPORT},
    "/usage/events": {"GET": READ},
    "/usage/events.csv": {"GET": READ},
    "/usage/summary": {"GET": READ},
    "/usage/summary.csv": {"GET": READ},
    "/users": {"GET": INSPECT, "POST": ADMINISTER},
    "/users/<>": {"GET": INSPECT, "PATCH": ADMINISTER, "DELETE": ADMINISTER},
    "/webhooks": {"GET": INSPECT, "POST": ADMINISTER},
    "/webhooks/<>": {"GET": INSPECT, "PATCH": ADMINISTER, "DELETE": ADMINISTER},
    "/webhooks/<>/deliveries": {"GET": INSPECT},
    "/webhooks/<>/test": {"POST": ADMINISTER},
}
PUBLIC = {"/docs", "/docs/<>", "/openapi.json", "/ws"}
"""Documentation; and the socket, which answers for itself (test_push)."""

EVERYTHING = {READ, REPORT, SURVEY, INSPECT, OPERATE, WRITE, ADMINISTER}
OF_ROLE = {"viewer": {READ}, "operator": {READ, SURVEY, INSPECT, OPERATE}, "admin": EVERYTHING}
OF_SCOPES = {
    ("config:read",): {READ, SURVEY},
    ("secrets:read",): set(),
    ("usage:write",): {REPORT},
    ("config:write",): {WRITE, OPERATE},
    ("config:read", "config:write"): {READ, SURVEY, WRITE, OPERATE},
    ("admin",): EVERYTHING,
}

# Nothing has these ids: whoever passes the gate gets 404 or 422, and changes nothing.
NOBODY, NO_ID = "nobody-at-all", "2147483647"


def cells() -> list[tuple[str, str, str]]:
    """Method, route and need of every cell."""
    return [(method, path, need) for path, row in NEEDS.items() for method, need in row.items()]


def address(path: str) -> str:
    """A URL of the route, for a thing that is not there."""
    head, sep, tail = path.partition("<>")
    first = NOBODY if head.startswith("/agents/") else NO_ID
    return (head + first + tail.replace("<>", NO_ID)) if sep else path


def test_every_route_has_its_row(app: Flask) -> None:
    found: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/") and _generic(rule) not in PUBLIC:
            found.setdefault(_generic(rule), set()).update(rule.methods or ())
    methods = {path: verbs - {"HEAD", "OPTIONS"} for path, verbs in found.items()}
    assert methods == {path: set(row) for path, row in NEEDS.items()}


@on_sqlite
@pytest.mark.parametrize("role", OF_ROLE)
def test_every_cell_of_a_role(make_user: MakeUser, sign_in: SignIn, role: str) -> None:
    make_user("somebody@example.com", role)
    browser = sign_in("somebody@example.com")
    for method, path, need in cells():
        status = browser(method, address(path), _body(method)).status_code
        assert status != 401, (method, path)
        assert (status != 403) is (need in OF_ROLE[role]), (role, method, path, status)


@on_sqlite
@pytest.mark.parametrize("scopes", OF_SCOPES, ids="+".join)
def test_every_cell_of_a_scope(api: Api, make_token: MakeToken, scopes: tuple[str, ...]) -> None:
    token = make_token(*scopes)
    for method, path, need in cells():
        status = api(method, address(path), _body(method), token=token).status_code
        assert (status != 403) is (need in OF_SCOPES[scopes]), (scopes, method, path, status)


@on_sqlite
def test_what_is_shared_is_outside_every_binding(api: Api, make_token: MakeToken) -> None:
    """Else a bound token would make itself one that is not."""
    bound = make_token("admin", agents=["default"])
    for method, path, need in cells():
        if need in {SURVEY, INSPECT, ADMINISTER}:
            status = api(method, address(path), _body(method), token=bound).status_code
            assert status == 403, (method, path)
    assert api("POST", "/agents/default/resume", token=bound).status_code == 200


@on_sqlite
def test_every_cell_without_a_token(api: Api) -> None:
    for method, path, _need in cells():
        assert api(method, address(path), _body(method), token="sy_none").status_code == 401


def _generic(rule: Rule) -> str:
    return re.sub(r"<[^>]*>", "<>", rule.rule.removeprefix("/api"))


def _body(method: str) -> dict[str, str] | None:
    return None if method in {"GET", "DELETE"} else {}
