"""TCP sockets: opened to the first address that answers, ended or left from outside."""

import contextlib
import errno
import os
import selectors
import socket
import time
from collections import deque
from typing import Any

HEAD_START = 0.25
"""Seconds that an address has before the next one is tried beside it; as in RFC 8305."""

DEAF_SECONDS = 10
"""How long the other machine may leave sent bytes unanswered: one that is gone is not to be waited
for as long as one that has much to read."""

_LOOK_ROUND = 0.1

_UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)

# poll() has no limit on descriptor numbers and, unlike epoll, needs no descriptor of its own.
Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)

Address = tuple[Any, ...]


class Flag:
    """Raised by any thread, it ends connections in the making. No lock: a fork may come between."""

    raised = False


def open_socket(host: str, port: int, timeout: float, flag: Flag) -> socket.socket:
    """A connection to the first address of a name that answers.

    One after the other, an address that swallows what it is sent would use up the time of all: a
    broken IPv6 route, or a dead host that is still in the DNS. Raises OSError: `gaierror` for the
    name, else what the last address said; a time-out where the flag is raised.
    """
    try:
        addresses = deque(socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM))
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "no name of a host") from None
    racing = Selector()
    try:
        winner = _race(racing, addresses, time.monotonic() + timeout, flag)
    finally:
        losers = [entry.data for entry in racing.get_map().values()]
        racing.close()
        for sock in losers:
            sock.close()
    winner.settimeout(timeout)
    return winner


def _race(
    racing: selectors.BaseSelector, addresses: deque[Address], deadline: float, flag: Flag
) -> socket.socket:
    failure: OSError = TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    next_start = 0.0
    while (now := time.monotonic()) < deadline and (addresses or racing.get_map()):
        if addresses and (now >= next_start or not racing.get_map()):
            next_start = now + HEAD_START
            try:
                sock = _start(addresses.popleft())
                racing.register(sock, selectors.EVENT_WRITE, sock)
            except OSError as error:
                failure = error
            continue
        until = min(next_start, deadline) if addresses else deadline
        ready = racing.select(min(until - now, _LOOK_ROUND))
        if flag.raised:
            raise TimeoutError("interrupted")
        for entry, _ in ready:
            answered: socket.socket = entry.data
            racing.unregister(answered)
            code = answered.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                return answered
            answered.close()
            failure, next_start = OSError(code, os.strerror(code)), now
    raise failure


def _start(address: Address) -> socket.socket:
    family, kind, protocol, _, target = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(AttributeError, OSError):  # Linux only, and not every one
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAF_SECONDS * 1000)
        sock.setblocking(False)
        code = sock.connect_ex(target)
        if code not in _UNDER_WAY:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


def interrupt_socket(sock: socket.socket) -> None:
    """Wake whoever waits for a socket in another thread, as if the peer had gone."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def abandon_socket(sock: socket.socket) -> None:
    """Close this process' descriptor of a socket without sending anything on it."""
    with contextlib.suppress(OSError):
        os.close(sock.detach())
