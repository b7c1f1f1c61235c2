"""A scripted Switchyard: the client's view of a server, with every fault on demand.

It keeps agents, revs and a change log, speaks A8, S1, the socket and usage over real loopback
connections, records what it is asked, and misbehaves exactly as a test tells it to.
"""

import base64
import contextlib
import hashlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError

Json = dict[str, Any]


def wait_until(condition: Callable[[], Any], timeout: float = 60.0) -> Any:
    """Poll shortly for a condition and return its value; fail the test if it never holds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain")
        time.sleep(0.002)
    return value


def agent(agent_id: str, model: str = "gpt-4.1", **changes: Any) -> Json:
    """An A8 answer, keys included."""
    return {
        "agent_id": agent_id,
        "source": "agent",
        "is_default": False,
        "version": 1,
        "llm_provider": "openai",
        "llm_provider_name": "openai-eu",
        "llm_endpoint": "https://api.openai.com/v1",
        "llm_model": model,
        "llm_timeout": 30,
        "llm_temperature": 0.7,
        "llm_top_p": None,
        "llm_max_tokens": None,
        "llm_api_key": "sk-one",
        "llm_api_key_id": "key-1",
        "provider_status": "connected",
        "prices": {"currency": "USD", "cost_per_1k_input_tokens": "0.005"},
        "metadata": {},
        "halted": False,
        "halted_reason": None,
        "fallbacks": [],
    } | changes


def without_keys(config: Json) -> Json:
    """The same on the socket."""
    steps = [without_keys(step) for step in config.get("fallbacks", [])]
    bare = {name: value for name, value in config.items() if name != "llm_api_key"}
    return bare | ({"fallbacks": steps} if "fallbacks" in config else {})


@dataclass
class Answer:
    """A canned HTTP answer, given `times` times to paths that start with `path`."""

    path: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    times: int = 1_000_000


class FaultSocket:
    """The server's end of one stream."""

    def __init__(self, connection: socket.socket, rev: int) -> None:
        self._connection = connection
        self._frames = Connection(ConnectionType.SERVER)
        self._lock = threading.Lock()
        self.sent_rev = rev
        self.received: list[Json] = []
        self.ended = threading.Event()

    def send(self, message: Json) -> None:
        self.send_raw(json.dumps(message))

    def send_raw(self, text: str) -> None:
        self._write(TextMessage(data=text))

    def ping(self) -> None:
        self._write(Ping(payload=b"?"))

    def close(self, code: int, reason: str = "") -> None:
        self._write(CloseConnection(code=code, reason=reason))

    def abort(self) -> None:
        """A plain end of file, as a killed process leaves it."""
        self._connection.shutdown(socket.SHUT_RDWR)

    def hellos(self) -> list[Json]:
        return [message["hello"] for message in list(self.received) if "hello" in message]

    def read_until_end(self) -> None:
        try:
            while data := self._connection.recv(65536):
                self._frames.receive_data(data)
                for event in self._frames.events():
                    if isinstance(event, TextMessage):
                        self.received.append(json.loads(event.data))
                    elif isinstance(event, CloseConnection | BytesMessage):
                        return
        except OSError:
            pass  # reset by the client: an end like any other
        finally:
            self.ended.set()

    def _write(self, event: Any) -> None:
        # A client that is gone is seen by `ended`.
        with self._lock, contextlib.suppress(OSError, LocalProtocolError):
            self._connection.sendall(self._frames.send(event))


