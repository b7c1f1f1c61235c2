"""The same client on asyncio: nothing blocks the loop, nothing outlives it."""

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from switchyard_client import (
    AgentConfig,
    AgentHalted,
    AllAttemptsFailed,
    AsyncSwitchyardClient,
    Attempt,
    SwitchyardClient,
)

from tests.integration.client.conftest import FAST, client_threads
from tests.support.fault_server import Answer, FaultServer, agent, wait_until

FALLBACK = {"llm_provider": "ollama", "llm_model": "small"}


def run(
    server: FaultServer,
    main: Callable[[AsyncSwitchyardClient], Coroutine[Any, Any, Any]],
    **more: Any,
) -> Any:
    """`main` with a client of the server; no thread of it may be left."""

    async def whole() -> Any:
        options = {"token": "token-1", "timings": FAST} | more
        async with AsyncSwitchyardClient(server.url, **options) as client:
            return await asyncio.wait_for(main(client), 60)

    result = asyncio.run(whole())
    wait_until(lambda: not client_threads())
    return result


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def test_it_has_the_same_names_and_arguments() -> None:
    def public(kind: type) -> dict[str, list[str]]:
        names = [name for name in dir(kind) if not name.startswith("_")]
        members = {name: getattr(kind, name) for name in names}
        return {
            name: [] if isinstance(member, property) else list(inspect.signature(member).parameters)
            for name, member in members.items()
        }

    more = {"sync": [], "over": ["client"]}
    assert public(AsyncSwitchyardClient) == public(SwitchyardClient) | more
    assert inspect.signature(AsyncSwitchyardClient) == inspect.signature(SwitchyardClient)
    assert all(vars(AsyncSwitchyardClient)[n].__doc__ for n in public(AsyncSwitchyardClient))


def test_a_hit_and_a_first_read(server: FaultServer) -> None:
    server.put(agent("trader"), agent("default", "small", is_default=True))

    async def main(client: AsyncSwitchyardClient) -> None:
        assert await client.wait_ready(60)
        assert client.is_connected
        assert client.applied_rev == server.rev
        assert (await client.get_agent_config("trader")).model == "gpt-4.1"
        assert (await client.get_agent_config("other")).source == "default"
        assert repr(client).startswith("<AsyncSwitchyardClient http")
        with pytest.raises(ValueError, match="agent id"):
            await client.get_agent_config("")

    run(server, main)


def test_many_tasks_on_a_cold_key_are_one_request_and_hold_nobody_up(server: FaultServer) -> None:
    server.put(agent("trader"))
    server.answers.append(Answer("/api/sync", 500))
    server.hold_reads = threading.Event()

    async def main(client: AsyncSwitchyardClient) -> None:
        reads = [asyncio.create_task(client.get_agent_config("trader")) for _ in range(32)]
        await until(lambda: server.asked("/api/agents/trader/llm"))
        assert server.hold_reads is not None
        server.hold_reads.set()  # the loop was free to get here
        assert {config.source for config in await asyncio.gather(*reads)} == {"agent"}
        assert server.asked("/api/agents/trader/llm") == 1

    run(server, main, streaming=False)


def test_a_first_read_is_bounded(server: FaultServer) -> None:
    server.answers.append(Answer("/api/sync", 500))
    server.hold_reads = threading.Event()

    async def main(client: AsyncSwitchyardClient) -> None:
        assert (await client.get_agent_config("trader")).source == "built_in"

    started = time.monotonic()
    run(server, main, streaming=False, timings=replace(FAST, first_read=0.05, request=60))
    assert time.monotonic() - started < 20


def test_the_disk_is_read_beside_the_loop(server: FaultServer, tmp_path: Path) -> None:
    server.put(agent("trader"))
    path = tmp_path / "snapshot"

    async def ready(client: AsyncSwitchyardClient) -> None:
        assert await client.wait_ready(60)

    run(server, ready, snapshot_path=path)
    server.stop()

    async def main(client: AsyncSwitchyardClient) -> None:
        assert (await client.get_agent_config("trader")).source == "snapshot"

    run(server, main, snapshot_path=path)


