"""One minimal call of each type: what is sent, and what is read from answers as they really are."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.core.crypto import MASK, Secret
from app.core.http import Outbound
from app.providers.adapters import CallResult, CallUsage, Target, get_adapter, list_types
from app.providers.adapters.calls import clean, find_words, mask
from app.providers.models import Capability
from tests.support.loopback_provider import LoopbackProvider
from tests.support.recorded import RECORDED

KEY = "canary-77aa-0123456789-abcdefgh"
STEP = {"temperature": 0.2, "top_p": 0.9, "max_tokens": 128_000}


@pytest.fixture(scope="module")
def running() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as provider:
        yield provider


@pytest.fixture
def provider(running: LoopbackProvider) -> LoopbackProvider:
    running.answer_ok()
    running.requests.clear()
    return running


def call(
    provider: LoopbackProvider,
    kind: str,
    parameters: dict[str, Any] | None = None,
    *,
    path: str | None = None,
    model: str = "model-1",
    capability: Capability = Capability.LLM,
) -> CallResult:
    usual = "" if kind == "ollama" else "/v1"
    base_url = f"http://{provider.address}{usual if path is None else path}"
    target = Target(base_url, Secret(KEY))
    http = Outbound([provider.address], deadline=10)
    return get_adapter(kind, capability).call(target, model, parameters or {}, http)


def sent(provider: LoopbackProvider) -> Any:
    assert len(provider.requests) == 1
    return json.loads(provider.requests[0].body)


def test_every_llm_type_is_recorded() -> None:
    assert sorted(RECORDED) == list_types()


@pytest.mark.parametrize("kind", RECORDED)
def test_an_answer_as_it_really_is(provider: LoopbackProvider, kind: str) -> None:
    provider.answer_json(RECORDED[kind].completion)

    result = call(provider, kind)

    assert (result.ok, result.http_status, result.error) == (True, 200, None)
    assert result.answered_model == "model-1-2026-01-01"
    assert result.text == "OK"
    assert result.usage == CallUsage(13, 2)
    assert result.latency_ms is not None


@pytest.mark.parametrize("kind", RECORDED)
def test_an_error_as_it_really_is(provider: LoopbackProvider, kind: str) -> None:
    provider.answer_json(RECORDED[kind].error(f"Bad key {KEY}: see our site."), 401)

    result = call(provider, kind)

    assert (result.ok, result.http_status) == (False, 401)
    assert result.error == f"The key was refused (HTTP 401). It says: Bad key {MASK}: see our site."


@pytest.mark.parametrize("kind", sorted(set(RECORDED) - {"ollama", "google", "anthropic"}))
def test_openais_wire(provider: LoopbackProvider, kind: str) -> None:
    assert call(provider, kind, STEP).ok

    assert provider.requests[0].path == "/v1/chat/completions"
    assert provider.requests[0].headers["authorization"] == f"Bearer {KEY}"
    body = sent(provider)
    assert (body["model"], body["temperature"], body["top_p"]) == ("model-1", 0.2, 0.9)
    assert body["max_tokens"] == 16
    assert [message["role"] for message in body["messages"]] == ["user"]


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5-nano", "openai/o3"])
def test_reasoning_models_know_the_limit_by_another_name(
    provider: LoopbackProvider, model: str
) -> None:
    call(provider, "openai", model=model)

    assert sent(provider)["max_completion_tokens"] == 16
    assert "max_tokens" not in sent(provider)


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-4o", "ollama-7b", "openai/gpt-oss-20b"])
def test_other_models_know_the_usual_limit(provider: LoopbackProvider, model: str) -> None:
    call(provider, "openai", model=model)

    assert "max_completion_tokens" not in sent(provider)


def test_a_reasoning_model_that_ran_out_has_answered(provider: LoopbackProvider) -> None:
    words = "Could not finish the message because max_tokens or model output limit was reached."
    provider.answer_json({"error": {"message": words}}, 400)

    result = call(provider, "openai", model="o3")

    assert (result.ok, result.http_status, result.error) == (True, 400, None)


def test_a_steps_own_limit_holds_where_it_is_lower(provider: LoopbackProvider) -> None:
    call(provider, "openai", {"max_tokens": 5})

    assert sent(provider)["max_tokens"] == 5


def test_what_is_not_set_is_not_sent(provider: LoopbackProvider) -> None:
    call(provider, "openai", {"temperature": None, "top_p": None, "max_tokens": None})

    assert set(sent(provider)) == {"model", "messages", "max_tokens"}


def test_a_step_may_name_its_path(provider: LoopbackProvider) -> None:
    call(provider, "openai", {"completions_path": "/another/chat"})

    assert provider.requests[0].path == "/v1/another/chat"


@pytest.mark.parametrize("path", [7, "", "chat", {"a": 1}, "//"])
def test_a_path_that_is_none_changes_no_host(provider: LoopbackProvider, path: Any) -> None:
    call(provider, "openai", {"completions_path": path})

    assert [request.path for request in provider.requests] in (
        ["/v1/chat/completions"],
        ["/v1//"],
    )


def test_anthropics_wire(provider: LoopbackProvider) -> None:
    result = call(provider, "anthropic", STEP)

    assert (result.ok, result.answered_model, result.text) == (True, "model-1", "pong")
    assert provider.requests[0].path == "/v1/messages"
    assert provider.requests[0].headers["x-api-key"] == KEY
    assert provider.requests[0].headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in provider.requests[0].headers
    body = sent(provider)
    assert (body["max_tokens"], body["temperature"], body["top_p"]) == (16, 0.2, 0.9)


def test_googles_wire(provider: LoopbackProvider) -> None:
    result = call(provider, "google", STEP, path="/v1beta", model="models/gemini-1")

    assert (result.ok, result.text, result.usage) == (True, "pong", CallUsage(5, 1))
    assert provider.requests[0].path == "/v1beta/models/gemini-1:generateContent"
    assert provider.requests[0].headers["x-goog-api-key"] == KEY
    wanted = {"maxOutputTokens": 16, "temperature": 0.2, "topP": 0.9}
    assert sent(provider)["generationConfig"] == wanted


def test_google_speaks_openais_wire_too(provider: LoopbackProvider) -> None:
    call(provider, "google", path="/v1beta/openai")

    assert provider.requests[0].path == "/v1beta/openai/chat/completions"
    assert provider.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_model_of_googles_leads_nowhere_else(provider: LoopbackProvider) -> None:
    call(provider, "google", path="/v1beta", model="../../v1/x?key=#")

    path = "/v1beta/models/..%2F..%2Fv1%2Fx%3Fkey%3D%23:generateContent"
    assert provider.requests[0].path == path


def test_a_thinking_model_without_text_has_answered(provider: LoopbackProvider) -> None:
    candidate = {"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}
    provider.answer_json({"candidates": [candidate], "usageMetadata": {"promptTokenCount": 4}})

    result = call(provider, "google")

    assert (result.ok, result.text, result.usage) == (True, "", CallUsage(4, None))


@pytest.mark.parametrize("base", ["", "/"])
def test_ollamas_wire(provider: LoopbackProvider, base: str) -> None:
    result = call(provider, "ollama", STEP, path=base)

    assert (result.ok, result.text, result.usage) == (True, "pong", CallUsage(5, 1))
    assert provider.requests[0].path == "/api/chat"
    body = sent(provider)
    assert body["stream"] is False
    assert body["options"] == {"num_predict": 16, "temperature": 0.2, "top_p": 0.9}


def test_ollama_speaks_openais_wire_too(provider: LoopbackProvider) -> None:
    call(provider, "ollama", path="/v1")
    assert provider.requests[0].path == "/v1/chat/completions"
    provider.requests.clear()
    call(provider, "ollama", {"completions_path": "/v1/chat/completions"}, path="")
    assert provider.requests[0].path == "/v1/chat/completions"


def test_speech_is_heard_and_forgotten(provider: LoopbackProvider) -> None:
    settings = {"voice_id": "ada", "sample_rate": 16_000, "output_format": "mp3"}

    openai = call(provider, "openai", settings, capability=Capability.TTS)
    assert (openai.ok, openai.text) == (True, None)
    assert provider.requests[0].path == "/v1/audio/speech"
    assert sent(provider) == {
        "model": "model-1",
        "input": "OK",
        "voice": "ada",
        "response_format": "mp3",
    }
    provider.requests.clear()
    assert call(provider, "async.ai", settings, path="", capability=Capability.TTS).ok
    assert provider.requests[0].path == "/text_to_speech"
    assert provider.requests[0].headers["x-api-key"] == KEY
    assert sent(provider)["voice"] == {"mode": "id", "id": "ada"}
    assert sent(provider)["output_format"]["sample_rate"] == 16_000


def test_sound_may_be_longer_than_what_is_read(provider: LoopbackProvider) -> None:
    provider.answer_with(bytes(200_000), {"Content-Type": "audio/mpeg"})

    assert call(provider, "openai", capability=Capability.TTS).ok


def test_a_transcription_listens_to_silence(provider: LoopbackProvider) -> None:
    result = call(provider, "openai", {"language": "en"}, capability=Capability.STT)

    assert (result.ok, result.text) == (True, "pong")
    request = provider.requests[0]
    assert request.path == "/v1/audio/transcriptions"
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b"RIFF" in request.body
    assert b"model-1" in request.body


def test_whisper_opens_its_websocket(provider: LoopbackProvider) -> None:
    result = call(provider, "whisper.local", {"path": "/ws"}, path="", capability=Capability.STT)

    assert (result.ok, result.http_status) == (True, 101)
    assert provider.requests[0].headers["upgrade"] == "websocket"


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        [1],
        None,
        "text",
        {"choices": []},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": {"a": 1}},
        {"choices": [{"message": {}}], "usage": [1]},
        {"candidates": []},
        {"message": 7},
        {"content": [7]},
        {"content": "text"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["openai", "anthropic", "google", "ollama"])
def test_json_that_is_no_completion(
    provider: LoopbackProvider, kind: str, document: object
) -> None:
    provider.answer_json(document)

    result = call(provider, kind)

    assert not result.ok
    assert result.error is not None
    assert result.error.startswith("The answer is not what was asked for: is the base URL right?")


def test_an_error_that_calls_itself_200(provider: LoopbackProvider) -> None:
    provider.answer_json({"error": {"message": "upstream is busy", "code": 502}})

    result = call(provider, "openrouter")

    assert not result.ok
    assert result.error == "It answered with an error (HTTP 200). It says: upstream is busy"


@pytest.mark.parametrize("tokens", ["5", -1, 1.5, True, None, 2**40, [5]])
def test_tokens_that_are_no_number_are_not_known(
    provider: LoopbackProvider, tokens: object
) -> None:
    message = {"role": "assistant", "content": ["no", "text"]}
    usage = {"prompt_tokens": tokens, "completion_tokens": 1}
    provider.answer_json({"choices": [{"message": message}], "model": 7, "usage": usage})

    result = call(provider, "openai")

    assert result.ok
    assert (result.answered_model, result.text) == (None, None)
    assert result.usage == CallUsage(None, 1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"key {KEY}.", f"key {MASK}."),
        (f"key {KEY[:12]}...", f"key {MASK}..."),
        (f"...{KEY[-9:]} is wrong", f"...{MASK} is wrong"),
        (f"{KEY}{KEY}", MASK),
        (f"{KEY} and {KEY}", f"{MASK} and {MASK}"),
        (KEY[:7], KEY[:7]),
        ("nothing of it", "nothing of it"),
        ("", ""),
    ],
)
def test_pieces_of_a_key_are_masked(text: str, shown: str) -> None:
    assert mask(text, Secret(KEY)) == shown
    assert mask(text, None) == text


def test_what_is_kept_can_be_shown_and_stored() -> None:
    assert clean("a\x00b\ud800c\u200bd\n e\x1b[31m", None, 50) == "a b c d e [31m"
    assert clean("x" * 51, None, 50) == "x" * 49 + "…"
    assert clean("y" * 45 + KEY, Secret(KEY), 50) == "y" * 45 + "****…"
    assert clean("use sk-0123456789abcdef", None, 50) == f"use sk-{MASK}"
    assert clean(7, None, 50) is None


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"error": "words"}, "words"),
        ({"error": {"message": "words"}}, "words"),
        ([{"error": {"message": "words"}}], "words"),
        ({"message": "words"}, "words"),
        ({"detail": [{"loc": ["body"], "msg": "words"}]}, "words"),
        ({"error": None, "detail": "words"}, "words"),
        ({"error": {"code": 7}}, None),
        ({}, None),
        ([], None),
        (None, None),
        (7, None),
    ],
    ids=str,
)
def test_the_words_in_an_error(document: object, words: str | None) -> None:
    assert find_words(document) == words


def test_words_at_the_bottom_of_a_well_are_left_there() -> None:
    document: Any = "words"
    for _ in range(900):
        document = {"error": document}

    assert find_words(document) is None


def test_a_huge_list_of_models_connects_and_says_that_it_was_not_read(
    provider: LoopbackProvider,
) -> None:
    provider.models, before = [f"vendor/model-{number}" for number in range(5000)], provider.models
    for kind, path in (("openai_compatible", "/v1"), ("ollama", ""), ("google", "/v1beta")):
        target = Target(f"http://{provider.address}{path}", Secret(KEY))
        result = get_adapter(kind).probe(target, Outbound([provider.address], deadline=10))
        assert (result.ok, result.http_status, result.models) == (True, 200, None)
        assert (
            result.note == "Its list of models is longer than 64 KiB and was not read, so no "
            "name is checked."
        )
    provider.models = before
