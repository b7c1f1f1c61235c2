"""gunicorn: threads for the embedded stack, gevent for thousands of sockets (WEB_WORKER_CLASS)."""

import gc
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

from gunicorn.http.errors import ParseException
from gunicorn.workers.base import Worker

if TYPE_CHECKING:  # the master serves nothing: without Flask it stays 8 MiB smaller
    from flask import Flask
    from gunicorn.http.body import ChunkedReader
    from gunicorn.http.message import Request

_host = os.environ.get("HOST", "127.0.0.1")
_port = os.environ.get("PORT", "8000")
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"

worker_class = os.environ.get("WEB_WORKER_CLASS", "gthread")
# One process by default: SQLite has one writer anyway. With PostgreSQL, WEB_CONCURRENCY adds more.
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
threads = 96  # gthread: a socket holds one, so WS_MAX_SOCKETS (64) leaves 32 for requests
worker_connections = 6000  # gevent: sockets and requests of one process
keepalive = 15
_LARGE_BODY = 64 * 1024

# Below the five seconds that honcho, `make up` and most platforms give.
graceful_timeout = 3
timeout = 30

accesslog = None
loglevel = "warning"
# gunicorn 27 would open a control socket in the home folder.
control_socket_disable = True


def post_worker_init(worker: Worker) -> None:
    """Open sockets would hold SIGTERM for the whole grace time, and worker_exit comes after it."""
    _check_keys(worker.wsgi)
    # It quotes requests that it cannot read, the token in them too: in our log that is masked.
    worker.log.error_log.handlers.clear()
    worker.log.error_log.propagate = True
    # What is loaded by now stays: a full collection that walks it all stops every request 100 ms.
    gc.collect()
    gc.freeze()
    hub, end = worker.wsgi.extensions["hub"], worker.handle_exit

    def handle_exit(signum: int, frame: FrameType | None) -> None:
        hub.stop_soon()
        end(signum, frame)

    signal.signal(signal.SIGTERM, handle_exit)


def pre_request(worker: Worker, request: "Request") -> None:
    """Of a body that is refused unread, gunicorn takes 64 KiB away; beyond, it ends the connection.

    The answer has to say so, or the client loses its next request on a connection that is gone.
    """
    if "TRANSFER-ENCODING" in dict(request.headers):  # nobody knows how much there is
        request.force_close()
        request.body.reader = _Chunks(request.body.reader)
    should_close, reader = request.should_close, request.body.reader

    def should_close_now() -> bool:
        """Asked for the answer's headers: what nobody has read by then stays unread."""
        return bool(should_close()) or getattr(reader, "length", 0) >= _LARGE_BODY

    request.should_close = should_close_now


class _Chunks:
    """A body in chunks. What is none of them is an OSError, as is a sender that went away: Werkzeug
    answers 400 to both, and 500 to errors that only gunicorn knows."""

    def __init__(self, reader: "ChunkedReader") -> None:
        self._reader = reader

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes. Raises OSError."""
        try:
            data: bytes = self._reader.read(size)
        except ParseException as error:
            raise OSError(str(error)) from None
        return data


def worker_int(worker: Worker) -> None:
    """The same for SIGINT and SIGQUIT."""
    worker.wsgi.extensions["hub"].stop_soon()


def _check_keys(app: "Flask") -> None:
    """Another database's keys end the start: gunicorn gives up on exit code 3."""
    from app.core.keys import check_before_serving
    from app.settings import SettingsError

    try:
        check_before_serving(app)
    except SettingsError as error:
        sys.stderr.write(f"Switchyard cannot start. {error}\n")
        raise SystemExit(3) from None
