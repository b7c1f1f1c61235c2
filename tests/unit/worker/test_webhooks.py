"""Receivers that hang hold up fewer than half of a worker's threads."""

import threading

import pytest

from app.webhooks import delivery
from tests.support.processes import wait_until
from worker.webhooks import Room

HANGS, HANGS_TOO, NO_ROOM, FINE = 1, 2, 3, 4


def test_what_finds_no_room_is_left_to_the_next_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    answers = threading.Event()
    handed_on: list[int | None] = []

    def deliver_due(webhook_id: int) -> None:
        begun.append(webhook_id)
        if webhook_id != FINE:
            answers.wait()

    monkeypatch.setattr(delivery, "deliver_due", deliver_due)
    monkeypatch.setattr(delivery, "sweep", lambda at_most=None: handed_on.append(at_most))
    room = Room(threads=6)
    hanging = [
        threading.Thread(target=room.deliver, args=(each,), daemon=True)
        for each in (HANGS, HANGS_TOO)
    ]
    for thread in hanging:
        thread.start()
    wait_until(lambda: len(begun) == 2, "both wait for their receivers")
    room.deliver(NO_ROOM)
    assert (NO_ROOM in begun, handed_on) == (False, [])
    answers.set()
    for thread in hanging:
        thread.join()
    room.deliver(FINE)
    assert begun[2:] == [FINE]
    assert handed_on == [1, 1, 1], "each hands its place on"


def test_one_thread_is_room_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    monkeypatch.setattr(delivery, "deliver_due", begun.append)
    monkeypatch.setattr(delivery, "sweep", lambda at_most=None: None)
    Room(threads=1).deliver(FINE)
    assert begun == [FINE]
