"""Types, constraints, conflicts and pools, on both databases."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import IntegrityError

from app.agents import services as agents
from app.agents.models import Agent, LLMConfig
from app.core.db import commit, db, flush, lock, plain, reading, referrers
from app.core.errors import Conflict, Unavailable
from app.providers import services as providers
from app.providers.models import Provider
from tests.support.servers import PostgresServer


@pytest.fixture
def agent(app: Flask) -> Iterator[Agent]:
    """A stored agent with one step, and a context."""
    with app.app_context():
        data = {"name": "A", "llm_provider": "ollama", "llm_model": "m"}
        yield agents.create_agent(data)[0]


@pytest.mark.parametrize(
    "amount",
    ["0", "0.000000000003625", "0.1", "12345678901234567890.123456789012345678", "1000000"],
)
def test_money_is_exact(agent: Agent, amount: str) -> None:
    agent.llm_configs[0].cost_per_1k_input_tokens = Decimal(amount)
    commit()
    assert agent.llm_configs[0].cost_per_1k_input_tokens == Decimal(amount)
    assert format(agent.llm_configs[0].cost_per_1k_input_tokens, "f") == amount


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity"])
def test_money_is_a_number(agent: Agent, amount: str) -> None:
    agent.llm_configs[0].cost_per_1k_input_tokens = Decimal(amount)
    with pytest.raises(sa.exc.StatementError, match="finite"):
        db.session.flush()
    db.session.rollback()


def test_plain_numbers_have_no_exponent() -> None:
    for text, shown in (("5E-3", "0.005"), ("0.0050", "0.005"), ("1E+3", "1000"), ("-0.0", "-0")):
        assert format(plain(Decimal(text)), "f") == shown
        assert str(plain(Decimal(text))) == shown


def test_instants_come_back_aware_and_in_utc(agent: Agent) -> None:
    east = timezone(timedelta(hours=9))
    for stored, read in (
        (datetime(2026, 1, 1, 9, tzinfo=east), datetime(2026, 1, 1, tzinfo=UTC)),
        (datetime(2026, 1, 1, 5), datetime(2026, 1, 1, 5, tzinfo=UTC)),  # noqa: DTZ001
    ):
        agent.halted_at = stored
        commit()
        db.session.expire_all()
        assert agent.halted_at == read
        assert agent.halted_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"temperature": -0.1},
        {"top_p": 1.1},
        {"timeout": 0},
        {"timeout": 301},
        {"max_tokens": 0},
        {"model_name": ""},
    ],
    ids=str,
)
def test_the_database_itself_refuses_what_no_form_should_send(
    agent: Agent, wrong: dict[str, Any]
) -> None:
    for name, value in wrong.items():
        setattr(agent.llm_configs[0], name, value)
    with pytest.raises(Conflict):
        commit()


def test_a_default_is_active_and_alone(agent: Agent) -> None:
    statement = sa.update(Agent.__table__)  # past the services
    for values in ({"is_active": False, "is_default": True}, {"is_default": True}):
        with pytest.raises(IntegrityError), db.engine.begin() as connection:
            connection.execute(statement.values(**values))


def test_a_conflict_names_the_field_and_not_the_value(agent: Agent) -> None:
    db.session.add(Agent(agent_id="a", name="secret-looking-value"))
    with pytest.raises(Conflict) as caught:
        commit()
    assert caught.value.message == "The agent_id is taken by another row of agents."
    db.session.add(Provider(name="ollama", type="ollama", base_url="http://x"))
    with pytest.raises(Conflict, match="The name is taken by another row of providers"):
        commit()


def test_a_broken_reference_is_a_conflict(agent: Agent) -> None:
    provider = agent.llm_configs[0].provider
    db.session.add(LLMConfig(agent=agent, position=5, provider_id=999_999, model_name="m"))
    with pytest.raises(Conflict, match="refers to something"):
        commit()
    db.session.delete(provider)
    with pytest.raises(Conflict):
        commit()


def test_who_depends_on_a_row(agent: Agent) -> None:
    other = agents.create_agent({"name": "B", "llm_provider": "ollama", "llm_model": "m"})[0]
    provider = agent.llm_configs[0].provider
    found = {row for row in referrers(provider) if isinstance(row, LLMConfig)}
    assert {agent.llm_configs[0], other.llm_configs[0]} <= found
    assert providers.used_by(provider) == ["a", "b", "default"]
    assert set(referrers(agent)) >= {agent.llm_configs[0]}


def test_a_named_lock_holds_until_the_end_of_the_transaction(app: Flask) -> None:
    order: list[str] = []

    def work(name: str) -> None:
        with app.app_context():
            lock("a test's")
            # On SQLite the lock is the one writer's, taken by the first statement.
            db.session.execute(sa.select(1))
            order.append(name)
            time.sleep(0.02)
            order.append(name)
            db.session.rollback()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, "abcd"))
    assert order[0::2] == order[1::2]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_restarted_database_is_found_again(app: Flask, postgres: PostgresServer) -> None:
    with app.app_context(), reading():
        assert agents.find_default(None)
    postgres.disconnect_all()
    with app.app_context(), reading():
        assert agents.find_default(None)
    with app.app_context():
        agents.create_agent({"name": "A"})


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_connection_that_is_lost_is_no_error_of_whoever_gives_up(
    app: Flask, postgres: PostgresServer
) -> None:
    with app.app_context():
        with reading():
            assert agents.find_default(None)
            postgres.disconnect_all()
        agents.create_agent({"name": "A"})
        db.session.add(Agent(agent_id="b", name="B"))
        flush()
        session = db.session()
        postgres.disconnect_all()  # and the end of the context closes it
    assert session.info == {}
    with app.app_context(), reading():
        assert db.session() is not session


@pytest.mark.parametrize("backend", ["postgresql"])
def test_what_was_saved_with_the_connection_lost_is_left_open(
    app: Flask, postgres: PostgresServer
) -> None:
    with app.app_context():
        db.session.add(Agent(agent_id="a", name="A"))
        flush()
        postgres.disconnect_all()
        with pytest.raises(Unavailable, match="look whether it was saved"):
            commit()
        agents.create_agent({"name": "A"})


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_lock_that_is_held_too_long_is_a_clear_refusal(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context(), db.engine.connect() as holder:
        holder.execute(sa.text("SELECT 1 FROM agents WHERE agent_id = 'default' FOR UPDATE"))
        db.session.execute(sa.text("SET LOCAL lock_timeout = '50ms'"))
        default = agents.find_default(None)
        assert default is not None
        default.description = "x"
        with pytest.raises(Unavailable, match="nothing was saved"):
            commit()


def test_parameters_stay_out_of_database_errors(agent: Agent) -> None:
    with pytest.raises(sa.exc.DBAPIError) as caught:
        db.session.execute(sa.text("SELECT :secret FROM nowhere"), {"secret": "sk-canary"})
    assert "sk-canary" not in str(caught.value)
    db.session.rollback()
