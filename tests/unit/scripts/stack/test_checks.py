"""What cannot work is said before anything starts, with the fix."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.stack.checks import check_port, check_redis
from scripts.stack.errors import StartError
from tests.support.processes import free_port
from tests.support.servers import redis_server


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_free_port_passes() -> None:
    check_port("127.0.0.1", free_port())


def test_taken_port_is_named_with_the_next_one(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(StartError) as refused:
        check_port("127.0.0.1", port)
    assert f"PORT: 127.0.0.1:{port} is taken" in str(refused.value)
    assert f"make up PORT={port + 1}" in str(refused.value)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_address_of_another_machine_is_a_wrong_host(host: str) -> None:
    with pytest.raises(StartError, match="HOST: cannot listen on"):
        check_port(host, free_port())


def test_running_redis_passes() -> None:
    with redis_server() as server:
        check_redis(server.url)


def test_tcp_listener_passes(listener: socket.socket) -> None:
    check_redis(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")


def test_missing_redis_is_named_without_its_password(tmp_path: Path) -> None:
    port = free_port()
    for url in (f"redis://:hunter2@127.0.0.1:{port}/0", f"unix://{tmp_path}/redis.sock"):
        with pytest.raises(StartError, match="REDIS_URL") as refused:
            check_redis(url)
        assert "hunter2" not in str(refused.value)
