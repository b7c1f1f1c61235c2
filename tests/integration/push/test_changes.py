"""Change push end to end: real gunicorn, real sockets, real Redis, both databases."""

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from app.accounts.models import Scope
from app.accounts.services import create_token
from app.agents.services import update_agent
from app.changes.models import ConfigState
from app.core.db import commit, db
from tests.integration.push.conftest import CANARY, Site, on_postgresql, on_sqlite
from tests.support.servers import PostgresServer
from tests.support.sockets import check_chain

pytestmark = pytest.mark.xdist_group("push")


def test_a_change_by_rest_arrives_as_the_agents_whole_new_config(site: Site) -> None:
    with site.listen() as listener:
        welcome = listener.of("welcome")[0]
        site.make("Trader", llm_api_key=CANARY)
        site.change("trader", "second")
        (created, changed) = listener.wait_for("agent_", count=2)
        site.call("DELETE", "/agents/trader")
        (deleted,) = listener.wait_for("agent_deleted")
        assert (created["type"], created["agent_id"]) == ("agent_created", "trader")
        assert created["prev"] == welcome["rev"]
        assert changed["type"] == "agent_config_changed"
        assert changed["config"]["llm_model"] == "second"
        assert changed["config"]["llm_api_key_id"] == created["config"]["llm_api_key_id"]
        assert deleted["config"]["source"] == "default"
        assert {m["epoch"] for m in listener.messages} == {welcome["epoch"]}
        check_chain(listener)
        assert CANARY not in "".join(listener.texts)
        assert all(m["config"]["llm_api_key"] is None for m in listener.changes)


def test_what_is_pushed_is_what_a_read_answers(site: Site) -> None:
    with site.listen() as listener:
        site.make("Trader")
        site.call(
            "POST",
            "/agents/trader/llm-configs",
            {"provider": "ollama", "model_name": "m", "fallback_provider": "anthropic"}
            | {"fallback_model": "n"},
        )
        pushed = listener.wait_for("agent_config_changed")[-1]["config"]
        assert pushed == site.call("GET", "/agents/trader/llm")


def test_a_change_of_another_process_arrives(site: Site) -> None:
    site.make("Trader")
    with site.listen() as listener:
        write_from_another_process(site, "trader", "from elsewhere")
        (message,) = listener.wait_for("agent_config_changed")
        assert message["config"]["llm_model"] == "from elsewhere"


@on_sqlite
def test_with_redis_dead_a_change_of_another_process_still_arrives(site: Site) -> None:
    site.make("Trader")
    with site.listen() as listener:
        site.redis.kill()
        try:
            write_from_another_process(site, "trader", "without a hint")
            (message,) = listener.wait_for("agent_config_changed")
        finally:
            site.redis.start()
        assert message["config"]["llm_model"] == "without a hint"


