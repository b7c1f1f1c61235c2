"""A model provider on this machine, for the example: it answers each agent by heart."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self

LINES = {
    "market-analyst": "The trend is up and the volume confirms it.",
    "news-analyst": "Nothing but good news about the new chips.",
    "risk-manager": "The position is large enough as it is.",
    "trader": '{"side": "hold", "confidence": 0.7}',
}


class Provider:
    """Speaks OpenAI's chat completions; with `down=True` it answers 503 to everything."""

    def __init__(self, *, down: bool = False) -> None:
        self.down = down
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.provider = self
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    provider: Provider


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.provider.down:
            self._send(503, {"error": {"message": "out of order"}})
        else:
            self._send(200, _completion(body))

    def _send(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """The example prints what matters."""


def _completion(body: dict[str, Any]) -> dict[str, Any]:
    system, *said = [message["content"] for message in body["messages"]]
    text = LINES[system.split()[3].rstrip(".")]
    counts = {
        "prompt_tokens": sum(len(line.split()) for line in (system, *said)),
        "completion_tokens": len(text.split()),
    }
    message = {"role": "assistant", "content": text}
    return {
        "id": f"chatcmpl-{id(body)}",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": counts | {"total_tokens": sum(counts.values())},
    }
