"""A provider on the loopback: the edge of the world, the one thing that tests and the demo fake.

It speaks OpenAI's wire below ``/v1`` (speech included), Anthropic's ``/v1/messages``, Google's
below ``/v1beta``, Ollama's ``/api/tags`` and ``/api/chat``, and opens a WebSocket at ``/ws``. It
keeps every request it saw, and misbehaves when told to::

    with LoopbackProvider(models=["m-1"], key="sk-right") as provider:
        provider.openai_url                 # http://127.0.0.1:PORT/v1
        provider.ollama_url                 # http://127.0.0.1:PORT
        provider.address                    # 127.0.0.1:PORT, for OUTBOUND_ALLOW
        provider.answer_status(503)         # and the other verbs below
        provider.requests[-1].headers["authorization"]
"""

import base64
import hashlib
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.loopback import LoopbackHandler, LoopbackServer


@dataclass(frozen=True)
class SeenRequest:
    """One request as it came in; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class LoopbackProvider(LoopbackServer):
    """A provider in threads of this process."""

    def __init__(
        self, models: list[str] | None = None, key: str | None = None, port: int = 0
    ) -> None:
        self.models = models if models is not None else ["loop-small", "loop-large"]
        self.key = key
        """The only key that it takes, in whichever header; None = any, or none at all."""
        self.requests: list[SeenRequest] = []
        self.reply_text = "pong"
        self._behaviour: Callable[[_Handler], None] = _answer_ok
        self._arrived = threading.Condition()
        super().__init__(_Handler, port)

    @property
    def ollama_url(self) -> str:
        return f"http://{self.address}"

    @property
    def openai_url(self) -> str:
        return f"http://{self.address}/v1"

    @property
    def google_url(self) -> str:
        return f"http://{self.address}/v1beta"

    def speak_tls(self, context: ssl.SSLContext) -> None:
        """HTTPS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    # How to answer from now on.

    def answer_ok(self) -> None:
        """As a provider in good health does."""
        self._become(_answer_ok)

    def answer_status(self, status: int) -> None:
        """With an error of this status."""
        self._become(lambda handler: handler.send_json(status, {"error": {"message": "told to"}}))

    def answer_json(self, document: Any, status: int = 200) -> None:
        """With this JSON document, whatever was asked."""
        self._become(lambda handler: handler.send_json(status, document))

    def answer_with(self, body: bytes, headers: dict[str, str] | None = None) -> None:
        """200 with these bytes, called JSON, whatever was asked."""
        self._become(lambda handler: handler.send(200, body, "application/json", headers))

    def answer_echo(self) -> None:
        """With an error that quotes all the headers it was sent, keys included."""
        self._become(lambda handler: handler.send_json(401, _quote(handler)))

    def answer_raw(self, answer: bytes) -> None:
        """With exactly these bytes, status line and headers included."""
        self._become(lambda handler: _write_raw(handler, answer))

    def answer_html(self) -> None:
        """200 with a web page, as a captive portal does."""
        self._become(lambda handler: handler.send(200, b"<html>hello</html>", "text/html"))

    def answer_huge(self, size: int = 1024 * 1024) -> None:
        """With valid JSON of this many bytes."""
        self.answer_with(b'{"data": ["' + b"x" * size + b'"]}')

    def redirect_to(self, url: str, status: int = 302) -> None:
        """Elsewhere."""
        self._become(lambda handler: handler.send(status, b"", "text/plain", {"Location": url}))

    def hang_up(self) -> None:
        """Close the connection without a word."""
        self._become(_hang_up)

    def hold(self) -> None:
        """Answer nothing until ``release`` (or another verb); then as in good health."""
        self._become(_hold)

    def release(self) -> None:
        """Let those who are held have their answer."""
        self._released.set()

    def answer_slowly(self, seconds: float) -> None:
        """In good health, but after so many seconds."""
        self._become(lambda handler: _answer_late(handler, seconds))

    def drip(self, headers: bool = False) -> None:
        """A byte every 50 ms without end: of the body, or already of the headers."""
        self._become(lambda handler: _drip(handler, headers))

    def wait_for_requests(self, count: int, timeout: float = 60) -> list[SeenRequest]:
        """The requests, once there are so many. AssertionError if they do not come."""
        with self._arrived:
            came = self._arrived.wait_for(lambda: len(self.requests) >= count, timeout)
        assert came, f"{len(self.requests)} of {count} requests within {timeout} s"
        return self.requests

    def note(self, request: SeenRequest) -> None:
        """Keep a request; the handler's part."""
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()

    def accepts(self, headers: dict[str, str]) -> bool:
        """Whether the request carries the right key."""
        sent = headers.get("authorization", "").removeprefix("Bearer ")
        keys = {sent, headers.get("x-api-key"), headers.get("x-goog-api-key")}
        return self.key is None or self.key in keys

    def _become(self, behaviour: "Callable[[_Handler], None]") -> None:
        self._released.set()
        self._released = threading.Event()
        self._behaviour = behaviour


