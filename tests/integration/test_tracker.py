"""The tracker, snapshots and the one commit, on both databases."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError

from app.agents import chain
from app.agents import services as agents
from app.agents.models import Agent, LLMConfig
from app.changes.models import Change, ConfigState, Operation
from app.changes.services import list_changes_since, read_state
from app.core.actor import acting_as
from app.core.crypto import Secret
from app.core.db import commit, db, flush, reading
from app.core.errors import Conflict
from app.core.jobs import REV_CHANNEL, nudge_after_commit
from app.providers import services as providers
from app.providers.models import Provider, ValidationStatus

WRITERS = 8
WRITES = 8


@pytest.fixture
def context(app: Flask) -> Iterator[Flask]:
    """The app with a context open."""
    with app.app_context():
        yield app


@pytest.fixture
def log(context: Flask) -> Callable[[], list[Change]]:
    """``log()``: the changes since the test began, read afresh."""
    start = _rev(context)

    def since_start() -> list[Change]:
        with context.app_context(), reading():  # a context of its own, and so a session
            changes = list_changes_since(start, read_state().rev)
            db.session.expunge_all()
        return changes

    return since_start


@pytest.fixture
def published(app: Flask) -> list[tuple[str, Any]]:
    """What the publisher is handed, instead of sending it."""
    items: list[tuple[str, Any]] = []
    publisher = app.extensions["publisher"]
    publisher._put = lambda name, argument: items.append((name, argument))
    return items


def test_writers_neither_deadlock_nor_leave_gaps_nor_lose_changes(app: Flask) -> None:
    with app.app_context():
        _agent("shared")
        provider_id = providers.create_provider({"name": "shared", "type": "openai"}).id
        start = _rev(app)
    stop = threading.Event()
    with ThreadPoolExecutor(WRITERS + 1) as pool:
        watching = pool.submit(_watch_for_gaps, app, stop)
        writing = [pool.submit(_write, app, number, provider_id) for number in range(WRITERS)]
        for writer in writing:
            writer.result()
        stop.set()
        assert watching.result() == []
    with app.app_context(), reading():
        changes = list_changes_since(start, read_state().rev)
        assert sorted({change.rev for change in changes}) == list(range(start + 1, _rev(app) + 1))
        assert len({change.rev for change in changes}) == WRITERS * WRITES * 3
        shared = chain.get_agent("shared")
        assert shared.version == 1 + WRITERS * WRITES
        # Each change found what the one before it, by rev, had left: commit order = rev order.
        seen = [
            c.diff["description"] for c in changes if "description" in c.diff and c.root == "shared"
        ]
        assert len(seen) == WRITERS * WRITES
        assert [old for old, _new in seen[1:]] == [new for _old, new in seen[:-1]]
        assert shared.description == seen[-1][1]


def _write(app: Flask, number: int, provider_id: int) -> None:
    for turn in range(WRITES):
        with app.app_context():
            agents.update_agent("shared", {"description": f"{number}/{turn}"})
        with app.app_context():
            providers.update_provider(provider_id, {"options": {"writer": number, "turn": turn}})
        with app.app_context():
            _agent(f"agent-{number}-{turn}")


def _watch_for_gaps(app: Flask, stop: threading.Event) -> list[str]:
    """Read as the hub does: whatever rev is visible, all changes up to it must be."""
    gaps = []
    seen = 0
    while not stop.is_set():
        with app.app_context(), reading():
            rev = read_state().rev
            newest = db.session.scalar(sa.select(sa.func.max(Change.rev)))
            if newest != rev or rev < seen:
                gaps.append(f"rev {rev} beside change {newest} after {seen}")
            seen = rev
    return gaps


def test_a_rollback_leaves_nothing(context: Flask, log: Any, published: list[Any]) -> None:
    db.session.add(Agent(agent_id="gone", name="Gone"))
    flush()
    nudge_after_commit(db.session, "health.check", 1)
    db.session.rollback()
    assert log() == []
    assert db.session().info == {}
    commit()
    assert log() == []
    assert published == []


def test_a_closed_session_leaves_nothing(context: Flask, log: Any, published: list[Any]) -> None:
    db.session.add(Agent(agent_id="gone", name="Gone"))
    flush()
    db.session().close()
    assert db.session().info == {}
    db.session.add(Agent(agent_id="other", name="Other"))
    commit()
    assert [change.root for change in log()] == ["other"]


def test_an_update_that_comes_out_unchanged_raises_no_rev(context: Flask, log: Any) -> None:
    agent = _agent("a")
    before = len(log())
    agent.name = "Another"
    flush()
    agent.name = "a"
    commit()
    agent.name = agent.name
    commit()
    assert len(log()) == before


def test_created_and_deleted_in_one_transaction_is_no_change(context: Flask, log: Any) -> None:
    agent = Agent(agent_id="brief", name="Brief")
    db.session.add(agent)
    flush()
    db.session.delete(agent)
    commit()
    assert log() == []


def test_several_flushes_merge_into_first_old_and_last_new(context: Flask, log: Any) -> None:
    agent = _agent("a")
    before = len(log())
    for name in ("b", "c", "d"):
        agent.name = name
        flush()
    agent.description = "new"
    commit()
    (change,) = log()[before:]
    assert change.operation is Operation.UPDATE
    assert change.diff == {"name": ["a", "d"], "description": [None, "new"]}
    assert agent.version == 2


def test_a_creation_keeps_its_full_image_through_later_flushes(context: Flask, log: Any) -> None:
    agent = Agent(agent_id="a", name="first")
    db.session.add(agent)
    flush()
    agent.name = "second"
    flush()
    agent.name = "first"
    agent.description = "late"
    commit()
    (change,) = log()
    assert change.operation is Operation.CREATE
    assert change.diff["name"] == [None, "first"]
    assert change.diff["description"] == [None, "late"]
    assert change.diff["is_active"] == [None, True]


def test_an_update_before_a_deletion_shows_what_was_stored(context: Flask, log: Any) -> None:
    agent = _agent("a")
    agent.name = "renamed"
    flush()
    db.session.delete(agent)
    commit()
    change = log()[-1]
    assert change.operation is Operation.DELETE
    assert change.diff["name"] == ["a", None]


def test_a_deletion_keeps_the_full_image_cascade_included(context: Flask, log: Any) -> None:
    _agent("a", llm_provider="ollama", llm_model="m-1", llm_temperature=0.3, metadata_={"k": [1]})
    db.session.remove()  # nothing is loaded: the image comes from the database
    agents.delete_agent("a")
    deleted = {c.entity: c for c in log() if c.operation is Operation.DELETE}
    assert deleted.keys() == {"agent", "llm_config"}
    assert {c.rev for c in deleted.values()} == {_rev(context)}
    assert deleted["agent"].diff["metadata"] == [{"k": [1]}, None]
    assert deleted["agent"].diff["name"] == ["a", None]
    assert deleted["llm_config"].root == "a"
    assert deleted["llm_config"].diff["model_name"] == ["m-1", None]
    assert deleted["llm_config"].diff["temperature"] == [0.3, None]


def test_a_step_taken_out_of_its_chain_is_a_deletion(context: Flask, log: Any) -> None:
    agent = _agent("a", llm_provider="ollama", llm_model="m-1")
    chain.append_step("a", {"provider": "ollama", "model_name": "m-2"})
    version = agent.version
    before = len(log())
    agent.llm_configs.remove(agent.llm_configs[1])
    commit()
    (change,) = log()[before:]
    assert (change.entity, change.operation) == ("llm_config", Operation.DELETE)
    assert change.diff["model_name"] == ["m-2", None]
    assert agent.version == version + 1


def test_a_row_that_takes_a_deleted_ones_id_hides_neither(context: Flask, log: Any) -> None:
    """SQLite gives the highest id out again."""
    agent = _agent("a", llm_provider="ollama", llm_model="m-1")
    before = len(log())
    old = agent.llm_configs[0]
    step_id, provider = old.id, old.provider
    db.session.delete(old)
    flush()
    db.session.add(LLMConfig(id=step_id, agent=agent, provider=provider, model_name="m-2"))
    commit()
    (change,) = log()[before:]
    assert change.operation is Operation.UPDATE
    assert change.diff == {"model_name": ["m-1", "m-2"]}


def test_a_savepoint_takes_no_configuration(context: Flask, log: Any) -> None:
    db.session.begin_nested()
    db.session.add(Agent(agent_id="a", name="a"))
    with pytest.raises(RuntimeError, match="savepoint"):
        flush()
    db.session.rollback()
    assert log() == []


def test_a_savepoint_for_other_rows_publishes_nothing_early(
    context: Flask, published: list[Any]
) -> None:
    db.session.add(Agent(agent_id="a", name="a"))
    nudge_after_commit(db.session, "health.check", 7)
    flush()
    with db.session.begin_nested():
        db.session.execute(sa.select(1))
    assert published == []
    commit()
    assert published == [(REV_CHANNEL, _rev(context)), ("health.check", 7)]


@pytest.mark.parametrize(
    "statement",
    [
        sa.update(Agent).values(name="bulk"),
        sa.delete(Agent),
        sa.insert(Agent).values(agent_id="bulk", name="bulk"),
        sa.delete(LLMConfig),
        sa.update(Provider).values(is_active=False),
    ],
    ids=lambda statement: f"{statement.__visit_name__} {statement.table.name}",
)
def test_bulk_statements_on_tracked_models_are_refused(
    context: Flask, log: Any, statement: Any
) -> None:
    with pytest.raises(RuntimeError, match="bulk"):
        db.session.execute(statement)
    db.session.rollback()
    assert log() == []


def test_a_settled_status_is_a_status_change_without_a_new_version(
    context: Flask, log: Any
) -> None:
    provider = providers.create_provider({"name": "p", "type": "ollama"})
    before = len(log())
    provider.validation_status = ValidationStatus.VALIDATING  # on the way: no change at all
    provider.latency_ms = 12
    commit()
    assert len(log()) == before
    provider.validation_status = provider.settled_status = ValidationStatus.CONNECTED
    commit()
    (change,) = log()[before:]
    assert change.operation is Operation.STATUS
    assert change.diff == {"settled_status": ["pending", "connected"]}
    assert provider.version == 1
    assert provider.config_rev == change.rev
    provider.name, provider.settled_status = "q", ValidationStatus.ERROR
    commit()
    assert log()[-1].operation is Operation.UPDATE
    assert provider.version == 2


def test_a_secret_shows_as_changed_and_nothing_else(context: Flask, log: Any) -> None:
    provider = providers.create_provider({"name": "p", "type": "openai", "api_key": "sk-first"})
    first = (provider.api_key_id, provider.api_key_sealed)
    providers.update_provider(provider.id, {"api_key": "sk-second"})
    second = (provider.api_key_id, provider.api_key_sealed)
    providers.update_provider(provider.id, {"api_key": None})
    agents.create_agent(
        {"name": "a", "llm_provider": "openai", "llm_model": "m", "llm_api_key": "sk-step"}
    )
    changes = log()
    assert [c.diff.get("api_key") for c in changes if c.entity == "provider"] == ["changed"] * 3
    assert [c.diff.get("api_key") for c in changes if c.entity == "llm_config"] == ["changed"]
    assert first[0] != second[0]
    told = str([(c.root, c.diff) for c in changes])
    for hidden in ("sk-", "sealed", "api_key_id", *first, *second):
        assert hidden not in told


def test_a_key_for_a_deleted_row_shows_as_changed(context: Flask, log: Any) -> None:
    provider = providers.create_provider({"name": "p", "type": "openai", "api_key": "sk-first"})
    key_id = provider.api_key_id
    providers.delete_provider(provider.id)
    assert log()[-1].diff["api_key"] == "changed"
    assert key_id not in str(log()[-1].diff)


def test_a_childs_change_raises_the_agents_version_once(context: Flask, log: Any) -> None:
    agent = _agent("a", llm_provider="ollama", llm_model="m-1")
    chain.append_step("a", {"provider": "ollama", "model_name": "m-2"})
    assert agent.version == 2
    updated_at = agent.updated_at
    agent.llm_configs[0].model_name = "x"
    flush()
    agent.llm_configs[1].model_name = "y"
    flush()
    agent.name = "b"
    commit()
    assert agent.version == 3
    assert agent.updated_at > updated_at
    assert agent.config_rev == _rev(context)
    assert {c.entity_id for c in log() if c.rev == agent.config_rev and c.entity == "agent"} == {
        agent.id
    }


def test_the_rev_is_stamped_on_the_root_of_every_change(context: Flask) -> None:
    agent = _agent("a", llm_provider="ollama", llm_model="m-1")
    other = _agent("b")
    agent.llm_configs[0].timeout = 5
    commit()
    assert agent.config_rev == _rev(context)
    assert other.config_rev == _rev(context) - 1


def test_changes_name_actor_root_and_order(context: Flask, log: Any) -> None:
    with acting_as("user:ada@example.com"):
        _agent("a", llm_provider="mistral", llm_model="m-1")
    changes = log()
    assert {c.actor for c in changes} == {"user:ada@example.com"}
    assert {(c.entity, c.root) for c in changes} == {
        ("provider", "mistral"),
        ("agent", "a"),
        ("llm_config", "a"),
    }
    assert [c.seq for c in changes] == [0, 1, 2]
    assert len({c.rev for c in changes}) == 1


def test_hints_and_nudges_go_out_after_the_commit_only(
    context: Flask, published: list[Any]
) -> None:
    provider = providers.add_provider({"name": "p", "type": "ollama"})
    assert published == []
    commit()
    assert published == [(REV_CHANNEL, _rev(context)), ("health.check", provider.id)]
    published.clear()
    provider.latency_ms = 3  # nothing that counts
    commit()
    assert published == []


def test_a_failed_commit_publishes_nothing(context: Flask, log: Any, published: list[Any]) -> None:
    _agent("a")
    published.clear()
    before = len(log())
    db.session.add(Agent(agent_id="a", name="the same slug"))
    nudge_after_commit(db.session, "health.check", 1)
    with pytest.raises(Conflict, match="agent_id is taken"):
        commit()
    assert published == []
    assert len(log()) == before
    commit()
    assert published == []


def test_a_change_whose_row_was_removed_meanwhile_is_a_conflict(app: Flask) -> None:
    with app.app_context():
        _agent("a")
        agent = chain.get_agent("a")
        db.session.expunge(agent)
        db.session.rollback()
    with app.app_context():
        agents.delete_agent("a")
    with app.app_context():
        db.session.add(agent)
        agent.name = "too late"
        with pytest.raises(Conflict):
            commit()


def test_a_snapshot_stays_as_it_was_beside_a_writer(app: Flask) -> None:
    with app.app_context():
        _agent("a")
    with app.app_context(), reading():
        state = read_state()
        assert chain.get_agent("a").name == "a"
        _in_thread(app, lambda: agents.update_agent("a", {"name": "changed"}))
        db.session.expire_all()
        assert chain.get_agent("a").name == "a"
        assert read_state() == state
    with app.app_context(), reading():
        assert chain.get_agent("a").name == "changed"
        assert read_state().rev == state.rev + 1


def test_a_snapshot_refuses_to_write(app: Flask) -> None:
    with app.app_context():
        with reading(), pytest.raises(DBAPIError):
            db.session.execute(sa.update(ConfigState.__table__).values(rev=0))
        # The same connection, given back to the pool, writes again.
        _agent("a")
        assert chain.get_agent("a").name == "a"


def test_a_snapshot_does_not_start_inside_a_transaction(context: Flask) -> None:
    db.session.execute(sa.select(1))
    with pytest.raises(RuntimeError), reading():
        pass


def test_a_writer_blocks_no_reader(app: Flask) -> None:
    with app.app_context():
        agent = _agent("a")
        agent.name = "uncommitted"
        flush()  # the write lock is held from here
        names: list[str] = []

        def read() -> None:
            with reading():
                names.append(chain.get_agent("a").name)

        _in_thread(app, read)
        assert names == ["a"]
        db.session.rollback()


def test_a_key_is_sealed_when_the_row_is_written(context: Flask) -> None:
    created = providers.create_provider({"name": "p", "type": "openai", "api_key": "sk-first"})
    provider_id = created.id
    db.session.remove()
    stored = providers.get_provider(provider_id)
    assert stored is not created
    assert stored.open_api_key() == Secret("sk-first")
    assert "sk-first" not in str(stored.api_key_sealed)


def _agent(slug: str, **fields: Any) -> Agent:
    return agents.create_agent({"agent_id": slug, "name": slug, **fields})[0]


def _rev(app: Flask) -> int:
    with app.app_context(), reading():
        return read_state().rev


def _in_thread(app: Flask, work: Callable[[], Any]) -> None:
    """Run it to its end in another thread, and so in another session."""

    def run() -> None:
        with app.app_context():
            work()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result(timeout=60)
