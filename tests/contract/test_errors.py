"""Section 3: the one error payload, request ids, ETags, limits, headers."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from app.agents import services as agents
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, ADMIN_TOKEN, Api, close_app, make_app
from tests.contract.conftest import MakeToken
from tests.support.console import token_in
from tests.support.servers import RedisServer

# None of this depends on the database.
pytestmark = pytest.mark.parametrize("backend", ["sqlite"])

AWAY = sa.exc.OperationalError(None, None, Exception("gone"))
BEARER = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
PAYLOAD = {"code", "status", "message", "errors", "request_id"}
# Status, method, path, and what is sent.
ERRORS: tuple[tuple[int, str, str, dict[str, Any]], ...] = (
    (400, "POST", "/api/agents", {"data": "{", "content_type": "application/json"}),
    (400, "DELETE", "/api/agents/default", {}),
    (401, "GET", "/api/agents", {"headers": {}}),
    (404, "GET", "/api/agents/not-there", {}),
    (404, "GET", "/api/not-there", {}),
    (405, "DELETE", "/api/agents", {}),
    (409, "POST", "/api/agents", {"json": {"name": "default"}}),
    (412, "PATCH", "/api/agents/default", {"json": {}, "headers": {"If-Match": '"99"'}}),
    (413, "POST", "/api/agents", {"json": {"name": "x" * 1024 * 1024}}),
    (415, "POST", "/api/agents", {"data": "name=x", "content_type": "text/plain"}),
    (415, "POST", "/api/agents", {"json": {}, "headers": {"Content-Encoding": "gzip"}}),
    (422, "POST", "/api/agents", {"json": {"name": 1}}),
    (422, "POST", "/api/agents", {"json": {"name": "A", "provider": "x", "model_name": "m"}}),
)


@pytest.fixture
def another_app(database_url: str, redis: RedisServer) -> Iterator[Callable[..., Flask]]:
    """``another_app(**settings)``: the same with other settings."""
    made: list[Flask] = []

    def make(**settings: Any) -> Flask:
        made.append(make_app(database_url, redis.url, **settings))
        return made[-1]

    yield make
    for app in made:
        close_app(app)


def test_every_error_has_the_one_shape(http: FlaskClient) -> None:
    for status, method, path, sent in ERRORS:
        options = dict(sent)
        headers = options.pop("headers", None)
        headers = BEARER if headers is None else headers | (BEARER if headers else {})
        answer = http.open(path, method=method, headers=headers, **options)
        assert answer.status_code == status, (method, path, answer.text)
        assert answer.is_json
        body = answer.json
        assert body.keys() == PAYLOAD
        assert (body["code"], isinstance(body["status"], str)) == (status, True)
        assert body["message"]
        assert body["request_id"] == answer.headers["X-Request-ID"]
        assert answer.headers["Cache-Control"] == "no-store"


def test_an_error_names_every_field_that_is_wrong(api: Api) -> None:
    sent = {"name": "", "llm_temperature": 3, "unknown": 1, "llm_endpoint": "no url"}
    answer = api("POST", "/agents", sent)
    assert answer.json["errors"]["json"].keys() == sent.keys()
    for name in sent:
        assert name in answer.json["message"]


def test_a_request_id_is_kept_where_it_is_a_decent_one(http: FlaskClient) -> None:
    for given, kept in (
        ("my-request.0001", True),
        ("a" * 64, True),
        ("short", False),
        ("a" * 65, False),
        ("with space and more", False),
        ("<script>alert(1)</script>", False),
        ("äöüäöüäöü", False),
    ):
        headers = BEARER | {"X-Request-ID": given.encode().decode("latin-1")}
        answer = http.get("/api/agents/not-there", headers=headers)
        found = answer.headers["X-Request-ID"]
        assert answer.json["request_id"] == found
        assert (found == given) is kept, given
        assert kept or re.fullmatch(r"[0-9a-f]{32}", found), given


def test_the_unexpected_is_logged_under_its_id_and_tells_nothing(
    app: Flask, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_args: Any) -> None:
        raise ZeroDivisionError("at line 7 with sk-canary")

    monkeypatch.setattr(agents, "list_query", fail)
    answer = api("GET", "/agents")
    assert (answer.status_code, answer.json.keys()) == (500, PAYLOAD)
    assert "line 7" not in answer.text
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.undo()
    assert api("GET", "/agents").status_code == 200


def test_a_database_that_goes_away_beside_a_sign_in_is_503(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = app.test_client()
    sent = {"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    sent["csrf_token"] = token_in(console.get("/login").text)
    monkeypatch.setattr("flask_security.SQLAlchemyUserDatastore.commit", Mock(side_effect=AWAY))
    answer = console.post("/login", data=sent)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "5")


def test_a_database_that_is_away_is_503_with_retry_after(backend: str, redis: RedisServer) -> None:
    app = make_app("postgresql+psycopg://nobody@127.0.0.1:1/none", redis.url)
    http = app.test_client()
    for method, path in (("GET", "/api/agents"), ("POST", "/api/agents")):
        answer = http.open(path, method=method, headers=BEARER, json={"name": "A"})
        assert (answer.status_code, answer.json.keys()) == (503, PAYLOAD)
        assert int(answer.headers["Retry-After"]) > 0
        assert "127.0.0.1" not in answer.text
    assert http.get("/healthz").status_code == 200
    ready = http.get("/readyz")
    assert (ready.status_code, ready.json["database"]) == (503, "unreachable")
    close_app(app)


@pytest.mark.parametrize("path", ["/agents/default", "/agents/default/llm-configs", "/providers/1"])
def test_single_resources_carry_their_version_as_etag(api: Api, path: str) -> None:
    answer = api("GET", path)
    version = answer.json.get("version", 1)
    assert answer.headers["ETag"] == f'"{version}"'


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/agents/a", {"description": "x"}),
        ("PUT", "/agents/a", {"description": "x"}),
        ("DELETE", "/agents/a", None),
        ("POST", "/agents/a/set-default", None),
        ("POST", "/agents/a/halt", {"reason": "x"}),
        ("POST", "/agents/a/resume", None),
        ("POST", "/agents/a/llm-configs", {"provider": "ollama", "model_name": "m"}),
        ("PUT", "/agents/a/llm-configs", {"llm_configs": []}),
        ("PATCH", "/providers/{p}", {"name": "x"}),
        ("PUT", "/providers/{p}", {"name": "x"}),
        ("DELETE", "/providers/{p}", None),
    ],
)
def test_a_stale_if_match_stores_nothing(
    api: Api, rev: Any, method: str, path: str, body: Any
) -> None:
    api("POST", "/agents", {"name": "A"})
    provider = api("POST", "/providers", {"name": "p", "type": "ollama"}).json["id"]
    path = path.format(p=provider)
    before = rev()
    for stale in (
        '"2"',
        'W/"2"',
        '"0"',
        '"rubbish"',
        '"1-1"',
        '""',
        '"1',
        "",
        '"99999999999999999999999"',
    ):
        answer = api(method, path, body, headers={"If-Match": stale})
        assert answer.status_code == 412, stale
    assert rev() == before
    assert api(method, path, body, headers={"If-Match": '"1"'}).status_code in {200, 201}


@pytest.mark.parametrize("tag", ["*", '"1"', 'W/"1"', None])
def test_if_match_is_optional_and_takes_what_the_standard_says(api: Api, tag: str | None) -> None:
    headers = {"If-Match": tag} if tag else {}
    assert api("PATCH", "/agents/default", {"description": "x"}, headers=headers).status_code == 200


def test_each_write_answers_with_the_new_etag(api: Api) -> None:
    first = api("POST", "/agents", {"name": "A"})
    second = api("PATCH", "/agents/a", {"name": "B"}, headers={"If-Match": first.headers["ETag"]})
    third = api("PATCH", "/agents/a", {"name": "C"}, headers={"If-Match": second.headers["ETag"]})
    assert [a.headers["ETag"] for a in (first, second, third)] == ['"1"', '"2"', '"3"']
    assert api("GET", "/agents/a").headers["ETag"] == '"3"'


def test_a_token_has_a_limit_of_its_own(
    another_app: Callable[..., Flask], make_token: MakeToken
) -> None:
    http = another_app(RATE_LIMIT_API="3 per minute").test_client()
    mine, other = make_token("config:read"), make_token("config:read")

    def get(token: str) -> Any:
        return http.get("/api/agents", headers={"Authorization": f"Bearer {token}"})

    assert [get(mine).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = get(mine)
    assert refused.json.keys() == PAYLOAD
    assert 1 <= int(refused.headers["Retry-After"]) <= 61
    assert get(other).status_code == 200
    assert http.get("/healthz").status_code == 200


def test_a_dead_redis_leaves_the_limit_to_each_process(
    database_url: str, make_token: MakeToken
) -> None:
    app = make_app(database_url, "redis://127.0.0.1:1", RATE_LIMIT_API="3 per minute")
    http = app.test_client()
    headers = {"Authorization": f"Bearer {make_token('config:read')}"}
    began = time.monotonic()
    statuses = [http.get("/api/agents", headers=headers).status_code for _ in range(6)]
    assert statuses == [200, 200, 200, 429, 429, 429]
    assert time.monotonic() - began < 20, "it waits for Redis"
    close_app(app)


def test_logins_are_limited_by_account_and_address(another_app: Callable[..., Flask]) -> None:
    http = another_app(RATE_LIMIT_LOGIN="2 per minute", WTF_CSRF_ENABLED=False).test_client()

    def login(email: str) -> Any:
        return http.post("/login", data={"email": email, "password": "wrong"})

    assert [login("a@example.com").status_code for _ in range(3)] == [200, 200, 429]
    assert login(" A@Example.COM ").status_code == 429
    assert "Retry-After" in login("a@example.com").headers
    assert login("b@example.com").status_code == 200


def test_head_and_options_ask_for_nothing_more(http: FlaskClient) -> None:
    assert http.head("/api/agents", headers=BEARER).status_code == 200
    assert http.head("/api/agents").status_code == 401
    assert "GET" in http.options("/api/agents", headers=BEARER).headers["Allow"]


def test_answers_carry_safe_headers(http: FlaskClient) -> None:
    for path in ("/api/agents", "/api/docs", "/login", "/healthz", "/not-there"):
        answer = http.get(path)
        answer.close()
        headers = answer.headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "Server" not in headers
