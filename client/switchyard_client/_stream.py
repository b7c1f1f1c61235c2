"""One WebSocket connection, read without blocking: who waits, and for what, is not decided here."""

import contextlib
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import websocket
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy
from websocket import ABNF

from ._errors import (
    Forbidden,
    InvalidAnswer,
    StreamClosed,
    Throttled,
    TransportError,
    Unauthorized,
    Unreachable,
)
from ._headers import retry_after
from ._sockets import Flag, abandon_socket, interrupt_socket, open_socket

Verify = bool | str


class Stream(Protocol):
    """What the listener needs of a connection; tests and other transports bring their own."""

    def fileno(self) -> int: ...

    def receive(self) -> str | None:
        """The next message, or None if no whole one is there. Raises TransportError at its end."""

    def send(self, text: str) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None:
        """In a forked child: let go of the connection without a byte on it."""


class WebSocketStream:
    """A `Stream` over websocket-client."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection = connection
        assert connection.sock is not None
        self._socket = connection.sock
        self._fileno = self._socket.fileno()
        # Partial frames stay in the connection's buffer, so a slow peer never holds the thread.
        connection.settimeout(0)

    def fileno(self) -> int:
        return self._fileno

    def receive(self) -> str | None:
        while True:
            try:
                opcode, frame = self._connection.recv_data_frame(control_frame=True)
            except (BlockingIOError, ssl.SSLWantReadError):
                return None
            except (websocket.WebSocketException, OSError, ValueError) as error:
                raise StreamClosed(None, type(error).__name__) from error
            if opcode == ABNF.OPCODE_TEXT:
                data: bytes = frame.data
                return data.decode("utf-8", "replace")
            if opcode == ABNF.OPCODE_CLOSE:
                raise _closed(frame.data)
            if opcode == ABNF.OPCODE_BINARY:
                raise StreamClosed(None, "a binary frame")

    def send(self, text: str) -> None:
        try:
            self._connection.send(text)
        except (websocket.WebSocketException, OSError) as error:
            raise StreamClosed(None, type(error).__name__) from error

    def close(self) -> None:
        # One try at a goodbye; waiting for the peer's would bind the caller to it.
        with contextlib.suppress(websocket.WebSocketException, OSError):
            self._connection.send_close()
        self._connection.shutdown()  # type: ignore[no-untyped-call]

    def abandon(self) -> None:
        abandon_socket(self._socket)


def _closed(payload: bytes) -> StreamClosed:
    if len(payload) < 2:
        return StreamClosed(None)
    reason = payload[2:].decode("utf-8", "replace")
    return StreamClosed(int.from_bytes(payload[:2], "big"), reason)


def stream_url(base: str) -> str:
    """`ws(s)://.../api/ws` of an `http(s)` base URL."""
    parts = urlsplit(base)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/api/ws", "", ""))


class Dialing:
    """A stream in the making: `run` blocks, the rest may be called from any thread."""

    def __init__(self, base: str, token: str | None, verify: Verify, timeout: float) -> None:
        """Raises Unreachable where the bundle of `verify` cannot be read."""
        self._base = base
        self._header = [f"Authorization: Bearer {token}"] if token else []
        self._timeout = timeout
        self._context = tls_context(verify) if urlsplit(base).scheme == "https" else None
        self._connection = websocket.WebSocket(
            enable_multithread=False, sslopt={"context": self._context}
        )
        self._socket: socket.socket | None = None
        self._flag = Flag()

    def run(self) -> WebSocketStream:
        """Open the stream, blocking up to about the time-out. Raises TransportError."""
        # The time-out below is for each byte of the handshake: a drip would never meet it.
        deadline = threading.Timer(self._timeout, self.interrupt)
        deadline.daemon = True
        try:
            deadline.start()
            self._connection.connect(  # type: ignore[no-untyped-call]
                stream_url(self._base),
                header=self._header,
                timeout=self._timeout,
                socket=self._connected(),
                suppress_origin=True,  # an Origin is a browser's; with one the server asks for more
                redirect_limit=0,  # a redirect would carry the token to another host
            )
        except websocket.WebSocketBadStatusException as error:
            raise handshake_error(error.status_code, error.resp_headers or {}) from None
        except (websocket.WebSocketException, OSError, ValueError, RuntimeError) as error:
            raise Unreachable(f"no stream: {type(error).__name__}: {error}") from None
        finally:
            deadline.cancel()
        return WebSocketStream(self._connection)

    def _connected(self) -> socket.socket | None:
        """A connection to the server; None where a proxy is in between: websocket-client's work."""
        if select_proxy(self._base, get_environ_proxies(self._base)):
            return None
        parts = urlsplit(self._base)
        host, port = parts.hostname or "", parts.port or (443 if self._context else 80)
        self._socket = open_socket(host, port, self._timeout, self._flag)
        try:
            self._secure(host)
            if self._flag.raised:
                raise TimeoutError("timed out")
        except BaseException:
            self._socket.close()
            raise
        return self._socket

    def _secure(self, host: str) -> None:
        if self._context is not None and self._socket is not None:
            secured = self._context.wrap_socket(
                self._socket,
                server_hostname=host.rstrip("."),  # a certificate names none with the dot
                do_handshake_on_connect=False,
            )
            self._socket = secured  # before the handshake, which may be interrupted too
            secured.do_handshake()

    def interrupt(self) -> None:
        """Wake whoever is in `run`."""
        self._flag.raised = True
        sock = self._under_way()
        if sock is not None:
            interrupt_socket(sock)

    def abandon(self) -> None:
        """In a forked child: let go of the connection without a byte on it."""
        self._flag.raised = True  # gevent's threads go on
        sock = self._under_way()
        if sock is not None:
            abandon_socket(sock)

    def _under_way(self) -> socket.socket | None:
        # Looked at once: the other thread may close it at any moment.
        return self._socket or self._connection.sock


def handshake_error(status: int, headers: Any) -> TransportError:
    """The error a refused handshake stands for."""
    if status in (429, 503):
        return Throttled(f"stream refused ({status})", retry_after(headers.get("retry-after")))
    if status in (401, 403):
        return (Unauthorized if status == 401 else Forbidden)(f"stream refused ({status})")
    return InvalidAnswer(f"stream refused ({status})")


def tls_context(verify: Verify) -> ssl.SSLContext:
    """The same trust as `requests` has: its bundle, the usual variables, or `verify=`.

    Raises Unreachable where the bundle cannot be read.
    """
    if verify is False:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    bundle = verify if isinstance(verify, str) else _environment_bundle()
    try:
        if Path(bundle).is_dir():
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise Unreachable(f"no stream: CA bundle {bundle}: {error}") from None


def _environment_bundle() -> str:
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return named or DEFAULT_CA_BUNDLE_PATH
