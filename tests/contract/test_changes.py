"""Row U2, the history: who changed what, for whom to see, and bringing it back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.changes.models import Change, ConfigState
from app.core.db import commit, db
from tests.conftest import Api
from tests.contract.conftest import MakeToken, MakeUser, SignIn

ANALYST = {
    "agent_id": "analyst",
    "name": "Analyst",
    "system_prompt": "Be careful.",
    "provider": "openai",
    "model_name": "gpt-4.1",
}
KEY = "sk-canary-history"


@pytest.fixture
def analyst(api: Api) -> dict[str, Any]:
    """An agent with one step, made in one change together with its provider."""
    created = api("POST", "/agents", ANALYST)
    assert created.status_code == 201
    body: dict[str, Any] = created.json
    return body


@pytest.fixture
def changes(api: Api) -> Callable[[str], list[dict[str, Any]]]:
    """``changes("entity=agent")``: the history under these filters."""

    def read(query: str = "") -> list[dict[str, Any]]:
        answer = api("GET", f"/changes?{query}")
        assert answer.status_code == 200, answer.text
        assert answer.json["total"] == len(answer.json["changes"])
        listed: list[dict[str, Any]] = answer.json["changes"]
        return listed

    return read


Changes = Callable[[str], list[dict[str, Any]]]


def restore(api: Api, rev: int, **body: Any) -> dict[str, Any]:
    answer = api("POST", f"/changes/{rev}/restore", body)
    assert answer.status_code == 200, answer.text
    assert KEY not in answer.text
    restored: dict[str, Any] = answer.json
    return restored


def test_a_change_says_who_when_what_and_from_what_to_what(
    api: Api, analyst: dict[str, Any], changes: Changes
) -> None:
    api("PATCH", "/agents/analyst", {"system_prompt": "Be bold.", "llm_api_key": KEY})
    newest, older = changes("root=analyst")[:2]
    told = {change["entity"]: change for change in (newest, older)}
    assert told["agent"]["diff"] == {"system_prompt": ["Be careful.", "Be bold."]}
    assert told["llm_config"]["diff"] == {"api_key": "changed"}
    assert newest["rev"] == older["rev"]
    assert (newest["actor"], newest["operation"]) == ("token:ADMIN_TOKEN", "update")
    age = datetime.now(UTC) - datetime.fromisoformat(newest["at"])
    assert timedelta() <= age < timedelta(minutes=1)


def test_the_newest_comes_first_in_pages(api: Api, analyst: dict[str, Any]) -> None:
    for number in range(4):
        api("PATCH", "/agents/analyst", {"name": f"Analyst {number}"})
    everything = api("GET", "/changes?page_size=200").json
    revs = [change["rev"] for change in everything["changes"]]
    assert revs == sorted(revs, reverse=True)
    page = api("GET", "/changes?page=2&page_size=3").json
    assert page == {"changes": everything["changes"][3:6], "total": everything["total"]}


def test_filters_narrow_it(api: Api, analyst: dict[str, Any], changes: Changes, rev: Any) -> None:
    before, start = rev(), datetime.now(UTC)
    api("PATCH", "/agents/analyst", {"name": "Renamed"})
    api("DELETE", "/agents/analyst")
    assert [c["operation"] for c in changes(f"rev_from={before + 1}&entity=agent")] == [
        "delete",
        "update",
    ]
    assert {c["rev"] for c in changes(f"rev_from={before}&rev_to={before}")} == {before}
    assert {c["root"] for c in changes("agent_id=analyst")} == {"analyst"}
    assert {c["entity"] for c in changes("agent_id=analyst&operation=delete")} == {
        "agent",
        "llm_config",
    }
    assert {c["entity_id"] for c in changes(f"entity=agent&entity_id={analyst['id']}")} == {
        analyst["id"]
    }
    assert {c["actor"] for c in changes("actor=token")} == {"token:ADMIN_TOKEN"}
    since = {c["rev"] for c in changes(f"since={start:%Y-%m-%dT%H:%M:%S.%fZ}")}
    assert since == {before + 1, before + 2}
    until = {c["rev"] for c in changes(f"until={start:%Y-%m-%dT%H:%M:%S.%fZ}")}
    assert max(until) == before
    last = changes(f"rev_from={before + 2}")[0]["at"].replace("+00:00", "Z")
    assert {c["rev"] for c in changes(f"since={last}")} == {before + 2}
    assert max(c["rev"] for c in changes(f"until={last}")) == before + 1
    assert changes("actor=nobody") == []


BAD_FILTERS = [
    ("operation=explode", "operation"),
    ("since=yesterday", "since"),
    ("rev_from=x", "rev_from"),
    ("rev_to=99999999999999999999", "rev_to"),
    ("entity_id=0", "entity_id"),
    ("page_size=201", "page_size"),
    ("search=x", "search"),
]


def test_bad_filters_are_named(api: Api) -> None:
    for query, field in BAD_FILTERS:
        answer = api("GET", f"/changes?{query}")
        assert (answer.status_code, list(answer.json["errors"]["query"])) == (422, [field])


def test_a_viewer_sees_their_agents_and_nobodys_but_no_accounts(
    api: Api, make_user: MakeUser, sign_in: SignIn
) -> None:
    mine, other = make_user("viewer@example.com"), make_user("other@example.com")
    for slug, owner in (("mine", mine), ("theirs", other), ("nobodys", None)):
        body = {"agent_id": slug, "name": slug, "owner_id": owner}
        assert api("POST", "/agents", body).status_code == 201
    viewer = sign_in("viewer@example.com")
    listed = viewer("GET", "/changes?page_size=200").json["changes"]
    roots = {change["root"] for change in listed}
    assert {"mine", "nobodys", "ollama"} <= roots
    assert "theirs" not in roots
    assert not {change["entity"] for change in listed} & {"user", "token"}
    assert viewer("GET", "/changes?agent_id=theirs").json == {"changes": [], "total": 0}


def test_a_slug_that_was_anothers_does_not_show_that_ones_history(
    api: Api, make_user: MakeUser, sign_in: SignIn
) -> None:
    other = make_user("other@example.com")
    secret = {"agent_id": "alpha", "name": "Secret", "system_prompt": "private"}
    api("POST", "/agents", {**secret, "owner_id": other})
    api("DELETE", "/agents/alpha")
    api("POST", "/agents", {"agent_id": "alpha", "name": "Open"})
    make_user("viewer@example.com")
    answer = sign_in("viewer@example.com")("GET", "/changes?agent_id=alpha")
    assert [change["operation"] for change in answer.json["changes"]] == ["create"]
    assert "private" not in answer.text


def test_a_bound_token_sees_its_agents_and_what_all_share(
    api: Api, analyst: dict[str, Any], make_token: MakeToken
) -> None:
    api("POST", "/agents", {"agent_id": "other", "name": "Other"})
    token = make_token("config:read", agents=["analyst"])
    roots = {c["root"] for c in api("GET", "/changes?page_size=200", token=token).json["changes"]}
    assert "analyst" in roots
    assert not roots & {"other", "default"}
    assert api("GET", "/changes?agent_id=other", token=token).status_code == 403


def test_what_is_written_is_not_rewritten(app: Flask, analyst: dict[str, Any]) -> None:
    with app.app_context():
        change = db.session.scalars(sa.select(Change).limit(1)).one()
        change.actor = "nobody"
        with pytest.raises(RuntimeError, match="append-only"):
            commit()
        db.session.rollback()
        db.session.delete(db.session.scalars(sa.select(Change).limit(1)).one())
        with pytest.raises(RuntimeError, match="append-only"):
            commit()
        db.session.rollback()
        state = db.session.scalars(sa.select(ConfigState)).one()
        state.rev = 0
        with pytest.raises(RuntimeError, match="append-only"):
            commit()
        db.session.rollback()
        for statement in (sa.update(Change).values(actor="x"), sa.delete(Change)):
            with pytest.raises(RuntimeError, match="bulk"):
                db.session.execute(statement)


def test_an_agent_goes_back_with_its_chain(
    api: Api, analyst: dict[str, Any], rev: Callable[[], int]
) -> None:
    api("POST", "/agents/analyst/llm-configs", {"provider": "ollama", "model_name": "fallback"})
    good, before = rev(), api("GET", "/agents/analyst").json
    api("PATCH", "/agents/analyst", {"system_prompt": "Be bold.", "llm_model": "o9"})
    api("PUT", "/agents/analyst/llm-configs", {"llm_configs": []})
    restored = restore(api, good, entity="agent", entity_id=analyst["id"])
    assert restored["rev"] == rev()
    assert (restored["entity_id"], restored["root"]) == (analyst["id"], "analyst")
    after = api("GET", "/agents/analyst").json
    differing = {name for name in before if before[name] != after[name]}
    assert differing == {"version", "updated_at"}


def test_nothing_is_restored_twice(
    api: Api, analyst: dict[str, Any], rev: Callable[[], int]
) -> None:
    good = rev()
    api("PATCH", "/agents/analyst", {"name": "Changed"})
    restore(api, good, entity="agent", entity_id=analyst["id"])
    now, version = rev(), api("GET", "/agents/analyst").json["version"]
    again = restore(api, good, entity="agent", entity_id=analyst["id"])
    assert again["rev"] is None
    assert (rev(), api("GET", "/agents/analyst").json["version"]) == (now, version)


def test_a_deleted_agent_comes_back_under_a_new_id_without_its_key(
    api: Api, analyst: dict[str, Any], rev: Callable[[], int]
) -> None:
    api("PATCH", "/agents/analyst", {"llm_api_key": KEY, "metadata": {"desk": "fx"}})
    api("POST", "/agents/analyst/llm-configs", {"provider": "ollama", "model_name": "fallback"})
    good, before = rev(), api("GET", "/agents/analyst/llm-configs").json["llm_configs"]
    api("DELETE", "/agents/analyst")
    # On SQLite this one takes the freed row ids.
    api("POST", "/agents", {"name": "Another", "llm_provider": "ollama", "llm_model": "m"})
    restored = restore(api, good, entity="agent", entity_id=analyst["id"])
    assert restored["entity_id"] != analyst["id"]
    assert restored["warnings"] == ["Step 0 has no key now: enter it again if it needs one."]
    agent = api("GET", "/agents/analyst").json
    assert (agent["system_prompt"], agent["metadata"]) == ("Be careful.", {"desk": "fx"})
    after = api("GET", "/agents/analyst/llm-configs").json["llm_configs"]
    for old, new in zip(before, after, strict=True):
        assert {n for n in old if old[n] != new[n]} <= {"id", "api_key_set"}
    assert not after[0]["api_key_set"]


def test_a_halted_agent_stays_halted_whatever_is_restored(
    api: Api, analyst: dict[str, Any], rev: Callable[[], int]
) -> None:
    good = rev()
    api("POST", "/agents/analyst/halt", {"reason": "loses money"})
    restore(api, good, entity="agent", entity_id=analyst["id"])
    assert api("GET", "/agents/analyst").json["halted"] is True
    api("DELETE", "/agents/analyst")
    restore(api, good, entity="agent", entity_id=analyst["id"])
    agent = api("GET", "/agents/analyst").json
    assert (agent["halted"], agent["halted_reason"]) == (True, "loses money")


def test_one_step_goes_back_alone(
    api: Api, analyst: dict[str, Any], rev: Callable[[], int]
) -> None:
    step = api("GET", "/agents/analyst/llm-configs/primary").json
    good = rev()
    api("PATCH", "/agents/analyst", {"name": "Kept", "llm_model": "o9", "llm_api_key": KEY})
    restored = restore(api, good, entity="llm_config", entity_id=step["id"])
    assert restored["warnings"] == [
        "The step keeps today's key: earlier ones are not stored.",
    ]
    agent = api("GET", "/agents/analyst").json
    assert (agent["name"], agent["llm_model"]) == ("Kept", "gpt-4.1")
    assert agent["llm_api_key_set"] is True


def test_a_removed_step_goes_back_to_its_place(
    api: Api, analyst: dict[str, Any], rev: Callable[[], int]
) -> None:
    for model in ("second", "third"):
        api("POST", "/agents/analyst/llm-configs", {"provider": "ollama", "model_name": model})
    good = rev()
    second = api("GET", "/agents/analyst/llm-configs").json["llm_configs"][1]
    assert api("DELETE", f"/agents/analyst/llm-configs/{second['id']}").status_code == 200
    restored = restore(api, good, entity="llm_config", entity_id=second["id"])
    chain = api("GET", "/agents/analyst/llm-configs").json["llm_configs"]
    assert [step["model_name"] for step in chain] == ["gpt-4.1", "second", "third"]
    assert chain[1]["id"] == restored["entity_id"]


def test_voices_go_back(api: Api, analyst: dict[str, Any], rev: Callable[[], int]) -> None:
    voice = {"provider": "async.ai", "voice_id": "v1", "model_id": "m1"}
    assert api("PATCH", "/agents/analyst", {"tts_provider_config": voice}).status_code == 200
    good = rev()
    api("PATCH", "/agents/analyst", {"tts_provider_config": {**voice, "voice_id": "v2"}})
    speech = api("GET", "/changes?entity=speech_config").json["changes"][0]
    restore(api, good, entity="speech_config", entity_id=speech["entity_id"])
    config = api("GET", "/agents/analyst/config").json["tts_provider_config"]
    assert config["voice_id"] == "v1"
    api("PATCH", "/agents/analyst", {"tts_provider_config": None})
    restore(api, good, entity="agent", entity_id=analyst["id"])
    config = api("GET", "/agents/analyst/config").json["tts_provider_config"]
    assert (config["provider"], config["voice_id"]) == ("async.ai", "v1")


def test_a_provider_goes_back_and_loses_a_key_of_another_origin(
    api: Api, rev: Callable[[], int]
) -> None:
    body = {"name": "eu", "type": "openai", "base_url": "https://one.example/v1", "api_key": KEY}
    provider = api("POST", "/providers", body).json
    good = rev()
    moved = {"name": "us", "base_url": "https://two.example/v1", "api_key": f"{KEY}-2"}
    assert api("PATCH", f"/providers/{provider['id']}", moved).status_code == 200
    restored = restore(api, good)
    assert restored["warnings"] == [
        "The provider has no key now: enter it again if it needs one.",
    ]
    after = api("GET", f"/providers/{provider['id']}").json
    assert (after["name"], after["base_url"], after["api_key_set"]) == (
        "eu",
        "https://one.example/v1",
        False,
    )


def test_a_deleted_provider_comes_back_and_so_can_its_agents(
    api: Api, analyst: dict[str, Any], rev: Callable[[], int]
) -> None:
    good, provider = rev(), analyst["provider"]["id"]
    api("DELETE", "/agents/analyst")
    assert api("DELETE", f"/providers/{provider}").status_code == 200
    api("POST", "/providers", {"name": "thief", "type": "openai", "api_key": KEY})
    refused = api(
        "POST", f"/changes/{good}/restore", {"entity": "agent", "entity_id": analyst["id"]}
    )
    assert refused.status_code == 409
    assert "openai, is deleted: restore it first" in refused.json["message"]
    restored = restore(api, good, entity="provider", entity_id=provider)
    restore(api, good, entity="agent", entity_id=analyst["id"])
    agent = api("GET", "/agents/analyst").json
    assert (agent["provider"]["id"], agent["provider"]["name"]) == (
        restored["entity_id"],
        "openai",
    )


def test_the_default_comes_back_and_says_in_whose_place(
    api: Api, analyst: dict[str, Any], rev: Callable[[], int]
) -> None:
    api("POST", "/agents/analyst/set-default")
    good = rev()
    api("POST", "/agents/default/set-default")
    restored = restore(api, good, entity="agent", entity_id=analyst["id"])
    assert restored["warnings"] == ["It is the default again, in the place of default."]
    assert api("GET", "/agents/default").json["agent_id"] == "analyst"
    refused = api(
        "POST", f"/changes/{good - 1}/restore", {"entity": "agent", "entity_id": analyst["id"]}
    )
    assert refused.status_code == 400


def test_an_agent_of_a_deleted_owner_comes_back_as_nobodys(
    api: Api, make_user: MakeUser, rev: Callable[[], int]
) -> None:
    owner = make_user("owner@example.com")
    body = {"agent_id": "hers", "name": "Hers", "owner_id": owner, "is_default": True}
    agent, good = api("POST", "/agents", body).json, rev()
    assert api("DELETE", f"/users/{owner}?cascade=true").status_code == 200
    make_user("takes-the-freed-row@example.com")
    restored = restore(api, good, entity="agent", entity_id=agent["id"])
    assert "belongs to nobody" in restored["warnings"][0]
    after = api("GET", "/agents/hers").json
    assert (after["owner_id"], after["is_default"]) == (None, False)


def test_what_is_meant_may_be_left_out_where_it_is_clear(
    api: Api, analyst: dict[str, Any], rev: Callable[[], int]
) -> None:
    api("PATCH", "/agents/analyst", {"name": "Two", "llm_model": "two"})
    both = rev()
    api("PATCH", "/agents/analyst", {"name": "Three", "llm_model": "three"})
    assert restore(api, both)["entity"] == "agent"
    assert api("GET", "/agents/analyst").json["llm_model"] == "two"
    api("POST", "/agents/analyst/set-default")
    unclear = api("POST", f"/changes/{rev()}/restore", {})
    assert unclear.status_code == 422
    assert "of several" in unclear.json["errors"]["json"]["entity"][0]


def test_restores_are_refused_clearly(
    api: Api, analyst: dict[str, Any], make_user: MakeUser, rev: Callable[[], int]
) -> None:
    user, now = make_user("somebody@example.com"), rev()
    for at, body, status in (
        (now + 1, {}, 404),
        (now, {"entity": "agent", "entity_id": 9999}, 404),
        (1, {"entity": "agent", "entity_id": analyst["id"]}, 404),
        (now, {"entity": "user", "entity_id": user}, 422),
        (now, {"entity": "unicorn", "entity_id": 1}, 422),
        (now, {"entity": "agent"}, 422),
        (now, {"entity": "agent", "entity_id": "1"}, 422),
        (now, {"entity_id": 1, "x": 1}, 422),
    ):
        answer = api("POST", f"/changes/{at}/restore", body)
        assert answer.status_code == status, (body, answer.text)
    assert rev() == now


def test_a_stale_restore_and_a_taken_slug_are_refused(
    api: Api, analyst: dict[str, Any], rev: Callable[[], int]
) -> None:
    good, body = rev(), {"entity": "agent", "entity_id": analyst["id"]}
    api("PATCH", "/agents/analyst", {"name": "Newer"})
    stale = api("POST", f"/changes/{good}/restore", body, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    api("DELETE", "/agents/analyst")
    api("POST", "/agents", {"agent_id": "analyst", "name": "Another"})
    assert api("POST", f"/changes/{good}/restore", body).status_code == 409


def test_who_may_restore(
    api: Api,
    analyst: dict[str, Any],
    make_token: MakeToken,
    make_user: MakeUser,
    rev: Callable[[], int],
) -> None:
    good, body = rev(), {"entity": "agent", "entity_id": analyst["id"]}
    path = f"/changes/{good}/restore"
    owner = make_user("owner@example.com")
    api("PATCH", "/agents/analyst", {"owner_id": owner})
    writer, bound = make_token("config:write"), make_token("admin", agents=["analyst"])
    assert api("POST", path, body, token=make_token("config:read")).status_code == 403
    assert api("POST", path, body, token=bound).status_code == 403
    assert api("POST", path, body, token=writer).status_code == 403  # it would take it from her
    assert api("POST", path, body).status_code == 200
    api("PATCH", "/agents/analyst", {"name": "Other"})
    assert api("POST", path, body, token=writer).status_code == 200


def test_tasks_and_who_has_them_go_back(
    api: Api, analyst: dict[str, Any], rev: Callable[[], int]
) -> None:
    schema = {"zeta": {"type": "string"}, "alpha": {"type": "number"}}
    task = api("POST", "/tasks", {"name": "classify", "response_schema": schema}).json
    assigned = api("POST", "/agents/analyst/tasks", {"task_id": task["id"], "is_active": False})
    assert assigned.status_code == 201
    good, before = rev(), api("GET", "/agents/analyst").json
    api("PATCH", f"/tasks/{task['id']}", {"name": "other", "response_schema": None})
    restore(api, good, entity="task", entity_id=task["id"])
    again = api("GET", f"/tasks/{task['id']}").json
    assert (again["name"], again["response_schema"]) == ("classify", task["response_schema"])
    assert list(again["response_schema"]["properties"]) == ["zeta", "alpha"]
    assignment = api("GET", "/changes?entity=assignment").json["changes"][0]

    api("DELETE", f"/agents/analyst/tasks/{task['id']}")
    restore(api, good, entity="assignment", entity_id=assignment["entity_id"])
    assert api("GET", "/agents/analyst").json["tasks"] == before["tasks"]

    api("DELETE", f"/tasks/{task['id']}?cascade=true")
    restored = restore(api, good, entity="agent", entity_id=analyst["id"])
    assert restored["warnings"] == ["It does not get the task classify back: that is deleted."]
    restored = restore(api, good, entity="task", entity_id=task["id"])
    restore(api, good, entity="agent", entity_id=analyst["id"])
    expected = [{**before["tasks"][0], "id": restored["entity_id"]}]
    assert api("GET", "/agents/analyst").json["tasks"] == expected
