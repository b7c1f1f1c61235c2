"""Row A8: what an agent really gets."""

from typing import Any

import pytest
from flask import Flask

from app.core.db import commit
from app.providers.models import ValidationStatus
from app.providers.services import get_provider
from tests.conftest import Api
from tests.contract.conftest import MakeToken, MakeUser

FLAT = ("provider", "endpoint", "model", "timeout", "temperature", "top_p", "max_tokens", "api_key")


@pytest.fixture
def trader(api: Api) -> Api:
    """``api``, beside an agent with a primary and a fallback."""
    body = {
        "name": "Trader",
        "llm_provider": "openai",
        "llm_model": "primary",
        "llm_api_key": "sk-own",
    }
    assert api("POST", "/agents", body).status_code == 201
    step = {"provider": "mistral", "model_name": "second", "cost_per_1k_input_tokens": "0.1"}
    assert api("POST", "/agents/trader/llm-configs", step).status_code == 201
    return api


def test_every_field_of_the_contract_is_there(trader: Api) -> None:
    body = trader("GET", "/agents/trader/llm").json
    for name in ("agent_id", "requested_agent_id", "source", "version", "config_version", "rev"):
        assert name in body
    assert (body["agent_id"], body["requested_agent_id"]) == ("trader", "trader")
    assert (body["source"], body["halted"], body["halted_reason"]) == ("agent", False, None)
    (fallback,) = body["fallbacks"]
    for step in (body, fallback):
        assert {f"llm_{name}" for name in FLAT} <= step.keys()
        assert {"llm_api_key_id", "provider_status", "prices"} <= step.keys()
    assert (body["llm_api_key"], fallback["llm_api_key"]) == ("sk-own", None)
    assert (fallback["llm_provider"], fallback["llm_model"]) == ("mistral", "second")
    assert fallback["prices"]["cost_per_1k_input_tokens"] == "0.1"
    assert body["prices"]["cost_per_1k_input_tokens"] is None
    assert body["provider_status"] == "pending"


def test_keys_need_their_scope(trader: Api, make_token: MakeToken) -> None:
    read = make_token("config:read")
    reveal = make_token("config:read", "secrets:read")
    without = trader("GET", "/agents/trader/llm", token=read)
    with_keys = trader("GET", "/agents/trader/llm", token=reveal)
    assert without.json["llm_api_key"] is None
    assert "sk-own" not in without.text
    assert with_keys.json["llm_api_key"] == "sk-own"
    assert with_keys.json | {"llm_api_key": None} == without.json
    for answer in (without, with_keys):
        assert answer.headers["Cache-Control"] == "no-store"


def test_an_agent_that_cannot_answer_is_answered_for(api: Api, make_user: MakeUser) -> None:
    def source(slug: str) -> tuple[str, str, str]:
        body = api("GET", f"/agents/{slug}/llm").json
        return body["source"], body["agent_id"], body["requested_agent_id"]

    owner = make_user("ada@example.com")
    step = {"llm_provider": "ollama", "llm_model": "m"}
    api("POST", "/agents", {"name": "Hers", "owner_id": owner} | step)
    assert source("hers") == ("agent", "hers", "hers")
    assert source("unknown") == ("default", "default", "unknown")
    api("PATCH", "/agents/hers", {"is_active": False})
    assert source("hers") == ("default", "default", "hers")
    api("POST", "/agents", {"name": "Own", "owner_id": owner, "is_default": True} | step)
    assert source("hers") == ("owner_default", "own", "hers")
    api("POST", "/agents", {"name": "Bare", "owner_id": owner})
    assert source("bare") == ("owner_default", "own", "bare")
    api("POST", "/agents", {"name": "Nobodys"})
    assert source("nobodys") == ("default", "default", "nobodys")


def test_an_unknown_agent_falls_to_the_callers_own_default(
    api: Api, make_token: MakeToken, make_user: MakeUser
) -> None:
    owner = make_user("ada@example.com")
    body = {"name": "Own", "owner_id": owner, "is_default": True}
    api("POST", "/agents", body | {"llm_provider": "ollama", "llm_model": "m"})
    token = make_token("config:read", user_id=owner)
    answer = api("GET", "/agents/unknown/llm", token=token).json
    assert (answer["source"], answer["agent_id"]) == ("owner_default", "own")


def test_steps_that_are_off_are_left_out(trader: Api) -> None:
    first = trader("GET", "/agents/trader/llm-configs").json["llm_configs"][0]
    mistral = trader("GET", "/providers?type=mistral").json["providers"][0]["id"]
    trader("PATCH", f"/agents/trader/llm-configs/{first['id']}", {"enabled": False})
    body = trader("GET", "/agents/trader/llm").json
    assert (body["llm_model"], body["fallbacks"]) == ("second", [])
    trader("PATCH", f"/providers/{mistral}", {"is_active": False})
    assert trader("GET", "/agents/trader/llm").json["source"] == "default"


