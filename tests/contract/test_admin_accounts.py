"""Users and tokens in the admin interface: shown once, never again, bound, revoked."""

import re
from html import unescape
from typing import Any

import pytest
from flask import Flask

from app.accounts import services as accounts
from app.accounts.models import ApiToken, Role, Scope
from app.agents import services as agents
from app.changes.services import list_changes_of, read_state
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.support.console import Console

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

PASSWORD = "another horse battery"
CLIENT = ["config:read", "secrets:read", "usage:write"]


@pytest.fixture
def console(app: Flask) -> Console:
    """An admin's session."""
    return Console(app, ADMIN_EMAIL, ADMIN_PASSWORD)


def make_token(console: Console, **form: Any) -> str:
    """The value that the page of a new token shows."""
    answer = console.post("/admin/token/new/", **{"name": "desk", "scopes": CLIENT, **form})
    found = re.search(r"<pre[^>]*>(sy_[^<]+)</pre>", answer.text)
    assert found, answer.text
    return found[1]


def newest(app: Flask) -> ApiToken:
    with app.app_context():
        token: ApiToken = accounts.get_token(list_changes_of(read_state().rev)[0].entity_id)
        return token


def test_a_token_is_shown_once_and_works(app: Flask, console: Console) -> None:
    value = make_token(console)
    headers = {"Authorization": f"Bearer {value}"}
    assert app.test_client().get("/api/agents", headers=headers).status_code == 200
    for page in ("/admin/token/", "/admin/history/", f"/admin/token/edit/?id={newest(app).id}"):
        assert value not in console.get(page).text, page
    assert newest(app).scopes == CLIENT


def test_a_token_is_bound_and_expires_in_utc(app: Flask, console: Console) -> None:
    make_token(console, agents="alpha, beta\r\nalpha", expires_at="2031-02-03T04:05")
    token = newest(app)
    assert token.agents == ["alpha", "beta"]
    assert token.expires_at is not None
    assert token.expires_at.isoformat() == "2031-02-03T04:05:00+00:00"
    path = f"/admin/token/edit/?id={token.id}"
    form = console.form(path)
    assert (form["agents"], form["expires_at"]) == ("alpha\nbeta", "2031-02-03T04:05")
    sent = {**form, "scopes": CLIENT, "agents": "", "name": "everybody's"}
    assert console.post(path, **sent).status_code == 302
    assert (newest(app).name, newest(app).agents) == ("everybody's", None)


def test_what_is_refused_is_said_beside_its_field_and_makes_no_token(
    app: Flask, console: Console
) -> None:
    before = newest(app).id
    refused: tuple[tuple[dict[str, Any], str], ...] = (
        ({"name": ""}, "This is required."),
        ({"scopes": []}, "Shorter than minimum length 1."),
        ({"scopes": ["root"]}, "is not a valid choice"),
        ({"expires_at": "soon"}, "Not a valid datetime value."),
        ({"agents": "x" * 65}, "No agent_id: a-z, 0-9 and dashes, at most 64."),
        ({"user_id": "987654"}, "Not a valid choice."),
    )
    for wrong, said in refused:
        answer = console.post("/admin/token/new/", **{"name": "desk", "scopes": CLIENT, **wrong})
        assert answer.status_code == 200, wrong
        assert said in unescape(answer.text)
        assert "sy_" not in answer.text
    assert newest(app).id == before


def test_a_revoked_token_is_refused_and_keeps_its_place_in_the_list(
    app: Flask, console: Console
) -> None:
    value = make_token(console)
    token = newest(app)
    console.post("/admin/token/delete/", id=token.id, version=token.version)
    page = console.get("/admin/token/").text
    assert "Token desk is revoked." in page
    assert "desk" in page
    assert "desk" not in console.get("/admin/token/?active=1").text
    headers = {"Authorization": f"Bearer {value}"}
    assert app.test_client().get("/api/agents", headers=headers).status_code == 401


def test_a_user_is_made_signs_in_and_gets_a_new_password(app: Flask, console: Console) -> None:
    form = {"email": "ada@example.com", "role": "operator", "active": "y"}
    assert console.post("/admin/user/new/", **form, password=PASSWORD).status_code == 302
    assert Console(app, "ada@example.com", PASSWORD).get("/admin/history/").status_code == 200
    with app.app_context():
        ada = accounts.find_user("ada@example.com")
        assert ada is not None
        path = f"/admin/user/edit/?id={ada.id}"
    assert PASSWORD not in console.get(path).text
    console.save(path, username="ada")
    assert Console(app, "ada@example.com", PASSWORD).get("/admin/").status_code == 200
    console.save(path, password="a third horse battery")
    assert (
        Console(app, "ada@example.com", "a third horse battery").get("/admin/").status_code == 200
    )


def test_a_new_password_ends_its_owner_s_other_sessions(app: Flask, console: Console) -> None:
    elsewhere = Console(app, ADMIN_EMAIL, ADMIN_PASSWORD)
    with app.app_context():
        me = accounts.find_user(ADMIN_EMAIL)
        assert me is not None
    page = console.save(f"/admin/user/edit/?id={me.id}", password="a third horse battery")
    assert f"User {ADMIN_EMAIL} is saved." in page.text
    assert elsewhere.get("/admin/").status_code == 302


def test_a_user_that_is_refused_is_not_made(app: Flask, console: Console) -> None:
    form = {"email": "ada@example.com", "role": "viewer", "password": PASSWORD, "active": "y"}
    for wrong, said in (
        ({"password": "short"}, "Length must be between 8 and 200."),
        ({"password": ""}, "Missing data for required field."),
        ({"email": "nowhere"}, "Not a valid email address."),
        ({"email": ADMIN_EMAIL}, "is taken"),
        ({"role": "root"}, "Not a valid choice."),
    ):
        answer = console.post("/admin/user/new/", **{**form, **wrong})
        assert answer.status_code == 200, wrong
        assert said in unescape(answer.text)
    with app.app_context():
        assert accounts.find_user("ada@example.com") is None


def test_an_owner_is_deleted_only_along_with_their_agents(app: Flask, console: Console) -> None:
    with app.app_context():
        owner = accounts.create_user("ada@example.com", PASSWORD, Role.VIEWER)
        agents.create_agent({"name": "Hers", "owner_id": owner.id})
        form = {"id": owner.id, "version": owner.version}
    console.post("/admin/user/delete/", **form)
    assert "They own agents: hers." in unescape(console.get("/admin/user/").text)
    console.post("/admin/user/delete/", **form, cascade="1")
    with app.app_context():
        assert accounts.find_user("ada@example.com") is None


def test_the_last_admin_stays(app: Flask, console: Console) -> None:
    with app.app_context():
        admin = accounts.find_user(ADMIN_EMAIL)
        assert admin is not None
        path = f"/admin/user/edit/?id={admin.id}"
    page = console.save(path, role="viewer").text
    assert "This is the last active admin" in unescape(page)


def test_an_operator_reads_who_is_there_and_is_offered_no_change(app: Flask) -> None:
    with app.app_context():
        accounts.create_user("op@example.com", PASSWORD, Role.OPERATOR)
        accounts.create_token("desk", [Scope.CONFIG_READ])
    operator = Console(app, "op@example.com", PASSWORD)
    for path in ("/admin/user/", "/admin/token/"):
        page = operator.get(path).text
        assert "Users and tokens" in page
        assert "/edit/" not in page
        assert "/new/" not in page
        assert "/delete/" not in page
