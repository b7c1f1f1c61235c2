"""gunicorn with the project's own configuration, on threads and on gevent."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

from tests.support.servers import RedisServer, WebServer, http_get, server_env, web_server


@pytest.fixture(params=["gthread", "gevent"])
def web(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path, redis: RedisServer
) -> Iterator[WebServer]:
    shutil.copyfile(sqlite_template, tmp_path / "switchyard.db")
    env = server_env(tmp_path, REDIS_URL=redis.url, HOME=str(tmp_path))
    with web_server(env, tmp_path / "web.log", request.param) as server:
        yield server


@pytest.fixture
def connection(web: WebServer) -> Iterator[websocket.WebSocket]:
    """A socket of an admin's token."""
    bearer = f"Authorization: Bearer {os.environ['ADMIN_TOKEN']}"
    url = f"ws://127.0.0.1:{web.port}/api/ws"
    connection = websocket.create_connection(url, header=[bearer], timeout=5)
    yield connection
    connection.close()


def _receive(connection: websocket.WebSocket) -> Any:
    return json.loads(connection.recv())


def test_sigterm_says_goodbye_and_ends_before_the_grace_is_over(
    web: WebServer, connection: websocket.WebSocket
) -> None:
    assert _receive(connection)["type"] == "welcome"
    web.send(signal.SIGTERM)
    assert _receive(connection)["type"] == "goodbye"
    assert web.wait_for_exit(2.5) == 0
    assert "ERROR" not in web.output()


@pytest.mark.usefixtures("web")
def test_no_control_socket_is_opened_in_the_home_folder(tmp_path: Path) -> None:
    assert not [path for path in tmp_path.rglob("*") if path.is_socket()]


def test_killed_worker_is_replaced(web: WebServer) -> None:
    [killed] = _workers_of(web)
    os.kill(killed, signal.SIGKILL)
    web.wait_until(lambda: _workers_of(web) not in ([], [killed]), "another worker is there")
    web.wait_until(lambda: http_get(f"{web.url}/healthz").status == 200, "it answers")


def _workers_of(web: WebServer) -> list[int]:
    children = Path(f"/proc/{web.pid}/task/{web.pid}/children").read_text()
    return [int(pid) for pid in children.split()]
