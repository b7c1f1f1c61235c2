"""The chain, run with real requests against providers that fail in every way."""

import asyncio
import contextlib
import pickle
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from switchyard_client import (
    AgentHalted,
    AllAttemptsFailed,
    Attempt,
    BudgetBlocked,
    SwitchyardClient,
    _attempts,
)

from tests.integration.client.conftest import FAST, ClientFactory
from tests.support.fault_server import Answer, FaultServer, agent, wait_until

STEP = {"llm_provider": "openai_compatible", "llm_timeout": 60, "llm_api_key": "sk-secret"}


@pytest.fixture
def provider() -> Iterator[FaultServer]:
    """Answers GET /first, /second, /third with 200 unless told otherwise."""
    with FaultServer() as running:
        running.answers += [Answer(f"/{name}", 200) for name in ("first", "second", "third")]
        yield running


def break_step(provider: FaultServer, name: str, status: int, **kwargs: Any) -> None:
    provider.answers.insert(0, Answer(f"/{name}", status, **kwargs))


def chain(provider: FaultServer, *names: str, **changes: Any) -> dict[str, Any]:
    first, *others = [
        STEP | {"llm_model": name, "llm_endpoint": f"{provider.url}/{name}"} for name in names
    ]
    return agent("trader") | first | {"fallbacks": others} | changes


@pytest.fixture
def client(
    server: FaultServer, provider: FaultServer, make_client: ClientFactory
) -> SwitchyardClient:
    server.put(chain(provider, "first", "second", "third"))
    client = make_client()
    assert client.wait_ready(60)
    return client


def ask_with_key_in_text(attempt: Attempt) -> str:
    raise requests.ConnectionError("Invalid header sk-secret")


def ask(attempt: Attempt) -> str:
    """What a caller does: one HTTP request to the step's endpoint."""
    answer = requests.get(str(attempt.endpoint), timeout=attempt.timeout)
    answer.raise_for_status()
    return f"{attempt.model} {answer.json()}"


def test_the_primary_answers(client: SwitchyardClient, provider: FaultServer) -> None:
    seen = []
    for attempt in client.attempts("trader"):
        with attempt:
            seen.append(ask(attempt))
    assert seen == ["first {}"]
    assert [path for path, *_ in provider.requests] == ["/first"]
    assert attempt.config is client.get_agent_config("trader")
    assert (attempt.provider, attempt.position) == ("openai_compatible", 0)
    assert attempt.api_key is not None
    assert attempt.api_key.get_secret_value() == "sk-secret"
    assert "sk-secret" not in repr(attempt)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_fault_of_the_provider_leads_to_the_next_step(
    client: SwitchyardClient, provider: FaultServer, status: int
) -> None:
    break_step(provider, "first", status)
    assert client.call("trader", ask) == "second {}"
    assert [path for path, *_ in provider.requests] == ["/first", "/second"]


def test_an_unparsable_answer_leads_to_the_next_step(
    client: SwitchyardClient, provider: FaultServer
) -> None:
    break_step(provider, "first", 200, body=b"<html>")
    assert client.call("trader", ask) == "second {}"


@pytest.mark.parametrize("status", [400, 422])
def test_a_refused_request_is_refused_everywhere(
    client: SwitchyardClient, provider: FaultServer, status: int
) -> None:
    break_step(provider, "first", status)
    with pytest.raises(requests.HTTPError):
        client.call("trader", ask)
    assert [path for path, *_ in provider.requests] == ["/first"]
    provider.answers.pop(0)
    assert client.call("trader", ask) == "first {}"  # nothing is held against the step


def test_refused_hung_and_untrusted_endpoints(
    server: FaultServer,
    provider: FaultServer,
    make_client: ClientFactory,
    server_tls: ssl.SSLContext,
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as hung,
        socket.socket() as refusing,
        FaultServer(server_tls) as untrusted,
    ):
        refusing.bind(("127.0.0.1", 0))  # taken, but nobody listens
        first, *others = [
            STEP | {"llm_model": "m", "llm_endpoint": endpoint, "llm_timeout": timeout}
            for endpoint, timeout in (
                (f"http://127.0.0.1:{refusing.getsockname()[1]}", 60),
                (untrusted.url, 60),
                (f"http://127.0.0.1:{hung.getsockname()[1]}", 0.1),
            )
        ]
        server.put(agent("trader") | first | {"fallbacks": others})
        client = make_client()
        with pytest.raises(AllAttemptsFailed) as caught:
            client.call("trader", ask)
    assert [failed.reason for failed in caught.value.attempts] == ["connection", "tls", "timeout"]


