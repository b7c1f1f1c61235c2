"""Arguments, small parts of the transport, and the worker threads."""

import math
import pickle
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from switchyard_client import ConfigurationError, SwitchyardClient, SwitchyardError, Timings
from switchyard_client._arguments import checked_token, checked_url
from switchyard_client._errors import Forbidden, InvalidAnswer, StreamClosed, Throttled
from switchyard_client._events import Cause, Failure
from switchyard_client._headers import retry_after
from switchyard_client._resolution import built_in
from switchyard_client._stream import handshake_error, stream_url
from switchyard_client._worker import Dispatcher, Worker


@pytest.mark.parametrize(
    "url",
    [
        "switchyard.example",
        "ftp://switchyard.example",
        "http://",
        "http://me:secret@switchyard.example",
        "ftp://me:secret@switchyard.example",
        "http://me:secret@switchyard.example:port",
        "http://switchyard.example:99999",
        "http://[::1",
        "http://switchyard.example?x=1",
        "http://switchyard.example/a b",
    ],
)
def test_a_url_that_can_never_work_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SwitchyardClient(url, autoconnect=False)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, SwitchyardError)
    assert "me:secret" not in str(caught.value)


def test_a_url_may_have_a_path() -> None:
    assert checked_url(" https://host/switchyard/ ") == "https://host/switchyard"
    assert stream_url("https://host/switchyard") == "wss://host/switchyard/api/ws"
    assert stream_url("http://[::1]:8000") == "ws://[::1]:8000/api/ws"


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "käse"])
def test_a_token_that_can_never_work_is_refused_unquoted(token: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked_token(token)
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"snapshot_path": "."},
        {"snapshot_path": "/"},
        {"snapshot_path": "/dev/null"},
        {"snapshot_path": "~nobody-has-this-name/snapshot"},
        {"verify": "no/such/bundle.pem"},
        {"verify": "long" * 100},
    ],
)
def test_a_file_that_can_never_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        SwitchyardClient(token="t", autoconnect=False, **options)


def test_a_snapshot_that_cannot_be_looked_at_is_the_logs_affair(tmp_path: Path) -> None:
    client = SwitchyardClient(
        url="http://127.0.0.1:9", token="t", snapshot_path=tmp_path / ("long" * 100)
    )
    client.close()


@pytest.mark.parametrize("ttl", [-1, math.nan])
def test_a_ttl_that_is_no_time_is_refused(ttl: float) -> None:
    with pytest.raises(ConfigurationError, match="ttl"):
        SwitchyardClient(ttl=ttl, autoconnect=False)


@pytest.mark.parametrize(
    ("name", "seconds"), [("poll", -1), ("first_read", math.inf), ("request", 0)]
)
def test_a_wait_that_is_no_time_is_refused(name: str, seconds: float) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Timings(**{name: seconds})


def test_the_repr_has_no_token() -> None:
    client = SwitchyardClient("http://host", token="token-1", autoconnect=False)
    assert repr(client) == "<SwitchyardClient http://host INITIALIZING>"


def test_a_client_does_not_travel() -> None:
    client = SwitchyardClient(autoconnect=False)
    with pytest.raises(TypeError, match="get_client"):
        pickle.dumps(client)
    client.close()


def test_retry_after_in_both_forms() -> None:
    assert retry_after("120") == 120
    soon = retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True))
    assert soon is not None
    assert 55 < soon <= 60
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert retry_after(past) == 0
    assert [retry_after(bad) for bad in (None, "", "-5", "soon", "1.5e9")] == [None] * 5


def test_what_an_error_means_for_the_protocol() -> None:
    assert Failure.of(handshake_error(503, {"retry-after": "7"})) == Failure(Cause.THROTTLED, 7)
    assert Failure.of(handshake_error(401, {})).cause is Cause.REFUSED
    assert Failure.of(Forbidden("x")).cause is Cause.REFUSED
    assert Failure.of(StreamClosed(4401)).cause is Cause.REFUSED
    assert Failure.of(StreamClosed(4403)).cause is Cause.REFUSED
    assert Failure.of(StreamClosed(1013)).cause is Cause.CAPACITY
    assert Failure.of(StreamClosed(1001)).cause is Cause.NETWORK
    assert Failure.of(InvalidAnswer("x")).cause is Cause.NETWORK
    assert Failure.of(Throttled("x", 3)) == Failure(Cause.THROTTLED, 3)


def test_jobs_run_one_by_one_urgent_ones_first() -> None:
    worker, gate, done = Worker("jobs"), threading.Event(), threading.Event()
    ran: list[str] = []
    started = threading.Event()
    worker.submit(lambda: (started.set(), gate.wait(30)))
    assert started.wait(30)
    worker.submit(lambda: ran.append("later"))
    worker.submit(lambda: ran.append("urgent"), urgent=True)
    worker.submit(done.set, delay=0.01)
    gate.set()
    assert done.wait(30)
    assert ran == ["urgent", "later"]
    thread = worker.stop()
    assert thread is not None
    thread.join(30)
    assert not thread.is_alive()


def test_a_delayed_job_waits() -> None:
    worker, done = Worker("jobs"), threading.Event()
    started = time.monotonic()
    worker.submit(done.set, delay=0.05)
    assert done.wait(30)
    assert time.monotonic() - started >= 0.05
    worker.stop()


def test_a_job_that_fails_does_not_end_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    worker, done = Worker("jobs"), threading.Event()
    worker.submit(lambda: 1 / 0)
    worker.submit(done.set)
    assert done.wait(30)
    assert "background job failed" in caplog.text
    worker.stop()


def test_a_stopped_worker_takes_nothing() -> None:
    worker = Worker("jobs")
    assert worker.stop() is None
    worker.submit(lambda: None)
    assert worker.stop() is None


def test_without_listeners_there_is_no_thread() -> None:
    dispatcher = Dispatcher(tuple, "listeners")
    dispatcher.put([("a", built_in("a"))])
    assert dispatcher.stop() is None


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_a_listener_that_fails_does_not_end_the_dispatcher(
    caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    heard = threading.Event()

    def failing(agent_id: str, config: object) -> None:
        raise error

    dispatcher = Dispatcher(lambda: (failing, lambda agent_id, config: heard.set()), "listeners")
    dispatcher.put([("a", built_in("a"))])
    assert heard.wait(30)
    assert "a listener failed" in caplog.text
    dispatcher.stop()
