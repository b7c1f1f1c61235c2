"""The hub in one process: what it does with wrong hints, odd rows, and goodbyes."""

import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from app.accounts.services import update_token
from app.agents.services import create_agent
from app.changes.services import State, read_state
from app.core.db import reading
from app.push import batches, hub
from app.push.hub import Hub, NoRoom, RightsChanged
from app.push.subscriber import Audience, Hello, Identity, Subscriber
from tests.conftest import ADMIN_TOKEN, Api
from tests.support.processes import wait_until

EVERYTHING = Audience(frozenset({"agents"}), None, None, False)


class Peer:
    """The client's end of a subscriber."""

    def __init__(self, app: Flask) -> None:
        ours, self._theirs = socket.socketpair()
        self._owned = ours
        self._theirs.settimeout(10)
        self._read = b""
        self.subscriber = Subscriber(
            app.extensions["hub"].guard(ours), admin_identity(app), EVERYTHING, state(app).rev
        )

    def hear(self) -> dict[str, Any]:
        """The next message."""
        header = self._take(2)
        size = header[1]
        if size == 126:
            size = int.from_bytes(self._take(2), "big")
        message: dict[str, Any] = json.loads(self._take(size))
        return message

    def close(self) -> None:
        self._owned.close()
        self._theirs.close()

    def _take(self, size: int) -> bytes:
        while len(self._read) < size:
            part = self._theirs.recv(65536)
            assert part, "the connection ended"
            self._read += part
        taken, self._read = self._read[:size], self._read[size:]
        return taken


def state(app: Flask) -> State:
    with app.app_context(), reading():
        return read_state()


def admin_identity(app: Flask) -> Identity:
    from app.accounts.gate import caller_of_token
    from app.accounts.services import find_live_token
    from app.push.rights import confirm

    with app.app_context():
        token = find_live_token(ADMIN_TOKEN)
        assert token is not None
        return confirm(caller_of_token(token), read_state().rev)


@pytest.fixture
def running(app: Flask) -> Iterator[Hub]:
    """The app's hub, started; its threads are gone afterwards."""
    running: Hub = app.extensions["hub"]
    with app.app_context():
        running.start()
    yield running
    running.stop()
    for thread in (running._thread, running._presence._thread):
        assert thread is not None
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def peer(app: Flask, running: Hub) -> Iterator[Peer]:
    peer = Peer(app)
    running.add(peer.subscriber)
    assert peer.hear()["type"] == "welcome"
    yield peer
    running.remove(peer.subscriber)
    peer.close()


def make(app: Flask, name: str) -> None:
    with app.app_context():
        create_agent({"name": name, "llm_provider": "ollama", "llm_model": "m"})


def test_a_change_of_this_process_is_heard(app: Flask, peer: Peer) -> None:
    make(app, "A")
    assert peer.hear()["agent_id"] == "a"


def test_a_hint_of_a_rev_that_does_not_exist_costs_one_look(
    app: Flask, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    read_state = hub.read_state
    monkeypatch.setattr(hub, "read_state", lambda: looks.append(1) or read_state())
    app.extensions["bell"].ring(10**12)
    make(app, "A")
    assert peer.hear()["agent_id"] == "a"
    assert len(looks) < 20  # spinning, it would look thousands of times


def test_what_cannot_be_spelled_out_is_fetched_and_the_rest_goes_on(
    app: Flask, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("an odd row")

    monkeypatch.setattr(batches, "dump_items", fail)
    make(app, "A")
    assert peer.hear()["type"] == "resync"
    monkeypatch.undo()
    make(app, "B")
    assert peer.hear()["agent_id"] == "b"


def test_who_came_while_the_batches_were_made_fetches_everything(
    app: Flask, running: Hub, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Peer(app)
    late.subscriber.audience = EVERYTHING._replace(topics=frozenset({"agents", "tasks"}))
    prepare = hub.prepare

    def prepare_slowly(*arguments: Any) -> Any:
        prepared = prepare(*arguments)
        running.add(late.subscriber)
        monkeypatch.undo()
        return prepared

    monkeypatch.setattr(hub, "prepare", prepare_slowly)
    make(app, "A")
    assert peer.hear()["agent_id"] == "a"
    assert [late.hear()["type"] for _ in range(2)] == ["welcome", "resync"]
    running.remove(late.subscriber)
    late.close()


def test_nobody_is_told_more_under_rights_that_have_changed(
    app: Flask, running: Hub, peer: Peer
) -> None:
    late = Peer(app)
    with app.app_context():
        update_token(peer.subscriber.identity.id, {"agents": ["b"]})
    make(app, "A")
    goodbye = peer.hear()
    assert (goodbye["type"], goodbye["reason"]) == ("goodbye", "your rights have changed")
    with pytest.raises(RightsChanged):  # it was let in under the old ones
        running.add(late.subscriber)
    late.close()


def test_a_hello_is_kept_and_stored(running: Hub, peer: Peer, api: Api) -> None:
    running.note_hello(peer.subscriber, Hello("client-1", applied_rev=3))
    assert peer.subscriber.hello == Hello("client-1", applied_rev=3)
    wait_until(lambda: api("GET", "/clients").json["total"] == 1, "the client is listed")


def test_whoever_is_here_at_the_end_goes_with_the_process(
    running: Hub, peer: Peer, api: Api
) -> None:
    running.note_hello(peer.subscriber, Hello("client-1", applied_rev=3))
    running.stop()
    wait_until(lambda: api("GET", "/clients").json["total"] == 1, "the client is listed")
    (client,) = api("GET", "/clients").json["clients"]
    assert (client["client_id"], client["connected"]) == ("client-1", False)
    assert client["process"].endswith(f":{os.getpid()}")


def test_stopped_it_says_goodbye_and_takes_nobody(
    app: Flask, running: Hub, peer: Peer, api: Api
) -> None:
    running.stop()
    assert peer.hear()["type"] == "goodbye"
    assert api("GET", "/sync").status_code == 200
    with pytest.raises(NoRoom):
        running.add(peer.subscriber)
