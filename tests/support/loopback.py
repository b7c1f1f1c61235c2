"""What the fake providers share: a server on the loopback, in threads of this process.

Standard library only: it also runs in environments that have a framework and nothing of ours.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class LoopbackServer:
    """``start`` and ``stop``, or ``with``. A handler finds it as ``self.server.provider``."""

    def __init__(self, handler: type["LoopbackHandler"], port: int = 0) -> None:
        self._released = threading.Event()
        self._server = _Server(("127.0.0.1", port), handler)
        self._server.provider = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name=type(self).__name__, daemon=True
        )

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and let go of whoever is held."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    provider: LoopbackServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is what many tests are about: no traceback for it."""


class LoopbackHandler(BaseHTTPRequestHandler):
    """One request, and the ways to answer it."""

    @property
    def provider(self) -> Any:
        return self.server.provider  # type: ignore[attr-defined]

    def take(self) -> None:
        """Take the request, and answer it."""
        raise NotImplementedError

    def do_GET(self) -> None:
        self.take()

    def do_POST(self) -> None:
        self.take()

    def read(self) -> tuple[dict[str, str], bytes]:
        """Headers, their names in lower case, and the body."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        return headers, self.rfile.read(int(headers.get("content-length", 0)))

    def send(
        self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        fixed = {"Content-Type": kind, "Content-Length": str(len(body))}
        for name, value in {**fixed, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, status: int, document: Any) -> None:
        self.send(status, json.dumps(document).encode(), "application/json")

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr: the tests look at what the provider has kept."""
