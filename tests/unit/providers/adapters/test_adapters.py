"""Every adapter against a provider on the loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.crypto import Secret
from app.core.errors import Invalid
from app.core.http import Outbound
from app.providers.adapters import ProbeResult, Target, find_adapter, get_adapter, list_types
from app.providers.models import Capability
from tests.support.loopback_provider import LoopbackProvider

KEY = "sk-canary-77aa"
PAGE = Path(__file__).parents[4] / "docs" / "providers.md"
OPENAI_LIKE = ["openai", "openai_compatible", "vllm", "deepseek", "grok", "groq", "mistral"]


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider(key=KEY) as provider:
        yield provider


def probe(
    provider: LoopbackProvider,
    kind: str,
    base_url: str | None = None,
    key: str | None = KEY,
    capability: Capability = Capability.LLM,
) -> ProbeResult:
    adapter = get_adapter(kind, capability)
    target = Target(base_url or provider.openai_url, Secret(key) if key else None)
    return adapter.probe(target, Outbound([provider.address], deadline=2))


def test_the_types_are_those_of_the_contract() -> None:
    assert list_types() == sorted([*OPENAI_LIKE, "ollama", "anthropic", "google", "openrouter"])
    assert list_types(Capability.TTS) == ["async.ai", "openai"]
    assert list_types(Capability.STT) == ["openai", "whisper.local"]


@pytest.mark.parametrize(
    ("alias", "kind"),
    [("claude", "anthropic"), ("xai", "grok"), ("groq.com", "groq"), (" OpenAI ", "openai")],
)
def test_an_alias_is_the_type(alias: str, kind: str) -> None:
    assert get_adapter(alias).type == kind


def test_an_unknown_type_is_told_the_known_ones() -> None:
    assert find_adapter("gpt") is None
    with pytest.raises(Invalid, match=r"type: Unknown llm provider type. One of: anthropic, "):
        get_adapter("gpt")


def test_every_type_but_openai_compatible_has_a_usual_endpoint() -> None:
    without = [kind for kind in list_types() if get_adapter(kind).default_base_url is None]

    assert without == ["openai_compatible"]


def test_models_on_ones_own_machine_need_no_key() -> None:
    without = [kind for kind in list_types() if not get_adapter(kind).needs_key]

    assert without == ["ollama", "openai_compatible", "vllm"]


@pytest.mark.parametrize("kind", OPENAI_LIKE)
def test_openai_like_types_list_their_models(provider: LoopbackProvider, kind: str) -> None:
    result = probe(provider, kind)

    assert result == ProbeResult(True, 200, ("loop-small", "loop-large"))
    assert provider.requests[0].path == "/v1/models"
    assert provider.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_trailing_slash_makes_no_difference(provider: LoopbackProvider) -> None:
    assert probe(provider, "openai", provider.openai_url + "/").ok


def test_without_a_key_no_key_is_sent(provider: LoopbackProvider) -> None:
    provider.key = None

    assert probe(provider, "openai_compatible", key=None).ok
    assert "authorization" not in provider.requests[0].headers


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_ollama_lists_its_tags(provider: LoopbackProvider, suffix: str) -> None:
    provider.key = None

    result = probe(provider, "ollama", provider.ollama_url + suffix, key=None)

    assert result == ProbeResult(True, 200, ("loop-small", "loop-large"))
    assert provider.requests[0].path == "/api/tags"


def test_anthropic_lists_its_models(provider: LoopbackProvider) -> None:
    result = probe(provider, "anthropic")

    assert result.models == ("loop-small", "loop-large")
    assert provider.requests[0].headers["x-api-key"] == KEY
    assert provider.requests[0].headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in provider.requests[0].headers


def test_google_lists_its_models_with_the_key_in_a_header(provider: LoopbackProvider) -> None:
    result = probe(provider, "google", provider.google_url)

    assert result.models == ("loop-small", "loop-large")
    assert provider.requests[0].headers["x-goog-api-key"] == KEY
    assert KEY not in provider.requests[0].path


def test_openrouter_is_asked_about_the_key(provider: LoopbackProvider) -> None:
    provider.answer_json({"data": {"label": "mine"}})

    assert probe(provider, "openrouter") == ProbeResult(True, 200)
    assert provider.requests[0].path == "/v1/key"


@pytest.mark.parametrize(
    ("kind", "capability"),
    [("async.ai", Capability.TTS), ("whisper.local", Capability.STT)],
)
def test_speech_without_a_list_is_reachable_or_not(
    provider: LoopbackProvider, kind: str, capability: Capability
) -> None:
    assert probe(provider, kind, capability=capability) == ProbeResult(True, 404)
    provider.answer_json({"voices": []})
    assert probe(provider, kind, capability=capability) == ProbeResult(True, 200)
    provider.answer_status(401)
    reason = probe(provider, kind, capability=capability).error
    assert (reason or "").startswith("The key was refused (HTTP 401).")
    provider.answer_status(500)
    assert not probe(provider, kind, capability=capability).ok
    provider.stop()
    assert not probe(provider, kind, capability=capability).ok


@pytest.mark.parametrize("capability", [Capability.TTS, Capability.STT])
def test_openai_speech_lists_models(provider: LoopbackProvider, capability: Capability) -> None:
    assert probe(provider, "openai", capability=capability).ok


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "The key was refused"),
        (403, "The key was refused"),
        (404, "version path"),
        (418, "refused the request"),
        (429, "Too many requests"),
        (500, "itself is failing"),
        (503, "itself is failing"),
    ],
)
def test_a_status_is_told_as_a_reason(provider: LoopbackProvider, status: int, reason: str) -> None:
    provider.answer_status(status)

    result = probe(provider, "openai")

    assert (result.ok, result.http_status, result.models) == (False, status, None)
    assert result.error is not None
    assert reason in result.error
    assert f"HTTP {status}" in result.error


def test_a_wrong_key_and_no_key_are_told_apart(provider: LoopbackProvider) -> None:
    said = "(HTTP 401). It says: wrong key"
    assert probe(provider, "openai", key="wrong-key").error == f"The key was refused {said}"
    assert probe(provider, "openai", key=None).error == f"It wants a key {said}"


@pytest.mark.parametrize(
    "document",
    [{}, [1], "text", None, {"data": None}, {"data": [{"name": "x"}]}, {"data": {"id": "x"}}, 7],
)
def test_json_that_is_no_list_of_models(provider: LoopbackProvider, document: object) -> None:
    provider.answer_json(document)

    result = probe(provider, "openai")

    assert not result.ok
    assert result.error is not None
    assert "not a list of models" in result.error


def test_only_names_that_can_be_stored_are_kept(provider: LoopbackProvider) -> None:
    names = ["good", "", "nul\x00", "half\ud800", "x" * 257, 7, None, "good", "gut-ä"]
    provider.answer_json({"data": [{"id": name} for name in names]})

    assert probe(provider, "openai").models == ("good", "gut-ä")


def test_a_bare_list_is_a_list(provider: LoopbackProvider) -> None:
    provider.answer_json([{"id": "one"}])

    assert probe(provider, "openai_compatible").models == ("one",)


def test_the_documentation_lists_every_type_with_its_endpoint() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    documented = {(kind, alias.strip("`"), url.strip("`")) for _, kind, alias, url, *_ in cells}

    assert documented == {_row(kind, of) for of in Capability for kind in list_types(of)}


def _row(kind: str, capability: Capability) -> tuple[str, str, str]:
    adapter = get_adapter(kind, capability)
    suffix = "" if capability is Capability.LLM else f" ({capability})"
    return (
        f"`{kind}`{suffix}",
        "".join(adapter.aliases),
        adapter.default_base_url or "none: name one",
    )
