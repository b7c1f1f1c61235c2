"""gunicorn with the project's own configuration, on threads and on gevent."""

import http.client
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.processes import running
from tests.support.servers import RedisServer, WebServer, http_get, server_env
from tests.support.sockets import Listener

pytestmark = pytest.mark.xdist_group("web")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of data, and of who runs the server."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module", params=["gthread", "gevent"])
def web(
    request: pytest.FixtureRequest, home: Path, sqlite_template: Path, redis: RedisServer
) -> Iterator[WebServer]:
    shutil.copyfile(sqlite_template, home / "switchyard.db")
    env = server_env(home, REDIS_URL=redis.url, HOME=str(home))
    server = WebServer(home / f"{request.param}.log", env, request.param)
    # Longer than any test: who is held by a socket is seen to be, however busy the machine is.
    server.argv += ["--graceful-timeout", "600"]
    with running(server):
        yield server


@pytest.mark.usefixtures("web")
def test_no_control_socket_is_opened_in_the_home_folder(home: Path) -> None:
    assert not [path for path in home.rglob("*") if path.is_socket()]


def test_a_large_body_that_is_refused_unread_ends_the_connection_and_says_so(
    web: WebServer,
) -> None:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {os.environ['ADMIN_TOKEN']}"
        session.headers["Content-Type"] = "application/json"
        large = b" " * 2**20 + b"{}"
        for body, status, connection in (
            (large, 413, "close"),
            (iter([large]), 413, "close"),  # in chunks: its length is not said
            (b"{}", 422, "keep-alive"),
        ):
            refused = session.post(f"{web.url}/api/agents", data=body)
            assert (refused.status_code, refused.headers["Connection"]) == (status, connection)
            assert session.get(f"{web.url}/healthz").status_code == 200
        read = session.post(f"{web.url}/api/agents", json={"name": "x" * 2**17})
        assert (read.status_code, read.headers["Connection"]) == (422, "keep-alive")


def test_a_body_in_chunks_that_are_none_is_a_bad_request(web: WebServer) -> None:
    where = urlsplit(web.url)
    assert where.hostname is not None
    for chunks in (b"zz\r\n", b"2\r\n{}xx\r\n", b"2\r\n{}\r\n0\r\nno header\r\n\r\n"):
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
        connection.putrequest("POST", "/api/agents")
        connection.putheader("Authorization", f"Bearer {os.environ['ADMIN_TOKEN']}")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders(chunks)
        with closing(connection):
            assert connection.getresponse().status == 400, chunks
    assert "unexpected error" not in web.output()


def test_a_request_that_cannot_be_read_leaves_no_token_in_the_log(web: WebServer) -> None:
    with socket.create_connection(("127.0.0.1", web.port), 60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nAuthorization Bearer canary-0123456789\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")
    web.wait_until(lambda: "Invalid HTTP Header" in web.output(), "it is told of")
    assert "canary-0123456789" not in web.output()


def test_killed_worker_is_replaced(web: WebServer) -> None:
    [killed] = workers_of(web)
    os.kill(killed, signal.SIGKILL)
    web.wait_until(lambda: workers_of(web) not in ([], [killed]), "another worker is there")
    web.wait_until(lambda: http_get(f"{web.url}/healthz").status == 200, "it answers")


def test_sigterm_says_goodbye_and_is_not_held_by_sockets(web: WebServer) -> None:
    """The last one on each server."""
    said = len(web.output())  # how the killed worker ended is there
    token = os.environ["ADMIN_TOKEN"]
    listeners = [Listener(f"{web.url}/ws", token) for _ in range(6)]
    for listener in listeners:
        listener.wait_for("welcome")
    web.send(signal.SIGTERM)
    assert web.wait_for_exit() == 0
    for listener in listeners:
        assert listener.wait_for_end() == 1001
        (goodbye,) = listener.of("goodbye")
        assert goodbye["retry_s"] >= 1
    assert "ERROR" not in web.output()[said:]
    assert "unexpected error" not in web.output()[said:]


def workers_of(web: WebServer) -> list[int]:
    children = Path(f"/proc/{web.pid}/task/{web.pid}/children").read_text()
    return [int(pid) for pid in children.split()]