def test_four_writers_at_once_and_the_chain_holds(site: Site) -> None:
    names = ["a", "b", "c", "d"]
    site.make(*names)
    with site.listen() as listener:

        def write(slug: str) -> None:
            writer = Site(site.web, site.app, site.redis)
            for number in range(15):
                writer.change(slug, f"m{number}")
            writer.http.close()

        threads = [threading.Thread(target=write, args=(slug,)) for slug in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rev = site.call("GET", "/sync")["rev"]
        changes = listener.wait_for_rev(rev)
        final = {m["agent_id"]: m["config"]["llm_model"] for m in changes}
        assert final == dict.fromkeys(names, "m14")
        check_chain(listener)


@on_sqlite
def test_fifty_agents_at_once_are_sent_and_one_more_is_a_resync(site: Site) -> None:
    site.make(*[f"Agent {number:02}" for number in range(49)])
    with site.listen() as listener:
        site.call("POST", "/halt", {"reason": "drill"})  # 49 and the default
        sent = listener.wait_for("agent_config_changed", count=50)
        assert [m["more"] for m in sent] == [True] * 49 + [False]
        assert all(m["config"]["halted"] for m in sent)
        site.make("One More")
        site.call("POST", "/resume")
        (resync,) = listener.wait_for("resync")
        assert resync["spread_s"] > 0
        site.change("agent-00", "after")
        after = listener.wait_for("agent_config_changed", count=51)[-1]
        assert after["prev"] == resync["rev"] == after["rev"] - 1
        check_chain(listener)


@on_sqlite
def test_topics_decide_what_is_heard(site: Site) -> None:
    site.make("Trader", "Broker")
    with (
        site.listen("/ws?topics=providers") as providers,
        site.listen("/api/ws?topics=agent:trader,tasks") as one,
        site.listen() as changing,
    ):
        changing.say({"unsubscribe": "agent_config"})
        changing.say({"subscribe": ["providers", "agent:broker"]})
        changing.say({"hello": {"client_id": "c", "sdk": "t/1", "applied_rev": 1}})
        changing.say("the answer to this comes after the rest is done")
        changing.wait_for("error")
        site.change("trader", "x")
        site.change("broker", "x")
        site.call("POST", "/providers", {"name": "eu", "type": "openai"})
        (made,) = providers.wait_for("provider_created")
        assert made["provider"]["name"] == "eu"
        changing.wait_for("provider_created")
        site.change("trader", "y")
        one.wait_for("agent_config_changed", count=2)
        assert [m["agent_id"] for m in one.changes] == ["trader", "trader"]
        assert [m.get("agent_id") for m in changing.changes] == ["broker", None]
        assert len(providers.changes) == 1
        for listener in (providers, one, changing):
            check_chain(listener)


@on_sqlite
def test_tasks_are_told_to_who_asks_for_them(site: Site) -> None:
    with site.app.app_context():
        _, bound = create_token("bound", (Scope.CONFIG_READ,), agents=["mine"])
    with (
        site.listen("/api/ws?topics=tasks") as listener,
        site.listen() as other,
        site.listen("/ws?topics=tasks", token=bound) as refused,
    ):
        refused.wait_for("error")
        task = site.call("POST", "/tasks", {"name": "Rate", "description": "How risky?"})
        site.call("PATCH", f"/tasks/{task['id']}", {"name": "Rate it"})
        (changed,) = listener.wait_for("task_changed")
        assert changed["task"] == {
            "id": task["id"],
            "name": "Rate it",
            "description": "How risky?",
            "version": task["version"] + 1,
        }
        site.call("DELETE", f"/tasks/{task['id']}")
        (deleted,) = listener.wait_for("task_deleted")
        assert deleted["task"] == {"id": task["id"], "name": "Rate it"}
        site.make("Mine")
        for deaf_to_tasks in (other, refused):
            deaf_to_tasks.wait_for("agent_created")
            assert deaf_to_tasks.of("task_") == []
        check_chain(listener)


@on_sqlite
def test_a_late_subscription_tells_by_prev_that_something_was_missed(site: Site) -> None:
    site.make("Trader")
    with site.listen("/api/ws?topics=providers") as listener:
        site.change("trader", "missed")
        rev = site.call("GET", "/sync")["rev"]
        with site.listen() as other:  # the hub has come as far as its welcome says
            assert other.of("welcome")[0]["rev"] == rev
        listener.say({"subscribe": "agents"})
        listener.say("?")
        listener.wait_for("error")
        site.change("trader", "heard")
        (heard,) = listener.wait_for("agent_config_changed")
        assert heard["prev"] == rev


def test_a_database_put_back_in_time_is_told(site: Site) -> None:
    site.make("Trader")
    with site.listen() as listener, site.app.app_context():
        before = listener.of("welcome")[0]["rev"]
        put_back(rev=before - 1)
        (resync,) = listener.wait_for("resync")
        assert resync["rev"] == before - 1
        # And forward again, or the next change would find its rev taken.
        put_back(rev=before, epoch="e" * 32)
        listener.wait_for("resync", count=2)
        assert listener.of("resync")[1]["epoch"] == "e" * 32


def put_back(**values: Any) -> None:
    """Move the counter, as a database does that is restored."""
    db.session.execute(sa.update(ConfigState.__table__).values(**values))  # type: ignore[arg-type]
    commit()


@on_postgresql
def test_sockets_outlive_a_database_that_went_and_came(
    site: Site, postgres: PostgresServer
) -> None:
    site.make("Trader")
    with site.listen() as listener:
        postgres.disconnect_all()
        listener.wait_until(lambda: _changed(site), "a save")
        listener.wait_for("agent_config_changed")
        assert listener.close_code is None
        assert listener.of("goodbye") == []


def _changed(site: Site) -> bool:
    answer = site.http.patch(
        f"{site.web.url}/api/agents/trader", json={"llm_model": "after"}, timeout=10
    )
    return answer.ok


def write_from_another_process(site: Site, agent_id: str, model: str) -> None:
    """The web server's is one, and the tests' another."""
    with site.app.app_context():
        update_agent(agent_id, {"llm_model": model})