class FaultServer:
    """See the module. Use as a context manager; `stop()` and `start()` keep the port."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.epoch, self.rev = "epoch-1", 1
        self.agents: dict[str, Json] = {}
        self.default: str | None = None
        self.log: dict[int, list[str]] = {}
        self.heartbeat_s = 10.0
        self.floor = 0
        """Changes before this rev are not in the log any more."""
        self.stream = "normal"  # normal | silent | eof | welcome-eof | <status code>
        self.stream_headers: dict[str, str] = {}
        self.reveals_keys = True
        self.answers: list[Answer] = []
        self.hold_reads: threading.Event | None = None
        self.hold_syncs: threading.Event | None = None
        self.usage: dict[str, Json] = {}
        self.usage_posts: list[list[str]] = []
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.sockets: list[FaultSocket] = []
        self._lock = threading.RLock()
        self._http: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._port_is_ours: socket.socket | None = None
        self.port = 0

    # Life

    def start(self) -> "FaultServer":
        if self._http is not None:
            return self
        if self._port_is_ours is None:
            self._port_is_ours = _reserve_port()
            self.port = self._port_is_ours.getsockname()[1]
        self._http = _Server(self)
        if self.tls is not None:
            self._http.socket = self.tls.wrap_socket(
                # Not while accepting: a client that refuses us would hold up the others.
                self._http.socket,
                server_side=True,
                do_handshake_on_connect=False,
            )
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def stop(self) -> None:
        """Die: no further answer, open streams end."""
        if self._http is None or self._thread is None:
            return
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self._http.end_connections()
        for stream in self.sockets:
            stream.ended.wait(30)
        self._http = None

    def __enter__(self) -> "FaultServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        for held in (self.hold_reads, self.hold_syncs):
            if held is not None:
                held.set()
        self.stop()
        if self._port_is_ours is not None:
            self._port_is_ours.close()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    # The world

    def put(self, *configs: Json, push: bool = True, kind: str = "agent_config_changed") -> int:
        """Create or change agents in one rev; without `push` the sockets hear nothing of it."""
        with self._lock:
            self.rev += 1
            self.log[self.rev] = [config["agent_id"] for config in configs]
            for config in configs:
                self.agents[config["agent_id"]] = config
                if config["is_default"]:
                    self.default = config["agent_id"]
            if push:
                self.push(self.log[self.rev], kind)
            return self.rev

    def delete(self, agent_id: str, *, push: bool = True) -> int:
        with self._lock:
            self.rev += 1
            self.log[self.rev] = [agent_id]
            del self.agents[agent_id]
            if push:
                self.push([agent_id])
            return self.rev

    def push(self, agent_ids: list[str], kind: str = "agent_config_changed") -> None:
        items = [self._item(agent_id, kind) for agent_id in agent_ids]
        for stream in self.live_sockets():
            prev, stream.sent_rev = stream.sent_rev, self.rev
            for index, item in enumerate(items):
                item = item | {"config": item["config"] and without_keys(item["config"])}
                stream.send(item | {"prev": prev, "more": index < len(items) - 1})

    def resolve(self, agent_id: str) -> Json | None:
        config, source = self.agents.get(agent_id), "agent"
        if config is None and self.default is not None:
            config, source = self.agents.get(self.default), "default"
        if config is None:
            return None
        stamp = {"requested_agent_id": agent_id, "rev": self.rev, "epoch": self.epoch}
        config = config | stamp | {"source": source, "config_version": self.rev}
        return config if self.reveals_keys else config | {"llm_api_key": None}

    def _item(self, agent_id: str, kind: str = "agent_config_changed") -> Json:
        kind = kind if agent_id in self.agents else "agent_deleted"
        stamp = {"epoch": self.epoch, "rev": self.rev}
        return {"type": kind, "agent_id": agent_id, "config": self.resolve(agent_id)} | stamp

    # What it was asked

    def asked(self, path: str) -> int:
        """How many requests there were for a path that starts with this."""
        return sum(1 for request in list(self.requests) if request[0].startswith(path))

    def live_sockets(self) -> list[FaultSocket]:
        return [stream for stream in list(self.sockets) if not stream.ended.is_set()]

    def wait_for_stream(self) -> FaultSocket:
        """The newest open stream, once the client has said hello on it."""
        wait_until(lambda: self.live_sockets() and self.live_sockets()[-1].hellos())
        return self.live_sockets()[-1]

    # Answers

    def answer(self, target: str, headers: dict[str, str]) -> Answer:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.requests.append((parts.path, query, headers))
        if canned := self._canned(parts.path):
            return canned
        if parts.path == "/api/sync":
            if self.hold_syncs is not None:
                self.hold_syncs.wait(60)
            return self._sync(query, headers)
        if self.hold_reads is not None:
            self.hold_reads.wait(60)
        with self._lock:
            config = self.resolve(unquote(parts.path).split("/")[3])
        status = 200 if config else 404
        return Answer(parts.path, status, body=json.dumps(config or {"code": 404}).encode())

    def take_usage(self, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """`POST /api/usage`: each id counts once. Canned answers take nothing."""
        path = urlsplit(target).path
        self.requests.append((path, {}, headers))
        events = {event["event_id"]: event for event in json.loads(body)["events"]}
        self.usage_posts.append(list(events))
        if canned := self._canned(path):
            return canned
        with self._lock:
            fresh = events.keys() - self.usage.keys()
            self.usage |= events
        counts = {"accepted": len(fresh), "duplicates": len(events) - len(fresh)}
        return Answer("", 200, body=json.dumps(counts | {"rejected": []}).encode())

    def _canned(self, path: str) -> Answer | None:
        with self._lock:
            for canned in self.answers:
                if path.startswith(canned.path) and canned.times > 0:
                    canned.times -= 1
                    return canned
        return None

    def _sync(self, query: dict[str, str], headers: dict[str, str]) -> Answer:
        with self._lock:
            etag = f'W/"{self.epoch}-{self.rev}"'
            if headers.get("If-None-Match") == etag:
                return Answer("", 304, {"ETag": etag}, b"")
            since = int(query.get("since", -1))
            known = self.floor <= since <= self.rev
            full = query.get("epoch") != self.epoch or not known
            touched = {i for rev, ids in self.log.items() if rev > since for i in ids}
            items = [self._item(i) for i in sorted(self.agents if full else touched)]
            intent = "full" if full else "changes" if items else "none"
            body = {"epoch": self.epoch, "rev": self.rev, "intent": intent, "items": items}
            return Answer("", 200, {"ETag": etag}, json.dumps(body).encode())

    def serve_stream(self, connection: socket.socket) -> None:
        """One stream, from after its handshake to its end."""
        with self._lock:
            stream = FaultSocket(connection, self.rev)
            self.sockets.append(stream)
            welcome = {"type": "welcome", "epoch": self.epoch, "rev": self.rev}
            if self.stream in ("normal", "welcome-eof"):
                stream.send(welcome | {"heartbeat_s": self.heartbeat_s})
        if self.stream.endswith("eof"):
            stream.abort()
        stream.read_until_end()


def _reserve_port() -> socket.socket:
    """A port that refuses connections and that nobody else is given, while its server is away."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fault: FaultServer) -> None:
        self.fault = fault
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", fault.port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):  # ended by itself in the meantime
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: Any) -> None:
        """Clients that hang up are the point of these tests, not worth a traceback."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self._stream()
        else:
            self._send(self.server.fault.answer(self.path, dict(self.headers)))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._send(self.server.fault.take_usage(self.path, dict(self.headers), body))

    def _stream(self) -> None:
        fault = self.server.fault
        fault.requests.append((urlsplit(self.path).path, {}, dict(self.headers)))
        self.close_connection = True
        if fault.stream.isdecimal():
            self._send(Answer("", int(fault.stream), fault.stream_headers))
            return
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        fault.serve_stream(self.connection)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 304:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: Any) -> None:
        """Tests print what they need."""
