"""Row A2: one thing in several spellings, and what a write of step 0 does to provider and key."""

from typing import Any

import pytest
from flask import Flask

from app.agents import chain
from app.core.db import reading
from tests.conftest import Api
from tests.contract.conftest import on_sqlite

OPENAI = {"name": "A", "llm_provider": "openai", "llm_model": "m"}


@pytest.fixture
def key_of(app: Flask, api: Api) -> Any:
    """``key_of(slug)``: the endpoint, and the key that goes there."""

    def read(slug: str = "a") -> tuple[str, str | None]:
        body = api("GET", f"/agents/{slug}/llm").json
        return body["llm_endpoint"], body["llm_api_key"]

    return read


@on_sqlite
def test_the_same_thing_twice_is_refused(api: Api, rev: Any) -> None:
    for both in (
        {"llm_model": "m", "model_name": "m"},
        {"llm_temperature": 1, "temperature": 1},
        {"llm_provider": "openai", "provider_id": 1},
        {"provider": "openai", "provider_id": 1},
        {"llm_endpoint": None, "endpoint": None},
        {"llm_api_key": "k", "api_key": "k"},
        {"llm_model": "m", "llm_provider_config": {"model": "m"}},
    ):
        before = rev()
        for method, path in (("POST", "/agents"), ("PATCH", "/agents/default")):
            answer = api(method, path, {"name": "A"} | both)
            assert answer.status_code == 422, both
            assert answer.json["errors"]["json"].keys() & both.keys()
        assert rev() == before


def test_the_provider_form_makes_the_same_agent(api: Api) -> None:
    provider = api("POST", "/providers", {"name": "mine", "type": "openai"}).json
    body = {
        "name": "A",
        "provider_id": provider["id"],
        "model_name": "gpt-4.1",
        "system_prompt": "s",
        "user_prompt": "u",
        "temperature": 0.1,
        "top_p": 0.9,
        "max_tokens": 7,
        "timeout": 3,
        "api_key": "sk-own",
    }
    created = api("POST", "/agents", body).json
    assert created["provider"]["id"] == provider["id"]
    assert (created["llm_model"], created["llm_temperature"]) == ("gpt-4.1", 0.1)
    assert (created["llm_top_p"], created["llm_max_tokens"], created["llm_timeout"]) == (0.9, 7, 3)
    assert (created["system_prompt"], created["user_prompt"]) == ("s", "u")
    assert created["llm_api_key_set"] is True


@on_sqlite
def test_half_a_step_names_what_is_missing(api: Api) -> None:
    for body, missing in (
        ({"llm_provider": "openai"}, "llm_model"),
        ({"llm_model": "m"}, "llm_provider"),
        ({"llm_temperature": 1}, "llm_model"),
        ({"provider": "openai"}, "model_name"),
        ({"model_name": "m"}, "provider"),
        ({"provider_id": 1}, "model_name"),
    ):
        answer = api("POST", "/agents", {"name": "A"} | body)
        assert answer.status_code == 422, body
        assert missing in answer.json["errors"]["json"]
        assert api("GET", "/agents/a").status_code == 404


def test_the_provider_is_found_by_name_then_by_type_then_made(api: Api) -> None:
    first = api("POST", "/providers", {"name": "first", "type": "openai"}).json
    second = api("POST", "/providers", {"name": "second", "type": "openai"}).json
    assert _provider(api, "a1", "openai") == first["id"]  # the lowest id of the type
    assert _provider(api, "a2", "second") == second["id"]  # a name
    api("PATCH", f"/providers/{first['id']}", {"is_active": False})
    assert _provider(api, "a3", "openai") == second["id"]  # active ones only
    named = api("POST", "/providers", {"name": "openai", "type": "openai"}).json
    assert _provider(api, "a4", "openai") == named["id"]  # named like the type
    assert _provider(api, "a5", "OpenAI") == named["id"]
    made = _provider(api, "a6", "mistral")
    mistral = api("GET", f"/providers/{made}").json
    assert (mistral["name"], mistral["type"]) == ("mistral", "mistral")
    assert mistral["base_url"] == "https://api.mistral.ai/v1"
    assert mistral["validation_status"] == "pending"
    assert _provider(api, "a7", "mistral") == made


@on_sqlite
@pytest.mark.parametrize(
    ("alias", "canonical"),
    [("claude", "anthropic"), ("xai", "grok"), ("groq.com", "groq"), ("Ollama", "ollama")],
)
def test_aliases_mean_their_type(api: Api, alias: str, canonical: str) -> None:
    _provider(api, "a", alias)
    assert api("GET", "/agents/a").json["llm_provider"] == canonical


