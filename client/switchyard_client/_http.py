"""A `requests` session whose sockets are known, so that they can be ended or left from outside.

Closing a session does not wake a thread that waits for an answer, and a forked child must let go
of the parent's connections without a byte on them. Both need the sockets themselves.
"""

import http.client
import io
import math
import socket
import time
import weakref
from functools import partial
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from ._errors import InvalidAnswer, Unreachable
from ._sockets import Flag, abandon_socket, interrupt_socket, open_socket

# By identity, and not a WeakSet: that cannot be listed while another thread adds to it.
Registry = weakref.WeakValueDictionary[int, HTTPConnection]

MAX_BODY = 256 * 1024 * 1024


class BearerAuth(AuthBase):
    """The token as an auth object: with one in place, a netrc entry cannot take over."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Punctual(io.RawIOBase):
    """What a socket sends, up to a deadline: a drip meets no time-out of a single packet."""

    def __init__(self, source: io.RawIOBase, deadline: float) -> None:
        self._source = source
        self.deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self.deadline:
            raise TimeoutError("the head of the answer took too long")
        return self._source.readinto(buffer)

    def close(self) -> None:
        self._source.close()
        super().close()


class _PunctualResponse(http.client.HTTPResponse):
    """Its head has to be there within the time-out as a whole; the body has `read_body`."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        deadline = time.monotonic() + (sock.gettimeout() or math.inf)
        self._source = _Punctual(self.fp.detach(), deadline)
        self.fp = io.BufferedReader(self._source)

    def begin(self) -> None:
        super().begin()
        self._source.deadline = math.inf


class _Connecting:
    """Mixed into urllib3's connections: they go to the first address that answers."""

    def _new_conn(self: Any) -> socket.socket:
        try:
            return open_socket(self._dns_host, self.port, self.timeout, self.flag)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, str(error)) from error
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error


class _HTTP(_Connecting, HTTPConnection): ...


class _HTTPS(_Connecting, HTTPSConnection): ...


class _Tracked:
    """Mixed into urllib3's pools: new connections enter the registry."""

    def __init__(self, *args: Any, registry: Registry, flag: Flag, **kwargs: Any) -> None:
        self._registry = registry
        self._flag = flag
        super().__init__(*args, **kwargs)

    def _new_conn(self) -> Any:
        connection = super()._new_conn()  # type: ignore[misc]
        connection.response_class, connection.flag = _PunctualResponse, self._flag
        self._registry[id(connection)] = connection
        return connection


class _TrackedHTTP(_Tracked, HTTPConnectionPool):
    ConnectionCls = _HTTP


class _TrackedHTTPS(_Tracked, HTTPSConnectionPool):
    ConnectionCls = _HTTPS


class TrackedAdapter(HTTPAdapter):
    """An adapter that keeps a weak list of its connections; `flag` ends those in the making."""

    def __init__(self, flag: Flag) -> None:
        self.connections: Registry = weakref.WeakValueDictionary()
        self._flag = flag
        super().__init__(pool_connections=2, pool_maxsize=4)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._track(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        self._track(manager)
        return manager

    def _track(self, manager: PoolManager) -> None:
        ours: dict[str, Any] = {"registry": self.connections, "flag": self._flag}
        pools: dict[str, Any] = {
            "http": partial(_TrackedHTTP, **ours),
            "https": partial(_TrackedHTTPS, **ours),
        }
        manager.pool_classes_by_scheme = pools
        # Or a pool that the traceback of a failed exchange still names waits for the collector.
        manager.pools.dispose_func = HTTPConnectionPool.close

    def interrupt(self) -> None:
        """End every exchange that is under way in another thread."""
        for sock in self._sockets():
            interrupt_socket(sock)

    def abandon(self) -> None:
        """In a forked child: close the descriptors, leave the parent's connections alone."""
        for sock in self._sockets():
            abandon_socket(sock)

    def _sockets(self) -> list[socket.socket]:
        connections = [reference() for reference in self.connections.valuerefs()]
        # Looked at once: the thread that uses a connection may close it at any moment.
        found = [connection.sock for connection in connections if connection is not None]
        return [sock for sock in found if sock is not None]


def read_body(response: requests.Response, deadline: float) -> bytes:
    """The body, within a total deadline: a time-out of its own per packet never ends a drip."""
    chunks: list[bytes] = []
    size = 0
    while chunk := response.raw.read1(65536, decode_content=True):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            raise InvalidAnswer("the answer is too large")
        if time.monotonic() > deadline:
            raise Unreachable("the answer took too long")
    return b"".join(chunks)
