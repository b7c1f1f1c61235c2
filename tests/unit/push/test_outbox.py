"""The guarded socket over a real pair of sockets: whole frames, no waiting, slow peers dropped."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from app.push import outbox
from app.push.outbox import PENDING_LIMIT, Outbox
from tests.support.processes import wait_until


@pytest.fixture
def pair() -> Iterator[tuple[Outbox, socket.socket]]:
    """An outbox with small kernel buffers, and the other end."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    theirs.settimeout(5)
    yield Outbox(ours, threading.Lock()), theirs
    ours.close()
    theirs.close()


def read(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := peer.recv(65536)):
        data += part
    return data


def test_what_the_peer_takes_is_sent_at_once(pair: tuple[Outbox, socket.socket]) -> None:
    box, peer = pair
    box.send(b"hello")
    assert peer.recv(100) == b"hello"
    assert box.pending == 0


def test_a_stalled_peer_keeps_nobody_waiting_and_loses_nothing(
    pair: tuple[Outbox, socket.socket],
) -> None:
    box, peer = pair
    frames = [bytes([number]) * 5000 for number in range(100)]
    started = time.monotonic()
    for frame in frames:
        box.send(frame)
    assert time.monotonic() - started < 20  # blocking writes would hang here for ever
    assert box.pending > 0
    assert read(peer, 500_000) == b"".join(frames)
    wait_until(lambda: box.pending == 0, "the outbox is empty")


def test_frames_of_many_threads_do_not_mix(pair: tuple[Outbox, socket.socket]) -> None:
    box, peer = pair
    threads = [
        threading.Thread(target=lambda n=n: [box.send(bytes([n]) * 1000) for _ in range(50)])
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    data = read(peer, 8 * 50 * 1000)
    for thread in threads:
        thread.join()
    pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)]
    assert len(pieces) == 400
    assert all(len(set(piece)) == 1 for piece in pieces)


def test_a_reader_too_far_behind_is_dropped(pair: tuple[Outbox, socket.socket]) -> None:
    box, peer = pair
    while box.pending + 60_000 <= PENDING_LIMIT:
        box.send(b"x" * 60_000)
    with pytest.raises(BrokenPipeError):
        box.send(b"x" * 60_000)
    assert box.pending == 0
    assert box.recv(10) == b""  # whoever waits for the peer's frames is woken
    with pytest.raises(BrokenPipeError):
        box.send(b"more")
    assert 0 < len(read(peer, 10 * PENDING_LIMIT)) < PENDING_LIMIT


def test_a_reader_that_takes_nothing_is_dropped_in_time(
    pair: tuple[Outbox, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "STALL_LIMIT", 0.2)
    box, _peer = pair
    box.send(b"x" * 200_000)
    assert box.recv(10) == b""  # returns only once the connection is shut


def test_a_peer_that_left_raises_and_ends_the_connection(
    pair: tuple[Outbox, socket.socket],
) -> None:
    box, peer = pair
    peer.close()
    with pytest.raises(BrokenPipeError):
        box.send(b"anybody?")
    with pytest.raises(BrokenPipeError, match="closed"):
        box.send(b"hello?")


def test_the_last_bytes_go_out_before_the_end(pair: tuple[Outbox, socket.socket]) -> None:
    box, peer = pair
    box.send(b"one ")
    box.finish(b"last")
    box.finish(b"again")
    assert read(peer, 100) == b"one last"


def test_behind_a_stalled_frame_the_last_bytes_are_left_out(
    pair: tuple[Outbox, socket.socket],
) -> None:
    box, peer = pair
    box.send(b"x" * 200_000)
    box.finish(b"LAST")
    assert set(read(peer, 200_000)) == {ord("x")}


def test_close_leaves_the_descriptor_to_its_owner(pair: tuple[Outbox, socket.socket]) -> None:
    box, _peer = pair
    number = box.fileno()
    box.close()
    assert box.fileno() == number >= 0
