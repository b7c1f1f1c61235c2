"""Usage on its way to the server: whole, once, and without holding anybody up."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests
from switchyard_client import SwitchyardClient, _usage

from tests.integration.client.conftest import FAST, ClientFactory
from tests.support.fault_server import Answer, FaultServer, agent, wait_until

REPLY = {
    "id": "chatcmpl-1",
    "model": "gpt-4.1-2025",
    "service_tier": "flex",
    "choices": [{"message": {"content": "secret words"}}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5},
}
AWAY = Answer("/api/usage", 500)


@pytest.fixture
def client(server: FaultServer, make_client: ClientFactory) -> SwitchyardClient:
    fallback = {"llm_provider": "ollama", "llm_model": "small"}
    server.put(agent("trader", fallbacks=[fallback]))
    client = make_client()
    assert client.wait_ready(60)
    return client


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    return tmp_path / "switchyard.snapshot"


def spools(snapshot: Path) -> list[Path]:
    return sorted(snapshot.parent.glob("*.usage-*"))


def wait_for_spool(snapshot: Path) -> Path:
    """The file that somebody has written to, and so holds: until then another may take it over."""
    written = wait_until(lambda: [path for path in spools(snapshot) if path.stat().st_size])
    return written[0]


def events(server: FaultServer, count: int = 1) -> list[dict[str, Any]]:
    wait_until(lambda: len(server.usage) >= count)
    assert len(server.usage) == count
    return list(server.usage.values())


def test_an_answer_is_reported(server: FaultServer, client: SwitchyardClient) -> None:
    for attempt in client.attempts("trader", task="triage"):
        with attempt:
            attempt.record(REPLY)
            attempt.record(REPLY)  # once more by mistake
    [event] = events(server)
    assert UUID(event.pop("event_id"))
    assert abs(datetime.now(UTC) - datetime.fromisoformat(event.pop("started_at"))).seconds < 60
    assert event.pop("latency_ms") >= 0
    assert event == {
        "agent_id": "trader",
        "requested_agent_id": "trader",
        "task": "triage",
        "provider": "openai-eu",
        "model": "gpt-4.1",
        "response_model": "gpt-4.1-2025",
        "input_tokens": 10,
        "output_tokens": 5,
        "status": "ok",
        "attempt": 0,
        "config_version": server.rev,
        "service_tier": "flex",
        "processing": "flex",
    }
    assert "secret words" not in str(server.usage)


def test_langchain_names_the_model_one_level_down(
    server: FaultServer, client: SwitchyardClient
) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    message = {"usage_metadata": usage, "response_metadata": {"model_name": "gpt-4.1-2025"}}
    client.call("trader", lambda attempt: message)
    [event] = events(server)
    assert (event["response_model"], event["input_tokens"]) == ("gpt-4.1-2025", 3)


def test_who_failed_and_who_answered(server: FaultServer, client: SwitchyardClient) -> None:
    for attempt in client.attempts("trader"):
        with attempt:
            if attempt.position == 0:
                raise requests.ConnectTimeout("quotes sk-one")
            attempt.record(REPLY)
    failed, answered = sorted(events(server, 2), key=lambda event: event["attempt"])
    assert (failed["status"], failed["error_class"], failed["model"]) == (
        "error",
        "ConnectTimeout",
        "gpt-4.1",
    )
    assert "input_tokens" not in failed
    assert (answered["status"], answered["provider"], answered["model"]) == (
        "ok",
        "ollama",
        "small",
    )
    assert "sk-one" not in str(server.usage)


def test_a_page_in_place_of_an_answer_leads_to_the_next_step(
    server: FaultServer, client: SwitchyardClient
) -> None:
    for attempt in client.attempts("trader"):
        with attempt:
            attempt.record("<html>" if attempt.position == 0 else REPLY)
    assert attempt.position == 1
    assert {event["error_class"] for event in events(server, 2) if event["attempt"] == 0} == {
        "UnparsableReply"
    }


def test_a_call_records_what_it_returns(server: FaultServer, client: SwitchyardClient) -> None:
    assert client.call("trader", lambda attempt: REPLY) is REPLY
    assert client.call("trader", lambda attempt: "only a text") == "only a text"
    assert [event["input_tokens"] for event in events(server)] == [10]


def chunks() -> Iterator[dict[str, Any]]:
    head = {"id": "c1", "model": "gpt-4.1-2025", "object": "chat.completion.chunk"}
    yield head | {"choices": [{"delta": {"content": "Hi"}}]}
    yield head | {"choices": [], "usage": REPLY["usage"]}


def test_a_streamed_answer(server: FaultServer, client: SwitchyardClient) -> None:
    for attempt in client.attempts("trader"):
        with attempt:
            assert len(list(attempt.streaming(chunks()))) == 2
            attempt.record({"id": "c1", "usage": REPLY["usage"]})  # it has been
    [event] = events(server)
    assert (event["response_model"], event["input_tokens"], event["status"]) == (
        "gpt-4.1-2025",
        10,
        "ok",
    )


def test_a_stream_that_breaks_is_one_error(server: FaultServer, client: SwitchyardClient) -> None:
    def broken() -> Iterator[object]:
        yield from chunks()
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        client.call("trader", lambda attempt: list(attempt.streaming(broken())))
    [event] = events(server)
    assert (event["status"], event["error_class"]) == ("error", "ConnectionResetError")
    assert event["output_tokens"] == 5  # was paid for


def test_a_stream_left_early_counts(server: FaultServer, client: SwitchyardClient) -> None:
    stream = client.call("trader", lambda attempt: attempt.streaming(chunks()))
    next(stream)
    stream.close()
    assert events(server)[0]["status"] == "ok"


def test_reports_by_hand(server: FaultServer, client: SwitchyardClient) -> None:
    began = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    given = client.report_usage(
        "trader", REPLY, attempt=1, output_tokens=7, started_at=began, latency_ms=12, task="t"
    )
    [event] = events(server)
    assert event["event_id"] == given
    assert (event["model"], event["input_tokens"], event["output_tokens"]) == ("small", 10, 7)
    assert (event["started_at"], event["latency_ms"]) == ("2026-01-02T03:04:05+00:00", 12)


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_tokens": -1},
        {"output_tokens": 1.5},
        {"attempt": True},
        {"latency_ms": "1"},
        {"task": b"triage"},
        {"model": object()},
        {"started_at": datetime(2026, 1, 1)},  # noqa: DTZ001  # without a zone, on purpose
    ],
)
def test_what_cannot_be_is_refused_at_once(client: SwitchyardClient, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        client.report_usage("trader", **wrong)
    with pytest.raises(TypeError, match="prompt"):
        client.report_usage("trader", prompt="secret words")  # type: ignore[call-arg]


def test_stand_ins_report_under_default(server: FaultServer, make_client: ClientFactory) -> None:
    server.answers.append(Answer("/api/agents", 500))
    client = make_client()
    client.report_usage("nobody", input_tokens=1)
    [event] = events(server)
    assert (event["agent_id"], event["requested_agent_id"]) == ("default", "nobody")
    assert "config_version" not in event


def test_events_of_a_moment_go_together(server: FaultServer, make_client: ClientFactory) -> None:
    client = make_client(timings=replace(FAST, usage_delay=30))
    for _ in range(1200):
        client.report_usage("trader", input_tokens=1)
    wait_until(lambda: len(server.usage) >= 500)  # a full batch does not wait
    assert client.flush_usage(60)
    assert len(server.usage) == 1200
    assert max(map(len, server.usage_posts)) == 500
    assert len(server.usage_posts) <= 6


def test_it_is_sent_again_under_the_same_ids(server: FaultServer, client: SwitchyardClient) -> None:
    server.answers.append(replace(AWAY, times=2))
    client.report_usage("trader", input_tokens=1)
    events(server)
    assert len(server.usage_posts) == 3
    assert len({tuple(post) for post in server.usage_posts}) == 1


def test_retry_after_is_obeyed(server: FaultServer, client: SwitchyardClient) -> None:
    server.answers.append(Answer("/api/usage", 429, {"Retry-After": "3600"}, times=1))
    client.report_usage("trader", input_tokens=1)
    wait_until(lambda: server.usage_posts)
    started = time.monotonic()
    wait_until(lambda: client._usage._held_until)
    assert not client.flush_usage(60)
    assert time.monotonic() - started < 20
    assert len(server.usage_posts) == 1


def test_one_bad_event_does_not_hold_up_the_others(
    server: FaultServer, make_client: ClientFactory
) -> None:
    client = make_client(timings=replace(FAST, usage_delay=30))
    for _ in range(4):
        client.report_usage("trader", input_tokens=1)
    server.answers.append(Answer("/api/usage", 422, times=3))  # 4 refused, 2 refused, 1 refused
    client.flush_usage(60)
    wait_until(lambda: len(server.usage) == 3)
    assert client.usage_dropped == 1


def test_what_the_server_rejects_is_counted(
    server: FaultServer, client: SwitchyardClient, caplog: pytest.LogCaptureFixture
) -> None:
    body = {"accepted": 0, "rejected": [{"index": 0, "code": "agent", "message": "not yours"}]}
    server.answers.append(Answer("/api/usage", 200, body=json.dumps(body).encode(), times=1))
    client.report_usage("trader", input_tokens=1)
    wait_until(lambda: client.usage_dropped == 1)
    assert "agent: not yours" in caplog.text


def test_the_queue_is_bounded(
    server: FaultServer, client: SwitchyardClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _usage.MAX_EVENTS == 10_000
    monkeypatch.setattr(_usage, "MAX_EVENTS", 3)
    server.answers.append(AWAY)
    for _ in range(5):
        client.report_usage("trader", input_tokens=1)
    assert client.usage_dropped == 2
    server.answers.clear()
    events(server, 3)


def test_close_sends_what_waits(server: FaultServer, make_client: ClientFactory) -> None:
    client = make_client(timings=replace(FAST, usage_delay=30))
    client.report_usage("trader", input_tokens=1)
    client.close()
    assert len(server.usage) == 1


def test_close_is_bounded_when_the_server_hangs(
    server: FaultServer, make_client: ClientFactory
) -> None:
    client = make_client(timings=replace(FAST, request=90, close=0.4))
    assert client.wait_ready(60)
    held = threading.Event()
    take = server.take_usage
    server.take_usage = lambda *args: (held.wait(60), take(*args))[1]  # type: ignore[method-assign]
    client.report_usage("trader", input_tokens=1)
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < 20
    held.set()


def test_without_a_disk_it_waits_in_memory_for_the_next_connect(
    server: FaultServer, client: SwitchyardClient
) -> None:
    server.answers.append(AWAY)
    client.report_usage("trader", input_tokens=1)
    client.close()
    server.answers.clear()
    client.connect()
    events(server)


# On disk


def test_it_is_on_disk_while_the_server_is_away(
    server: FaultServer, make_client: ClientFactory, snapshot: Path
) -> None:
    server.answers.append(AWAY)
    client = make_client(snapshot_path=snapshot)
    client.report_usage("trader", input_tokens=1)
    spool = wait_for_spool(snapshot)
    assert stat.S_IMODE(spool.stat().st_mode) == 0o600
    client.report_usage("trader", input_tokens=2)
    wait_until(lambda: len(spool.read_text().splitlines()) == 2)
    server.answers.clear()
    events(server, 2)
    wait_until(lambda: not spools(snapshot))


def test_the_next_start_takes_it_over(
    server: FaultServer, make_client: ClientFactory, snapshot: Path
) -> None:
    server.answers.append(AWAY)
    client = make_client(snapshot_path=snapshot)
    first = client.report_usage("trader", input_tokens=1)
    client.close()
    [spool] = spools(snapshot)
    with spool.open("a") as file:
        file.write('{"event_id": "half a li')
    server.answers.clear()
    make_client(snapshot_path=snapshot)
    assert [event["event_id"] for event in events(server)] == [first]
    wait_until(lambda: not spools(snapshot))


def test_a_living_process_keeps_its_own(
    server: FaultServer, make_client: ClientFactory, snapshot: Path
) -> None:
    server.answers.append(AWAY)
    make_client(snapshot_path=snapshot).report_usage("trader", input_tokens=1)
    wait_for_spool(snapshot)
    other = make_client(snapshot_path=snapshot)
    other.report_usage("trader", input_tokens=2)
    wait_until(lambda: len(spools(snapshot)) == 2)
    assert {len(post) for post in server.usage_posts} == {1}


PROGRAM = """
import sys
from switchyard_client import SwitchyardClient, Timings
timings = Timings(close=60)  # to the last event, however busy the machine is
client = SwitchyardClient(sys.argv[1], token="t", snapshot_path=sys.argv[2], timings=timings)
client.wait_ready(60)
client.report_usage("trader", input_tokens=1)
{rest}
"""


def run(server: FaultServer, snapshot: Path, rest: str = "") -> int:
    program = PROGRAM.format(rest=rest)
    command = [sys.executable, "-c", program, server.url, str(snapshot)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, env=env, timeout=110, check=False).returncode


def test_it_is_sent_when_the_program_ends(server: FaultServer, snapshot: Path) -> None:
    assert run(server, snapshot) == 0
    assert len(server.usage) == 1
    assert spools(snapshot) == []


def test_a_program_that_ends_without_a_server_leaves_it_on_disk(
    server: FaultServer, make_client: ClientFactory, snapshot: Path
) -> None:
    server.answers.append(AWAY)
    assert run(server, snapshot) == 0
    assert len(spools(snapshot)) == 1
    server.answers.clear()
    make_client(snapshot_path=snapshot)
    events(server)


def test_a_killed_program_has_it_on_disk_already(
    server: FaultServer, make_client: ClientFactory, snapshot: Path
) -> None:
    server.answers.append(AWAY)
    rest = (
        "import os, time\nwhile not client._usage._on_disk: time.sleep(0.005)\n"
        f"os.kill(os.getpid(), {int(signal.SIGKILL)})"
    )
    assert run(server, snapshot, rest) == -signal.SIGKILL
    server.answers.clear()
    make_client(snapshot_path=snapshot)
    events(server)


def test_a_child_sends_its_own_and_none_of_the_parents(
    server: FaultServer, make_client: ClientFactory, snapshot: Path
) -> None:
    server.answers.append(AWAY)
    client = make_client(snapshot_path=snapshot)
    parents = client.report_usage("trader", input_tokens=1)
    wait_for_spool(snapshot)
    child = os.fork()
    if child == 0:
        server.answers.clear()  # of no use: it is the parent's server
        client.report_usage("trader", input_tokens=2)
        client.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert len(spools(snapshot)) == 2
    assert all(parents in post or len(post) == 1 for post in server.usage_posts)
    server.answers.clear()
    make_client(snapshot_path=snapshot)
    events(server, 2)


def test_pool_workers_send_theirs(server: FaultServer, snapshot: Path) -> None:
    rest = (
        "import multiprocessing\n"
        "context = multiprocessing.get_context('fork')\n"
        "child = context.Process(target=client.report_usage, args=('trader',))\n"
        "child.start(); child.join(); assert child.exitcode == 0"
    )
    assert run(server, snapshot, rest) == 0
    assert len(server.usage) == 2
