"""Row A9: an agent's LLM, TTS and STT, and how A2 and A4 write them."""

import pytest

from tests.conftest import Api

TTS = {"provider": "async.ai", "voice_id": "v-1", "model_id": "m-1", "sample_rate": 24000}
STT = {"provider": "whisper.local", "url": "ws://127.0.0.1:9000", "path": "/ws/transcribe"}
LLM = {"provider": "openai", "model": "gpt-4.1", "temperature": 0.1, "completions_path": "/chat"}


@pytest.fixture
def speaker(api: Api) -> Api:
    body = {
        "name": "Speaker",
        "llm_provider_config": {**LLM, "api_key": "sk-llm"},
        "tts_provider_config": {**TTS, "api_key": "sk-tts"},
        "stt_provider_config": STT,
    }
    assert api("POST", "/agents", body).status_code == 201
    return api


def test_what_is_written_reads_back_with_the_keys(speaker: Api) -> None:
    body = speaker("GET", "/agents/speaker/config").json
    assert body["llm_provider_config"] | LLM == body["llm_provider_config"]
    assert body["llm_provider_config"]["api_url"] == "https://api.openai.com/v1"
    assert body["tts_provider_config"] | TTS == body["tts_provider_config"]
    assert body["stt_provider_config"] | STT == body["stt_provider_config"]
    keys = [body[f"{kind}_provider_config"]["api_key"] for kind in ("llm", "tts", "stt")]
    assert keys == ["sk-llm", "sk-tts", None]
    # What was read makes another agent like it; a key that is stored anew has an id of its own.
    assert speaker("POST", "/agents", {"name": "Twin", **body}).status_code == 201
    twin = speaker("GET", "/agents/twin/config").json
    for kind in ("llm", "tts", "stt"):
        ours, theirs = body[f"{kind}_provider_config"], twin[f"{kind}_provider_config"]
        assert theirs == ours | {"api_key_id": theirs["api_key_id"]}


def test_its_etag_stands_for_what_it_says(speaker: Api) -> None:
    first = speaker("GET", "/agents/speaker/config").headers["ETag"]
    again = speaker("GET", "/agents/speaker/config", headers={"If-None-Match": first})
    assert (again.status_code, again.headers["ETag"]) == (304, first)
    speaker("PATCH", "/agents/speaker", {"tts_provider_config": {**TTS, "api_key": "sk-new"}})
    assert speaker("GET", "/agents/speaker/config").headers["ETag"] != first


def test_an_agent_without_speech_gets_the_defaults(speaker: Api) -> None:
    speaker("POST", "/agents/speaker/set-default")
    body = speaker("GET", "/agents/default/config").json
    assert body["llm_provider_config"]["provider"] == "ollama"
    assert body["llm_provider_config"]["completions_path"] == "/api/chat"
    assert body["tts_provider_config"]["voice_id"] == "v-1"


def test_null_removes_speech_and_leaves_the_rest(speaker: Api) -> None:
    speaker("PATCH", "/agents/speaker", {"tts_provider_config": None})
    body = speaker("GET", "/agents/speaker/config").json
    assert body["tts_provider_config"] is None
    assert body["stt_provider_config"]["path"] == "/ws/transcribe"


def test_only_the_sent_settings_change_and_the_key_stays_with_its_origin(speaker: Api) -> None:
    change = {"voice_id": "v-2", "model_id": None}
    speaker("PATCH", "/agents/speaker", {"tts_provider_config": change})
    tts = speaker("GET", "/agents/speaker/config").json["tts_provider_config"]
    assert (tts["voice_id"], tts["model_id"], tts["sample_rate"]) == ("v-2", None, 24000)
    assert tts["api_key"] == "sk-tts"

    moved = {"url": "https://elsewhere.example"}
    speaker("PATCH", "/agents/speaker", {"tts_provider_config": moved})
    tts = speaker("GET", "/agents/speaker/config").json["tts_provider_config"]
    assert (tts["url"], tts["api_key"]) == ("https://elsewhere.example", None)

    speaker("PATCH", "/agents/speaker", {"tts_provider_config": {"provider": "openai"}})
    tts = speaker("GET", "/agents/speaker/config").json["tts_provider_config"]
    assert (tts["provider"], tts["voice_id"]) == ("openai", None)
    assert tts["url"] == "https://api.openai.com/v1"


def test_what_the_adapter_does_not_take_is_named(api: Api) -> None:
    for field, value, named in (
        ("tts_provider_config", {**TTS, "sample_rate": 1}, "tts_provider_config.sample_rate"),
        ("tts_provider_config", {**TTS, "sample_rate": "24k"}, "tts_provider_config.sample_rate"),
        ("tts_provider_config", {**TTS, "colour": "red"}, "tts_provider_config.colour"),
        ("tts_provider_config", {"voice_id": "v"}, "tts_provider_config.provider"),
        ("tts_provider_config", {"provider": "nobody"}, "tts_provider_config.provider"),
        ("stt_provider_config", {**STT, "url": "ftp://x"}, "stt_provider_config.url"),
        ("stt_provider_config", {**STT, "path": "ws"}, "stt_provider_config.path"),
        ("llm_provider_config", {"provider": "openai"}, "llm_provider_config.model"),
        (
            "llm_provider_config",
            {"provider": "nobody", "model": "m"},
            "llm_provider_config.provider",
        ),
    ):
        answer = api("POST", "/agents", {"name": "Bad", field: value})
        assert answer.status_code == 422, value
        assert named in answer.json["errors"]["json"]
        assert api("GET", "/agents/bad").status_code == 404


def test_the_same_thing_in_two_forms_is_refused(api: Api) -> None:
    body = {"name": "Twice", "llm_provider_config": LLM, "llm_model": "gpt-5"}
    answer = api("POST", "/agents", body)
    assert answer.status_code == 422
    assert "llm_provider_config" in answer.json["errors"]["json"]


def test_a_completions_path_on_the_first_step_and_null_to_the_usual_one(api: Api) -> None:
    api("POST", "/agents", {"name": "Bare"})
    api("PATCH", "/agents/bare", {"llm_provider_config": LLM})
    read = api("GET", "/agents/bare/config").json["llm_provider_config"]
    assert read["completions_path"] == "/chat"
    api("PATCH", "/agents/bare", {"llm_provider_config": {"completions_path": None}})
    read = api("GET", "/agents/bare/config").json["llm_provider_config"]
    assert read["completions_path"] == "/chat/completions"
