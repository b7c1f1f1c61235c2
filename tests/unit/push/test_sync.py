"""S1: none, changes or full, for whom, with what, and how cheaply."""

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from app.accounts.models import ApiToken, Role, Scope, User
from app.accounts.services import create_token, create_user, update_token
from app.agents import all_configs
from app.changes.models import ConfigState
from app.core.db import commit, db
from app.push import sync
from app.push.messages import RETAINED_REVS
from tests.conftest import Api

KEY = "sk-canary-0123456789abcdef"
READ, SECRETS = Scope.CONFIG_READ, Scope.SECRETS_READ


def make(api: Api, name: str, **fields: Any) -> None:
    given = {"name": name, "llm_provider": "openai", "llm_model": "m", "llm_api_key": KEY} | fields
    assert api("POST", "/agents", given).status_code == 201


def token(app: Flask, *scopes: Scope, **options: Any) -> str:
    with app.app_context():
        return create_token("t", scopes or (READ,), **options)[1]


def ask(api: Api, token: str | None = None, **query: Any) -> dict[str, Any]:
    options = {"token": token} if token else {}
    answer = api("GET", "/sync", query_string=query, **options)
    assert answer.status_code == 200, answer.json
    assert answer.headers["Cache-Control"] == "no-store"
    body: dict[str, Any] = answer.json
    return body


def follow(api: Api, start: dict[str, Any], token: str | None = None) -> dict[str, Any]:
    return ask(api, token, epoch=start["epoch"], since=start["rev"])


def slugs(body: dict[str, Any]) -> list[str]:
    return [item["agent_id"] for item in body["items"]]


def test_without_a_rev_everything_comes_as_a_read_would_answer_it(app: Flask, api: Api) -> None:
    make(api, "A")
    make(api, "Asleep", is_active=False)
    reader = token(app, READ, SECRETS)
    body = ask(api, reader)
    assert body["intent"] == "full"
    assert sorted(slugs(body)) == ["a", "asleep", "default"]
    assert [item["more"] for item in body["items"]] == [True, True, False]
    for item in body["items"]:
        assert item["type"] == "agent_config_changed"
        assert item["config"] == api("GET", f"/agents/{item['agent_id']}/llm", token=reader).json
        assert (item["rev"], item["epoch"]) == (body["rev"], body["epoch"])
    assert str(body).count(KEY) == 1


def test_changes_come_once_each_in_the_state_of_now(api: Api) -> None:
    make(api, "A")
    make(api, "Gone")
    start = ask(api)
    for model in ("x", "y"):
        api("PATCH", "/agents/a", {"llm_model": model})
    make(api, "B")
    api("DELETE", "/agents/gone")
    body = follow(api, start)
    assert body["intent"] == "changes"
    assert [(i["type"], i["agent_id"], i["more"]) for i in body["items"]] == [
        ("agent_config_changed", "a", True),
        ("agent_created", "b", True),
        ("agent_deleted", "gone", False),
    ]
    assert body["items"][0]["config"]["llm_model"] == "y"
    assert {item["rev"] for item in body["items"]} == {body["rev"]}


def test_nothing_new_and_nothing_of_interest_are_both_none(app: Flask, api: Api) -> None:
    start = ask(api)
    assert follow(api, start)["intent"] == "none"
    with app.app_context():
        create_user("ada@example.com", "long enough")
    body = follow(api, start)
    assert (body["intent"], body["items"]) == ("none", [])
    assert body["rev"] == start["rev"] + 1


def test_what_the_log_cannot_bridge_is_full(app: Flask, api: Api) -> None:
    make(api, "A")
    now = ask(api)
    epoch, rev = now["epoch"], now["rev"]
    assert ask(api, epoch="another", since=rev)["intent"] == "full"
    assert ask(api, since=rev)["intent"] == "full"
    assert ask(api, epoch=epoch)["intent"] == "full"
    assert ask(api, epoch=epoch, since=rev + 1)["intent"] == "full"
    assert ask(api, epoch=epoch, since=2**63 - 1)["intent"] == "full"
    with app.app_context():
        floor = sa.update(ConfigState.__table__).values(log_floor=rev - 1)  # type: ignore[arg-type]
        db.session.execute(floor)
        commit()
    assert ask(api, epoch=epoch, since=rev - 2)["intent"] == "full"
    assert ask(api, epoch=epoch, since=rev - 1)["intent"] == "changes"


