"""The embedded Redis listens on its own socket and takes nobody's place."""

import stat
from pathlib import Path

import pytest

from scripts.stack.embedded_redis import answers_ping, prepare_socket_folder
from scripts.stack.errors import StartError
from tests.support.servers import redis_server, short_folder


def test_redis_listens_on_no_port() -> None:
    with redis_server() as server, server.client() as client:
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("save") == {"save": ""}
        assert stat.S_IMODE(server.socket.stat().st_mode) == 0o600


def test_ping_tells_a_running_server_from_a_dead_ones_socket() -> None:
    with redis_server() as server:
        assert answers_ping(server.socket)
        server.kill()
        assert server.socket.exists()
        assert not answers_ping(server.socket)


def test_folder_of_the_socket_is_private() -> None:
    with short_folder() as folder:
        prepare_socket_folder(folder / "redis" / "redis.sock")
        assert stat.S_IMODE((folder / "redis").stat().st_mode) == 0o700


def test_a_strangers_redis_is_not_taken_over() -> None:
    with redis_server() as server, pytest.raises(StartError, match="already answers"):
        prepare_socket_folder(server.socket)


def test_no_socket_no_answer(tmp_path: Path) -> None:
    assert not answers_ping(tmp_path / "redis.sock")