def test_a_provider_that_nobody_knows_is_named_with_what_is_allowed(api: Api) -> None:
    answer = api("POST", "/agents", OPENAI | {"llm_provider": "nobody"})
    assert answer.status_code == 422
    (message,) = answer.json["errors"]["json"]["llm_provider"]
    assert "openai" in message
    answer = api("POST", "/agents", {"name": "A", "provider_id": 999, "model_name": "m"})
    assert "provider_id" in answer.json["errors"]["json"]


def test_a_type_without_a_usual_endpoint_takes_the_one_that_is_sent(api: Api) -> None:
    body = OPENAI | {"llm_provider": "openai_compatible"}
    assert "llm_endpoint" in api("POST", "/agents", body).json["errors"]["json"]
    created = api("POST", "/agents", body | {"llm_endpoint": "https://llm.example/v1"}).json
    assert created["llm_endpoint"] == "https://llm.example/v1"
    provider = api("GET", f"/providers/{created['provider']['id']}").json
    assert provider["base_url"] == "https://llm.example/v1"


def test_a_speech_provider_is_no_llm(api: Api) -> None:
    body = {"name": "openai", "type": "openai", "capability": "tts"}
    speech = api("POST", "/providers", body).json
    answer = api("POST", "/agents", {"name": "A", "provider_id": speech["id"], "model_name": "m"})
    assert "provider_id" in answer.json["errors"]["json"]
    assert _provider(api, "b", "openai") != speech["id"]


def test_the_flat_form_writes_step_0_and_leaves_the_fallbacks(api: Api) -> None:
    api("POST", "/agents", OPENAI)
    step = {"provider": "ollama", "model_name": "fallback"}
    api("POST", "/agents/a/llm-configs", step)
    before = api("GET", "/agents/a/llm-configs").json["llm_configs"]
    api("PATCH", "/agents/a", {"llm_model": "new", "llm_temperature": 0})
    after = api("GET", "/agents/a/llm-configs").json["llm_configs"]
    assert after[1] == before[1]
    assert (after[0]["id"], after[0]["model_name"], after[0]["temperature"]) == (
        before[0]["id"],
        "new",
        0,
    )
    fallbacks = api("GET", "/agents/a").json["fallbacks"]
    assert [fallback["llm_model"] for fallback in fallbacks] == ["fallback"]


def test_what_was_read_can_be_written_back(api: Api) -> None:
    other = {"name": "not-the-usual", "type": "openai", "base_url": "https://eu.example/v1"}
    provider = api("POST", "/providers", other).json
    api("POST", "/providers", {"name": "openai", "type": "openai"})
    api("POST", "/agents", {"name": "A", "provider_id": provider["id"], "model_name": "m"})
    read = api("GET", "/agents/a").json
    written = {k: v for k, v in read.items() if k.startswith("llm_") and k in _FLAT}
    again = api("PUT", "/agents/a", written).json
    assert again == read


def test_an_other_endpoint_becomes_the_steps_override(api: Api, key_of: Any) -> None:
    api("POST", "/providers", {"name": "openai", "type": "openai", "api_key": "sk-provider"})
    api("POST", "/agents", OPENAI)
    assert key_of() == ("https://api.openai.com/v1", "sk-provider")
    # The same origin: the provider's key still goes there.
    api("PATCH", "/agents/a", {"llm_endpoint": "https://api.openai.com/v2"})
    assert key_of() == ("https://api.openai.com/v2", "sk-provider")
    assert _step(api)["endpoint"] == "https://api.openai.com/v2"
    # Another origin: no key but the step's own.
    api("PATCH", "/agents/a", {"llm_endpoint": "https://proxy.example/v1"})
    assert key_of() == ("https://proxy.example/v1", None)
    assert api("GET", "/agents/a").json["llm_api_key_set"] is False
    api("PATCH", "/agents/a", {"llm_api_key": "sk-own"})
    assert key_of() == ("https://proxy.example/v1", "sk-own")
    # The provider's own endpoint is no override.
    api("PATCH", "/agents/a", {"llm_endpoint": "https://api.openai.com/v1"})
    assert _step(api)["endpoint"] is None
    assert key_of() == ("https://api.openai.com/v1", "sk-provider")


