"""A connection whose writes never wait, put in the place of the server's socket.

Two write to one connection: the hub, and the socket's own thread, where the WebSocket library
answers pings. A lock keeps their frames whole. It is the hub's, which takes it once for all of its
sockets: a lock in each outbox was half of what we add to the kernel's part of a send. What the
kernel does not take at once is kept and sent by a thread that lives while the peer is slow, so that
nobody else waits for it.
"""

import logging
import socket
import threading
import time
from contextlib import suppress
from select import POLLOUT, poll

PENDING_LIMIT = 1024 * 1024  # bytes; a reader this far behind is dropped
STALL_LIMIT = 10.0  # seconds without a byte taken
_AT_ONCE = int(socket.MSG_DONTWAIT)  # the enum member itself is slower, 5,000 times a change

log = logging.getLogger(__name__)


class Outbox:
    """The guarded socket: `send` takes the bytes or raises OSError, at once.

    `send_held` and `finish_held` are for those who hold the ``lock`` already.
    """

    def __init__(self, connection: socket.socket, lock: threading.Lock) -> None:
        self._connection = connection
        # gevent's socket would wait for a slow peer; the one it wraps does not.
        self._raw: socket.socket = getattr(connection, "_sock", connection)
        self._lock = lock
        self._pending = bytearray()
        self._closed = False

    def send(self, data: bytes) -> int:
        """Send now, or later if the peer is slow. Raises OSError where it is gone or too slow."""
        with self._lock:
            self.send_held(data)
        return len(data)

    def send_held(self, data: bytes) -> None:
        """The same under the lock."""
        if self._closed:
            raise BrokenPipeError("the socket is closed")
        sent = 0 if self._pending else self._write(data)
        if sent < len(data):
            self._keep(data[sent:])

    def finish(self, last: bytes = b"") -> None:
        """End the connection, with `last` as its last bytes if they can go out at once."""
        with self._lock:
            self.finish_held(last)

    def finish_held(self, last: bytes = b"") -> None:
        """The same under the lock."""
        if self._closed:
            return
        if last and not self._pending:
            with suppress(OSError):  # it is being closed anyway
                self._write(last)
        self._shut()

    @property
    def pending(self) -> int:
        """Bytes that the peer has not taken yet."""
        return len(self._pending)

    # What the WebSocket library needs of a socket besides `send`.

    def recv(self, size: int) -> bytes:
        return self._connection.recv(size)

    def fileno(self) -> int:
        return self._connection.fileno()

    def close(self) -> None:
        """Shut, not closed: the descriptor is the web server's to give back."""
        self.finish()

    def _keep(self, rest: bytes) -> None:
        if not self._pending:
            threading.Thread(target=self._drain, name="outbox", daemon=True).start()
        self._pending += rest
        if len(self._pending) > PENDING_LIMIT:
            self._drop("too much is waiting for it")
            raise BrokenPipeError("the peer reads too slowly")

    def _write(self, data: bytes | bytearray) -> int:
        try:
            return self._raw.send(data, _AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self._shut()
            raise

    def _drain(self) -> None:
        patience = time.monotonic() + STALL_LIMIT
        while self._wait_writable(patience - time.monotonic()):
            with self._lock:
                if self._closed:
                    return
                with suppress(OSError):  # _write has shut the socket
                    sent = self._write(self._pending)
                    del self._pending[:sent]
                    patience = time.monotonic() + STALL_LIMIT if sent else patience
                if not self._pending:
                    return
        with self._lock:
            self._drop("it took nothing")

    def _wait_writable(self, timeout: float) -> bool:
        poller = poll()
        try:
            poller.register(self._connection, POLLOUT)
        except ValueError:  # closed meanwhile
            return False
        return bool(poller.poll(max(0.0, timeout) * 1000))

    def _drop(self, why: str) -> None:
        if not self._closed:
            log.info("a slow reader is dropped: %s", why)
            self._shut()

    def _shut(self) -> None:
        """Wakes whoever reads from the socket, too: that is how its thread learns of the end."""
        self._closed = True
        self._pending.clear()
        with suppress(OSError):  # the peer may have gone first
            self._connection.shutdown(socket.SHUT_RDWR)
