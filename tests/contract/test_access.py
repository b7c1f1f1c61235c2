"""Who may do what: scopes, bindings, roles, visibility, sessions and CSRF."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.accounts import services as accounts
from app.changes.services import history_query
from app.core.clock import utcnow
from app.core.db import commit, db
from tests.conftest import ADMIN_EMAIL, ADMIN_TOKEN, Api
from tests.contract.conftest import MakeToken, MakeUser, SignIn, csrf_token, on_sqlite

READS = ("/agents", "/agents/default", "/agents/current", "/agents/default/llm", "/providers")
WRITES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/agents", {"name": "New"}),
    ("PATCH", "/agents/default", {"description": "x"}),
    ("PUT", "/agents/default", {"description": "x"}),
    ("DELETE", "/agents/other", None),
    ("POST", "/agents/default/set-default", None),
    ("POST", "/agents/default/llm-configs", {"provider": "ollama", "model_name": "m"}),
    ("POST", "/providers", {"name": "p", "type": "ollama"}),
    ("PATCH", "/providers/1", {"name": "q"}),
    ("DELETE", "/providers/1", None),
)
VALIDATE = ("POST", "/providers/1/validate", None)
OPEN = {200, 201, 202, 400, 404, 409}
"""What a caller may get who passed the gate."""


@on_sqlite
@pytest.mark.parametrize(
    ("scope", "reads", "writes"),
    [
        ("config:read", True, False),
        ("secrets:read", False, False),
        ("usage:write", False, False),
        ("config:write", False, True),
        ("admin", True, True),
    ],
)
def test_a_token_opens_what_its_scope_says(
    api: Api, make_token: MakeToken, scope: str, reads: bool, writes: bool
) -> None:
    token = make_token(scope)
    for path in READS:
        status = api("GET", path, token=token).status_code
        assert (status in OPEN) if reads else status == 403, path
    for method, path, body in (*WRITES, VALIDATE):
        answer = api(method, path, body, token=token)
        assert (answer.status_code in OPEN) if writes else answer.status_code == 403, path
        if not writes:
            assert "permission" in answer.json["message"]


@on_sqlite
def test_without_a_good_token_nothing_opens(http: FlaskClient, rev: Any) -> None:
    before = rev()
    for headers in (
        {},
        {"Authorization": "Bearer unknown"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {ADMIN_TOKEN}"},
        {"Authorization": ADMIN_TOKEN},
        {"Authorization": f"Bearer {ADMIN_TOKEN}x"},
        {"X-Api-Key": ADMIN_TOKEN},
    ):
        for method, path, body in (("GET", "/agents", None), *WRITES, VALIDATE):
            answer = http.open(f"/api{path}", method=method, headers=headers, json=body)
            assert answer.status_code == 401, (headers, path)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert answer.json["request_id"]
    assert rev() == before


def test_a_token_in_the_url_is_no_token(http: FlaskClient) -> None:
    for name in ("token", "access_token", "api_key"):
        assert http.get(f"/api/agents?{name}={ADMIN_TOKEN}").status_code in {401, 422}


def test_the_scheme_is_spelled_as_one_likes(http: FlaskClient) -> None:
    answer = http.get("/api/agents", headers={"Authorization": f"bearer {ADMIN_TOKEN}"})
    assert answer.status_code == 200


def test_a_revoked_or_expired_token_is_refused(app: Flask, api: Api) -> None:
    with app.app_context():
        past = utcnow() - timedelta(seconds=1)
        scopes = accounts.CLIENT_SCOPES
        revoked, revoked_value = accounts.create_token("revoked", scopes)
        _, expired_value = accounts.create_token("expired", scopes, expires_at=past)
        _, live_value = accounts.create_token("live", scopes, expires_at=past + timedelta(1))
        revoked_id = revoked.id
    assert api("GET", "/agents", token=revoked_value).status_code == 200
    with app.app_context():
        accounts.revoke_token(revoked_id)
    assert api("GET", "/agents", token=revoked_value).status_code == 401
    assert api("GET", "/agents", token=expired_value).status_code == 401
    assert api("GET", "/agents", token=live_value).status_code == 200


def test_the_token_of_a_disabled_person_is_refused(
    app: Flask, api: Api, make_token: MakeToken, make_user: MakeUser
) -> None:
    user_id = make_user("gone@example.com")
    token = make_token("config:read", user_id=user_id)
    assert api("GET", "/agents", token=token).status_code == 200
    with app.app_context():
        user = accounts.find_user("gone@example.com")
        assert user is not None
        user.active = False
        commit()
        db.session.remove()
    assert api("GET", "/agents", token=token).status_code == 401


def test_a_bound_token_reaches_its_own_agents_only(api: Api, make_token: MakeToken) -> None:
    for name in ("mine", "other"):
        api("POST", "/agents", {"name": name, "llm_provider": "ollama", "llm_model": name})
    token = make_token("config:read", "config:write", agents=["mine", "not-there"])
    for path in ("/agents/mine", "/agents/mine/llm", "/agents/mine/llm-configs"):
        assert api("GET", path, token=token).status_code == 200, path
    for path in ("/agents/other", "/agents/other/llm", "/agents/other/llm-configs"):
        assert api("GET", path, token=token).status_code == 403, path
    # The binding may fall back to the default, which it does not see by its own name.
    assert api("GET", "/agents/not-there/llm", token=token).json["source"] == "default"
    assert api("GET", "/agents/default", token=token).status_code == 403
    assert api("GET", "/agents/default/llm", token=token).status_code == 403
    listed = api("GET", "/agents", token=token).json
    assert [agent["agent_id"] for agent in listed["agents"]] == ["mine"]
    assert listed["total"] == 1


def test_a_bound_token_writes_its_own_agents_only(
    api: Api, make_token: MakeToken, rev: Any
) -> None:
    api("POST", "/agents", {"name": "other", "llm_provider": "ollama", "llm_model": "m"})
    token = make_token("config:read", "config:write", agents=["mine"])
    before = rev()
    step = {"provider": "ollama", "model_name": "m"}
    for method, path, body in (
        ("POST", "/agents", {"name": "Other Still"}),
        ("POST", "/agents", {"agent_id": "other-still", "name": "mine"}),
        ("PATCH", "/agents/other", {"name": "x"}),
        ("PUT", "/agents/other", {"name": "x"}),
        ("DELETE", "/agents/other", None),
        ("POST", "/agents/other/set-default", None),
        ("POST", "/agents/other/llm-configs", step),
    ):
        assert api(method, path, body, token=token).status_code == 403, (method, path)
    assert rev() == before
    assert api("POST", "/agents", {"name": "Mine"}, token=token).status_code == 201
    assert api("PATCH", "/agents/mine", {"agent_id": "other-2"}, token=token).status_code == 403
    assert api("PATCH", "/agents/mine", {"name": "Still mine"}, token=token).status_code == 200


def test_only_an_admin_gives_an_agent_away(
    api: Api, make_token: MakeToken, make_user: MakeUser
) -> None:
    owner = make_user("ada@example.com")
    token = make_token("config:read", "config:write")
    body = {"name": "A", "owner_id": owner}
    assert api("POST", "/agents", body, token=token).status_code == 403
    assert api("POST", "/agents", body).json["owner_id"] == owner
    assert api("PATCH", "/agents/a", {"owner_id": None}, token=token).status_code == 403
    assert api("PATCH", "/agents/a", {"owner_id": None}).json["owner_id"] is None
    answer = api("PATCH", "/agents/a", {"owner_id": 999_999})
    assert answer.status_code == 422
    assert "owner_id" in answer.json["errors"]["json"]


def test_a_viewer_sees_what_is_theirs_and_what_is_nobodys(
    api: Api, make_user: MakeUser, sign_in: SignIn
) -> None:
    mine, other = make_user("viewer@example.com"), make_user("other@example.com")
    for name, owner in (("mine", mine), ("theirs", other), ("nobodys", None)):
        body = {"name": name, "owner_id": owner, "llm_provider": "ollama", "llm_model": name}
        assert api("POST", "/agents", body).status_code == 201
    viewer = sign_in("viewer@example.com")
    listed = [agent["agent_id"] for agent in viewer("GET", "/agents").json["agents"]]
    assert listed == ["default", "mine", "nobodys"]
    for path in ("", "/llm", "/llm-configs"):
        assert viewer("GET", f"/agents/mine{path}").status_code == 200
        assert viewer("GET", f"/agents/nobodys{path}").status_code == 200
        hidden = viewer("GET", f"/agents/theirs{path}")
        unknown = viewer("GET", f"/agents/not-there{path}")
        assert hidden.status_code == unknown.status_code == 404
        assert hidden.json["message"].replace("theirs", "not-there") == unknown.json["message"]


@on_sqlite
@pytest.mark.parametrize(
    ("role", "operates", "writes"),
    [("viewer", False, False), ("operator", True, False), ("admin", True, True)],
)
def test_a_role_opens_what_the_contract_says(
    make_user: MakeUser, sign_in: SignIn, role: str, operates: bool, writes: bool
) -> None:
    make_user("somebody@example.com", role)
    browser = sign_in("somebody@example.com")
    for path in READS:
        assert browser("GET", path).status_code in OPEN, path
    for method, path, body in WRITES:
        status = browser(method, path, body).status_code
        assert (status in OPEN) if writes else status == 403, path
    assert (browser(*VALIDATE).status_code in OPEN) is operates


def test_no_session_reveals_a_key(api: Api, sign_in: SignIn) -> None:
    body = {"name": "A", "llm_provider": "openai", "llm_model": "m", "llm_api_key": "sk-canary"}
    api("POST", "/agents", body)
    answer = sign_in(ADMIN_EMAIL)("GET", "/agents/a/llm")
    assert answer.json["llm_api_key"] is None
    assert answer.json["llm_api_key_id"]
    assert "sk-canary" not in answer.text


def test_a_sessions_write_needs_csrfs_token(sign_in: SignIn, rev: Any) -> None:
    browser = sign_in(ADMIN_EMAIL)
    before = rev()
    for method, path, body in (*WRITES, VALIDATE):
        assert browser(method, path, body, csrf=False).status_code == 400, path
    assert rev() == before
    assert browser("POST", "/agents", {"name": "With it"}).status_code == 201
    assert browser("GET", "/agents", csrf=False).status_code == 200


def test_a_token_needs_no_csrf_even_beside_a_session(sign_in: SignIn) -> None:
    browser = sign_in(ADMIN_EMAIL)
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    answer = browser.http.post("/api/agents", json={"name": "By token"}, headers=headers)
    assert answer.status_code == 201
    headers = {"Authorization": "Bearer wrong"}
    assert browser.http.get("/api/agents", headers=headers).status_code == 401


def test_signing_out_ends_the_session(sign_in: SignIn) -> None:
    browser = sign_in(ADMIN_EMAIL)
    assert browser("GET", "/agents").status_code == 200
    assert browser.http.get("/logout").status_code == 405  # no link may sign anybody out
    browser.http.post("/logout", headers={"X-CSRFToken": browser.csrf})
    assert browser("GET", "/agents").status_code == 401


@on_sqlite
@pytest.mark.parametrize("email", ["root@localhost", "night.watch@desk.local"])
def test_an_address_need_not_be_one_of_the_internet(
    email: str, make_user: MakeUser, sign_in: SignIn
) -> None:
    make_user(email)
    assert sign_in(email)("GET", "/agents").status_code == 200


@on_sqlite
def test_a_password_may_have_any_letters(app: Flask, api: Api) -> None:
    body = {"username": "jürgen", "email": "j@example.com", "password": "Süßer Mond"}
    user = api("POST", "/users", body).json
    for password in ("Süßer Mond", "Новый йод"):
        http = app.test_client()
        form = {"email": "j@example.com", "password": password, "csrf_token": csrf_token(http)}
        assert http.post("/login", data=form).status_code == 302
        api("PATCH", f"/users/{user['id']}", {"password": "Новый йод"})


def test_a_wrong_password_opens_nothing(app: Flask) -> None:
    http = app.test_client()
    form = {"email": ADMIN_EMAIL, "password": "wrong", "csrf_token": csrf_token(http)}
    assert http.post("/login", data=form).status_code == 200
    assert http.get("/api/agents").status_code == 401


def test_the_actor_is_named_in_the_history(
    app: Flask, api: Api, make_token: MakeToken, sign_in: SignIn
) -> None:
    api("POST", "/agents", {"name": "By token"}, token=make_token("config:write"))
    sign_in(ADMIN_EMAIL)("POST", "/agents", {"name": "By session"})
    with app.app_context():
        newest = db.session.scalars(history_query(entity="agent").limit(2)).all()
        assert [change.actor for change in newest] == [f"user:{ADMIN_EMAIL}", "token:a test's"]