@on_sqlite
@pytest.mark.parametrize(
    ("change", "endpoint", "key"),
    [
        ({"llm_provider": "mistral"}, "https://api.mistral.ai/v1", None),
        ({"llm_endpoint": "https://other.example/v1"}, "https://other.example/v1", None),
        ({"llm_endpoint": "http://own.example/v1"}, "http://own.example/v1", None),
        ({"llm_endpoint": "https://own.example:8443/v1"}, "https://own.example:8443/v1", None),
        ({"llm_endpoint": None}, "https://api.openai.com/v1", None),
        ({"llm_endpoint": "https://own.example/v2"}, "https://own.example/v2", "sk-own"),
        ({"llm_model": "n"}, "https://own.example/v1", "sk-own"),
        ({"llm_provider": "openai"}, "https://own.example/v1", "sk-own"),
        (
            {"llm_provider": "mistral", "llm_api_key": "sk-new"},
            "https://api.mistral.ai/v1",
            "sk-new",
        ),
        (
            {"llm_provider": "mistral", "llm_endpoint": "https://own.example/v1"},
            "https://own.example/v1",
            None,
        ),
        (
            {"llm_endpoint": "https://other.example/v1", "llm_api_key": "sk-new"},
            "https://other.example/v1",
            "sk-new",
        ),
        ({"llm_api_key": None}, "https://own.example/v1", None),
    ],
    ids=str,
)
def test_a_key_never_follows_a_step_to_another_origin(
    api: Api, key_of: Any, change: dict[str, Any], endpoint: str, key: str | None
) -> None:
    own = {"llm_endpoint": "https://own.example/v1", "llm_api_key": "sk-own"}
    api("POST", "/agents", OPENAI | own)
    assert key_of() == ("https://own.example/v1", "sk-own")
    assert api("PATCH", "/agents/a", change).status_code == 200
    assert key_of() == (endpoint, key)


def test_the_order_of_keys(api: Api, key_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    api("POST", "/agents", OPENAI)
    provider = api("GET", "/agents/a").json["provider"]["id"]
    assert key_of()[1] == "sk-environment"
    assert api("GET", "/agents/a").json["llm_api_key_set"] is True
    api("PATCH", f"/providers/{provider}", {"api_key": "sk-provider"})
    assert key_of()[1] == "sk-provider"
    api("PATCH", "/agents/a", {"llm_api_key": "sk-own"})
    assert key_of()[1] == "sk-own"
    api("PATCH", "/agents/a", {"llm_api_key": None})
    assert key_of()[1] == "sk-provider"
    api("PATCH", f"/providers/{provider}", {"api_key": None})
    assert key_of()[1] == "sk-environment"


@on_sqlite
@pytest.mark.parametrize(
    "endpoint",
    ["https://evil.example/v1", "http://api.openai.com/v1", "https://api.openai.com:8443/v1"],
)
def test_the_environments_key_goes_to_the_providers_own_origin_only(
    api: Api, key_of: Any, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    api("POST", "/agents", OPENAI | {"llm_endpoint": endpoint})
    body = api("GET", "/agents/a/llm").json
    assert body["llm_endpoint"] == endpoint
    assert (body["llm_api_key"], body["llm_api_key_id"]) == (None, None)


@on_sqlite
@pytest.mark.parametrize(
    ("provider_type", "variable"),
    [("openai_compatible", "OPENAI_COMPATIBLE_API_KEY"), ("grok", "GROK_API_KEY")],
)
def test_the_environments_key_is_named_after_the_type(
    api: Api,
    key_of: Any,
    monkeypatch: pytest.MonkeyPatch,
    provider_type: str,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, "sk-environment")
    body = OPENAI | {"llm_provider": provider_type, "llm_endpoint": "https://llm.example/v1"}
    if provider_type == "grok":
        del body["llm_endpoint"]
    assert api("POST", "/agents", body).status_code == 201
    assert key_of()[1] == "sk-environment"


def test_a_key_id_is_fresh_with_every_key_and_no_sooner(api: Api, app: Flask) -> None:
    api("POST", "/agents", OPENAI | {"llm_api_key": "sk-own"})
    seen = [_key_id(api)]
    api("PATCH", "/agents/a", {"llm_model": "n", "name": "B"})
    assert _key_id(api) == seen[0]
    api("PATCH", "/agents/a", {"llm_endpoint": "https://api.openai.com/v2"})
    assert _key_id(api) == seen[0]
    api("PATCH", "/agents/a", {"llm_api_key": "sk-own"})
    assert _key_id(api) not in seen
    with app.app_context(), reading():
        assert "sk-own" not in str(vars(chain.get_agent("a").llm_configs[0]))


_FLAT = {
    "llm_provider",
    "llm_endpoint",
    "llm_model",
    "llm_timeout",
    "llm_temperature",
    "llm_top_p",
    "llm_max_tokens",
}


def _provider(api: Api, slug: str, provider: str) -> int:
    answer = api(
        "POST",
        "/agents",
        {"agent_id": slug, "name": slug, "llm_provider": provider, "llm_model": "m"},
    )
    assert answer.status_code == 201, answer.text
    found: int = answer.json["provider"]["id"]
    return found


def _step(api: Api) -> dict[str, Any]:
    step: dict[str, Any] = api("GET", "/agents/a/llm-configs").json["llm_configs"][0]
    return step


def _key_id(api: Api) -> str:
    key_id: str = api("GET", "/agents/a/llm").json["llm_api_key_id"]
    assert key_id
    return key_id
