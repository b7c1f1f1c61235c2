"""WebSocket frames and the messages that no change causes. Pure.

A server's frames carry no mask, so the same bytes serve every socket: each is built once.
"""

import json
from enum import IntEnum
from typing import Any

from app.changes.services import State

MAX_PAYLOAD = 64 * 1024
_SPLICED = 64  # what `change_frame` adds to a body, at most

_TEXT = b"\x81"  # final frame of a text message
_CLOSE = b"\x88"


class CloseCode(IntEnum):
    """Why a socket was closed."""

    GOING_AWAY = 1001
    TRY_AGAIN_LATER = 1013
    UNAUTHORIZED = 4401


def text_frame(payload: bytes) -> bytes:
    """One unmasked text frame."""
    return _frame(_TEXT, payload)


def close_frame(code: CloseCode, reason: str) -> bytes:
    """A close frame; the protocol allows 123 bytes of reason."""
    return _frame(_CLOSE, code.to_bytes(2, "big") + reason.encode()[:123])


def change_body(message: dict[str, Any]) -> bytes:
    """A change message up to where `prev` and `more` are spliced in, and no closing brace."""
    return _json(message)[:-1]


def change_frame(body: bytes, prev: int, *, more: bool) -> bytes:
    """The frame of a change for sockets that were last sent `prev`."""
    tail = b',"prev":%d,"more":%s}' % (prev, b"true" if more else b"false")
    return text_frame(body + tail)


def fits(body: bytes) -> bool:
    """Whether the body's frame keeps within the limit."""
    return len(body) + _SPLICED <= MAX_PAYLOAD


def welcome(state: State, heartbeat: int) -> bytes:
    """The first message of every socket."""
    return _message("welcome", epoch=state.epoch, rev=state.rev, heartbeat_s=heartbeat)


def heartbeat(state: State, last: int) -> bytes:
    """Still here; `last` is the last rev sent to this socket."""
    return _message("heartbeat", epoch=state.epoch, rev=state.rev, last=last)


def resync(state: State, spread: float) -> bytes:
    """Fetch it all through `GET /sync`, at a random moment within `spread_s`."""
    return _message("resync", epoch=state.epoch, rev=state.rev, spread_s=spread)


def goodbye(reason: str, retry_s: int) -> bytes:
    """The server ends the connection; come back after `retry_s`."""
    return _message("goodbye", reason=reason, retry_s=retry_s)


def error(message: str) -> bytes:
    """The client sent something that means nothing; the socket stays open."""
    return _message("error", message=message)


def _message(message_type: str, **fields: Any) -> bytes:
    return text_frame(_json({"type": message_type, **fields}))


def _json(message: dict[str, Any]) -> bytes:
    # Escaped to ASCII: a lone surrogate in a prompt cannot be encoded otherwise.
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii")


def _frame(kind: bytes, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return kind + bytes([size]) + payload
    if size < 1 << 16:
        return kind + b"\x7e" + size.to_bytes(2, "big") + payload
    return kind + b"\x7f" + size.to_bytes(8, "big") + payload
