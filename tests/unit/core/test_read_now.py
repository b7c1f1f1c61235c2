"""The counter is read apart from every transaction, and found again after a restart."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from app.agents import services as agents
from app.changes.services import peek_state, read_state
from app.core.db import db, reading
from app.core.errors import Unavailable
from app.core.shared_read import SharedRead, Stuck
from tests.support.servers import PostgresServer


def test_it_is_what_is_committed(app: Flask) -> None:
    with app.app_context():
        before = peek_state()
        agents.add_agent({"name": "A"})
        assert peek_state() == before
        db.session.commit()
        after = peek_state()
        assert after == before._replace(rev=before.rev + 1)
        with reading():
            assert read_state() == after


def test_it_is_not_held_back_by_an_older_snapshot(app: Flask) -> None:
    with app.app_context(), reading():
        before = read_state()
        with app.app_context():
            agents.create_agent({"name": "A"})
        assert peek_state().rev == before.rev + 1
        assert read_state() == before


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_restarted_database_is_found_again(app: Flask, postgres: PostgresServer) -> None:
    with app.app_context():
        before = peek_state()
        postgres.disconnect_all()
        assert peek_state() == before


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_database_that_is_gone_is_a_clear_refusal(app: Flask, postgres: PostgresServer) -> None:
    with app.app_context():
        peek_state()
        db.engine.dispose()
        assert db.engine.url.database is not None
        postgres.drop_database(db.engine.url.database)
        with pytest.raises(Unavailable):
            peek_state()


def test_a_read_that_does_not_come_back_is_not_waited_for(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(_shared: SharedRead[object]) -> object:
        raise Stuck

    with app.app_context():
        before = peek_state()
        monkeypatch.setattr(SharedRead, "get", get)
        assert peek_state() == before


def test_whoever_saved_reads_it_among_many_who_ask(app: Flask) -> None:
    saved = threading.Event()

    def ask(_number: int) -> list[int]:
        revs = []
        with app.app_context():
            while not saved.is_set():
                revs.append(peek_state().rev)
        return revs

    with app.app_context(), ThreadPoolExecutor(6) as pool:
        asking = pool.map(ask, range(6))
        rev = peek_state().rev
        try:
            for number in range(1, 6):
                agents.create_agent({"name": f"A{number}"})
                assert peek_state().rev == rev + number
        finally:
            saved.set()
        for revs in asking:
            assert revs == sorted(revs)