def test_every_attempt_is_listed_and_no_key_told(
    client: SwitchyardClient, provider: FaultServer
) -> None:
    for name, status in (("first", 500), ("second", 401), ("third", 429)):
        break_step(provider, name, status)
    with pytest.raises(AllAttemptsFailed) as caught:
        client.call("trader", ask)
    error = caught.value
    assert [(a.position, a.model, a.reason, a.status) for a in error.attempts] == [
        (0, "first", "server_error", 500),
        (1, "second", "unauthorized", 401),
        (2, "third", "rate_limited", 429),
    ]
    assert error.__cause__ is error.attempts[-1].error
    assert "second: unauthorized 401" in str(error)
    travelled = pickle.loads(pickle.dumps(error))
    assert [a.reason for a in travelled.attempts] == [a.reason for a in error.attempts]
    assert "sk-secret" not in str(error) + repr(error) + str(pickle.dumps(error))


def test_what_a_provider_quotes_is_not_quoted_again(client: SwitchyardClient) -> None:
    with pytest.raises(AllAttemptsFailed) as caught:
        client.call("trader", ask_with_key_in_text)
    assert "sk-secret" not in f"{caught.value} {caught.value!r} {caught.value.attempts!r}"


def test_a_dead_primary_costs_nothing_the_second_time(
    client: SwitchyardClient, provider: FaultServer
) -> None:
    break_step(provider, "first", 500)
    assert client.call("trader", ask) == "second {}"
    provider.requests.clear()
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.call("trader", ask)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == ["second {}"] * 8
    assert provider.asked("/first") == 0


def test_it_is_tried_again_when_its_time_is_over(
    server: FaultServer, provider: FaultServer, make_client: ClientFactory
) -> None:
    server.put(chain(provider, "first", "second"))
    client = make_client(timings=replace(FAST, cooldown=0.05))
    break_step(provider, "first", 500, times=1)
    assert client.call("trader", ask) == "second {}"
    wait_until(lambda: client.call("trader", ask) == "first {}")


def test_if_all_cool_down_one_is_still_tried(
    client: SwitchyardClient, provider: FaultServer
) -> None:
    for name in ("first", "second", "third"):
        break_step(provider, name, 500, times=1)
    with pytest.raises(AllAttemptsFailed):
        client.call("trader", ask)
    provider.requests.clear()
    assert client.call("trader", ask) == "first {}"
    assert [path for path, *_ in provider.requests] == ["/first"]


def test_what_the_server_found_dead_is_not_called(
    server: FaultServer, provider: FaultServer, make_client: ClientFactory
) -> None:
    server.put(chain(provider, "first", "second", provider_status="error"))
    client = make_client()
    assert client.call("trader", ask) == "second {}"
    assert provider.asked("/first") == 0


def test_a_halted_agent_calls_nobody(
    server: FaultServer, client: SwitchyardClient, provider: FaultServer
) -> None:
    halted = chain(provider, "first", halted=True, halted_reason="runaway spend")
    server.put(halted)
    wait_until(lambda: client.get_agent_config("trader").halted)
    with pytest.raises(AgentHalted, match="runaway spend") as caught:
        client.attempts("trader")
    assert pickle.loads(pickle.dumps(caught.value)).agent_id == "trader"
    with pytest.raises(AgentHalted):
        client.call("trader", ask)
    assert provider.requests == []


def test_the_button_stops_a_chain_between_two_steps(
    server: FaultServer, client: SwitchyardClient, provider: FaultServer
) -> None:
    def press_and_fail(attempt: Attempt) -> None:
        server.put(chain(provider, "first", "second", halted=True))
        wait_until(lambda: client.get_agent_config("trader").halted)
        raise ConnectionError

    with pytest.raises(AgentHalted):
        client.call("trader", press_and_fail)


def test_a_spent_budget_calls_nobody(
    server: FaultServer, client: SwitchyardClient, provider: FaultServer
) -> None:
    server.put(chain(provider, "first", budget_state="blocked"))
    wait_until(lambda: client.get_agent_config("trader").budget_state == "blocked")
    with pytest.raises(BudgetBlocked, match="trader") as caught:
        client.attempts("trader")
    assert pickle.loads(pickle.dumps(caught.value)).agent_id == "trader"


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_a_cancellation_goes_through(client: SwitchyardClient, error: type[BaseException]) -> None:
    tried = []

    def cancelled(attempt: Attempt) -> None:
        tried.append(attempt.position)
        raise error

    for _ in range(2):
        with pytest.raises(error):
            client.call("trader", cancelled)
    assert tried == [0, 0]


