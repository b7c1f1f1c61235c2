"""Frames built by hand say what the WebSocket library reads."""

import json

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage

from app.changes.services import State
from app.push import frames
from app.push.frames import CloseCode

STATE = State("e1", 7, 0)


def read(data: bytes) -> list[object]:
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(data)
    return list(client.events())


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70_000])
def test_a_text_frame_of_any_size_is_read_as_it_was_written(size: int) -> None:
    (event,) = read(frames.text_frame(b"x" * size))
    assert isinstance(event, TextMessage)
    assert event.data == "x" * size
    assert event.message_finished


def test_a_close_frame_carries_its_code_and_reason() -> None:
    (event,) = read(frames.close_frame(CloseCode.UNAUTHORIZED, "revoked"))
    assert isinstance(event, CloseConnection)
    assert (event.code, event.reason) == (4401, "revoked")


def test_a_long_reason_still_makes_a_valid_close_frame() -> None:
    (event,) = read(frames.close_frame(CloseCode.GOING_AWAY, "x" * 500))
    assert isinstance(event, CloseConnection)
    assert event.reason == "x" * 123


@pytest.mark.parametrize("more", [True, False])
def test_prev_and_more_are_spliced_into_a_finished_body(more: bool) -> None:
    message = {"type": "agent_deleted", "agent_id": "a", "config": None, "rev": 9}
    body = frames.change_body(message)
    (event,) = read(frames.change_frame(body, 2**62, more=more))
    assert isinstance(event, TextMessage)
    assert json.loads(event.data) == {**message, "prev": 2**62, "more": more}


def test_a_lone_surrogate_in_a_text_does_not_break_the_frame() -> None:
    (event,) = read(frames.text_frame(frames.change_body({"t": "a\ud800b"}) + b"}"))
    assert isinstance(event, TextMessage)
    assert json.loads(event.data) == {"t": "a\ud800b"}


def test_what_fits_stays_within_the_limit_once_spliced() -> None:
    widest = frames.MAX_PAYLOAD - 64
    assert frames.fits(b"x" * widest)
    assert not frames.fits(b"x" * (widest + 1))
    spliced = frames.change_frame(b"x" * widest, 2**63, more=False)
    (event,) = read(spliced)
    assert isinstance(event, TextMessage)
    assert len(event.data) <= 64 * 1024


def test_the_servers_own_messages() -> None:
    made = [
        frames.welcome(STATE, 10),
        frames.heartbeat(STATE, 5),
        frames.resync(STATE, 2.5),
        frames.goodbye("bye", 1),
        frames.error("what?"),
    ]
    said = [json.loads(event.data) for event in read(b"".join(made))]  # type: ignore[attr-defined]
    assert said == [
        {"type": "welcome", "epoch": "e1", "rev": 7, "heartbeat_s": 10},
        {"type": "heartbeat", "epoch": "e1", "rev": 7, "last": 5},
        {"type": "resync", "epoch": "e1", "rev": 7, "spread_s": 2.5},
        {"type": "goodbye", "reason": "bye", "retry_s": 1},
        {"type": "error", "message": "what?"},
    ]
