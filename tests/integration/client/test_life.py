"""Ending, starting over, and forking."""

import contextlib
import io
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from switchyard_client import SwitchyardClient, _worker

from tests.integration.client.conftest import FAST, ClientFactory, client_threads
from tests.support.addresses import swallowing
from tests.support.fault_server import Answer, FaultServer, agent, wait_until


def sockets() -> set[str]:
    """This process' open sockets."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the folder's own descriptor
            found.add(str(link.readlink()))
    return {target for target in found if target.startswith("socket:")}


def test_close_leaves_no_thread_and_no_socket(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    before = sockets()
    client = make_client()
    client.on_config_change(lambda agent_id, config: None)
    client.get_agent_config("nobody")  # is never in memory: a thread has to ask
    stream = server.wait_for_stream()
    server.put(agent("trader", "gpt-5"))
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    wait_until(lambda: len(client_threads()) == 3)
    client.close()
    client.close()
    assert client_threads() == []
    assert stream.ended.wait(60)
    wait_until(lambda: sockets() <= before)
    assert client.status == "CLOSED"
    assert client.get_agent_config("trader").model == "gpt-5"  # from memory
    assert client.get_agent_config("cold").source == "built_in"


def test_close_does_not_wait_for_a_server_that_never_answers(make_client: ClientFactory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:
        url = f"http://127.0.0.1:{hung.getsockname()[1]}"
        client = make_client(url=url, timings=replace(FAST, request=90, connect=90, close=60))
        connection, _ = hung.accept()
        with connection:
            started = time.monotonic()
            client.close()
            assert time.monotonic() - started < 20
        assert client_threads() == []


def test_close_does_not_wait_for_a_connection_that_is_not_made(
    server: FaultServer, make_client: ClientFactory
) -> None:
    with swallowing(server.port) as black_hole:
        client = make_client(url=f"http://{black_hole}:{server.port}")
        time.sleep(0.05)  # nothing to wait for: the client is to be waiting itself
        started = time.monotonic()
        client.close()
        assert time.monotonic() - started < 20
        assert client_threads() == []


def test_close_is_bounded_when_a_name_lookup_hangs(
    monkeypatch: pytest.MonkeyPatch, make_client: ClientFactory
) -> None:
    looking, found = threading.Event(), threading.Event()

    def hanging_lookup(*args: object, **kwargs: object) -> list[object]:
        looking.set()
        found.wait(60)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", hanging_lookup)
    client = make_client(url="http://switchyard.invalid", timings=replace(FAST, close=0.1))
    assert looking.wait(30)
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < 20
    found.set()
    wait_until(lambda: client_threads() == [])


def test_a_closed_client_can_connect_again(server: FaultServer, make_client: ClientFactory) -> None:
    server.put(agent("trader"))
    client = make_client()
    assert client.wait_ready(60)
    client.disconnect()
    server.put(agent("trader", "gpt-5"))
    client.connect()
    client.connect()
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    wait_until(lambda: len(server.live_sockets()) == 1)


def test_a_system_without_threads_gets_stand_ins_until_it_has_some(
    server: FaultServer,
    make_client: ClientFactory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(_worker, "_quiet_until", {})
    server.put(agent("trader"))

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        client = make_client()
        client.on_config_change(lambda agent_id, config: None)
        for _ in range(3):
            assert client.get_agent_config("trader").source == "built_in"
        assert client.status == "INITIALIZING"
        client.report_usage("trader")
    [told] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == "the server is not followed for now: can't start new thread"
    assert client.wait_ready(60)
    assert client.get_agent_config("trader").source == "agent"
    assert client.flush_usage(60)


def test_autoconnect_can_be_left_to_the_caller(
    server: FaultServer, make_client: ClientFactory
) -> None:
    client = make_client(autoconnect=False)
    assert client.status == "INITIALIZING"
    assert client_threads() == []
    client.connect()
    assert client.wait_ready(60)


def test_a_client_that_never_ran_can_be_closed_read_and_started(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    before = sockets()
    client = make_client(autoconnect=False)
    client.close()
    assert client.get_agent_config("trader").source == "built_in"
    assert sockets() <= before
    client.connect()
    assert client.wait_ready(60)
    wait_until(lambda: client.get_agent_config("trader").source == "agent")


def in_child(work: Callable[[], object]) -> object:
    """Run `work` in a forked child; what it returned, by way of JSON."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, json.dumps(work()).encode())
        except BaseException as error:
            os.write(writer, json.dumps(repr(error)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as result:
        answer = result.read()
    os.waitpid(child, 0)
    return json.loads(answer)


def test_a_child_keeps_the_values_and_has_its_own_connection(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    client = make_client(client_id="desk")
    parents = server.wait_for_stream()
    client.get_agent_config("trader")
    asked = server.asked("/api/agents")

    def work() -> object:
        threads = len(client_threads())
        config = client.get_agent_config("trader")
        wait_until(lambda: client.status == "LIVE")
        server_sees = (config.model, config.source, threads)
        client.close()
        return server_sees

    assert in_child(work) == ["gpt-4.1", "agent", 0]
    assert len(server.sockets) == 2
    [hello, *_] = wait_until(server.sockets[1].hellos)
    assert hello["client_id"].startswith("desk:")
    assert server.asked("/api/agents") == asked
    # The parent's stream went through all of it untouched.
    assert not parents.ended.is_set()
    server.put(agent("trader", "gpt-5"))
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    wait_until(lambda: server.live_sockets() == [parents])


def test_a_child_made_while_a_line_is_written_can_write_its_own(
    server: FaultServer,
    make_client: ClientFactory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A stream keeps the lock of whoever was writing when the process forked: for good."""
    began = threading.Event()

    class SlowFile(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, content: Any) -> int:
            began.set()
            time.sleep(0.3)  # so long the line's lock is held
            return len(content)

    handler = logging.StreamHandler(io.TextIOWrapper(io.BufferedWriter(SlowFile())))
    caplog.set_level(logging.INFO, "switchyard_client")
    monkeypatch.setattr(logging.getLogger("switchyard_client"), "handlers", [handler])
    server.put(agent("trader"))
    client = make_client()
    began.wait(60)

    def work() -> object:
        client.get_agent_config("trader")
        return wait_until(lambda: str(client.status) == "LIVE")

    assert in_child(work) is True


def test_a_child_hears_of_changes_itself(server: FaultServer, make_client: ClientFactory) -> None:
    server.put(agent("trader"))
    client = make_client()
    server.wait_for_stream()
    heard: list[str] = []
    client.on_config_change(lambda agent_id, config: heard.append(config.model))
    threading.Thread(
        target=lambda: (
            wait_until(lambda: len(server.sockets) == 2 and server.sockets[1].hellos()),
            server.put(agent("trader", "gpt-5")),
        )
    ).start()

    def work() -> object:
        client.get_agent_config("trader")
        wait_until(lambda: heard)
        return heard

    assert in_child(work) == ["gpt-5"]
    wait_until(lambda: heard == ["gpt-5"])


def test_a_child_that_never_reads_sends_nothing(
    server: FaultServer, make_client: ClientFactory
) -> None:
    client = make_client()
    stream = server.wait_for_stream()
    wait_until(lambda: client.status == "LIVE")
    asked, received = len(server.requests), len(stream.received)
    assert in_child(lambda: len(client_threads())) == 0
    assert client.status == "LIVE"
    assert (len(server.requests), len(stream.received)) == (asked, received)
    assert not stream.ended.is_set()


def test_a_fork_in_the_middle_of_a_request_harms_nobody(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    server.hold_reads = threading.Event()
    server.answers.append(Answer("/api/sync", 500, times=1))
    client = make_client(streaming=False, timings=replace(FAST, backoff_min=60, backoff_max=60))
    reader = threading.Thread(target=client.get_agent_config, args=("trader",))
    reader.start()
    wait_until(lambda: server.asked("/api/agents/trader/llm"))
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    server.hold_reads.set()
    reader.join(60)
    assert client.get_agent_config("trader").source == "agent"


def test_a_closed_client_stays_closed_in_a_child(server: FaultServer) -> None:
    server.put(agent("trader"))
    client = SwitchyardClient(server.url, token="token-1", timings=FAST)
    assert client.wait_ready(60)
    client.close()

    def work() -> object:
        return [client.get_agent_config("trader").model, client.status, client_threads()]

    assert in_child(work) == ["gpt-4.1", "CLOSED", []]


PRELOADED = """
import os, sys, time
from gevent import monkey
if sys.argv[2] == "before":
    monkey.patch_all()
from switchyard_client import SwitchyardClient

client = SwitchyardClient(sys.argv[1], token="token-1")
heard = []
client.on_config_change(lambda agent_id, config: heard.append(config.model))
while client.status != "LIVE":
    time.sleep(0.01)
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
monkey.patch_all()
import gevent
with gevent.Timeout(60):
    assert client.get_agent_config("trader").model == "gpt-4.1"
    while heard != ["gpt-5"]:
        gevent.sleep(0.01)
    gevent.joinall([gevent.spawn(client.report_usage, "trader") for _ in range(3)])
    assert client.flush_usage(60)
    client.close()
os._exit(0)
"""


@pytest.mark.parametrize("patched", ["before", "after"])
def test_gevent_workers_of_a_preloaded_program(server: FaultServer, patched: str) -> None:
    """gevent's threads outlive a fork, and gunicorn patches a worker after it has forked."""
    server.heartbeat_s = 600  # none is sent: whoever misses one would open another stream
    server.put(agent("trader"))
    command = [sys.executable, "-W", "ignore", "-c", PRELOADED, server.url, patched]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as program:
        wait_until(lambda: len(server.sockets) == 2 and server.sockets[1].hellos())
        server.put(agent("trader", "gpt-5"))
        _, said = program.communicate(timeout=120)
    assert program.returncode == 0, said
    assert "starts over" not in said
    assert len(server.usage) == 3
