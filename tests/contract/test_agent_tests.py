"""Row A13: tests of an agent. The worker's part runs here, in the test's own thread."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.agents import agent_tests
from app.agents.agent_test_models import AgentTest
from app.agents.models import LLMConfig
from app.core.clock import utcnow
from app.core.db import commit, db
from app.core.http import Outbound
from app.providers.adapters import CallResult
from app.providers.keys import KEY_UNREADABLE
from tests.conftest import ADMIN_TOKEN, Api
from tests.contract.conftest import MakeToken, MakeUser, SignIn, on_sqlite
from tests.support.loopback_provider import LoopbackProvider

PROVIDER_KEY = "canary-provider-0123456789"
STEP_KEY = "canary-step-0123456789"
SERVER_KEY = "canary-server-0123456789"

Run = Callable[[int], bool]


@pytest.fixture
def endpoint(app: Flask, nudges: list[Any]) -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as endpoint:
        app.extensions["outbound"] = Outbound([endpoint.address], deadline=30)
        yield endpoint


@pytest.fixture
def trader(api: Api, endpoint: LoopbackProvider) -> str:
    """An agent with a chain of two: OpenAI's wire, then Ollama's."""
    openai = {"name": "loop", "type": "openai", "base_url": endpoint.openai_url}
    ollama = {"name": "local", "type": "ollama", "base_url": endpoint.ollama_url}
    assert api("POST", "/providers", openai | {"api_key": PROVIDER_KEY}).status_code == 201
    assert api("POST", "/providers", ollama).status_code == 201
    first = {"provider": "loop", "model_name": "m-1", "temperature": 0.1, "max_tokens": 4000}
    second = {"provider": "local", "model_name": "m-2", "top_p": 0.5, "max_tokens": 3}
    assert api("POST", "/agents", {"name": "Trader"}).status_code == 201
    put_chain(api, [first, second])
    return "trader"


@pytest.fixture
def run(app: Flask) -> Run:
    """``run(test_id)``: what a worker does."""

    def run(test_id: int) -> bool:
        with app.app_context():
            return agent_tests.run_test(test_id)

    return run


def put_chain(api: Api, steps: list[dict[str, Any]], agent_id: str = "trader") -> None:
    answer = api("PUT", f"/agents/{agent_id}/llm-configs", {"llm_configs": steps})
    assert answer.status_code == 200, answer.text


def ask(api: Api, agent_id: str = "trader") -> int:
    answer = api("POST", f"/agents/{agent_id}/test")
    assert answer.status_code == 202, answer.text
    test_id: int = answer.json["id"]
    return test_id


def read(api: Api, test_id: int, agent_id: str = "trader") -> Any:
    answer = api("GET", f"/agents/{agent_id}/tests/{test_id}")
    assert answer.status_code == 200, answer.text
    return answer.json


def test_a_test_is_accepted_and_its_steps_are_there_at_once(
    api: Api, trader: str, endpoint: LoopbackProvider, nudges: list[tuple[str, Any]], rev: Any
) -> None:
    before = rev()
    nudges.clear()

    answer = api("POST", "/agents/trader/test")

    assert answer.status_code == 202
    body = answer.json
    assert answer.headers["Location"] == f"/api/agents/trader/tests/{body['id']}"
    assert (body["agent_id"], body["status"], body["ok"]) == ("trader", "pending", None)
    assert (body["source"], body["halted"], body["finished_at"]) == ("agent", False, None)
    assert body["created_at"].endswith("+00:00")
    assert [step["status"] for step in body["steps"]] == ["pending", "pending"]
    assert [step["endpoint"] for step in body["steps"]] == [
        endpoint.openai_url,
        endpoint.ollama_url,
    ]
    assert nudges == [("agents.test", body["id"])]
    assert api("GET", answer.headers["Location"].removeprefix("/api")).json == body
    assert endpoint.requests == []
    assert rev() == before, "a test changes no configuration"


def test_every_step_is_called_with_its_key_and_parameters(
    api: Api, trader: str, endpoint: LoopbackProvider, run: Run, rev: Any
) -> None:
    test_id, before = ask(api), rev()

    assert run(test_id)

    body = read(api, test_id)
    assert (body["status"], body["ok"]) == ("done", True)
    assert body["started_at"] <= body["finished_at"]
    first, second = body["steps"]
    assert (first["position"], first["provider"], first["model"]) == (0, "openai", "m-1")
    assert (first["status"], first["http_status"], first["error"]) == ("ok", 200, None)
    assert (first["answered_model"], first["text"]) == ("m-1", "pong")
    assert (first["input_tokens"], first["output_tokens"]) == (5, 1)
    assert first["latency_ms"] >= 0
    assert (second["position"], second["provider"], second["model"]) == (1, "ollama", "m-2")
    assert (second["provider_name"], second["status"]) == ("local", "ok")
    one, two = endpoint.requests
    assert (one.path, two.path) == ("/v1/chat/completions", "/api/chat")
    assert one.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert "authorization" not in two.headers
    sent = json.loads(one.body)
    assert (sent["temperature"], sent["max_tokens"]) == (0.1, 16)
    assert json.loads(two.body)["options"] == {"num_predict": 3, "temperature": 0.7, "top_p": 0.5}
    assert rev() == before


@on_sqlite
def test_the_key_is_the_one_that_the_agent_would_use(
    api: Api,
    trader: str,
    endpoint: LoopbackProvider,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SERVER_KEY)
    bare = {"name": "bare", "type": "openai", "base_url": endpoint.openai_url}
    assert api("POST", "/providers", bare).status_code == 201
    with LoopbackProvider() as elsewhere:
        put_chain(
            api,
            [
                {"provider": "loop", "model_name": "own", "api_key": STEP_KEY},
                {"provider": "loop", "model_name": "the provider's"},
                {"provider": "bare", "model_name": "the server's"},
                {"provider": "loop", "model_name": "elsewhere", "endpoint": elsewhere.openai_url},
            ],
        )
        test_id = ask(api)
        run(test_id)

    sent = [request.headers["authorization"] for request in endpoint.requests]
    assert sent == [f"Bearer {key}" for key in (STEP_KEY, PROVIDER_KEY, SERVER_KEY)]
    assert elsewhere.requests == [], "no key goes to another origin, and none is no call"
    last = read(api, test_id)["steps"][3]
    assert (last["status"], last["http_status"], last["error"]) == (
        "error",
        None,
        agent_tests.NO_KEY,
    )


def test_the_providers_own_words_come_without_the_key(
    api: Api, trader: str, endpoint: LoopbackProvider, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    words = f"Incorrect API key {PROVIDER_KEY} ({PROVIDER_KEY[:12]}...)\x00\ud800"
    endpoint.answer_json({"error": {"message": words}}, 401)
    test_id = ask(api)

    run(test_id)

    answer = api("GET", f"/agents/trader/tests/{test_id}")
    first, second = answer.json["steps"]
    assert (first["status"], first["http_status"]) == ("error", 401)
    assert first["error"].startswith("The key was refused (HTTP 401). It says: Incorrect API key *")
    assert second["error"].startswith("It wants a key (HTTP 401). It says: Incorrect API key ")
    assert answer.json["ok"] is False
    assert PROVIDER_KEY[:12] not in json.dumps(first)
    assert PROVIDER_KEY not in caplog.text


@on_sqlite
def test_one_bad_step_hides_no_other(
    app: Flask, api: Api, trader: str, endpoint: LoopbackProvider, run: Run
) -> None:
    with LoopbackProvider() as gone:
        pass
    app.extensions["outbound"] = Outbound([endpoint.address, gone.address], deadline=30)
    elsewhere = {"endpoint": gone.openai_url, "api_key": STEP_KEY}
    first = {"provider": "loop", "model_name": "a", **elsewhere}
    put_chain(api, [first, {"provider": "local", "model_name": "b"}])
    test_id = ask(api)

    run(test_id)

    body = read(api, test_id)
    assert [step["status"] for step in body["steps"]] == ["error", "ok"]
    assert "refused the connection" in body["steps"][0]["error"]
    assert body["ok"] is False


@on_sqlite
def test_what_clients_never_get_is_skipped(
    api: Api, trader: str, endpoint: LoopbackProvider, run: Run
) -> None:
    resting = {"name": "resting", "type": "ollama", "base_url": endpoint.ollama_url}
    api("POST", "/providers", resting)
    put_chain(
        api,
        [
            {"provider": "loop", "model_name": "off", "enabled": False},
            {"provider": "resting", "model_name": "resting"},
            {"provider": "local", "model_name": "on"},
        ],
    )
    providers = api("GET", "/providers").json["providers"]
    resting_id = next(it["id"] for it in providers if it["name"] == "resting")
    assert api("PATCH", f"/providers/{resting_id}", {"is_active": False}).status_code == 200
    test_id = ask(api)

    run(test_id)

    body = read(api, test_id)
    told = [(step["status"], step["error"]) for step in body["steps"]]
    assert told == [
        ("skipped", agent_tests.DISABLED),
        ("skipped", agent_tests.PROVIDER_INACTIVE),
        ("ok", None),
    ]
    assert body["ok"] is True
    assert len(endpoint.requests) == 1


@on_sqlite
def test_an_agent_that_does_not_answer_for_itself(
    api: Api, trader: str, endpoint: LoopbackProvider, run: Run
) -> None:
    put_chain(api, [{"provider": "local", "model_name": "of the default"}], "default")
    api("PATCH", "/agents/trader", {"is_active": False})
    test_id = ask(api)

    run(test_id)

    body = read(api, test_id)
    assert (body["agent_id"], body["source"]) == ("trader", "default")
    assert [step["model"] for step in body["steps"]] == ["of the default"]


@on_sqlite
def test_nothing_to_test_is_404(api: Api, trader: str) -> None:
    put_chain(api, [])
    put_chain(api, [], "default")

    assert api("POST", "/agents/trader/test").status_code == 404
    assert api("POST", "/agents/nobody/test").status_code == 404
    assert api("GET", "/agents/trader/tests/1").status_code == 404
    assert api("GET", "/agents/nobody/tests/1").status_code == 404


@on_sqlite
def test_a_halted_agent_can_be_tested_and_says_that_it_is_halted(
    api: Api, trader: str, endpoint: LoopbackProvider, run: Run
) -> None:
    api("POST", "/agents/trader/halt", {"reason": "strange orders"})
    test_id = ask(api)

    run(test_id)

    body = read(api, test_id)
    assert (body["ok"], body["halted"], body["halted_reason"]) == (True, True, "strange orders")
    assert len(endpoint.requests) == 2


def test_a_button_pressed_twice_spends_once(
    app: Flask, trader: str, api: Api, endpoint: LoopbackProvider, run: Run
) -> None:
    barrier = threading.Barrier(6)
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    found: list[int] = []

    def press() -> None:
        http = app.test_client()
        barrier.wait(60)
        found.append(http.post("/api/agents/trader/test", headers=headers).json["id"])

    threads = [threading.Thread(target=press) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(found) == 6
    assert len(set(found)) == 1
    assert run(found[0])
    assert not run(found[0]), "it is done"
    assert len(endpoint.requests) == 2
    assert ask(api) > found[0]


def test_steps_fill_in_as_they_finish(
    app: Flask, api: Api, trader: str, endpoint: LoopbackProvider, run: Run
) -> None:
    test_id = ask(api)
    endpoint.hold()
    worker = threading.Thread(target=run, args=(test_id,))
    worker.start()
    endpoint.wait_for_requests(1)

    with app.app_context():
        assert db.engine.pool.checkedout() == 0, "a connection is held"  # type: ignore[attr-defined]
    running = read(api, test_id)
    assert (running["status"], running["ok"]) == ("running", None)
    assert [step["status"] for step in running["steps"]] == ["pending", "pending"]
    assert ask(api) == test_id, "the one under way is answered"
    endpoint.release()
    worker.join(30)

    assert read(api, test_id)["status"] == "done"


@on_sqlite
def test_the_time_for_all_calls_together_is_bounded(
    app: Flask, api: Api, trader: str, endpoint: LoopbackProvider, run: Run
) -> None:
    app.config["AGENT_TEST_DEADLINE"] = 3
    endpoint.hold()
    test_id = ask(api)

    run(test_id)

    first, second = read(api, test_id)["steps"]
    assert re.match(r"No complete answer within ([0-2]\.\d+|3) s", first["error"])
    assert second["error"] == agent_tests.NO_TIME
    assert len(endpoint.requests) == 1


@on_sqlite
def test_a_steps_own_time_out_holds(
    api: Api, trader: str, endpoint: LoopbackProvider, run: Run
) -> None:
    put_chain(api, [{"provider": "local", "model_name": "slow", "timeout": 1}])
    endpoint.hold()
    test_id = ask(api)

    run(test_id)

    [step] = read(api, test_id)["steps"]
    assert step["error"] == "No complete answer within 1 s."


@on_sqlite
def test_only_so_many_run_at_a_time_and_the_next_takes_over(
    app: Flask,
    api: Api,
    trader: str,
    run: Run,
    nudges: list[tuple[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agent_tests, "MAX_RUNNING", 1)
    first, second = ask(api), ask(api, "default")
    with app.app_context():
        claim = agent_tests.claim_test(first, utcnow())
        assert claim is not None
        assert agent_tests.claim_test(second, utcnow()) is None
        nudges.clear()
        for call in claim.calls:
            assert agent_tests.record_result(claim, call, CallResult(True, 200))

    assert nudges == [("agents.test", second)]
    assert run(second)


def test_the_sweep_finds_a_lost_nudge_once(
    app: Flask, api: Api, trader: str, nudges: list[tuple[str, Any]], run: Run
) -> None:
    test_id = ask(api)
    nudges.clear()

    with app.app_context():
        assert agent_tests.sweep() == 1
        assert agent_tests.sweep() == 0, "it was just queued"

    assert nudges == [("agents.test", test_id)]
    assert run(test_id)
    with app.app_context():
        assert agent_tests.sweep() == 0


def test_a_worker_that_died_is_replaced_once(
    app: Flask, api: Api, trader: str, endpoint: LoopbackProvider, run: Run
) -> None:
    test_id = ask(api)
    with app.app_context():
        dead = agent_tests.claim_test(test_id, utcnow())
        assert dead is not None
        assert agent_tests.sweep() == 0, "its lease runs"
        assert agent_tests.claim_test(test_id, utcnow()) is None
        expire_lease()
        assert agent_tests.sweep() == 1
        late = agent_tests.record_result(dead, dead.calls[0], CallResult(True, 200))
        assert not late, "should it live, it comes too late"
        assert agent_tests.claim_test(test_id, utcnow()) is not None
        expire_lease()
        assert agent_tests.sweep() == 1
    assert not run(test_id)

    body = read(api, test_id)
    assert (body["status"], body["ok"]) == ("done", False)
    assert [step["error"] for step in body["steps"]] == [agent_tests.WORKER_DIED] * 2
    assert endpoint.requests == []


def expire_lease() -> None:
    db.session.execute(sa.update(AgentTest).values(lease_until=utcnow()))
    commit()


@on_sqlite
def test_a_chain_that_changed_is_tested_as_it_is_now(
    api: Api, trader: str, endpoint: LoopbackProvider, run: Run
) -> None:
    test_id = ask(api)
    put_chain(api, [{"provider": "local", "model_name": "new"}])

    run(test_id)

    assert [step["model"] for step in read(api, test_id)["steps"]] == ["new"]


def test_an_agent_deleted_during_its_test_takes_it_along(
    api: Api, trader: str, endpoint: LoopbackProvider, run: Run
) -> None:
    test_id = ask(api)
    endpoint.hold()
    worker = threading.Thread(target=run, args=(test_id,))
    worker.start()
    endpoint.wait_for_requests(1)

    assert api("DELETE", "/agents/trader").status_code == 200
    endpoint.release()
    worker.join(30)

    assert len(endpoint.requests) == 1, "the rest is not called"
    assert not run(test_id)
    api("POST", "/agents", {"name": "Trader"})
    assert api("GET", f"/agents/trader/tests/{test_id}").status_code == 404


@on_sqlite
def test_a_chain_that_is_gone_ends_the_test(api: Api, trader: str, run: Run) -> None:
    test_id = ask(api)
    put_chain(api, [])
    put_chain(api, [], "default")

    assert not run(test_id)

    body = read(api, test_id)
    assert (body["status"], body["ok"]) == ("done", False)
    assert {step["error"] for step in body["steps"]} == {agent_tests.NOTHING_LEFT}


@on_sqlite
def test_a_key_that_does_not_open_must_be_entered_again(
    app: Flask, api: Api, trader: str, endpoint: LoopbackProvider, run: Run
) -> None:
    put_chain(api, [{"provider": "loop", "model_name": "a", "api_key": STEP_KEY}])
    with app.app_context():
        db.session.execute(sa.update(LLMConfig.__table__).values(api_key_sealed="gAAAAAforeign"))
        commit()
    test_id = ask(api)

    run(test_id)

    [step] = read(api, test_id)["steps"]
    assert (step["status"], step["error"]) == ("error", KEY_UNREADABLE)
    assert endpoint.requests == []


@on_sqlite
def test_an_adapters_bug_leaves_nothing_running(
    api: Api,
    trader: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def explode(*_: Any) -> None:
        raise RuntimeError(f"with {PROVIDER_KEY}")

    monkeypatch.setattr("app.providers.adapters.openai.OpenAIAdapter.call", explode)
    test_id = ask(api)

    run(test_id)

    first, second = read(api, test_id)["steps"]
    assert first["error"] == "The test itself failed (RuntimeError)."
    assert second["status"] == "ok"
    assert PROVIDER_KEY not in caplog.text


def test_old_tests_are_forgotten(
    app: Flask, api: Api, trader: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_tests, "KEEP_TESTS", 2)
    others = ask(api, "default")
    ids = []
    for _ in range(4):
        ids.append(ask(api))
        run(ids[-1])
    assert stored(app) == {others, *ids[-2:]}

    with app.app_context():
        db.session.execute(sa.update(AgentTest).values(created_at=utcnow() - timedelta(days=31)))
        commit()
    ids.append(ask(api))
    run(ids[-1])
    assert stored(app) == {others, ids[-1]}


def stored(app: Flask) -> set[int]:
    with app.app_context():
        return set(db.session.scalars(sa.select(AgentTest.id)))


@on_sqlite
def test_who_may_test_and_who_may_look(
    api: Api, trader: str, make_token: MakeToken, make_user: MakeUser, sign_in: SignIn
) -> None:
    owner = make_user("owner@example.com")
    make_user("other@example.com")
    make_user("operator@example.com", "operator")
    api("PATCH", "/agents/trader", {"owner_id": owner})
    operator = sign_in("operator@example.com")
    answer = operator("POST", "/agents/trader/test")
    assert (answer.status_code, answer.json["requested_by"]) == (202, "user:operator@example.com")
    path = f"/agents/trader/tests/{answer.json['id']}"

    assert operator("GET", path).status_code == 200
    assert sign_in("owner@example.com")("GET", path).status_code == 200
    assert sign_in("owner@example.com")("POST", "/agents/trader/test").status_code == 403
    assert sign_in("other@example.com")("GET", path).status_code == 404
    bound = make_token("config:read", "config:write", agents=["default"])
    assert api("GET", path, token=bound).status_code == 403
    assert api("POST", "/agents/trader/test", token=bound).status_code == 403
    reader = make_token("config:read")
    assert api("POST", "/agents/trader/test", token=reader).status_code == 403
    assert api("GET", path, token=reader).status_code == 200
    assert api("GET", path.replace("trader", "default")).status_code == 404, "another agent's"


@on_sqlite
def test_a_body_is_not_needed_and_not_read(api: Api, trader: str) -> None:
    assert api("POST", "/agents/trader/test", {}).status_code == 202
    assert api("GET", "/agents/trader/tests/99999999999").status_code == 404
    assert api("GET", "/agents/trader/tests/x").status_code == 404
