"""What goes wrong between client and server, and what the client makes of it."""

import contextlib
import gzip
import socket
import threading
import time
from dataclasses import replace

import pytest
from switchyard_client import SwitchyardClient
from switchyard_client._errors import Unreachable
from switchyard_client._stream import Dialing, Stream
from switchyard_client._transport import HttpTransport

from tests.integration.client.conftest import FAST, HASTY, ClientFactory, Heard
from tests.support.addresses import resolve, swallowing
from tests.support.fault_server import Answer, FaultServer, agent, wait_until


def test_without_a_stream_changes_come_by_polls(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.stream = "404"
    server.put(agent("trader"))
    client = make_client()
    wait_until(lambda: client.status == "POLLING")
    server.put(agent("trader", "gpt-5"), push=False)
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    assert client.is_connected


def test_polls_stop_when_the_stream_is_back(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.stream = "404"
    server.put(agent("trader"))
    client = make_client()
    wait_until(lambda: server.asked("/api/sync") >= 3)
    server.stream = "normal"
    wait_until(lambda: client.status == "LIVE")
    polls = server.asked("/api/sync")
    server.put(agent("trader", "gpt-5"))
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    time.sleep(3 * FAST.poll)  # nothing to wait for: the point is that nothing comes
    assert server.asked("/api/sync") == polls


def test_polling_only_opens_no_stream_and_uses_etags(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    client = make_client(streaming=False)
    wait_until(lambda: server.asked("/api/sync") >= 3)
    assert server.asked("/api/ws") == 0
    syncs = [headers for path, _, headers in server.requests if path == "/api/sync"]
    assert "If-None-Match" not in syncs[0]
    assert all(headers["If-None-Match"] for headers in syncs[1:])
    server.put(agent("trader", "gpt-5"))
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    assert client.status == "POLLING"


def test_a_server_that_greets_and_hangs_up_is_not_stormed(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.stream = "welcome-eof"
    # Ten times faster than in production: 10 s become 1 s.
    times = replace(FAST, backoff_min=0.1, backoff_max=6.0, welcome=0.5, poll=3.0)
    began = time.monotonic()
    make_client(timings=times)
    wait_until(lambda: server.asked("/api/ws") >= 2)
    time.sleep(1.0)
    assert server.asked("/api/ws") <= 11 * (time.monotonic() - began)


def test_silence_on_a_half_open_stream_leads_to_a_poll(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.heartbeat_s = 0.1
    server.put(agent("trader"))
    client = make_client(timings=replace(FAST, backoff_min=60, backoff_max=60))
    [stream] = wait_until(lambda: server.sockets)
    wait_until(stream.hellos)
    server.put(agent("trader", "gpt-5"), push=False)
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    wait_until(lambda: client.status == "POLLING")
    assert stream.ended.wait(60)


def test_the_status_does_not_wait_for_a_poll_that_hangs(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    client = make_client()
    stream = server.wait_for_stream()
    wait_until(lambda: client.status == "LIVE")
    server.hold_syncs = threading.Event()
    stream.close(1013, "try later")
    wait_until(lambda: client.status == "POLLING")


def test_no_welcome_leads_to_a_poll(server: FaultServer, make_client: ClientFactory) -> None:
    server.stream = "silent"
    server.put(agent("trader"))
    client = make_client(timings=replace(HASTY, backoff_min=600, backoff_max=600, poll=600))
    wait_until(lambda: server.asked("/api/sync") == 2)  # the first one came with the start
    wait_until(lambda: client.status == "POLLING")
    assert client.get_agent_config("trader").source == "agent"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_not_hammered_and_values_are_kept(
    server: FaultServer, make_client: ClientFactory, status: int
) -> None:
    server.put(agent("trader"))
    client = make_client()
    stream = server.wait_for_stream()
    client.get_agent_config("trader")
    server.answers.append(Answer("/api/", status))
    server.stream = str(status)
    asked = len(server.requests)
    stream.close(4401, "token revoked")
    wait_until(lambda: client.status == "UNAUTHORIZED")
    time.sleep(3 * FAST.poll)  # nothing to wait for: the point is that nothing comes
    assert len(server.requests) <= asked + 2
    assert client.get_agent_config("trader").model == "gpt-4.1"


@pytest.mark.parametrize(
    ("answer", "token", "told"),
    [
        (Answer("/api/", 401), "token-1", "refuses the token: {url}/api/sync: 401"),
        (Answer("/api/", 401), None, "there is none: set SWITCHYARD_TOKEN"),
        (
            Answer("/api/", 301, {"Location": "https://there/x/api/sync?since=1"}),
            "token-1",
            "a redirect to https://there/x/api/sync (use https://there/x as url)",
        ),
        (Answer("/api/", 302, {"Location": "/login"}), "token-1", ": 302, a redirect to /login"),
        (None, "token-1", "tells no configuration: {url}/api/sync: Connection refused"),
    ],
    ids=["401", "no token", "301", "302", "away"],
)
def test_the_log_tells_why_a_stand_in_answers(
    server: FaultServer,
    make_client: ClientFactory,
    caplog: pytest.LogCaptureFixture,
    answer: Answer | None,
    token: str | None,
    told: str,
) -> None:
    if answer is None:
        server.stop()
    else:
        server.answers.append(answer)
    patient = replace(FAST, backoff_min=60, backoff_max=60)
    client = make_client(token=token, streaming=False, timings=patient)
    wait_until(lambda: client.status in ("STALE", "UNAUTHORIZED"))
    ours = [record for record in caplog.records if record.name == "switchyard_client"]
    [warning] = [record for record in ours if record.levelname == "WARNING"]
    assert told.format(url=server.url) in warning.getMessage()


def test_reads_do_not_hammer_with_a_refused_token(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    server.answers.append(Answer("/api/", 401))
    server.stream = "401"
    client = make_client()
    wait_until(lambda: client.status == "UNAUTHORIZED")
    asked = len(server.requests)
    heard = Heard(client)
    for _ in range(50):
        assert client.get_agent_config("trader").source == "built_in"
    assert len(server.requests) == asked
    assert heard.changes == []


def test_a_token_that_is_good_again_brings_the_stream_back(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.answers.append(Answer("/api/", 401))
    server.stream = "401"
    client = make_client(timings=replace(FAST, unauthorized_min=0.1, unauthorized_max=0.1))
    wait_until(lambda: client.status == "UNAUTHORIZED")
    assert client.wait_ready(60) is False  # at once, not after 5 s
    server.stream = "normal"
    server.answers.clear()
    wait_until(lambda: client.status == "LIVE")


def test_a_proxy_that_refuses_streams_does_not_stop_polls(
    server: FaultServer, make_client: ClientFactory, caplog: pytest.LogCaptureFixture
) -> None:
    server.stream = "403"
    server.put(agent("trader"))
    client = make_client()
    wait_until(lambda: client.status == "POLLING")
    server.put(agent("trader", "gpt-5"), push=False)
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    assert "refuses the token" not in caplog.text


def test_retry_after_is_obeyed(server: FaultServer, make_client: ClientFactory) -> None:
    server.answers.append(Answer("/api/sync", 503, {"Retry-After": "1"}, times=1))
    started = time.monotonic()
    client = make_client(streaming=False, timings=replace(FAST, poll=60))
    assert client.wait_ready(60)
    assert time.monotonic() - started >= 1.0
    assert server.asked("/api/sync") == 2


def test_over_capacity_means_polling(server: FaultServer, make_client: ClientFactory) -> None:
    server.put(agent("trader"))
    client = make_client(timings=replace(FAST, backoff_max=60))
    server.wait_for_stream().close(1013, "try later")
    wait_until(lambda: client.status == "POLLING")
    server.put(agent("trader", "gpt-5"), push=False)
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    assert server.asked("/api/ws") == 1


def test_goodbye_is_followed_by_a_reconnect_in_the_servers_time(
    server: FaultServer, make_client: ClientFactory
) -> None:
    client = make_client()
    stream = server.wait_for_stream()
    said = time.monotonic()
    stream.send({"type": "goodbye", "reason": "restart", "retry_s": 0.3})
    wait_until(lambda: server.asked("/api/ws") >= 2)
    assert time.monotonic() - said >= 0.3
    wait_until(lambda: client.status == "LIVE")


def test_resync_is_answered_by_a_sync(server: FaultServer, make_client: ClientFactory) -> None:
    server.put(agent("trader"))
    client = make_client()
    stream = server.wait_for_stream()
    rev = server.put(agent("trader", "gpt-5"), push=False)
    stream.send({"type": "resync", "epoch": server.epoch, "rev": rev, "spread_s": 0.05})
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    assert server.asked("/api/ws") == 1


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[1]",
        '{"type": 7}',
        "[" * 5000,
        '{"type": "agent_config_changed", "agent_id": "trader", "rev": "x"}',
        '{"type": "agent_config_changed", "agent_id": "trader", "epoch": "epoch-1", '
        '"rev": 99, "prev": 2, "more": false, "config": {"llm_timeout": NaN}}',
    ],
)
def test_a_malformed_message_drops_the_stream_and_resyncs(
    server: FaultServer, make_client: ClientFactory, frame: str
) -> None:
    server.put(agent("trader"))
    client = make_client()
    stream = server.wait_for_stream()
    server.put(agent("trader", "gpt-5"), push=False)
    stream.send_raw(frame)
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    assert stream.ended.wait(60)
    wait_until(lambda: client.status == "LIVE")


def test_unknown_types_and_fields_are_ignored(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    client = make_client()
    stream = server.wait_for_stream()
    stream.send({"type": "weather", "sun": True})
    stream.ping()
    server.put(agent("trader", "gpt-5", candidate={"llm_model": "x"}))
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    assert not stream.ended.is_set()


@pytest.mark.parametrize("body", [b"<html>", b'{"epoch": 1}', b"[]", b'{"a": NaN}'])
def test_an_answer_that_is_no_answer_keeps_the_values(
    server: FaultServer, make_client: ClientFactory, body: bytes
) -> None:
    server.put(agent("trader"))
    client = make_client(streaming=False)
    assert client.wait_ready(60)
    server.answers.append(Answer("/api/", 200, body=body))
    wait_until(lambda: client.status == "STALE")
    assert client.get_agent_config("trader").model == "gpt-4.1"
    server.answers.clear()
    wait_until(lambda: client.status == "POLLING")


def test_compressed_answers_are_read(server: FaultServer, make_client: ClientFactory) -> None:
    body = gzip.compress(b'{"epoch": "e", "rev": 7, "intent": "full", "items": []}')
    server.answers.append(Answer("/api/sync", 200, {"Content-Encoding": "gzip"}, body))
    client = make_client(streaming=False)
    assert client.wait_ready(60)
    assert client.applied_rev == 7


@pytest.mark.parametrize("begun", [b"Content-Length: 100000\r\n\r\n", b"X-Slow: "])
def test_a_dripping_answer_has_a_deadline(make_client: ClientFactory, begun: bytes) -> None:
    """Each byte comes within the read time-out; only a total deadline ends that."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        client = make_client(url=url, streaming=False, timings=replace(FAST, request=0.1))
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + begun)
            until = time.monotonic() + 60
            while client.status != "STALE" and time.monotonic() < until:
                connection.sendall(b" ")
                time.sleep(0.02)  # the drip
        wait_until(lambda: client.status == "STALE")


def test_a_dripping_handshake_has_a_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        gave_up = threading.Event()

        def drip() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ")
                while not gave_up.wait(0.02):
                    connection.sendall(b" ")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            with pytest.raises(Unreachable):
                Dialing(url, None, True, timeout=0.3).run()
        finally:
            gave_up.set()
            dripping.join()


def test_values_are_there_before_a_stream_that_hangs(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    with socket.create_server(("127.0.0.1", 0)) as hung:
        stream = f"http://127.0.0.1:{hung.getsockname()[1]}"

        class Elsewhere(HttpTransport):
            """Streams that nobody answers."""

            def open_stream(self) -> Stream:
                return HttpTransport(stream, "token-1", timings=FAST).open_stream()

        client = make_client(transport=lambda: Elsewhere(server.url, "token-1", timings=FAST))
        assert client.wait_ready(30)  # the stream is given sixty seconds
        assert client.get_agent_config("trader").source == "agent"


def test_an_address_that_swallows_everything_delays_neither_reads_nor_the_stream(
    server: FaultServer, make_client: ClientFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put(agent("trader"))
    with swallowing(server.port) as black_hole:
        resolve(monkeypatch, black_hole, "127.0.0.1")
        client = make_client(url=f"http://switchyard.invalid:{server.port}")
        assert client.wait_ready(30)  # a connection is given sixty seconds
        wait_until(lambda: client.status == "LIVE", 30)


def test_a_proxy_of_the_environment_is_used(
    server: FaultServer, make_client: ClientFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put(agent("trader"))
    monkeypatch.setenv("http_proxy", server.url)  # it answers for any host
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    client = make_client(url="http://switchyard.invalid", streaming=False)
    assert client.wait_ready(60)
    assert client.get_agent_config("trader").source == "agent"


def test_redirects_are_not_followed(server: FaultServer, make_client: ClientFactory) -> None:
    with FaultServer() as thief:
        server.answers.append(Answer("/api/", 302, {"Location": thief.url + "/api/sync"}))
        server.stream, server.stream_headers = "302", {"Location": thief.url}
        client = make_client()
        wait_until(lambda: client.status == "STALE")
        wait_until(lambda: server.asked("/api/ws") >= 2)
        assert thief.requests == []


def test_a_dead_server_leaves_everything_in_use_until_it_is_back(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    client: SwitchyardClient = make_client(timings=HASTY)
    server.wait_for_stream()
    heard = Heard(client)
    server.stop()
    wait_until(lambda: client.status == "STALE")
    assert client.get_agent_config("trader").source == "agent"
    assert heard.changes == []
    server.put(agent("trader", "gpt-5"))
    server.start()
    wait_until(lambda: client.status == "LIVE")
    assert client.get_agent_config("trader").model == "gpt-5"
    wait_until(lambda: heard.models() == [("trader", "gpt-5")])
