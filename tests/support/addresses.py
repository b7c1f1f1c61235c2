"""Addresses of the loopback that misbehave, and names that have them."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

SWALLOWING = "127.0.0.2"


@contextlib.contextmanager
def swallowing(port: int) -> Iterator[str]:
    """An address whose queue is full: a connection to it is neither made nor refused."""
    with contextlib.ExitStack() as held:
        held.enter_context(socket.create_server((SWALLOWING, port), backlog=0))
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((SWALLOWING, port))
        yield SWALLOWING


def resolve(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Let every name have these addresses, in this order."""

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, port)) for found in hosts]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
