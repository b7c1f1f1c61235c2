"""What a process knows of its clients, and what of it is still to be written."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from app.core.clock import utcnow
from app.core.errors import Unavailable
from app.push import clients, presence
from app.push.clients import Sighting
from app.push.outbox import Outbox
from app.push.presence import Presence, see, see_all
from app.push.subscriber import Audience, Hello, Identity, Subscriber

TOKEN = Identity("token", 5, 1)
EVERYTHING = Audience(frozenset({"agents"}), None, None, False)


class Office:
    """A presence with its sockets, and a database that keeps, or refuses, what is written."""

    def __init__(self, app: Flask) -> None:
        self.here: list[Subscriber] = []
        self.stopped = threading.Event()
        self.presence = Presence(app, lambda: list(self.here), self.stopped)
        self.written: list[Sighting] = []
        self.pruned = 0
        self.trouble: Exception | None = None
        self.ours, self.theirs = socket.socketpair()

    def come(self, client_id: str | None = "a", rev: int = 1, who: Identity = TOKEN) -> Subscriber:
        subscriber = Subscriber(Outbox(self.ours, threading.Lock()), who, EVERYTHING, 0)
        subscriber.hello = Hello(client_id, "t/1", "e", rev, rev)
        self.here.append(subscriber)
        return subscriber

    def go(self, subscriber: Subscriber) -> None:
        self.here.remove(subscriber)
        self.presence.note_end(subscriber)

    def write(self) -> list[tuple[str, int | None, bool]]:
        """What one write stores: name, rev, and whether it is still here."""
        self.written.clear()
        self.presence.write()
        return [(s.client_id, s.applied_rev, s.disconnected_at is None) for s in self.written]

    def record(self, sightings: list[Sighting], process: str) -> None:
        assert process.partition(":")[0] == socket.gethostname()
        if self.trouble is not None:
            raise self.trouble
        self.written += sightings

    def prune(self) -> None:
        self.pruned += 1


@pytest.fixture
def office(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    office = Office(app)
    monkeypatch.setattr(clients, "record", office.record)
    monkeypatch.setattr(clients, "prune", office.prune)
    with app.app_context():
        yield office
    office.ours.close()
    office.theirs.close()


pytestmark = pytest.mark.parametrize("backend", ["sqlite"])


def test_what_is_new_is_written_once(office: Office) -> None:
    client = office.come()
    assert office.write() == [("a", 1, True)]
    assert office.write() == []
    client.hello = Hello("a", "t/1", "e", 2, 2)
    assert office.write() == [("a", 2, True)]
    client.sent_rev = 3
    assert office.write() == [("a", 2, True)]
    office.go(client)
    assert office.write() == [("a", 2, False)]
    assert office.write() == []


def test_who_does_not_say_who_it_is_is_counted_nowhere(office: Office) -> None:
    office.come().hello = None
    office.come(client_id=None)
    silent = office.come(client_id="")
    assert office.write() == []
    office.go(silent)
    assert office.write() == []


def test_who_came_and_went_in_between_is_written(office: Office) -> None:
    office.go(office.come())
    assert office.write() == [("a", 1, False)]
    assert office.write() == []


def test_who_went_and_came_in_between_is_here(office: Office) -> None:
    office.go(office.come())
    again = office.come(rev=2)
    assert office.write() == [("a", 2, True)]
    office.go(again)
    assert office.write() == [("a", 2, False)]


def test_a_new_name_ends_the_old_one(office: Office) -> None:
    client = office.come("old")
    office.write()
    client.hello = Hello("new", applied_rev=1)
    assert office.write() == [("old", 1, False), ("new", 1, True)]


def test_idle_clients_are_seen_once_a_minute(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.come()
    office.write()
    assert office.write() == []
    monkeypatch.setattr(presence, "TOUCH_EVERY", 0.0)
    assert office.write() == [("a", 1, True)]


@pytest.mark.parametrize(
    "trouble", [Unavailable("away"), OperationalError("x", {}, Exception())], ids=["ours", "its"]
)
def test_a_database_that_is_away_loses_nothing(
    office: Office, trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    kept, gone = office.come("kept"), office.come("gone")
    office.write()
    office.trouble = trouble
    kept.hello = Hello("kept", "t/1", "e", 2, 2)
    office.go(gone)
    office.go(office.come("brief"))
    for _ in range(3):
        assert office.write() == []
    assert len([r for r in caplog.records if "clients cannot be written" in r.message]) == 1
    office.trouble = None
    assert office.write() == [("gone", 1, False), ("brief", 1, False), ("kept", 2, True)]
    assert office.write() == []


def test_an_end_while_the_last_one_is_written_is_not_lost(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = office.come()

    def record(sightings: list[Sighting], process: str) -> None:
        office.record(sightings, process)
        office.go(client)
        monkeypatch.setattr(clients, "record", office.record)

    monkeypatch.setattr(clients, "record", record)
    assert office.write() == [("a", 1, True)]
    assert office.write() == [("a", 1, False)]
    assert office.write() == []


def test_many_are_written_in_short_transactions(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(clients, "record", lambda rows, _: sizes.append(len(rows)))
    for number in range(presence.ROWS_AT_ONCE * 2 + 1):
        office.come(f"client {number}")
    office.presence.write()
    assert sizes == [presence.ROWS_AT_ONCE, presence.ROWS_AT_ONCE, 1]


def test_what_waits_to_be_written_has_a_limit(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "MOST_ENDED", 3)
    for number in range(5):
        office.go(office.come(f"client {number}"))
    assert [name for name, _, _ in office.write()] == ["client 2", "client 3", "client 4"]


def test_the_long_gone_are_forgotten_now_and_then(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        office.write()
    assert office.pruned == 1
    monkeypatch.setattr(office.presence, "_next_prune", 0.0)
    office.write()
    assert office.pruned == 2


def test_at_the_end_everybody_goes_with_the_process(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "WRITE_EVERY", 0.0)
    office.come("written")
    office.write()
    office.come("not yet")
    office.stopped.set()
    office.written.clear()
    office.presence.start()
    assert office.presence._thread is not None
    office.presence._thread.join(5)
    assert {(s.client_id, s.disconnected_at is None) for s in office.written} == {
        ("written", False),
        ("not yet", False),
    }


def test_of_one_name_the_one_furthest_behind_counts(office: Office) -> None:
    for rev in (7, 3, 9):
        office.come(rev=rev)
    assert [seen.applied_rev for seen in see_all(office.here).values()] == [3]
    office.come().hello = Hello("a")  # it has applied nothing yet
    assert [seen.applied_rev for seen in see_all(office.here).values()] == [None]
    assert office.write() == [("a", None, True)]


def test_a_sighting_says_who_and_what(office: Office) -> None:
    before = utcnow()
    client: Any = office.come("desk:7", rev=4)
    client.sent_rev = 6
    seen = see(client)
    assert seen is not None
    assert seen.id == "token:5:desk:7"
    assert (seen.token_id, seen.user_id, seen.sdk, seen.epoch) == (5, None, "t/1", "e")
    assert (seen.applied_rev, seen.sent_rev) == (4, 6)
    assert before <= seen.connected_at <= utcnow()
    other = see(office.come("desk:7", who=Identity("user", 5, 1)))
    assert other is not None
    assert (other.id, other.token_id, other.user_id) == ("user:5:desk:7", None, 5)
