"""Every adapter, probing and calling, against an endpoint that misbehaves in every way."""

from collections.abc import Callable, Iterator

import pytest

from app.core.crypto import Secret
from app.core.http import Outbound
from app.providers.adapters import Adapter, CallResult, ProbeResult, Target, get_adapter, list_types
from app.providers.models import Capability
from tests.support.certificates import speak_tls
from tests.support.loopback_provider import LoopbackProvider

KEY = "canary-6c1e-0123456789-abcdefgh"
PATIENCE = 0.1  # seconds: for what never answers
OUTCOMES = ("probe", "call")

ADAPTERS = [
    get_adapter(kind, capability) for capability in Capability for kind in list_types(capability)
]
# One of each way to ask; the others are the same code.
DISTINCT = list({type(adapter): adapter for adapter in ADAPTERS}.values())

every_adapter = pytest.mark.parametrize(
    "adapter", ADAPTERS, ids=lambda a: f"{a.capability}-{a.type}"
)
each_way = pytest.mark.parametrize("adapter", DISTINCT, ids=lambda a: f"{a.capability}-{a.type}")
both = pytest.mark.parametrize("verb", OUTCOMES)


@pytest.fixture(scope="module")
def running() -> Iterator[LoopbackProvider]:
    with LoopbackProvider(key=KEY) as provider:
        yield provider


@pytest.fixture
def provider(running: LoopbackProvider) -> LoopbackProvider:
    """One endpoint for all, in good health again for each."""
    running.answer_ok()
    running.requests.clear()
    return running


def ask(
    adapter: Adapter,
    verb: str,
    provider: LoopbackProvider,
    deadline: float = 10,
    scheme: str = "http",
) -> ProbeResult | CallResult:
    """A probe or a call, as an admin's provider of this type would have it."""
    target = Target(
        f"{scheme}://{provider.address}{_base_path(adapter)}", Secret(KEY), {"path": "/ws"}
    )
    http = Outbound([provider.address], deadline)
    if verb == "probe":
        return adapter.probe(target, http)
    return adapter.call(target, "loop-small", {"temperature": 0.5, "max_tokens": 4000}, http)


def _base_path(adapter: Adapter) -> str:
    return {"google": "/v1beta", "ollama": "", "async.ai": "", "whisper.local": ""}.get(
        adapter.type, "/v1"
    )


def failed(result: ProbeResult | CallResult) -> str:
    """The reason, once it is clear that there is one, with no piece of the key in it."""
    assert not result.ok
    assert result.error
    assert KEY[:8] not in repr(result)
    return result.error


@every_adapter
@both
def test_good(adapter: Adapter, verb: str, provider: LoopbackProvider) -> None:
    if adapter.type == "openrouter" and verb == "probe":
        provider.answer_json({"data": {"label": "mine"}})

    result = ask(adapter, verb, provider)

    assert (result.ok, result.error) == (True, None)
    assert len(provider.requests) == 1, "one request, no retry"
    assert KEY not in provider.requests[0].path


@every_adapter
@both
@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_status(adapter: Adapter, verb: str, status: int, provider: LoopbackProvider) -> None:
    provider.answer_json({"error": {"message": f"not with {KEY}"}}, status)

    result = ask(adapter, verb, provider)

    assert f"HTTP {status}" in failed(result)
    assert result.http_status == status
    assert len(provider.requests) == 1, "one request, no retry"
    if (adapter.type, verb) != ("whisper.local", "probe"):
        assert "It says: not with **********" in failed(result)


@every_adapter
def test_an_unknown_model(adapter: Adapter, provider: LoopbackProvider) -> None:
    provider.answer_json({"error": {"message": "model 'loop-small' not found"}}, 404)

    reason = failed(ask(adapter, "call", provider))

    assert reason == (
        "The model or the path is not known there (HTTP 404). It says: model 'loop-small' not found"
    )


@each_way
@both
@pytest.mark.parametrize("how", ["silence", "drip", "dripping headers"])
def test_an_answer_that_never_ends(
    adapter: Adapter, verb: str, how: str, provider: LoopbackProvider
) -> None:
    ways: dict[str, Callable[[], None]] = {
        "silence": provider.hold,
        "drip": provider.drip,
        "dripping headers": lambda: provider.drip(headers=True),
    }
    ways[how]()

    assert (
        failed(ask(adapter, verb, provider, PATIENCE))
        == f"No complete answer within {PATIENCE:g} s."
    )


@each_way
def test_a_slow_answer_is_a_good_one_and_its_latency_is_told(
    adapter: Adapter, provider: LoopbackProvider
) -> None:
    provider.answer_slowly(0.05)

    result = ask(adapter, "call", provider)

    assert isinstance(result, CallResult)
    assert result.ok
    assert result.latency_ms is not None
    assert result.latency_ms >= 50


@each_way
@both
def test_a_redirect(adapter: Adapter, verb: str, provider: LoopbackProvider) -> None:
    provider.redirect_to(f"http://{provider.address}/elsewhere", 307)

    assert "redirects are not followed" in failed(ask(adapter, verb, provider))
    assert len(provider.requests) == 1


@each_way
@both
def test_a_connection_that_is_closed(
    adapter: Adapter, verb: str, provider: LoopbackProvider
) -> None:
    provider.hang_up()

    assert "broke off" in failed(ask(adapter, verb, provider))


@each_way
@both
def test_nobody_there(adapter: Adapter, verb: str) -> None:
    with LoopbackProvider() as gone:
        pass

    assert "refused the connection" in failed(ask(adapter, verb, gone))


@each_way
@both
def test_a_page_instead(adapter: Adapter, verb: str, provider: LoopbackProvider) -> None:
    provider.answer_html()

    result = ask(adapter, verb, provider)

    if adapter.type == "whisper.local":
        assert "opens no WebSocket" in failed(result)
    else:
        assert failed(result) == "The answer is not JSON."


@each_way
@both
def test_a_huge_answer(adapter: Adapter, verb: str, provider: LoopbackProvider) -> None:
    provider.answer_huge()

    assert failed(ask(adapter, verb, provider)) == "The answer is larger than 64 KiB."


@each_way
@both
def test_a_certificate_that_nobody_vouches_for(
    adapter: Adapter, verb: str, tls: LoopbackProvider
) -> None:
    assert "certificate is not accepted" in failed(ask(adapter, verb, tls, scheme="https"))
    assert tls.requests == []


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackProvider]:
    with LoopbackProvider(key=KEY) as provider:
        speak_tls(provider, tmp_path_factory.mktemp("tls"))
        yield provider