def test_with_nobody_to_answer_it_is_404(api: Api) -> None:
    api("PUT", "/agents/default/llm-configs", {"llm_configs": []})
    for slug in ("default", "unknown"):
        answer = api("GET", f"/agents/{slug}/llm")
        assert answer.status_code == 404
        assert answer.json["message"]


def test_the_config_version_rises_with_the_answer_and_only_then(
    trader: Api, rev: Any, app: Flask
) -> None:
    def version(slug: str = "trader") -> int:
        body = trader("GET", f"/agents/{slug}/llm").json
        assert body["rev"] == rev()
        found: int = body["config_version"]
        return found

    def raised_by(method: str, path: str, body: Any = None, slug: str = "trader") -> bool:
        before = version(slug)
        assert trader(method, path, body).status_code in {200, 201}
        if version(slug) == before:
            return False
        assert version(slug) == rev()
        return True

    openai, mistral = (
        trader("GET", f"/providers?type={name}").json["providers"][0]["id"]
        for name in ("openai", "mistral")
    )
    assert version() == rev()
    assert not raised_by("POST", "/agents", {"name": "Other"})
    assert not raised_by("PATCH", "/agents/default", {"description": "new"})
    assert not raised_by("POST", "/providers", {"name": "other", "type": "ollama"})
    assert not raised_by("PATCH", "/agents/trader", {})
    assert raised_by("PATCH", "/agents/trader", {"llm_model": "new"})
    assert raised_by("PATCH", f"/providers/{mistral}", {"api_key": "sk-new"})
    assert raised_by("PATCH", f"/providers/{mistral}", {"is_active": False})
    assert raised_by("PATCH", f"/providers/{mistral}", {"is_active": True})
    with app.app_context():
        get_provider(openai).settled_status = ValidationStatus.CONNECTED
        commit()
    assert version() == rev()
    assert trader("GET", "/agents/trader/llm").json["provider_status"] == "connected"
    # Behind the default: what the default is made of counts, and the agent itself.
    assert raised_by("PATCH", "/agents/trader", {"is_active": False})
    assert raised_by("PATCH", "/agents/default", {"llm_model": "other"})
    assert raised_by("DELETE", "/agents/trader")
    new = {"name": "New", "llm_provider": "ollama", "llm_model": "m", "is_default": True}
    assert raised_by("POST", "/agents", new)
    assert not raised_by("PATCH", f"/providers/{openai}", {"name": "renamed"})


def test_a_provider_switched_off_behind_a_default_raises_it_too(trader: Api, rev: Any) -> None:
    before = trader("GET", "/agents/trader/llm").json["config_version"]
    for name in ("openai", "mistral"):
        provider = trader("GET", f"/providers?type={name}").json["providers"][0]["id"]
        trader("PATCH", f"/providers/{provider}", {"is_active": False})
    body = trader("GET", "/agents/trader/llm").json
    assert body["source"] == "default"
    assert body["config_version"] == rev() > before


def test_an_etag_saves_the_body_until_something_changes(trader: Api) -> None:
    first = trader("GET", "/agents/trader/llm")
    headers = {"If-None-Match": first.headers["ETag"]}
    again = trader("GET", "/agents/trader/llm", headers=headers)
    assert (again.status_code, again.data) == (304, b"")
    trader("PATCH", "/agents/trader", {"llm_model": "new"})
    changed = trader("GET", "/agents/trader/llm", headers=headers)
    assert (changed.status_code, changed.json["llm_model"]) == (200, "new")


def test_one_tokens_etag_is_not_anothers(trader: Api, make_token: MakeToken) -> None:
    bare = trader("GET", "/agents/trader/llm", token=make_token("config:read"))
    revealing = make_token("config:read", "secrets:read")
    answer = trader(
        "GET",
        "/agents/trader/llm",
        token=revealing,
        headers={"If-None-Match": bare.headers["ETag"]},
    )
    assert (answer.status_code, answer.json["llm_api_key"]) == (200, "sk-own")


def test_a_key_whose_provider_moved_away_must_be_entered_again(trader: Api) -> None:
    """The step's own key was entered for the origin that its provider had then."""
    openai = trader("GET", "/providers?type=openai").json["providers"][0]
    before = trader("GET", "/agents/trader/llm").json
    path = f"/providers/{openai['id']}"
    trader("PATCH", path, {"base_url": "https://moved.example/v1"})
    body = trader("GET", "/agents/trader/llm").json
    assert body["llm_endpoint"] == "https://moved.example/v1"
    assert body["llm_api_key"] is None
    # By the id, clients that hold the key let go of it before they call the new origin.
    assert body["llm_api_key_id"] != before["llm_api_key_id"]
    trader("PATCH", path, {"base_url": openai["base_url"]})
    back = trader("GET", "/agents/trader/llm").json
    names = ("llm_endpoint", "llm_api_key", "llm_api_key_id")
    assert [back[name] for name in names] == [before[name] for name in names]
