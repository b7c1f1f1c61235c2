"""Which address of a name is connected to, over real loopback sockets."""

import socket
import threading
from collections.abc import Iterator

import pytest
from switchyard_client._sockets import Flag, open_socket

from tests.support.addresses import resolve, swallowing


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_addresses_that_swallow_or_refuse_do_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    with swallowing(port) as black_hole:
        resolve(monkeypatch, black_hole, "127.0.0.3", "127.0.0.1")
        with open_socket("switchyard.invalid", port, 600, Flag()) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
            assert sock.gettimeout() == 600


def test_nobody_answering_is_a_timeout(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    with swallowing(port) as black_hole:
        resolve(monkeypatch, black_hole)
        with pytest.raises(TimeoutError):
            open_socket("switchyard.invalid", port, 0.05, Flag())


def test_a_raised_flag_ends_the_wait(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    flag = Flag()
    raising = threading.Timer(0.05, setattr, (flag, "raised", True))
    with swallowing(port) as black_hole:
        resolve(monkeypatch, black_hole)
        raising.start()
        with pytest.raises(TimeoutError, match="interrupted"):
            open_socket("switchyard.invalid", port, 600, flag)
    raising.join()


def test_everybody_refusing_is_told_at_once(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    resolve(monkeypatch, "127.0.0.2", "127.0.0.3")
    with pytest.raises(ConnectionRefusedError):
        open_socket("switchyard.invalid", port, 600, Flag())


def test_a_machine_that_is_gone_is_noticed_before_the_time_for_an_answer_is_over(port: int) -> None:
    with open_socket("127.0.0.1", port, 600, Flag()) as sock:
        waits = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert waits == 10_000


def test_a_literal_may_have_its_brackets(port: int) -> None:
    open_socket("[127.0.0.1]", port, 60, Flag()).close()


@pytest.mark.parametrize("host", ["a" * 70, "a..b"])
def test_a_host_that_is_no_name_is_as_one_that_nobody_knows(host: str) -> None:
    with pytest.raises(socket.gaierror):
        open_socket(host, 80, 600, Flag())
