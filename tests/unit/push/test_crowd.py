"""Sockets in groups that hear of the same."""

import socket
import threading
from collections.abc import Iterator

import pytest

from app.push.crowd import Crowd
from app.push.outbox import Outbox
from app.push.subscriber import Audience, Identity, Subscriber

ALL = Audience(frozenset({"agents"}), None, None, False)
ONE = Audience(frozenset({"agent:desk"}), None, None, False)


@pytest.fixture
def subscribers() -> Iterator[list[Subscriber]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        who, box = Identity("token", 1, 1), Outbox(ours, threading.Lock())
        # Equal audiences, each an object of its own, as every socket brings one.
        yield [Subscriber(box, who, audience._replace(), 0) for audience in (ALL, ALL, ONE)]


def test_equal_audiences_are_one_group(subscribers: list[Subscriber]) -> None:
    crowd = Crowd()
    for subscriber in subscribers:
        crowd.add(subscriber)
    first, second, third = subscribers
    assert len(crowd) == 3
    assert set(crowd) == set(subscribers)
    assert dict(crowd.by_audience()) == {ALL: {first, second}, ONE: {third}}


def test_nothing_is_worked_out_for_nobody(subscribers: list[Subscriber]) -> None:
    crowd = Crowd()
    first, _, third = subscribers
    crowd.add(first)
    crowd.add(third)
    crowd.move(third, ALL)
    assert third.audience == ALL
    assert crowd.audiences() == [ALL]
    crowd.remove(third)
    crowd.remove(first)
    assert (len(crowd), list(crowd), crowd.audiences()) == (0, [], [])
