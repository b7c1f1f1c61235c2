"""What the contract's tests share: tokens, people, sessions."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from werkzeug.test import TestResponse

from app.accounts import services as accounts
from app.accounts.models import Role, Scope
from app.changes.services import read_state
from app.core.clock import utcnow
from app.core.db import reading

PASSWORD = "correct horse battery"

on_sqlite = pytest.mark.parametrize("backend", ["sqlite"])
"""For what is decided before the database is asked: once is enough."""

A_TEST = timedelta(seconds=30)

MakeToken = Callable[..., str]
MakeUser = Callable[..., int]


@dataclass
class Browser:
    """A signed-in person: the session cookie, and CSRF's token for writes."""

    http: FlaskClient
    csrf: str

    def __call__(
        self, method: str, path: str, body: Any = None, *, csrf: bool = True
    ) -> TestResponse:
        headers = {"X-CSRFToken": self.csrf} if csrf else {}
        options = {} if body is None else {"json": body}
        return self.http.open(f"/api{path}", method=method, headers=headers, **options)


SignIn = Callable[[str], Browser]


@pytest.fixture(autouse=True)
def _one_day() -> None:
    """No test goes on over midnight: today's costs and budgets are those of one day."""
    now = utcnow()
    if (now + A_TEST).date() > now.date():
        time.sleep(A_TEST.total_seconds())


@pytest.fixture
def make_token(app: Flask) -> MakeToken:
    """``make_token("config:read", ..., agents=[...], user_id=...)``: a fresh token."""

    def make(*scopes: str, **options: Any) -> str:
        with app.app_context():
            return accounts.create_token(
                "a test's", tuple(Scope(scope) for scope in scopes), **options
            )[1]

    return make


@pytest.fixture
def make_user(app: Flask) -> MakeUser:
    """``make_user(email, role)``: somebody with PASSWORD; answers their id."""

    def make(email: str, role: str = "viewer") -> int:
        with app.app_context():
            return accounts.create_user(email, PASSWORD, Role(role)).id

    return make


@pytest.fixture
def sign_in(app: Flask) -> SignIn:
    """``sign_in(email)``: a browser that has signed in with PASSWORD."""

    def sign(email: str) -> Browser:
        http = app.test_client()
        form = {"email": email, "password": PASSWORD, "csrf_token": csrf_token(http)}
        answer = http.post("/login", data=form)
        assert answer.status_code == 302, answer.text
        return Browser(http, _csrf_token_of_session(app, http))

    return sign


@pytest.fixture
def rev(app: Flask) -> Callable[[], int]:
    """``rev()``: where the counter stands."""

    def read() -> int:
        with app.app_context(), reading():
            return read_state().rev

    return read


def csrf_token(http: FlaskClient) -> str:
    """The token of the login form."""
    page = http.get("/login").text
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert found, page
    return found[1]


def _csrf_token_of_session(app: Flask, http: FlaskClient) -> str:
    """What a page of the session would carry."""
    with http.session_transaction() as session:
        raw = session["csrf_token"]
    serializer = URLSafeTimedSerializer(app.secret_key, salt="wtf-csrf-token")
    token: str = serializer.dumps(raw)
    return token
