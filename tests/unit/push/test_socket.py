"""The handshake, without a server."""

import socket

import pytest
from flask import Flask

from tests.conftest import Api

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_client_that_left_before_the_answer_is_no_error(app: Flask, api: Api) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    try:
        with ours:
            answer = api(
                "GET", "/ws", headers=HANDSHAKE, environ_overrides={"gunicorn.socket": ours}
            )
        assert answer.status_code == 200  # a 500 comes with a traceback in the log
    finally:
        app.extensions["hub"].stop()
