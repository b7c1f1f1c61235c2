"""Providers on the loopback that SDKs talk to: chat completions, responses and messages.

Beside `loopback_provider`, which is for health checks. Each server counts what it has answered, and
misbehaves when told to::

    with LlmServer() as provider:
        provider.url                        # http://127.0.0.1:PORT/v1
        provider.text = "buy"               # what it says
        provider.arguments = {"side": 1}    # what it calls a tool with, if the request has one
        provider.fail(503)                  # and the other verbs below
        provider.calls[-1].body["messages"]

Standard library only: it also runs in environments that have a framework and nothing of ours.
"""

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.loopback import LoopbackHandler, LoopbackServer

INPUT_TOKENS = 11
OUTPUT_TOKENS = 3


@dataclass(frozen=True)
class Call:
    """One request as it came in; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def key(self) -> str | None:
        """The key it came with, in whichever header."""
        sent = self.headers.get("authorization", "").removeprefix("Bearer ")
        return sent or self.headers.get("x-api-key") or None


class LlmServer(LoopbackServer):
    """A provider in threads of this process."""

    def __init__(self, text: str = "pong", port: int = 0) -> None:
        self.text = text
        self.arguments: dict[str, Any] = {}
        self.calls: list[Call] = []
        self.answered = 0
        """How many answers were given whole: what it would send a bill for."""
        self._behaviour: Behaviour = _answer
        super().__init__(_Handler, port)

    @property
    def root(self) -> str:
        return f"http://{self.address}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    # How to answer from now on.

    def work(self) -> None:
        """As a provider in good health does."""
        self._behaviour = _answer

    def fail(self, status: int, message: str = "told to", code: str | None = None) -> None:
        """With an error of this status."""
        error = {"error": {"message": message, "code": code, "type": code}}
        self._behaviour = lambda handler: handler.send_json(status, error)

    def hang(self) -> None:
        """Not at all, until it is stopped."""
        self._behaviour = lambda handler: self._released.wait(60) and None

    def hang_up(self) -> None:
        """Close the connection without a word."""
        self._behaviour = lambda handler: setattr(handler, "close_connection", True)

    def answer_html(self) -> None:
        """200 with a web page, as a captive portal does."""
        self._behaviour = lambda handler: handler.send(200, b"<html>hello</html>", "text/html")

    def break_streams(self) -> None:
        """Begin an answer and close the connection in the middle of it."""
        self._behaviour = _break_off

    def fail_in_stream(self) -> None:
        """200, and then an error event before the first token."""
        self._behaviour = _fail_in_stream


Behaviour = Callable[["_Handler"], Any]


def refusing_url() -> str:
    """An endpoint that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


class _Handler(LoopbackHandler):
    call: Call

    def take(self) -> None:
        headers, body = self.read()
        self.call = Call(self.path, headers, json.loads(body or b"{}"))
        self.provider.calls.append(self.call)
        self.provider._behaviour(self)

    def send_events(self, events: Iterator[tuple[str | None, Any]]) -> None:
        """Server-sent events; the connection ends with them."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for name, data in events:
            text = data if isinstance(data, str) else json.dumps(data)
            head = f"event: {name}\n" if name else ""
            self.wfile.write(f"{head}data: {text}\n\n".encode())
            self.wfile.flush()
        self.close_connection = True


def _answer(handler: _Handler) -> None:
    provider, body = handler.provider, handler.call.body
    path = handler.path.partition("?")[0]
    speak = _SPEAKERS.get(path)
    if speak is None:
        handler.send_json(404, {"error": {"message": f"no {path} here"}})
        return
    speaker = speak(provider, body)
    provider.answered += 1
    if body.get("stream"):
        handler.send_events(speaker.events())
    else:
        handler.send_json(200, speaker.whole())


def _break_off(handler: _Handler) -> None:
    speak = _Messages if handler.path.endswith("/messages") else _Chat
    events = speak(handler.provider, handler.call.body).events()
    begun = 3 if speak is _Messages else 2
    handler.send_events(event for event, _ in zip(events, range(begun), strict=False))


def _fail_in_stream(handler: _Handler) -> None:
    if handler.path.endswith("/messages"):
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
        handler.send_events(iter([("error", error)]))
    else:
        error = {"error": {"message": "busy", "type": "server_error", "code": None}}
        handler.send_events(iter([(None, error)]))


class _Speaker:
    """What is said: a text, or a call of the tool that the request asks for."""

    def __init__(self, provider: LlmServer, body: dict[str, Any]) -> None:
        self._provider = provider
        self._body = body
        self._id = f"{provider.port}-{len(provider.calls)}"

    @property
    def _words(self) -> list[str]:
        text = self._provider.text
        return [text[:2], text[2:]]

    def _tool(self, answered: bool) -> str | None:
        tools = self._body.get("tools") or []
        if not tools or answered or not self._provider.arguments:
            return None
        first = tools[0]
        name: str = first.get("function", first)["name"]
        return name


class _Chat(_Speaker):
    """OpenAI's chat completions."""

    @property
    def _called(self) -> str | None:
        return self._tool(any(m["role"] == "tool" for m in self._body["messages"]))

    @property
    def _usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": INPUT_TOKENS,
            "completion_tokens": OUTPUT_TOKENS,
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        }

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self._id}", "object": kind, "created": 1} | {
            "model": self._body["model"]
        }

    def _call(self, name: str) -> dict[str, Any]:
        arguments = json.dumps(self._provider.arguments)
        function = {"name": name, "arguments": arguments}
        return {"id": f"call_{self._id}", "type": "function", "function": function}

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self._provider.text}
        finish = "stop"
        if self._called:
            message |= {"content": None, "tool_calls": [self._call(self._called)]}
            finish = "tool_calls"
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return self._head("chat.completion") | {"choices": [choice], "usage": self._usage}

    def events(self) -> Iterator[tuple[str | None, Any]]:
        called = self._called
        deltas = [{"content": word} for word in self._words]
        if called:
            deltas = [{"tool_calls": [{"index": 0, **self._call(called)}]}]
        for delta in [{"role": "assistant", "content": ""}, *deltas]:
            yield None, self._chunk([{"index": 0, "delta": delta, "finish_reason": None}])
        finish = "tool_calls" if called else "stop"
        yield None, self._chunk([{"index": 0, "delta": {}, "finish_reason": finish}])
        if (self._body.get("stream_options") or {}).get("include_usage"):
            yield None, self._chunk([]) | {"usage": self._usage}
        yield None, "[DONE]"

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return self._head("chat.completion.chunk") | {"choices": choices}