def test_the_deadline_is_for_the_whole_chain(
    client: SwitchyardClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeouts, clock = [], [0.0]
    monkeypatch.setattr(_attempts, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def slow(attempt: Attempt) -> None:
        timeouts.append(attempt.timeout)
        clock[0] += 3
        raise TimeoutError

    with pytest.raises(AllAttemptsFailed, match="deadline") as caught:
        client.call("trader", slow, deadline=4)
    assert caught.value.deadline_exceeded
    assert timeouts == [4, 1]
    late = client.attempts("trader", deadline=4)
    clock[0] += 5
    with pytest.raises(AllAttemptsFailed, match="deadline"):
        next(late)
    with pytest.raises(ValueError, match="deadline"):
        client.attempts("trader", deadline=0)
    with pytest.raises(ValueError, match="task"):
        client.attempts("trader", task=7)  # type: ignore[arg-type]


def test_forgetting_the_with_is_told(client: SwitchyardClient) -> None:
    with pytest.raises(RuntimeError, match="with attempt"):
        for _ in client.attempts("trader"):
            pass
    attempt = next(client.attempts("trader"))
    with attempt, pytest.raises(RuntimeError, match="once"):
        attempt.__enter__()


def test_leaving_the_loop_early_is_a_success(client: SwitchyardClient) -> None:
    for attempt in client.attempts("trader"):
        with attempt:
            break
    assert attempt.failed is None


# Streams


def broken_after(*chunks: object) -> Iterator[object]:
    yield from chunks
    raise ConnectionResetError


def test_before_the_first_token_another_step_takes_over(client: SwitchyardClient) -> None:
    got = []
    for attempt in client.attempts("trader"):
        with attempt:
            source = broken_after({"type": "message_start"}) if attempt.position == 0 else ["Hi"]
            got += [chunk for chunk in attempt.streaming(source) if isinstance(chunk, str)]
    assert got == ["Hi"]


def test_after_the_first_token_nobody_starts_again(client: SwitchyardClient) -> None:
    got: list[object] = []

    def collect(attempt: Attempt) -> None:
        for chunk in attempt.streaming(broken_after("Hel", "lo")):
            got.append(chunk)

    with pytest.raises(ConnectionResetError):
        client.call("trader", collect)
    assert got == ["Hel", "lo"]
    assert next(client.attempts("trader")).position == 1  # but the step cools down


def test_a_stream_may_be_read_after_the_block(client: SwitchyardClient) -> None:
    stream = client.call("trader", lambda attempt: attempt.streaming(broken_after("Hel")))
    assert next(stream) == "Hel"
    with pytest.raises(ConnectionResetError):
        next(stream)
    assert next(client.attempts("trader")).position == 1


def test_an_async_stream(client: SwitchyardClient) -> None:
    async def chunks(*texts: str) -> AsyncIterator[str]:
        for text in texts:
            yield text
        raise ConnectionResetError

    async def main() -> list[str]:
        got: list[str] = []
        with contextlib.suppress(ConnectionResetError):
            for attempt in client.attempts("trader"):
                async with attempt:
                    got += [f"from {attempt.position}"]
                    source = chunks(*(["Hel", "lo"] if attempt.position else []))
                    async for text in attempt.streaming(source):
                        got.append(text)
        return got

    assert asyncio.run(main()) == ["from 0", "from 1", "Hel", "lo"]


class BothWays:
    """A stream like LiteLLM's: one class for both kinds of readers."""

    def __iter__(self) -> Iterator[str]:
        yield "sync"

    async def __aiter__(self) -> AsyncIterator[str]:
        yield "async"


def test_a_stream_that_can_be_read_both_ways(client: SwitchyardClient) -> None:
    async def read(attempt: Attempt) -> list[str]:
        return [chunk async for chunk in attempt.streaming(BothWays())]

    read_by_loop: list[str] = []
    for attempt in client.attempts("trader"):
        with attempt:
            read_by_loop += list(attempt.streaming(BothWays()))  # type: ignore[arg-type]
            read_by_loop += asyncio.run(read(attempt))
    assert read_by_loop == ["sync", "async"]