def test_listeners_run_on_the_loop_in_order(server: FaultServer) -> None:
    server.put(agent("trader"))

    async def main(client: AsyncSwitchyardClient) -> None:
        assert await client.wait_ready(60)
        await asyncio.to_thread(server.wait_for_stream)
        plain: list[str] = []
        awaited: list[str] = []
        loop = asyncio.get_running_loop()

        def listen(agent_id: str, config: AgentConfig) -> None:
            assert asyncio.get_running_loop() is loop
            plain.append(config.model)

        async def listen_slowly(agent_id: str, config: AgentConfig) -> None:
            if config.model == "one":
                await asyncio.sleep(0.02)
            awaited.append(config.model)
            raise RuntimeError("must not end the later news")

        stop = client.on_config_change(listen)
        client.on_config_change(listen_slowly)
        for model in ("one", "two", "three"):
            server.put(agent("trader", model))
        await until(lambda: len(awaited) == 3)
        assert plain == awaited == ["one", "two", "three"]
        stop()
        await asyncio.sleep(0)
        server.put(agent("trader", "four"))
        await until(lambda: len(awaited) == 4)
        assert len(plain) == 3

    run(server, main)


def test_a_loop_that_is_gone_is_told_nothing(server: FaultServer) -> None:
    server.put(agent("trader"))
    client = AsyncSwitchyardClient(server.url, token="token-1", timings=FAST)
    with pytest.raises(RuntimeError, match="event loop"):
        client.on_config_change(lambda agent_id, config: None)

    async def subscribe() -> None:
        client.on_config_change(lambda agent_id, config: None)

    asyncio.run(subscribe())
    assert client.sync._callbacks == ()
    asyncio.run(client.close())
    assert client.status == "CLOSED"


def test_the_chain(server: FaultServer) -> None:
    server.put(agent("trader", fallbacks=[FALLBACK]))

    async def main(client: AsyncSwitchyardClient) -> None:
        seen = []
        async for attempt in client.attempts("trader", task="t"):
            async with attempt:
                seen.append(attempt.model)
                if attempt.position == 0:
                    raise ConnectionRefusedError
                attempt.record({"usage": {"prompt_tokens": 1, "completion_tokens": 2}})
        assert seen == ["gpt-4.1", "small"]
        assert await client.flush_usage(60)
        assert {event["status"] for event in server.usage.values()} == {"ok", "error"}
        assert client.usage_dropped == 0

        async def ask(attempt: Attempt) -> str:
            return attempt.model

        assert await client.call("trader", ask) == "small"  # the primary cools down
        assert client.sync.call("trader", lambda attempt: attempt.model) == "small"  # there too

    run(server, main)


def test_its_ends(server: FaultServer) -> None:
    server.put(agent("trader"), agent("halted", halted=True, halted_reason="stop"))

    async def broken(attempt: Attempt) -> None:
        raise TimeoutError

    async def main(client: AsyncSwitchyardClient) -> None:
        with pytest.raises(AllAttemptsFailed):
            await client.call("trader", broken)
        with pytest.raises(AgentHalted, match="stop"):
            await client.call("halted", broken)
        with pytest.raises(ValueError, match="deadline"):
            client.attempts("trader", deadline=-1)

    run(server, main)


def test_a_cancelled_task_goes_no_further(server: FaultServer) -> None:
    server.put(agent("trader", fallbacks=[FALLBACK]))

    async def main(client: AsyncSwitchyardClient) -> None:
        tried: list[int] = []

        async def slow(attempt: Attempt) -> None:
            tried.append(attempt.position)
            await asyncio.sleep(60)

        task = asyncio.create_task(client.call("trader", slow))
        await until(lambda: tried)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert tried == [0]

    run(server, main)


def test_reports_by_hand(server: FaultServer) -> None:
    async def main(client: AsyncSwitchyardClient) -> None:
        event_id = await client.report_usage("trader", input_tokens=1)
        await client.close()
        assert list(server.usage) == [event_id]
        await client.connect()
        assert await client.wait_ready(60)

    run(server, main)


def test_a_wait_without_a_limit_does_not_hang_the_program(server: FaultServer) -> None:
    server.stop()

    async def main() -> None:
        client = AsyncSwitchyardClient(server.url, token="token-1", timings=FAST)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.wait_ready(None), 0.05)
        await client.close()

    started = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - started < 20
