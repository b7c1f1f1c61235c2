"""Sessions: people keep theirs, programs have none."""

import pytest
from flask import Flask, session
from flask.testing import FlaskClient

from app.accounts.sessions import PeopleSessions
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD


@pytest.fixture
def http() -> FlaskClient:
    """An app that remembers a colour, and has a page that remembers nothing."""
    app = Flask("sessions")
    app.secret_key = "test"
    app.session_interface = PeopleSessions()
    app.add_url_rule("/plain", "plain", lambda: "plain")
    app.add_url_rule("/colour", "colour", lambda: session.get("colour", "none"))
    app.add_url_rule("/set", "set", lambda: session.update(colour="green") or "set")
    app.add_url_rule("/clear", "clear", lambda: session.clear() or "cleared")
    return app.test_client()


def test_a_session_is_kept_until_it_is_cleared(http: FlaskClient) -> None:
    assert http.get("/colour").text == "none"
    assert "session=" in http.get("/set").headers["Set-Cookie"]
    assert http.get("/colour").text == "green"
    http.get("/clear")
    assert http.get("/colour").text == "none"
    assert http.get_cookie("session") is None


def test_who_sends_no_cookie_gets_none(http: FlaskClient) -> None:
    answer = http.get("/plain")
    assert "Set-Cookie" not in answer.headers
    assert "Vary" not in answer.headers


def test_an_answer_that_depends_on_the_session_says_so(http: FlaskClient) -> None:
    assert http.get("/colour").headers["Vary"] == "Cookie"


def test_a_forged_cookie_is_no_session(http: FlaskClient) -> None:
    http.set_cookie("session", "eyJjb2xvdXIiOiJncmVlbiJ9.forged.signature")
    assert http.get("/colour").text == "none"


def test_who_asks_to_be_remembered_is(app: Flask) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    http = app.test_client()
    form = {"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD, "remember": "y"}
    assert http.post("/login", data=form).status_code == 302
    assert http.get_cookie("remember_token") is not None
    http.delete_cookie("switchyard")
    assert http.get("/api/agents").status_code == 200
    http.post("/logout")
    assert http.get_cookie("remember_token") is None
    assert http.get("/api/agents").status_code == 401
