"""Clients in the database: one row each, who is connected, who is behind; on both databases."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.accounts.models import ApiToken
from app.accounts.services import create_token, create_user, delete_user
from app.changes.services import State, read_state
from app.core.clock import utcnow
from app.core.db import commit, db, reading
from app.push import clients
from app.push.clients import FORGET_AFTER, SIGN_OF_LIFE, Sighting, record
from app.push.models import Client

HERE, ELSEWHERE = "web-1:10", "web-2:20"
START = utcnow()


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.fixture
def state() -> State:
    """Where the configuration stands; three revs at least have happened."""
    for name in ("one", "two", "desk"):
        create_token(name, ())
    db.session.remove()
    with reading():
        return read_state()


def token_id(name: str = "desk", **options: Any) -> int:
    found = db.session.scalar(sa.select(ApiToken.id).where(ApiToken.name == name))
    return found or create_token(name, (), **options)[0].id


def sighting(client_id: str, owner: int | None = None, **fields: Any) -> Sighting:
    owner = owner or token_id()
    db.session.rollback()
    seen = Sighting(
        id=f"token:{owner}:{client_id}",
        client_id=client_id,
        token_id=owner,
        user_id=None,
        sdk="t/1",
        epoch="e",
        applied_rev=1,
        sent_rev=1,
        connected_at=START,
    )
    return seen._replace(**fields)


def listed(**filters: Any) -> dict[str, Client]:
    db.session.remove()
    with reading():
        rows = db.session.scalars(clients.list_query(filters)).unique().all()
        db.session.expunge_all()  # a row keeps what was asked for, beyond its snapshot
        return {row.client_id: row for row in rows}


def ended(seen: Sighting, at: datetime | None = None) -> Sighting:
    return seen._replace(disconnected_at=at or utcnow())


def test_who_comes_back_is_the_same_row() -> None:
    record([sighting("a")], HERE)
    record([sighting("a", applied_rev=7, sdk="t/2")], ELSEWHERE)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Client)) == 1
    row = listed()["a"]
    assert (row.applied_rev, row.sdk, row.process) == (7, "t/2", ELSEWHERE)
    assert row.connected_at == START
    assert row.token is not None
    assert row.token.name == "desk"


def test_the_same_name_under_another_token_or_a_person_is_another_client() -> None:
    person = create_user("ada@example.com", "long enough").id
    hers = sighting("a", id=f"user:{person}:a", token_id=None, user_id=person)
    record([sighting("a"), sighting("a", token_id("other")), hers], HERE)
    db.session.remove()
    found = db.session.scalars(sa.select(Client).order_by(Client.id)).all()
    assert [(row.client_id, row.user and row.user.email) for row in found] == [
        ("a", None),
        ("a", None),
        ("a", "ada@example.com"),
    ]


def test_an_end_is_written_where_the_client_was() -> None:
    seen = sighting("a")
    record([seen], HERE)
    assert listed()["a"].connected
    record([ended(seen)], HERE)
    row = listed()["a"]
    assert not row.connected
    assert row.last_seen_at == row.disconnected_at
    record([seen], HERE)
    assert listed()["a"].connected


def test_an_end_that_comes_late_does_not_end_the_connection_elsewhere() -> None:
    first = sighting("a")
    record([first], HERE)
    record([first._replace(connected_at=START + timedelta(seconds=1))], ELSEWHERE)
    record([ended(first)], HERE)
    row = listed()["a"]
    assert (row.connected, row.process) == (True, ELSEWHERE)


def test_who_came_and_went_between_two_writes_was_seen() -> None:
    brief = sighting("a")
    record([ended(brief)], HERE)
    assert not listed()["a"].connected
    later = brief._replace(connected_at=START + timedelta(seconds=5), applied_rev=9)
    record([ended(later)], ELSEWHERE)
    assert listed()["a"].applied_rev == 9


def test_the_rows_of_a_process_that_ended_without_a_word_do_not_stay_connected() -> None:
    record([sighting("a")], HERE)
    move(last_seen_at=utcnow() - SIGN_OF_LIFE + timedelta(seconds=20))
    assert listed()["a"].connected
    move(last_seen_at=utcnow() - SIGN_OF_LIFE)
    row = listed()["a"]
    assert (row.connected, row.disconnected_at) == (False, None)


def move(**values: Any) -> None:
    db.session.execute(sa.update(Client.__table__).values(**values))  # type: ignore[arg-type]
    commit()


def test_who_has_applied_what_it_was_sent_is_not_behind(state: State) -> None:
    rev = state.rev
    own = {"epoch": state.epoch, "sent_rev": rev - 1}
    record(
        [
            sighting("up to date", **own, applied_rev=rev),
            sighting("the rest is not its business", **own, applied_rev=rev - 1),
            sighting("two behind", **own, applied_rev=rev - 2),
            sighting("has nothing", **own, applied_rev=None),
            sighting("of another epoch", sent_rev=rev, applied_rev=rev),
            sighting("of no epoch", sent_rev=rev, applied_rev=rev, epoch=None),
            sighting("ahead of a restored backup", **own, applied_rev=rev + 1),
            ended(sighting("away", **own, applied_rev=rev - 1)),
        ],
        HERE,
    )
    assert {name: row.behind for name, row in listed().items()} == {
        "up to date": 0,
        "the rest is not its business": 0,
        "two behind": 2,
        "has nothing": rev,
        "of another epoch": rev,
        "of no epoch": rev,
        "ahead of a restored backup": rev,
        "away": 1,
    }
    assert listed(behind=False).keys() == {"up to date", "the rest is not its business"}
    assert listed(behind=True).keys() == listed().keys() - listed(behind=False).keys()
    assert listed(connected=False).keys() == {"away"}
    assert len(listed(connected=True, behind=True)) == 5


def test_an_agent_has_the_clients_that_may_read_it() -> None:
    person = create_user("ada@example.com", "long enough").id
    record(
        [
            sighting("of all"),
            sighting("of a-b", token_id("bound", agents=["a-b", "c"])),
            sighting("of a", token_id("other", agents=["a"])),
            sighting("hers", id=f"user:{person}:hers", token_id=None, user_id=person),
        ],
        HERE,
    )
    everybodys = {"of all", "hers"}
    assert listed(agent_id="a-b").keys() == everybodys | {"of a-b"}
    assert listed(agent_id="a").keys() == everybodys | {"of a"}
    assert listed(agent_id="b").keys() == listed(agent_id="a_b").keys() == everybodys
    assert listed(agent_id="%").keys() == listed(agent_id='"').keys() == everybodys


def test_a_part_of_the_name_finds_it() -> None:
    record([sighting("desk-1"), sighting("DESK_2"), sighting("lab")], HERE)
    assert listed(search="desk").keys() == {"desk-1", "DESK_2"}
    assert listed(search="_").keys() == {"DESK_2"}


def test_clients_go_with_the_token_and_the_rest_is_still_written() -> None:
    person = create_user("ada@example.com", "long enough")
    hers = token_id("hers", user_id=person.id)
    record([sighting("a", hers)], HERE)
    delete_user(person.id)
    assert listed() == {}
    record([sighting("a", hers), sighting("b")], HERE)
    assert listed().keys() == {"b"}


def test_who_was_not_seen_for_thirty_days_is_forgotten() -> None:
    record([sighting("a")], HERE)
    move(last_seen_at=utcnow() - FORGET_AFTER)
    record([sighting("b")], HERE)
    clients.prune()
    assert listed().keys() == {"b"}


def test_it_is_no_configuration(state: State) -> None:
    record([sighting("a", token_id("one"))], HERE)
    db.session.remove()
    with reading():
        assert read_state() == state


@pytest.mark.parametrize("number", [3, 300])
def test_many_cost_as_many_statements_as_few(number: int) -> None:
    token_id()
    db.session.remove()
    statements: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    seen = [sighting(f"client {each}", token_id()) for each in range(number)]
    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        record(seen, HERE)
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)
    assert len([each for each in statements if not each.startswith(("PRAGMA", "BEGIN"))]) == 3
    assert len(listed()) == number
