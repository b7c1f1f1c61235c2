"""Row U1: users and tokens."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.core.clock import utcnow
from tests.conftest import Api

ADA = {"username": "ada", "email": "Ada@Example.com", "role": "operator", "password": "analytical"}
BAD_USERS: tuple[tuple[str, object], ...] = (
    ("email", "nobody"),
    ("role", "king"),
    ("password", "short"),
    ("username", ""),
    ("x", 1),
)
BAD_TOKENS: tuple[tuple[str, object], ...] = (
    ("scopes", ["everything"]),
    ("scopes", []),
    ("agents", []),
    ("agents", ["Market Analyst"]),
    ("agents", ["x" * 65]),
    ("user_id", 4711),
    ("expires_at", "tomorrow"),
    ("name", ""),
)


@pytest.fixture
def ada(api: Api) -> dict[str, Any]:
    created = api("POST", "/users", ADA)
    assert created.status_code == 201
    body: dict[str, Any] = created.json
    return body


def test_a_user_reads_back_without_the_password(api: Api, ada: dict[str, Any]) -> None:
    assert (ada["email"], ada["role"], ada["active"]) == ("ada@example.com", "operator", True)
    assert api("GET", f"/users/{ada['id']}").json == ada
    listed = api("GET", "/users?role=operator").json
    assert listed == {"users": [ada], "total": 1}
    assert "analytical" not in api("GET", "/users").text


def test_a_taken_address_is_409(api: Api, ada: dict[str, Any]) -> None:
    answer = api("POST", "/users", {**ADA, "username": "other"})
    assert answer.status_code == 409
    assert "email" in answer.json["message"]


def test_bad_users_are_named_and_not_stored(api: Api) -> None:
    for field, value in BAD_USERS:
        answer = api("POST", "/users", {**ADA, field: value})
        assert answer.status_code == 422, field
        assert field in answer.json["errors"]["json"], field
    assert api("GET", "/users").json["total"] == 1


def test_a_patch_changes_the_sent_fields(api: Api, ada: dict[str, Any]) -> None:
    answer = api("PATCH", f"/users/{ada['id']}", {"role": "viewer"})
    assert answer.json["role"] == "viewer"
    assert answer.json["version"] == ada["version"] + 1
    stale = {"If-Match": '"1"'}
    again = api("PATCH", f"/users/{ada['id']}", {"role": "admin"}, headers=stale)
    assert again.status_code == 412


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"active": False}])
def test_the_last_admin_stays(api: Api, change: dict[str, Any]) -> None:
    admin = api("GET", "/users?role=admin").json["users"][0]["id"]
    assert api("PATCH", f"/users/{admin}", change).status_code == 400
    assert api("DELETE", f"/users/{admin}").status_code == 400
    assert api("GET", f"/users/{admin}").json["role"] == "admin"


def test_a_user_who_owns_agents_goes_only_with_them(api: Api, ada: dict[str, Any]) -> None:
    api("POST", "/agents", {"name": "Hers", "owner_id": ada["id"]})
    token = api("POST", "/tokens", _token(user_id=ada["id"])).json["token"]
    refused = api("DELETE", f"/users/{ada['id']}")
    assert refused.status_code == 409
    assert "hers" in refused.json["message"]

    assert api("DELETE", f"/users/{ada['id']}?cascade=true").status_code == 200
    assert api("GET", "/agents/hers").status_code == 404
    assert api("GET", f"/users/{ada['id']}").status_code == 404
    assert api("GET", "/agents", token=token).status_code == 401


def test_a_token_is_shown_once(api: Api) -> None:
    created = api("POST", "/tokens", _token())
    assert created.status_code == 201
    secret = created.json["token"]
    assert api("GET", "/agents", token=secret).status_code == 200
    read = api("GET", f"/tokens/{created.json['id']}")
    assert secret not in read.text + api("GET", "/tokens").text
    assert (read.json["prefix"], read.json["is_live"]) == (secret[:8], True)


def test_a_revoked_token_is_refused(api: Api) -> None:
    created = api("POST", "/tokens", _token()).json
    assert api("DELETE", f"/tokens/{created['id']}").status_code == 200
    assert api("GET", "/agents", token=created["token"]).status_code == 401
    assert api("GET", f"/tokens/{created['id']}").json["is_live"] is False


def test_an_expired_token_is_refused(api: Api) -> None:
    past = (utcnow() - timedelta(seconds=1)).isoformat()
    created = api("POST", "/tokens", _token(expires_at=past)).json
    assert api("GET", "/agents", token=created["token"]).status_code == 401
    future = (utcnow() + timedelta(hours=1)).isoformat()
    api("PATCH", f"/tokens/{created['id']}", {"expires_at": future})
    assert api("GET", "/agents", token=created["token"]).status_code == 200


def test_scopes_and_binding_change_what_a_token_may(api: Api) -> None:
    created = api("POST", "/tokens", _token()).json
    token = created["token"]
    assert api("POST", "/agents", {"name": "X"}, token=token).status_code == 403
    api("PATCH", f"/tokens/{created['id']}", {"scopes": ["config:read", "config:write"]})
    assert api("POST", "/agents", {"name": "X"}, token=token).status_code == 201
    assert api("PATCH", f"/tokens/{created['id']}", {"scopes": []}).status_code == 422
    api("PATCH", f"/tokens/{created['id']}", {"agents": ["x"]})
    assert api("GET", "/agents/default", token=token).status_code == 403
    assert api("GET", "/agents/x", token=token).status_code == 200
    assert [agent["agent_id"] for agent in api("GET", "/agents", token=token).json["agents"]] == [
        "x"
    ]


def test_bad_tokens_are_named_and_not_stored(api: Api) -> None:
    before = api("GET", "/tokens").json["total"]
    for field, value in BAD_TOKENS:
        answer = api("POST", "/tokens", _token(**{field: value}))
        assert answer.status_code == 422, (field, value)
        assert field in answer.json["errors"]["json"], (field, value)
    assert api("GET", "/tokens").json["total"] == before


def test_only_admins_and_operators_see_accounts(http: FlaskClient, api: Api) -> None:
    reader = api("POST", "/tokens", _token()).json["token"]
    for path in ("/users", "/tokens"):
        assert api("GET", path, token=reader).status_code == 403
        assert http.get(f"/api{path}").status_code == 401


def _token(**changes: object) -> dict[str, object]:
    return {"name": "desk", "scopes": ["config:read"], **changes}


def test_a_bound_token_changes_nothing_outside_its_binding(api: Api) -> None:
    scopes = ["config:read", "config:write"]
    body = _token(scopes=scopes, agents=["mine"])
    token = api("POST", "/tokens", body).json["token"]
    provider = api("GET", "/providers").json["providers"][0]["id"]
    refused = [
        ("POST", "/agents", {"name": "Other"}),
        ("PATCH", "/agents/default", {"description": "x"}),
        ("DELETE", "/agents/default", None),
        ("POST", "/agents/default/set-default", None),
        ("POST", "/agents/default/halt", {}),
        ("POST", "/halt", {}),
        ("PUT", "/agents/default/llm-configs", {"llm_configs": []}),
        ("POST", "/providers", {"name": "p", "type": "openai"}),
        ("PATCH", f"/providers/{provider}", {"name": "x"}),
        ("DELETE", f"/providers/{provider}", None),
    ]
    for method, path, body in refused:
        assert api(method, path, body, token=token).status_code == 403, (method, path)
    assert api("POST", "/agents", {"name": "Mine"}, token=token).status_code == 201
    renamed = api("PATCH", "/agents/mine", {"agent_id": "other"}, token=token)
    assert renamed.status_code == 403


def test_a_preset_token_that_was_revoked_stays_revoked(app: Flask, api: Api) -> None:
    admin = next(t for t in api("GET", "/tokens").json["tokens"] if t["name"] == "ADMIN_TOKEN")
    api("DELETE", f"/tokens/{admin['id']}")
    assert app.test_cli_runner().invoke(args=["setup", "--json"]).exit_code == 0
    assert api("GET", "/agents").status_code == 401