class _Responses(_Speaker):
    """OpenAI's responses."""

    def whole(self) -> dict[str, Any]:
        part = {"type": "output_text", "text": self._provider.text, "annotations": []}
        message = {"type": "message", "id": f"msg_{self._id}", "role": "assistant"}
        usage = {
            "input_tokens": INPUT_TOKENS,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": OUTPUT_TOKENS,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        }
        return {
            "id": f"resp_{self._id}",
            "object": "response",
            "created_at": 1,
            "model": self._body["model"],
            "status": "completed",
            "output": [message | {"status": "completed", "content": [part]}],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage,
        }

    def events(self) -> Iterator[tuple[str | None, Any]]:
        begun = self.whole() | {"status": "in_progress", "output": [], "usage": None}
        yield _event("response.created", response=begun, sequence_number=0)
        place = {"item_id": f"msg_{self._id}", "output_index": 0, "content_index": 0}
        for number, word in enumerate(self._words, 1):
            delta = {"delta": word, "logprobs": [], "sequence_number": number, **place}
            yield _event("response.output_text.delta", **delta)
        yield _event("response.completed", response=self.whole(), sequence_number=9)


class _Messages(_Speaker):
    """Anthropic's messages."""

    @property
    def _called(self) -> str | None:
        parts = [m["content"] for m in self._body["messages"] if isinstance(m["content"], list)]
        return self._tool(any(p.get("type") == "tool_result" for part in parts for p in part))

    @property
    def _usage(self) -> dict[str, Any]:
        return {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}

    def _message(self, **values: Any) -> dict[str, Any]:
        return {
            "id": f"msg_{self._id}",
            "type": "message",
            "role": "assistant",
            "model": self._body["model"],
            "stop_reason": None,
            "stop_sequence": None,
            **values,
        }

    def _use(self, name: str, given: Any) -> dict[str, Any]:
        return {"type": "tool_use", "id": f"toolu_{self._id}", "name": name, "input": given}

    def whole(self) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": self._provider.text}]
        if self._called:
            content = [self._use(self._called, self._provider.arguments)]
        return self._message(content=content, stop_reason=self._stopped, usage=self._usage)

    @property
    def _stopped(self) -> str:
        return "tool_use" if self._called else "end_turn"

    def events(self) -> Iterator[tuple[str | None, Any]]:
        begun = self._message(
            content=[], stop_reason=None, usage={**self._usage, "output_tokens": 0}
        )
        yield _event("message_start", message=begun)
        block: dict[str, Any] = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": word} for word in self._words]
        if self._called:
            block = self._use(self._called, {})
            text = json.dumps(self._provider.arguments)
            deltas = [{"type": "input_json_delta", "partial_json": text}]
        yield _event("content_block_start", index=0, content_block=block)
        for delta in deltas:
            yield _event("content_block_delta", index=0, delta=delta)
        yield _event("content_block_stop", index=0)
        ended = {"stop_reason": self._stopped, "stop_sequence": None}
        yield _event("message_delta", delta=ended, usage=self._usage)
        yield _event("message_stop")


def _event(kind: str, **values: Any) -> tuple[str, Any]:
    return kind, {"type": kind, **values}


_SPEAKERS = {
    "/v1/chat/completions": _Chat,
    "/v1/messages": _Messages,
    "/v1/responses": _Responses,
}