def test_what_is_too_far_back_is_full_before_the_log_is_read(
    app: Flask, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = ask(api)
    make(api, "A")
    with app.app_context():
        later = sa.update(ConfigState.__table__).values(rev=start["rev"] + RETAINED_REVS + 1)  # type: ignore[arg-type]
        db.session.execute(later)
        commit()
    monkeypatch.delattr(sync, "list_changes_since")
    assert follow(api, start)["intent"] == "full"


@pytest.mark.parametrize(
    "query", [{"since": -1}, {"since": "x"}, {"since": 2**63}, {"epoch": "e" * 65}, {"other": 1}]
)
def test_a_question_that_makes_no_sense_is_422(api: Api, query: dict[str, Any]) -> None:
    answer = api("GET", "/sync", query_string=query)
    assert answer.status_code == 422
    assert next(iter(query)) in answer.json["errors"]["query"]


def test_keys_are_for_secrets_read_only(app: Flask, api: Api) -> None:
    callers = {token(app, READ): None, token(app, READ, SECRETS): KEY}
    start = ask(api)
    make(api, "A")
    for caller, key in callers.items():
        full = {i["agent_id"]: i["config"] for i in ask(api, caller)["items"]}["a"]
        (item,) = ask(api, caller, epoch=start["epoch"], since=start["rev"])["items"]
        assert full["llm_api_key"] == item["config"]["llm_api_key"] == key
        assert item["config"]["llm_api_key_id"]


def test_who_may_not_ask(app: Flask, api: Api, http: FlaskClient) -> None:
    assert http.get("/api/sync").status_code == 401
    assert api("GET", "/sync", token=token(app, Scope.USAGE_WRITE)).status_code == 403


def test_a_bound_token_gets_its_agents_whether_they_exist_or_not(app: Flask, api: Api) -> None:
    make(api, "Mine")
    make(api, "Other")
    bound = token(app, agents=["mine", "ghost"])
    body = ask(api, bound)
    assert slugs(body) == ["ghost", "mine"]
    assert body["items"][0]["config"]["source"] == "default"
    api("PATCH", "/agents/other", {"llm_model": "x"})
    assert follow(api, body, bound)["intent"] == "none"
    api("PATCH", "/agents/mine", {"llm_model": "x"})
    assert slugs(follow(api, body, bound)) == ["mine"]
    api("PATCH", "/agents/default", {"llm_model": "x"})
    assert slugs(follow(api, body, bound)) == ["ghost", "mine"]
    make(api, "Ghost")
    changed = {i["agent_id"]: i["type"] for i in follow(api, body, bound)["items"]}
    assert changed == {"mine": "agent_config_changed", "ghost": "agent_created"}


def test_another_binding_is_answered_in_full(app: Flask, api: Api) -> None:
    make(api, "A")
    make(api, "B")
    bound = token(app, agents=["a"])
    start = ask(api, bound)
    with app.app_context():
        row = db.session.scalars(sa.select(ApiToken).order_by(ApiToken.id.desc())).first()
        assert row is not None
        row.agents = ["a", "b"]
        commit()
    body = follow(api, start, bound)
    assert (body["intent"], slugs(body)) == ("full", ["a", "b"])


def test_ones_own_default_answers_for_what_is_gone(app: Flask, api: Api) -> None:
    with app.app_context():
        ada = create_user("ada@example.com", "long enough").id
    make(api, "Hers", owner_id=ada, is_default=True)
    make(api, "Gone")
    caller = token(app, user_id=ada)
    start = ask(api, caller)
    api("DELETE", "/agents/gone")
    (item,) = follow(api, start, caller)["items"]
    assert (item["config"]["source"], item["config"]["agent_id"]) == ("owner_default", "hers")


def test_a_viewer_sees_what_is_theirs_and_nobodys(app: Flask, api: Api) -> None:
    with app.app_context():
        viewer = create_user("vera@example.com", "long enough", Role.VIEWER)
        other = create_user("otto@example.com", "long enough").id
        viewer_id, uniquifier = viewer.id, viewer.fs_uniquifier
    make(api, "Hers", owner_id=viewer_id)
    make(api, "His", owner_id=other)
    browser = app.test_client()
    with browser.session_transaction() as session:
        session["_user_id"], session["_fresh"] = uniquifier, True
    start = browser.get("/api/sync").json
    assert sorted(slugs(start)) == ["default", "hers"]
    assert all(item["config"]["llm_api_key"] is None for item in start["items"])
    api("PATCH", "/agents/hers", {"owner_id": other})
    position = {"epoch": start["epoch"], "since": start["rev"]}
    body = browser.get("/api/sync", query_string=position).json
    assert (body["intent"], slugs(body)) == ("full", ["default"])


def test_the_etag_saves_the_work_until_something_changes(
    app: Flask, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = api("GET", "/sync")
    etag = answer.headers["ETag"]
    assert etag.startswith('W/"')
    other = token(app)
    answer = api("GET", "/sync", headers={"If-None-Match": etag})
    assert answer.status_code == 200  # the token made a rev
    etag = answer.headers["ETag"]

    monkeypatch.setattr(sync, "_find_changes", None)  # a 304 costs none of it
    again = api("GET", "/sync", headers={"If-None-Match": etag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)
    monkeypatch.undo()
    assert api("GET", "/sync", token=other, headers={"If-None-Match": etag}).status_code == 200


def test_who_loses_agents_while_everything_is_read_comes_again(
    app: Flask, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(api, "A")
    with app.app_context():
        row, reader = create_token("t", (READ,))
        row_id = row.id
    read_on = all_configs.read_on

    def meanwhile() -> None:
        monkeypatch.setattr(all_configs, "read_on", read_on)
        with app.app_context():
            update_token(row_id, {"agents": ["a"]})
        read_on()

    monkeypatch.setattr(all_configs, "read_on", meanwhile)
    answer = api("GET", "/sync", token=reader)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert slugs(ask(api, reader)) == ["a"]


def test_more_than_the_push_may_carry_still_comes_as_changes(app: Flask, api: Api) -> None:
    start = ask(api)
    for number in range(55):
        make(api, f"Agent {number}", llm_api_key=None)
    body = follow(api, start)
    assert (body["intent"], len(body["items"])) == ("changes", 55)
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(User)) == 1


def test_a_key_that_changed_in_the_environment_is_told_after_the_next_start(
    app: Flask, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restart(key: str) -> None:
        monkeypatch.setenv("MISTRAL_API_KEY", key)
        result = app.test_cli_runner().invoke(args=["setup", "--json"])
        assert result.exit_code == 0, result.output

    make(api, "A", llm_provider="mistral", llm_api_key=None)
    make(api, "B")
    reader = token(app, READ, SECRETS)
    restart("first-environment-key")
    known = ask(api, reader)
    restart("first-environment-key")
    assert follow(api, known, reader)["intent"] == "none"
    restart("second-environment-key")
    told = follow(api, known, reader)
    assert told["intent"] == "changes"
    assert slugs(told) == ["a"]
    assert told["items"][0]["config"]["llm_api_key"] == "second-environment-key"