class _Handler(LoopbackHandler):
    def take(self) -> None:
        headers, self.body = self.read()
        self.provider.note(SeenRequest(self.command, self.path, headers, self.body))
        self.released = self.provider._released
        self.provider._behaviour(self)


def _answer_ok(handler: _Handler) -> None:
    provider = handler.provider
    path = handler.path.partition("?")[0]
    if not provider.accepts({name.lower(): value for name, value in handler.headers.items()}):
        handler.send_json(401, {"error": {"message": "wrong key"}})
    elif handler.headers.get("Upgrade") == "websocket" and path == "/ws":
        _open_websocket(handler)
    elif handler.command == "POST" and path in _SOUNDS:
        handler.send(200, b"ID3" + bytes(64), "audio/mpeg")
    elif handler.command == "POST" and (complete := _find_completion(path)):
        handler.send_json(200, complete(provider, handler.body))
    elif handler.command == "GET" and path in _LISTS:
        handler.send_json(200, _LISTS[path](provider.models))
    else:
        handler.send_json(404, {"error": {"message": "not found"}})


_LISTS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "/v1/models": lambda models: {"object": "list", "data": [{"id": name} for name in models]},
    "/api/tags": lambda models: {"models": [{"name": name} for name in models]},
    "/v1beta/models": lambda models: {"models": [{"name": f"models/{name}"} for name in models]},
}


_SOUNDS = {"/v1/audio/speech", "/text_to_speech"}


def _find_completion(path: str) -> Callable[[LoopbackProvider, bytes], dict[str, Any]] | None:
    return _content if path.endswith(":generateContent") else _COMPLETIONS.get(path)


def _asked_model(provider: LoopbackProvider, body: bytes) -> str:
    return str(json.loads(body or b"{}").get("model", provider.models[0]))


def _completion(provider: LoopbackProvider, body: bytes) -> dict[str, Any]:
    message = {"role": "assistant", "content": provider.reply_text}
    return {
        "id": "chatcmpl-loopback",
        "object": "chat.completion",
        "created": 1,
        "model": _asked_model(provider, body),
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
    }


def _message(provider: LoopbackProvider, body: bytes) -> dict[str, Any]:
    return {
        "type": "message",
        "role": "assistant",
        "model": _asked_model(provider, body),
        "content": [{"type": "text", "text": provider.reply_text}],
        "usage": {"input_tokens": 5, "output_tokens": 1},
    }


def _content(provider: LoopbackProvider, body: bytes) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": provider.reply_text}]}
    return {
        "candidates": [{"content": content, "finishReason": "STOP"}],
        "modelVersion": provider.models[0],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1},
    }


def _chat(provider: LoopbackProvider, body: bytes) -> dict[str, Any]:
    return {
        "model": _asked_model(provider, body),
        "message": {"role": "assistant", "content": provider.reply_text},
        "done": True,
        "prompt_eval_count": 5,
        "eval_count": 1,
    }


_COMPLETIONS: dict[str, Callable[[LoopbackProvider, bytes], dict[str, Any]]] = {
    "/v1/chat/completions": _completion,
    "/v1/messages": _message,
    "/api/chat": _chat,
    "/v1/audio/transcriptions": lambda provider, _: {"text": provider.reply_text},
    "/voices": lambda *_: {"voices": []},
}


def _open_websocket(handler: _Handler) -> None:
    nonce = handler.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    digest = hashlib.sha1(nonce.encode(), usedforsecurity=False).digest()
    handler.send_response(101)
    handler.send_header("Connection", "Upgrade")
    handler.send_header("Upgrade", "websocket")
    handler.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
    handler.end_headers()


def _hang_up(handler: _Handler) -> None:
    handler.close_connection = True


def _quote(handler: _Handler) -> dict[str, Any]:
    return {"error": {"message": f"not with these: {handler.headers.items()}"}}


def _write_raw(handler: _Handler, answer: bytes) -> None:
    handler.wfile.write(answer)
    handler.close_connection = True


def _hold(handler: _Handler) -> None:
    handler.released.wait()
    _answer_ok(handler)


def _answer_late(handler: _Handler, seconds: float) -> None:
    handler.released.wait(seconds)
    _answer_ok(handler)


def _drip(handler: _Handler, headers: bool) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    if not headers:
        handler.wfile.write(b"Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n")
    while not handler.released.wait(0.05):
        handler.wfile.write(b"x")
