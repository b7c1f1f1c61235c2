"""A WebSocket client of tests: it keeps everything it hears, and how the connection ended."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from typing import Any, Self

import websocket
from websocket import ABNF

Message = dict[str, Any]
CHANGES = ("agent_", "provider_", "task_")


class Listener:
    """One socket with a reading thread. Refused handshakes raise WebSocketBadStatusException."""

    def __init__(self, url: str, token: str | None = None, **options: Any) -> None:
        if token is not None:
            options["header"] = [f"Authorization: Bearer {token}"]
        target = url.replace("http", "ws", 1)
        self._socket = websocket.create_connection(
            target if "/ws" in target else f"{target}/api/ws", timeout=30, **options
        )
        self.messages: list[Message] = []
        self.texts: list[str] = []
        self.close_code: int | None = None
        self.has_ended = False
        self._heard = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="listener", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def say(self, frame: Any) -> None:
        """Send text as it is, and anything else as JSON."""
        self._socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    def close(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # it has ended already
            self._socket.sock.shutdown(socket.SHUT_RDWR)  # wakes the reading thread
        self._thread.join(5)

    def wait_for(self, *types: str, count: int = 1, timeout: float = 60) -> list[Message]:
        """The messages of these types, once there are so many."""
        return self.wait_until(
            lambda: found if len(found := self.of(*types)) >= count else None,
            f"{count} of {types}",
            timeout,
        )

    def wait_until(self, holds: Callable[[], Any], what: str, timeout: float = 60) -> Any:
        """The first truthy answer; AssertionError with what was heard when none comes."""
        answer = None

        def answered() -> bool:
            nonlocal answer
            answer = holds()
            return bool(answer)

        with self._heard:
            came = self._heard.wait_for(answered, timeout)
        last = [(m["type"], m.get("agent_id"), m.get("rev")) for m in self.messages[-5:]]
        assert came, f"{what}: not within {timeout} s; heard {len(self.messages)}, last {last}"
        return answer

    def wait_for_end(self, timeout: float = 60) -> int | None:
        """The close code, once the connection is over."""
        self.wait_until(lambda: self.has_ended, "the end", timeout)
        return self.close_code

    def wait_for_rev(self, rev: int) -> list[Message]:
        """All changes, once the last one of ``rev`` is there."""
        self.wait_until(lambda: self.changes and _ends_at(self.changes[-1], rev), f"rev {rev}")
        return self.changes

    def of(self, *types: str) -> list[Message]:
        """What was heard of these types so far; a type may be a beginning such as `agent_`."""
        return [m for m in list(self.messages) if m["type"].startswith(types)]

    @property
    def changes(self) -> list[Message]:
        """Everything that carries `prev`."""
        return self.of(*CHANGES)

    def _read(self) -> None:
        try:
            while self._take(*self._socket.recv_data_frame(control_frame=True)):
                pass
        except (websocket.WebSocketException, OSError):
            pass  # the end, noted below
        self._socket.shutdown()
        with self._heard:
            self.has_ended = True
            self._heard.notify_all()

    def _take(self, opcode: int, frame: ABNF) -> bool:
        if opcode == ABNF.OPCODE_CLOSE:
            self.close_code = int.from_bytes(frame.data[:2], "big")
            return False
        if opcode == ABNF.OPCODE_TEXT:
            text = frame.data.decode()
            with self._heard:
                self.texts.append(text)
                self.messages.append(json.loads(text))
                self._heard.notify_all()
        return True


def _ends_at(message: Message, rev: int) -> bool:
    return message["rev"] == rev and not message["more"]


def check_chain(listener: Listener) -> None:
    """Every batch of changes starts where the one before ended, and ends where it says."""
    last: int = listener.of("welcome")[0]["rev"]
    more_of: int | None = None
    for message in listener.messages:
        if message["type"] == "resync":
            last, more_of = message["rev"], None
        if "prev" not in message:
            continue
        assert message["prev"] == last, message
        assert message["rev"] > last, message
        assert more_of in {None, message["rev"]}, message
        more_of = message["rev"] if message["more"] else None
        last = last if message["more"] else message["rev"]
    assert more_of is None
