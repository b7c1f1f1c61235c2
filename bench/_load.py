"""A small load generator: closed loop, keep-alive connections, one epoll loop in this process."""

import selectors
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

CONNECTIONS = 8


@dataclass(frozen=True)
class Target:
    """One GET, and the status that every answer to it must have."""

    port: int
    path: str
    headers: Mapping[str, str]
    status: int = 200

    @property
    def request(self) -> bytes:
        lines = [f"GET {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode()


def requests_per_second(target: Target, seconds: float) -> float:
    """Answers a second over `seconds`. AssertionError on any status but the target's."""
    request, expected = target.request, b"HTTP/1.1 %d " % target.status
    answers = 0
    with selectors.DefaultSelector() as selector:
        connections = [
            socket.create_connection(("127.0.0.1", target.port), 10) for _ in range(CONNECTIONS)
        ]
        for connection in connections:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ)
            connection.sendall(request)
        started = time.perf_counter()
        deadline = started + seconds
        while (now := time.perf_counter()) < deadline:
            for key, _events in selector.select(1):
                answer = _receive(key.fileobj)  # type: ignore[arg-type]
                assert answer.startswith(expected), answer[:500]
                answers += 1
                key.fileobj.sendall(request)  # type: ignore[union-attr]
        for connection in connections:
            connection.close()
    return answers / (now - started)


def _receive(connection: socket.socket) -> bytes:
    """One whole answer: its head, and as much body as the head says."""
    answer = connection.recv(65536)
    while b"\r\n\r\n" not in answer:
        answer += _more(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    _, found, length = head.lower().partition(b"content-length:")
    missing = int(length.split(b"\r\n", 1)[0]) - len(body) if found else 0
    while missing > 0:
        more = _more(connection)
        answer += more
        missing -= len(more)
    return answer


def _more(connection: socket.socket) -> bytes:
    more = connection.recv(65536)
    assert more, "the server hung up"
    return more
