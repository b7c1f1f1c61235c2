"""The WebSocket handshake, against an implementation that is not ours."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, RejectConnection, Request

from app.core.handshake import open_websocket
from app.core.http import Answer, Outbound
from tests.support.loopback_provider import LoopbackProvider

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """``serve(accept=...)``: one connection, answered by wsproto; the address it came to."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def answer(accept: bool) -> None:
        line, _ = listener.accept()
        with line:
            line.settimeout(10)
            peer = WSConnection(ConnectionType.SERVER)
            event = None
            while event is None:
                peer.receive_data(line.recv(4096))
                event = next(peer.events(), None)
            assert isinstance(event, Request)
            reply = AcceptConnection() if accept else RejectConnection(status_code=403)
            line.sendall(peer.send(reply))

    def serve(accept: bool = True) -> str:
        threads.append(threading.Thread(target=answer, args=(accept,), daemon=True))
        threads[-1].start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    for thread in threads:
        thread.join(10)
    listener.close()


def opened(address: str, scheme: str = "ws", path: str = "/ws") -> Answer:
    http = Outbound([address], deadline=10)
    return open_websocket(http, f"{scheme}://{address}{path}", {"Authorization": "Bearer x"})


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_websocket_is_opened(serve: Serve, scheme: str) -> None:
    answer = opened(serve(), scheme)

    assert (answer.status, answer.error) == (101, None)


def test_a_refusal_is_an_answer(serve: Serve) -> None:
    answer = opened(serve(accept=False))

    assert (answer.status, answer.error) == (403, None)


def test_a_switch_to_something_else_is_no_websocket() -> None:
    with LoopbackProvider() as provider:
        provider.answer_raw(b"HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: wrong\r\n\r\n")

        answer = opened(provider.address)

    assert answer.status == 101
    assert answer.error == "It switched protocols (HTTP 101), but not to a WebSocket."


def test_the_address_policy_holds_for_sockets_too() -> None:
    with LoopbackProvider() as provider:
        answer = open_websocket(Outbound(deadline=2), f"ws://{provider.address}/ws")

    assert answer.error is not None
    assert "OUTBOUND_ALLOW" in answer.error
    assert provider.requests == []
