"""A WebSocket's opening handshake: enough to know that one is there. No frame is sent."""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import replace

from app.core.http import Answer, Outbound

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


def open_websocket(http: Outbound, url: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Ask for a WebSocket at a ``ws``, ``wss``, ``http`` or ``https`` URL, as any other request.

    The answer's status is 101 and its error None where one was opened (and left again at once);
    otherwise it is the answer of whoever is there instead.
    """
    nonce = base64.b64encode(secrets.token_bytes(16)).decode()
    asked = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": nonce,
    }
    answer = http.get(_as_http(url), {**asked, **(headers or {})})
    if answer.status != 101:
        return answer
    expected = _accept_key(nonce)
    if answer.headers.get("Sec-WebSocket-Accept") == expected:
        return answer
    return replace(answer, error="It switched protocols (HTTP 101), but not to a WebSocket.")


def _as_http(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return {"ws": "http", "wss": "https"}.get(scheme, scheme) + separator + rest


def _accept_key(nonce: str) -> str:
    digest = hashlib.sha1((nonce + _GUID).encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()
