"""/readyz is asked until it answers 200; its last words are kept."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from scripts.stack.readiness import ReadinessProbe
from tests.support.processes import free_port


class ReadyzServer(HTTPServer):
    """Answers with `status`."""

    status = 503


class _Handler(BaseHTTPRequestHandler):
    server: ReadyzServer

    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b'{"worker": "no heartbeat"}\n')

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server() -> Iterator[ReadyzServer]:
    with ReadyzServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_unready_then_ready(server: ReadyzServer) -> None:
    probe = ReadinessProbe("127.0.0.1", server.server_port)
    assert not probe()
    assert probe.last_answer == '{"worker": "no heartbeat"}'
    server.status = 200
    assert probe()


def test_nobody_there_is_not_ready() -> None:
    probe = ReadinessProbe("127.0.0.1", free_port())
    assert not probe()
    assert probe.last_answer == "no answer"
