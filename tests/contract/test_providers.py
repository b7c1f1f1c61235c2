"""Rows P1 and P2: providers, their checks and their models."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.core.clock import utcnow
from app.core.db import commit, db, read_on
from app.health.models import ProviderCheck
from app.providers.adapters import list_types
from app.providers.models import Provider, ValidationStatus
from app.providers.services import get_provider
from tests.conftest import Api
from tests.contract.conftest import on_sqlite

LLM_TYPES = {
    "ollama": "http://127.0.0.1:11434",
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "vllm": "http://127.0.0.1:8000/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "grok": "https://api.x.ai/v1",
    "groq": "https://api.groq.com/openai/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta",
    "mistral": "https://api.mistral.ai/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "openai_compatible": None,
}
FIELDS = {
    "id",
    "name",
    "type",
    "capability",
    "base_url",
    "api_key_set",
    "options",
    "is_active",
    "check_interval",
    "check_call",
    "validation_status",
    "last_checked_at",
    "latency_ms",
    "last_error",
    "next_check_at",
    "version",
    "created_at",
    "updated_at",
}


@pytest.fixture
def provider(api: Api) -> dict[str, Any]:
    """A provider with a key."""
    body = {"name": "mine", "type": "openai", "api_key": "sk-canary", "options": {"a": [1]}}
    created: dict[str, Any] = api("POST", "/providers", body).json
    return created


def test_the_types_are_those_of_the_contract() -> None:
    assert set(list_types()) == set(LLM_TYPES)


@on_sqlite
def test_each_type_has_its_usual_endpoint_or_asks_for_one(api: Api) -> None:
    for provider_type, usual in LLM_TYPES.items():
        answer = api("POST", "/providers", {"name": f"my {provider_type}", "type": provider_type})
        if usual is None:
            assert answer.status_code == 422
            assert "base_url" in answer.json["errors"]["json"]
        else:
            assert (answer.status_code, answer.json["base_url"]) == (201, usual)


def test_a_provider_reads_with_every_field_and_never_with_its_key(
    api: Api, provider: dict[str, Any]
) -> None:
    answer = api("GET", f"/providers/{provider['id']}")
    assert answer.json == provider
    assert provider.keys() == FIELDS
    assert (provider["api_key_set"], provider["validation_status"]) == (True, "pending")
    assert provider["base_url"] == "https://api.openai.com/v1"
    assert provider["options"] == {"a": [1]}
    listed = api("GET", "/providers")
    for text in (answer.text, listed.text):
        assert "canary" not in text
        assert "sealed" not in text


def test_the_base_url_is_handed_out_verbatim(api: Api) -> None:
    url = "https://Gateway.Example:8443/v1/deployments/Blue/"
    body = {"name": "p", "type": "openai_compatible", "base_url": f"  {url} "}
    assert api("POST", "/providers", body).json["base_url"] == url
    api("POST", "/agents", {"name": "A", "llm_provider": "p", "llm_model": "m"})
    assert api("GET", "/agents/a/llm").json["llm_endpoint"] == url


@on_sqlite
def test_a_url_of_bad_syntax_is_refused_at_once(api: Api, provider: Any) -> None:
    for url in (
        "",
        "api.openai.com/v1",
        "ftp://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https://user:password@example.com/v1",
        "https://example.com:99999/v1",
        "https://exa mple.com/v1",
        "https://example.com/\nHost: evil",
        "https://example.com/?key=1",
        "https://example.com/#x",
        "https://example.com/" + "x" * 2048,
        1,
        None,
    ):
        body = {"name": "p", "type": "openai", "base_url": url, "api_key": "k"}
        created = api("POST", "/providers", body)
        changed = api("PATCH", f"/providers/{provider['id']}", {"base_url": url, "api_key": "k"})
        for answer in (created, changed):
            assert answer.status_code == 422, url
            assert answer.json["errors"]["json"].keys() == {"base_url"}, url


@on_sqlite
@pytest.mark.parametrize("url", ["http://10.0.0.1/v1", "http://169.254.169.254/", "http://[::1]/"])
def test_where_a_url_leads_is_the_checks_business(api: Api, url: str) -> None:
    body = {"name": "p", "type": "openai_compatible", "base_url": url}
    assert api("POST", "/providers", body).status_code == 201


def test_a_name_is_unique(api: Api, provider: dict[str, Any]) -> None:
    answer = api("POST", "/providers", {"name": "mine", "type": "ollama"})
    assert answer.status_code == 409
    assert "mine" not in answer.json["message"]
    other = api("POST", "/providers", {"name": "other", "type": "ollama"}).json
    assert api("PATCH", f"/providers/{other['id']}", {"name": "mine"}).status_code == 409


def test_a_type_says_what_it_is_for(api: Api) -> None:
    for provider_type, capability in (
        ("openai", "llm"),
        ("claude", "llm"),
        ("async.ai", "tts"),
        ("whisper.local", "stt"),
    ):
        body = {"name": provider_type, "type": provider_type, "base_url": "https://speech.example"}
        assert api("POST", "/providers", body).json["capability"] == capability


@on_sqlite
def test_what_will_not_do_is_named(api: Api, rev: Any) -> None:
    before = rev()
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"type": "openai"}, "name"),
        ({"name": "p"}, "type"),
        ({"name": "", "type": "openai"}, "name"),
        ({"name": "x" * 129, "type": "openai"}, "name"),
        ({"name": "p", "type": "nobody"}, "type"),
        ({"name": "p", "type": "async.ai", "capability": "llm"}, "type"),
        ({"name": "p", "type": "openai", "capability": "video"}, "capability"),
        ({"name": "p", "type": "openai", "api_key": ""}, "api_key"),
        ({"name": "p", "type": "openai", "api_key": "x" * 4097}, "api_key"),
        ({"name": "p", "type": "openai", "api_key": " \n"}, "api_key"),
        ({"name": "p", "type": "openai", "api_key": "sk-1\r\nX-Injected: 1"}, "api_key"),
        ({"name": "p", "type": "openai", "api_key": "ключ"}, "api_key"),
        ({"name": "p", "type": "openai", "is_active": "yes"}, "is_active"),
        ({"name": "p", "type": "openai", "options": []}, "options"),
        ({"name": "p", "type": "openai", "validation_status": "connected"}, "validation_status"),
        ({"name": "p", "type": "openai", "id": 1}, "id"),
    )
    for body, field in wrong:
        answer = api("POST", "/providers", body)
        assert answer.status_code == 422, body
        assert answer.json["errors"]["json"].keys() == {field}, body
    assert rev() == before


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_only_the_sent_fields_change(api: Api, provider: dict[str, Any], method: str) -> None:
    path = f"/providers/{provider['id']}"
    changed = api(method, path, {"name": "renamed"}).json
    skipped = {"name", "version", "updated_at"}
    assert (changed["name"], changed["version"]) == ("renamed", 2)
    assert {k: v for k, v in changed.items() if k not in skipped} == {
        k: v for k, v in provider.items() if k not in skipped
    }
    assert api(method, path, {"api_key": None}).json["api_key_set"] is False
    assert api(method, path, {"options": {"a": 1}}).json["options"] == {"a": 1}
    assert api(method, path, {"options": None}).json["options"] == {}
    assert api(method, path, {"type": "groq.com"}).json["type"] == "groq"


@on_sqlite
def test_what_a_paste_brought_along_is_no_part_of_a_key(app: Flask, api: Api) -> None:
    made = api("POST", "/providers", {"name": "p", "type": "openai", "api_key": " sk-canary\n"})
    with app.app_context():
        secret = get_provider(made.json["id"]).open_api_key()
        assert secret is not None
        assert secret.get_secret_value() == "sk-canary"


def test_moving_to_another_origin_needs_the_key_again(api: Api, provider: Any, app: Flask) -> None:
    path = f"/providers/{provider['id']}"
    for url in ("https://evil.example/v1", "http://api.openai.com/v1", "https://api.openai.com:1"):
        answer = api("PATCH", path, {"base_url": url})
        assert answer.status_code == 422
        assert answer.json["errors"]["json"].keys() == {"api_key"}
    assert api("GET", path).json == provider
    same = api("PATCH", path, {"base_url": "https://api.openai.com/v2"})
    assert (same.status_code, same.json["api_key_set"]) == (200, True)
    with app.app_context():
        secret = get_provider(provider["id"]).open_api_key()
        assert secret is not None
        assert secret.get_secret_value() == "sk-canary"
    moved = api("PATCH", path, {"base_url": "https://new.example/v1", "api_key": "sk-new"})
    assert (moved.status_code, moved.json["api_key_set"]) == (200, True)
    cleared = api("PATCH", path, {"base_url": "https://third.example/v1", "api_key": None})
    assert (cleared.status_code, cleared.json["api_key_set"]) == (200, False)
    assert api("PATCH", path, {"base_url": "https://fourth.example/v1"}).status_code == 200


def test_a_used_provider_is_not_deleted_and_its_users_are_named(
    api: Api, provider: dict[str, Any]
) -> None:
    for name in ("Zeta", "Alpha"):
        body = {"name": name, "provider_id": provider["id"], "model_name": "m"}
        api("POST", "/agents", body)
    step = {"provider_id": provider["id"], "model_name": "n"}
    api("POST", "/agents/zeta/llm-configs", step)
    answer = api("DELETE", f"/providers/{provider['id']}")
    assert answer.status_code == 409
    assert "alpha, zeta" in answer.json["message"]
    path = f"/providers/{provider['id']}"
    off = api("PATCH", path, {"is_active": False}).json
    assert "alpha, zeta" in off["warnings"][0]
    assert "warnings" not in api("PUT", path, off | {"is_active": True}).json
    for slug in ("alpha", "zeta"):
        api("DELETE", f"/agents/{slug}")
    answer = api("DELETE", f"/providers/{provider['id']}")
    assert (answer.status_code, answer.json["id"]) == (200, provider["id"])
    assert api("GET", f"/providers/{provider['id']}").status_code == 404


def test_the_list_is_by_name_and_can_be_filtered(api: Api, provider: dict[str, Any]) -> None:
    api("POST", "/providers", {"name": "alpha", "type": "openai", "is_active": False})
    names = [p["name"] for p in api("GET", "/providers").json["providers"]]
    assert names == ["alpha", "mine", "ollama"]
    for query, expected in (
        ("type=openai", 2),
        ("is_active=true", 2),
        ("type=openai&is_active=false", 1),
        ("status=pending", 3),
        ("status=connected", 0),
        ("capability=llm", 3),
        ("capability=tts", 0),
        ("search=ALP", 1),
        ("page=2&page_size=2", 3),
    ):
        assert api("GET", f"/providers?{query}").json["total"] == expected, query
    assert api("GET", "/providers?status=broken").status_code == 422


def test_a_save_asks_for_a_check(api: Api, provider: dict[str, Any], app: Flask) -> None:
    path = f"/providers/{provider['id']}"
    for change, settled in (({"name": "renamed"}, "connected"), ({"api_key": "k"}, "pending")):
        with app.app_context():
            row = get_provider(provider["id"])
            row.validation_status = row.settled_status = ValidationStatus.CONNECTED
            commit()
        assert api("PATCH", path, change).json["validation_status"] == "pending"
        # What clients are told changes at once only where the last check says nothing any more.
        with app.app_context():
            assert get_provider(provider["id"]).settled_status == settled


def test_validate_is_accepted_and_puts_it_back_to_pending(
    api: Api, provider: dict[str, Any], app: Flask
) -> None:
    with app.app_context():
        get_provider(provider["id"]).validation_status = ValidationStatus.ERROR
        commit()
    answer = api("POST", f"/providers/{provider['id']}/validate")
    assert (answer.status_code, answer.json["validation_status"]) == (202, "pending")
    assert api("POST", "/providers/999/validate").status_code == 404


def test_a_save_is_answered_as_it_was_saved_though_a_worker_has_begun(
    api: Api, provider: dict[str, Any], app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin_check() -> None:
        with db.engine.begin() as connection:
            connection.execute(
                sa.update(Provider.__table__).values(validation_status=ValidationStatus.VALIDATING)
            )
        read_on()

    monkeypatch.setattr("app.providers.api.read_on", begin_check)
    monkeypatch.setattr("app.health.api.read_on", begin_check)
    path = f"/providers/{provider['id']}"
    for answer in (
        api("POST", "/providers", {"name": "another", "type": "ollama"}),
        api("PATCH", path, {"options": {"a": 1}}),
        api("POST", f"{path}/validate"),
    ):
        assert answer.json["validation_status"] == "pending"
    assert api("GET", path).json["validation_status"] == "validating"


def test_checks_are_newest_first_in_pages(api: Api, provider: dict[str, Any], app: Flask) -> None:
    with app.app_context():
        start = utcnow()
        for number in range(3):
            db.session.add(
                ProviderCheck(
                    provider_id=provider["id"],
                    started_at=start + timedelta(seconds=number),
                    latency_ms=number,
                    status=ValidationStatus.CONNECTED,
                )
            )
        commit()
    path = f"/providers/{provider['id']}/checks"
    body = api("GET", path).json
    assert ([check["latency_ms"] for check in body["checks"]], body["total"]) == ([2, 1, 0], 3)
    page = api("GET", f"{path}?page=2&page_size=2").json
    assert [check["latency_ms"] for check in page["checks"]] == [0]
    assert api("GET", "/providers/999/checks").status_code == 404
    # They go with their provider.
    assert api("DELETE", f"/providers/{provider['id']}").status_code == 200


def test_the_models_of_the_last_good_check(api: Api, provider: dict[str, Any], app: Flask) -> None:
    path = f"/providers/{provider['id']}/models"
    assert api("GET", path).json == {"models": None, "total": 0}
    with app.app_context():
        get_provider(provider["id"]).models = ["b", "a"]
        commit()
    assert api("GET", path).json == {"models": ["b", "a"], "total": 2}


@on_sqlite
def test_a_provider_that_is_not_there(api: Api) -> None:
    for provider_id in ("0", "999", "2147483648", "99999999999999999999", "x"):
        for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
            answer = api(method, f"/providers/{provider_id}", body)
            assert answer.status_code == 404, (method, provider_id)
            assert answer.json["request_id"]


def test_a_deleted_provider_s_id_is_never_given_out_again(api: Api) -> None:
    body = {"name": "short-lived", "type": "openai"}
    first = api("POST", "/providers", body).json["id"]
    api("DELETE", f"/providers/{first}")
    assert api("POST", "/providers", body).json["id"] > first
