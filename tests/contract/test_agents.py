"""Rows A1 to A7: agents as they are listed, made, read, changed, removed and set as default."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from app.core.db import commit
from app.providers.services import get_provider
from tests.conftest import ADMIN_TOKEN, Api
from tests.contract.conftest import MakeToken, MakeUser, on_sqlite

RACERS = 20


def test_an_agent_in_the_flat_form_reads_back(api: Api) -> None:
    sent = {
        "agent_id": "market-analyst",
        "name": "Market Analyst",
        "llm_provider": "openai",
        "llm_model": "gpt-4.1",
        "llm_temperature": 0.2,
        "llm_api_key": "sk-canary-flat-form",
    }
    created = api("POST", "/agents", sent)
    assert created.status_code == 201
    assert created.location.endswith("/api/agents/market-analyst")
    body = api("GET", "/agents/market-analyst").json
    assert body == created.json
    assert {name: body[name] for name in sent if name != "llm_api_key"} == {
        name: value for name, value in sent.items() if name != "llm_api_key"
    }
    assert body["llm_api_key_set"] is True
    assert body["llm_endpoint"] == "https://api.openai.com/v1"
    assert "sk-canary" not in created.text


def test_an_agent_reads_with_every_field_of_the_contract(api: Api) -> None:
    body = api("GET", "/agents/default").json
    assert body["agent_id"] == "default"
    assert body["name"] == "Default Agent"
    assert body["description"] == "Fallback agent for unconfigured requests"
    assert (body["is_default"], body["is_active"], body["owner_id"]) == (True, True, None)
    assert (body["llm_provider"], body["llm_model"]) == ("ollama", "mistral:7b-instruct")
    assert (body["llm_timeout"], body["llm_temperature"]) == (30, 0.7)
    assert body["provider"].keys() == {"id", "name", "type", "validation_status"}
    assert body["llm_api_key_set"] is False
    for name in ("fallbacks", "tasks", "metadata", "system_prompt", "user_prompt", "version"):
        assert name in body
    for name in ("created_at", "updated_at"):
        instant = datetime.fromisoformat(body[name])
        assert instant.utcoffset() == datetime.now(UTC).utcoffset()


def test_an_agent_without_any_form_has_no_chain(api: Api) -> None:
    body = api("POST", "/agents", {"name": "Bare"}).json
    assert (body["agent_id"], body["provider"], body["fallbacks"]) == ("bare", None, [])
    for name in ("llm_provider", "llm_model", "llm_endpoint", "llm_timeout", "llm_temperature"):
        assert body[name] is None
    assert body["llm_api_key_set"] is False


def test_the_list_is_by_name_then_id_in_pages(api: Api) -> None:
    for slug, name in (("z", "Alpha"), ("y", "Beta"), ("x", "Alpha"), ("w", "Gamma")):
        api("POST", "/agents", {"agent_id": slug, "name": name})
    body = api("GET", "/agents").json
    assert [agent["agent_id"] for agent in body["agents"]] == ["z", "x", "y", "default", "w"]
    assert body["total"] == 5
    second = api("GET", "/agents?page=2&page_size=2").json
    assert [agent["agent_id"] for agent in second["agents"]] == ["y", "default"]
    assert second["total"] == 5
    assert api("GET", "/agents?page=9").json == {"agents": [], "total": 5}
    assert api("GET", "/agents?search=ALPH").json["total"] == 2
    assert api("GET", "/agents?search=%25").json["total"] == 0


def test_the_list_of_the_active_ones(api: Api) -> None:
    api("POST", "/agents", {"name": "Off", "is_active": False})
    assert api("GET", "/agents").json["total"] == 2
    for text in ("true", "1"):
        body = api("GET", f"/agents?active_only={text}").json
        assert [agent["agent_id"] for agent in body["agents"]] == ["default"]
    assert api("GET", "/agents?active_only=false").json["total"] == 2


@on_sqlite
def test_a_list_refuses_a_query_that_it_does_not_know(api: Api) -> None:
    for query in (
        "page=0",
        "page=-1",
        "page=x",
        "page=100000000000000000000",
        "page_size=0",
        "page_size=201",
        "page_size=1.5",
        "active_only=perhaps",
        "nonsense=1",
    ):
        answer = api("GET", f"/agents?{query}")
        assert answer.status_code == 422, query
        assert query.partition("=")[0] in answer.json["errors"]["query"]


@on_sqlite
def test_the_slug_is_made_from_the_name(api: Api) -> None:
    for name, slug in (
        ("Market Analyst", "market-analyst"),
        ("  Öl & Gas / 2nd! ", "l-gas-2nd"),
        ("UPPER_case.name", "upper-case-name"),
        ("x" * 128, "x" * 64),
        ("a" * 63 + " b", "a" * 63),
    ):
        assert api("POST", "/agents", {"name": name}).json["agent_id"] == slug


@on_sqlite
@pytest.mark.parametrize("name", ["current", "Current!", "!!!", "äöü"])
def test_a_name_that_makes_no_slug_asks_for_one(api: Api, name: str) -> None:
    answer = api("POST", "/agents", {"name": name})
    assert answer.status_code == 422
    assert "agent_id" in answer.json["errors"]["json"]
    assert api("POST", "/agents", {"name": name, "agent_id": "given"}).status_code == 201


@on_sqlite
def test_a_slug_that_will_not_do_is_named(api: Api) -> None:
    for slug in (
        "current",
        "",
        "Upper",
        "with space",
        "under_score",
        "x" * 65,
        "ä",
        "a\n",
        "a/b",
        1,
    ):
        answer = api("POST", "/agents", {"name": "A", "agent_id": slug})
        assert answer.status_code == 422, slug
        assert answer.json["errors"]["json"].keys() == {"agent_id"}
        assert api("PATCH", "/agents/default", {"agent_id": slug}).status_code == 422


def test_a_slug_that_is_taken_is_a_conflict(api: Api) -> None:
    api("POST", "/agents", {"name": "One"})
    for body in ({"name": "One"}, {"name": "Two", "agent_id": "one"}, {"name": "ONE!"}):
        answer = api("POST", "/agents", body)
        assert (answer.status_code, answer.json["message"]) == (
            409,
            "The agent_id 'one' is taken.",
        )
    assert api("PATCH", "/agents/default", {"agent_id": "one"}).status_code == 409
    assert api("PATCH", "/agents/one", {"agent_id": "one"}).status_code == 200


def test_a_renamed_agent_is_found_under_its_new_slug(api: Api) -> None:
    api("POST", "/agents", {"name": "One", "llm_provider": "ollama", "llm_model": "m"})
    assert api("PATCH", "/agents/one", {"agent_id": "uno"}).json["agent_id"] == "uno"
    assert api("GET", "/agents/one").status_code == 404
    assert api("GET", "/agents/uno/llm").json["source"] == "agent"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_only_the_sent_fields_change_and_null_clears(api: Api, method: str) -> None:
    body = {
        "name": "A",
        "description": "d",
        "system_prompt": "s",
        "user_prompt": "u",
        "metadata": {"k": 1},
        "llm_provider": "openai",
        "llm_model": "m",
        "llm_timeout": 5,
        "llm_temperature": 0,
        "llm_top_p": 0.5,
        "llm_max_tokens": 100,
        "llm_api_key": "sk-own",
    }
    created = api("POST", "/agents", body).json
    changed = api(method, "/agents/a", {"description": None, "llm_model": "n"}).json
    skipped = {"version", "updated_at", "description", "llm_model"}
    assert (changed["description"], changed["llm_model"]) == (None, "n")
    assert {k: v for k, v in changed.items() if k not in skipped} == {
        k: v for k, v in created.items() if k not in skipped
    }
    parameters = ("llm_timeout", "llm_temperature", "llm_top_p", "llm_max_tokens", "llm_api_key")
    cleared = api(method, "/agents/a", dict.fromkeys((*parameters, "metadata"))).json
    assert (cleared["llm_timeout"], cleared["llm_temperature"]) == (30, 0.7)
    assert (cleared["llm_top_p"], cleared["llm_max_tokens"]) == (None, None)
    assert (cleared["llm_api_key_set"], cleared["metadata"]) == (False, {})
    assert api(method, "/agents/a", {}).json == api("GET", "/agents/a").json == cleared


def test_a_deleted_agent_is_gone_with_its_chain(api: Api) -> None:
    api("POST", "/agents", {"name": "A", "llm_provider": "mistral", "llm_model": "m"})
    answer = api("DELETE", "/agents/a")
    assert answer.status_code == 200
    assert answer.json.keys() == {"message", "agent_id"}
    assert answer.json["agent_id"] == "a"
    assert api("GET", "/agents/a").status_code == 404
    assert api("DELETE", "/agents/a").status_code == 404
    mistral = api("GET", "/providers?type=mistral").json["providers"][0]["id"]
    assert api("DELETE", f"/providers/{mistral}").status_code == 200


@on_sqlite
def test_the_global_default_stays(api: Api, rev: Any) -> None:
    for method, body in (
        ("DELETE", None),
        ("PATCH", {"is_active": False}),
        ("PATCH", {"is_default": False}),
        ("PUT", {"is_default": False, "is_active": False}),
    ):
        before = rev()
        assert api(method, "/agents/default", body).status_code == 400, body
        assert rev() == before
        assert api("GET", "/agents/default").json["is_default"] is True


def test_the_global_default_is_not_given_to_an_owner(api: Api, make_user: MakeUser) -> None:
    owner = make_user("ada@example.com")
    assert api("PATCH", "/agents/default", {"owner_id": owner}).status_code == 400


def test_an_inactive_agent_is_no_default(api: Api) -> None:
    assert api("POST", "/agents", {"name": "Off", "is_active": False}).status_code == 201
    assert api("POST", "/agents/off/set-default").status_code == 400
    assert api("PATCH", "/agents/off", {"is_default": True}).status_code == 400
    body = {"name": "Off too", "is_active": False, "is_default": True}
    assert api("POST", "/agents", body).status_code == 400
    assert api("GET", "/agents/off-too").status_code == 404
    both = {"is_active": True, "is_default": True}
    assert api("PATCH", "/agents/off", both).json["is_default"] is True
    assert _defaults(api) == ["off"]


@pytest.mark.parametrize("way", ["create", "patch", "verb"])
def test_another_default_takes_the_place_of_the_first(api: Api, way: str) -> None:
    body = {"name": "New", "llm_provider": "ollama", "llm_model": "m"}
    api("POST", "/agents", body | ({"is_default": True} if way == "create" else {}))
    if way == "patch":
        api("PATCH", "/agents/new", {"is_default": True})
    if way == "verb":
        assert api("POST", "/agents/new/set-default").json["is_default"] is True
    assert _defaults(api) == ["new"]
    assert api("GET", "/agents/default").json["agent_id"] == "new"
    # The alias is for reading: a write means the agent that is called "default".
    assert api("DELETE", "/agents/default").json["agent_id"] == "default"
    assert api("GET", "/agents/default").json["agent_id"] == "new"


def test_every_owner_has_a_default_of_their_own(api: Api, make_user: MakeUser) -> None:
    ada, bob = make_user("ada@example.com"), make_user("bob@example.com")
    for name, owner in (("a1", ada), ("a2", ada), ("b1", bob)):
        api("POST", "/agents", {"name": name, "owner_id": owner, "is_default": True})
    assert _defaults(api) == ["a2", "b1", "default"]
    api("POST", "/agents/a1/set-default")
    assert _defaults(api) == ["a1", "b1", "default"]
    # Moved among other agents it is no default there; an owner's default may go and may be unset.
    api("PATCH", "/agents/b1", {"owner_id": ada})
    assert _defaults(api) == ["a1", "default"]
    assert api("PATCH", "/agents/a1", {"is_default": False}).status_code == 200
    assert api("DELETE", "/agents/a1").status_code == 200
    assert _defaults(api) == ["default"]


def test_twenty_racers_leave_one_default(app: Flask, api: Api) -> None:
    slugs = [f"racer-{number}" for number in range(RACERS // 2)]
    for slug in slugs:
        api("POST", "/agents", {"agent_id": slug, "name": slug})
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}

    def race(number: int) -> int:
        # Each slug twice, one of them by the verb, and the present default among them.
        slug = [*slugs, *slugs[1:], "default"][number]
        http = app.test_client()
        if number % 2:
            return http.post(f"/api/agents/{slug}/set-default", headers=headers).status_code
        return http.patch(
            f"/api/agents/{slug}", json={"is_default": True}, headers=headers
        ).status_code

    with ThreadPoolExecutor(RACERS) as pool:
        assert set(pool.map(race, range(RACERS))) == {200}
    assert len(_defaults(api)) == 1


def test_racers_for_one_slug_and_one_new_provider(app: Flask, api: Api) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}

    def create(body: dict[str, Any]) -> int:
        return app.test_client().post("/api/agents", json=body, headers=headers).status_code

    step = {"llm_provider": "deepseek", "llm_model": "m"}
    with ThreadPoolExecutor(8) as pool:
        same = list(pool.map(create, [{"name": "Same"}] * 8))
        different = list(pool.map(create, [{"name": f"D {n}"} | step for n in range(8)]))
    assert sorted(same) == [201, *[409] * 7]
    assert different == [201] * 8
    assert api("GET", "/providers?type=deepseek").json["total"] == 1


def test_current_is_the_callers_own(api: Api, make_token: MakeToken, make_user: MakeUser) -> None:
    ada = make_user("ada@example.com")
    api("POST", "/agents", {"name": "Bound"})
    bound = make_token("config:read", agents=["bound"])
    assert api("GET", "/agents/current", token=bound).json["agent_id"] == "bound"
    hers = make_token("config:read", user_id=ada)
    assert api("GET", "/agents/current", token=hers).json["agent_id"] == "default"
    api("POST", "/agents", {"name": "Hers", "owner_id": ada, "is_default": True})
    assert api("GET", "/agents/current", token=hers).json["agent_id"] == "hers"
    assert api("GET", "/agents/current").json["agent_id"] == "default"
    two = make_token("config:read", agents=["bound", "hers"])
    assert api("GET", "/agents/current", token=two).json["agent_id"] == "default"
    gone = make_token("config:read", agents=["not-made-yet"])
    assert api("GET", "/agents/current", token=gone).json["agent_id"] == "default"


def test_current_is_no_alias_for_writes(api: Api) -> None:
    for method, path in (
        ("PATCH", "/agents/current"),
        ("DELETE", "/agents/current"),
        ("POST", "/agents/current/set-default"),
    ):
        body = {"name": "x"} if method == "PATCH" else None
        assert api(method, path, body).status_code in {404, 405}
    assert api("GET", "/agents/default").json["name"] == "Default Agent"


def test_a_model_that_the_provider_does_not_list_is_saved_with_a_warning(
    app: Flask, api: Api
) -> None:
    provider = api("POST", "/providers", {"name": "p", "type": "openai"}).json["id"]
    with app.app_context():
        get_provider(provider).models = ["m-1", "m-2"]
        commit()
    body = {"name": "A", "llm_provider": "p", "llm_model": "m-1"}
    assert "warnings" not in api("POST", "/agents", body).json
    changed = api("PATCH", "/agents/a", {"llm_model": "m-9"})
    assert changed.status_code == 200
    assert changed.json["llm_model"] == "m-9"
    (warning,) = changed.json["warnings"]
    assert "m-9" in warning
    assert "warnings" not in api("GET", "/agents/a").json


def _defaults(api: Api) -> list[str]:
    agents = api("GET", "/agents?page_size=200").json["agents"]
    return sorted(agent["agent_id"] for agent in agents if agent["is_default"])
