"""What each audience is sent between two states of the database."""

import json
from collections.abc import Iterator

import pytest
from flask import Flask

from app.accounts.services import create_user
from app.agents import services as agents
from app.changes.services import State, read_state
from app.core.db import db, reading
from app.push import batches
from app.push.batches import Batch, list_new, prepare
from app.push.messages import RETAINED_REVS
from app.push.subscriber import MAX_ITEMS, Audience

EVERYTHING = Audience(frozenset({"agents"}), None, None, False)
BOUND = Audience(frozenset({"agents"}), frozenset({"a"}), None, False)
DEAF = Audience(frozenset(), None, None, False)


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def state() -> State:
    db.session.rollback()
    with reading():
        return read_state()


def batch(seen: State, audience: Audience) -> Batch:
    db.session.rollback()
    with reading():
        now = read_state()
        return prepare(list_new(seen, now), now, {audience}, 0.5)[audience]


def messages(batch: Batch, prev: int) -> list[dict[str, object]]:
    """The messages in the frames, whose headers are two to four bytes of no interest here."""
    found = []
    data = batch.frames_after(prev)
    while data:
        head = 4 if data[1] == 126 else 2
        size = int.from_bytes(data[2:4], "big") if data[1] == 126 else data[1]
        found.append(json.loads(data[head : head + size]))
        data = data[head + size :]
    return found


def make(*names: str) -> None:
    for name in names:
        agents.create_agent({"name": name, "provider": "ollama", "model_name": "m"})


def test_one_batch_has_one_rev_one_prev_and_says_where_it_ends() -> None:
    seen = state()
    make("A", "B", "C")
    sent = messages(batch(seen, EVERYTHING), prev=seen.rev - 1)
    assert [(m["agent_id"], m["more"]) for m in sent] == [("a", True), ("b", True), ("c", False)]
    assert {m["rev"] for m in sent} == {state().rev}
    assert {m["prev"] for m in sent} == {seen.rev - 1}


def test_for_a_narrower_audience_the_batch_ends_earlier() -> None:
    seen = state()
    make("A", "B")
    (only,) = messages(batch(seen, BOUND), seen.rev)
    assert (only["agent_id"], only["more"]) == ("a", False)


def test_what_concerns_nobody_is_empty() -> None:
    seen = state()
    make("B")
    assert batch(seen, DEAF).empty
    assert batch(seen, BOUND).empty
    assert not batch(seen, EVERYTHING).empty


ELSEWHERE = ({"epoch": "another"}, {"rev": 10**9}, {"log_floor": 10**9}, {"rev": -RETAINED_REVS})


@pytest.mark.parametrize("odd", ELSEWHERE, ids=("epoch", "rev", "log_floor", "too far back"))
def test_where_the_log_does_not_reach_back_everything_is_fetched(
    odd: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(batches, "list_changes_since")  # it is not even read
    seen = state()
    make("A")
    now = state()
    if "log_floor" in odd:
        now = now._replace(**odd)
    else:
        seen = seen._replace(**odd)
    with reading():
        prepared = prepare(list_new(seen, now), now, {EVERYTHING, BOUND}, 0.5)
    for found in prepared.values():
        (message,) = messages(found, 0)
        assert (message["type"], message["rev"]) == ("resync", now.rev)
        assert message["spread_s"] == 0.5


def test_fifty_are_sent_and_one_more_is_fetched() -> None:
    seen = state()
    make(*[f"Agent {number:02}" for number in range(MAX_ITEMS)])
    assert len(messages(batch(seen, EVERYTHING), 0)) == MAX_ITEMS
    make("One More")
    assert [m["type"] for m in messages(batch(seen, EVERYTHING), 0)] == ["resync"]
    assert batch(seen, BOUND).empty


def test_what_does_not_fit_a_frame_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = state()
    make("A")
    (message,) = messages(batch(seen, EVERYTHING), 0)
    size = len(json.dumps(message, separators=(",", ":")))
    monkeypatch.setattr(batches.frames, "MAX_PAYLOAD", size - 1)
    assert [m["type"] for m in messages(batch(seen, EVERYTHING), 0)] == ["resync"]


def test_what_would_overflow_a_far_reader_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = state()
    make("A", "B")
    monkeypatch.setattr(batches, "BATCH_LIMIT", 1000)
    assert [m["type"] for m in messages(batch(seen, EVERYTHING), 0)] == ["resync"]


def test_whose_own_default_steps_in_fetches_what_is_gone() -> None:
    ada = create_user("ada@example.com", "long enough").id
    make("A", "Own")
    agents.update_agent("own", {"owner_id": ada, "is_default": True})
    seen = state()
    agents.delete_agent("a")
    hers = EVERYTHING._replace(user_id=ada)
    assert [m["type"] for m in messages(batch(seen, hers), 0)] == ["resync"]
    assert [m["type"] for m in messages(batch(seen, EVERYTHING), 0)] == ["agent_deleted"]


def test_frames_are_made_once_for_all_sockets_that_stand_alike() -> None:
    seen = state()
    make("A")
    made = batch(seen, EVERYTHING)
    assert made.frames_after(3) is made.frames_after(3)
    assert made.frames_after(3) != made.frames_after(4)
