"""Change push end to end: real gunicorn, real sockets, real Redis, both databases."""

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from flask import Flask
from websocket import WebSocketBadStatusException

from app.accounts.models import ApiToken, Scope
from app.accounts.services import create_token, revoke_token
from app.changes.models import ConfigState
from app.core.clock import utcnow
from app.core.db import commit, db
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, ADMIN_TOKEN
from tests.support.processes import PYTHON, ROOT, wait_until
from tests.support.servers import (
    PostgresServer,
    RedisServer,
    WebServer,
    redis_server,
    server_env,
    web_server,
)
from tests.support.sockets import Listener, check_chain

CANARY = "sk-canary-0123456789abcdef"
OTHER_PROCESS = """
import sys
from app import create_app
from app.agents.services import update_agent
app = create_app()
with app.app_context():
    update_agent(sys.argv[1], {"llm_model": sys.argv[2]})
app.extensions["publisher"].stop()
"""

StartWeb = Callable[..., Any]


class Site:
    """A running server and the ways into it."""

    def __init__(self, web: WebServer) -> None:
        self.web = web
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {ADMIN_TOKEN}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, f"{self.web.url}/api{path}", json=body, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def make(self, *names: str, **fields: Any) -> None:
        for name in names:
            given = {"llm_provider": "openai", "llm_model": "first"} | fields
            self.call("POST", "/agents", {"name": name} | given)

    def change(self, agent_id: str, model: str) -> int:
        """Give it another model; answers its version."""
        return int(self.call("PATCH", f"/agents/{agent_id}", {"llm_model": model})["version"])

    def listen(self, path: str = "", token: str = ADMIN_TOKEN, **options: Any) -> Listener:
        listener = Listener(f"{self.web.url}{path}", token, **options)
        listener.wait_for("welcome")
        return listener


@pytest.fixture
def start_web(app: Flask, redis: RedisServer, tmp_path: Path) -> StartWeb:
    """``with start_web(WS_MAX_SOCKETS="3") as site:`` a server on the test's database."""

    @contextmanager
    def start(**settings: str) -> Iterator[Site]:
        env = server_env(tmp_path, **_settings(app, redis) | settings)
        with web_server(env, tmp_path / "web.log") as web:
            site = Site(web)
            yield site
            site.http.close()
            assert CANARY not in web.output()
            assert "Traceback" not in web.output(), web.output()

    return start


@pytest.fixture
def site(start_web: StartWeb) -> Iterator[Site]:
    with start_web() as site:
        yield site


# What happens above the database is tested on one.
one_database = pytest.mark.parametrize("backend", ["sqlite"])


def _settings(app: Flask, redis: RedisServer) -> dict[str, str]:
    return {
        "DATABASE_URL": app.config["DATABASE_URL"],
        "REDIS_URL": redis.url,
        "RATE_LIMIT_API": "100000 per minute",
    }


def write_from_another_process(app: Flask, redis_url: str, agent_id: str, model: str) -> None:
    env = server_env(
        Path(app.instance_path), DATABASE_URL=app.config["DATABASE_URL"], REDIS_URL=redis_url
    )
    argv = [PYTHON, "-c", OTHER_PROCESS, agent_id, model]
    subprocess.run(argv, cwd=ROOT, env=env, check=True, capture_output=True, timeout=60)


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


def test_a_change_of_another_process_arrives(site: Site, app: Flask, redis: RedisServer) -> None:
    site.make("Trader")
    with site.listen() as listener:
        write_from_another_process(app, redis.url, "trader", "from elsewhere")
        (message,) = listener.wait_for("agent_config_changed")
        assert message["config"]["llm_model"] == "from elsewhere"


@one_database
def test_with_redis_dead_a_change_of_another_process_still_arrives(
    start_web: StartWeb, app: Flask
) -> None:
    with redis_server() as redis, start_web(REDIS_URL=redis.url) as site:
        site.make("Trader")
        with site.listen() as listener:
            redis.kill()
            write_from_another_process(app, redis.url, "trader", "without a hint")
            (message,) = listener.wait_for("agent_config_changed", timeout=5)
            assert message["config"]["llm_model"] == "without a hint"


def test_four_writers_at_once_and_the_chain_holds(site: Site) -> None:
    names = ["a", "b", "c", "d"]
    site.make(*names)
    with site.listen() as listener:

        def write(slug: str) -> None:
            writer = Site(site.web)
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


@one_database
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


@one_database
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


@one_database
def test_tasks_are_told_to_who_asks_for_them(site: Site, app: Flask) -> None:
    with app.app_context():
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


@one_database
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


@one_database
def test_frames_that_mean_nothing_are_answered_and_survived(site: Site) -> None:
    frames = ["", "{", '{"subscribe": "weather"}', '{"say": 1}', "[" * 5000, '{"hello": NaN}']
    site.make("Trader")
    with site.listen() as listener:
        for number, frame in enumerate(frames, 1):
            listener.say(frame)
            assert all(error["message"] for error in listener.wait_for("error", count=number))
        site.change("trader", "still there")
        listener.wait_for("agent_config_changed")


@one_database
def test_an_unknown_topic_in_the_url_costs_an_error_and_not_the_stream(site: Site) -> None:
    with site.listen("/api/ws?topics=agents,weather") as listener:
        listener.wait_for("error")
        site.make("Trader")
        listener.wait_for("agent_created")


@one_database
def test_a_frame_beyond_64_kib_ends_the_socket(site: Site) -> None:
    with site.listen() as listener:
        listener.say('{"subscribe": "' + "x" * 70_000 + '"}')
        assert listener.wait_for_end() == 1009


@one_database
def test_who_is_not_let_in(site: Site, app: Flask) -> None:
    with app.app_context():
        _, reporter = create_token("reporter", (Scope.USAGE_WRITE,))
    assert refused(site, token=None) == 401
    assert refused(site, token="sy_unknown") == 401
    assert refused(site, token=reporter) == 403
    for secret in ("token", "access_token"):
        assert refused(site, f"/api/ws?{secret}={ADMIN_TOKEN}", token=None) == 400
        assert refused(site, f"/ws?{secret}={ADMIN_TOKEN}") == 400
    plain = site.http.get(f"{site.web.url}/api/ws", timeout=5)
    assert (plain.status_code, plain.json()["code"]) == (400, 400)


def refused(site: Site, path: str = "", token: str | None = ADMIN_TOKEN, **options: Any) -> int:
    """The status that a handshake is refused with."""
    with pytest.raises(WebSocketBadStatusException) as refusal:
        Listener(f"{site.web.url}{path}", token, **options)
    return int(refusal.value.status_code)


@one_database
def test_a_session_needs_its_own_origin(site: Site) -> None:
    browser = requests.Session()
    page = browser.get(f"{site.web.url}/login", timeout=10).text
    csrf = page.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
    form = {"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD, "csrf_token": csrf}
    browser.post(f"{site.web.url}/login", form, timeout=10, allow_redirects=False)
    cookie = f"switchyard={browser.cookies['switchyard']}"
    browser.close()
    for origin in ("http://evil.example", "null", f"{site.web.url}.evil.example"):
        assert refused(site, token=None, cookie=cookie, origin=origin) == 403
    assert refused(site, token=None, cookie=cookie, suppress_origin=True) == 403
    with site.listen(token=None, cookie=cookie, origin=site.web.url) as listener:
        site.make("Trader")
        listener.wait_for("agent_created")


@one_database
def test_a_bound_token_hears_of_its_own_agents_only(site: Site, app: Flask) -> None:
    site.make("Mine", "Other")
    with app.app_context():
        _, bound = create_token("bound", (Scope.CONFIG_READ,), agents=["mine", "ghost"])
    with site.listen(token=bound) as listener:
        listener.say({"subscribe": ["agent:other"]})
        listener.say({"subscribe": "providers"})
        listener.wait_for("error", count=2)
        site.change("other", "not heard")
        site.call("POST", "/providers", {"name": "eu", "type": "openai"})
        site.change("mine", "heard")
        listener.wait_for("agent_config_changed")
        site.change("default", "for ghosts")
        listener.wait_for("agent_config_changed", count=2)
        assert [m["agent_id"] for m in listener.changes] == ["mine", "ghost"]
        check_chain(listener)


def test_when_rights_end_so_does_the_socket(site: Site, app: Flask) -> None:
    with app.app_context():
        token, revoked = create_token("revoked", (Scope.CONFIG_READ,))
        token_id = token.id
        soon = utcnow() + timedelta(seconds=1.5)
        _, expiring = create_token("expiring", (Scope.CONFIG_READ,), expires_at=soon)
        narrowed, changing = create_token("narrowed", (Scope.CONFIG_READ,))
        narrowed_id = narrowed.id
        db.session.remove()
        with (
            site.listen(token=revoked) as first,
            site.listen(token=expiring) as second,
            site.listen(token=changing) as third,
            site.listen() as other,
        ):
            revoke_token(token_id)
            kept = db.session.get(ApiToken, narrowed_id)
            assert kept is not None
            kept.agents = ["default"]
            commit()
            assert first.wait_for_end(timeout=5) == 4401
            assert second.wait_for_end(timeout=5) == 4401
            assert third.wait_for_end(timeout=5) == 1001
            assert third.of("goodbye")[0]["reason"] == "your rights have changed"
            site.make("Trader")
            other.wait_for("agent_created")
        assert refused(site, token=revoked) == refused(site, token=expiring) == 401


@one_database
def test_the_caps_send_away_with_1013_and_room_is_given_back(
    start_web: StartWeb, app: Flask
) -> None:
    with app.app_context():
        _, second_token = create_token("second", (Scope.CONFIG_READ,))
    with start_web(WS_MAX_SOCKETS="3", WS_MAX_SOCKETS_PER_TOKEN="2") as site:
        kept = [site.listen(), site.listen()]
        assert Listener(site.web.url, ADMIN_TOKEN).wait_for_end() == 1013
        kept.append(site.listen(token=second_token))
        assert Listener(site.web.url, second_token).wait_for_end() == 1013
        kept.pop(0).close()
        wait_until(lambda: _welcomed(site, kept), "room again")
        for listener in kept:
            listener.close()


def _welcomed(site: Site, kept: list[Listener]) -> bool:
    """One more try; the server learns of a closed socket when its thread does."""
    listener = Listener(site.web.url, ADMIN_TOKEN)
    listener.wait_until(lambda: listener.messages or listener._ended, "an answer")
    kept.append(listener)
    return bool(listener.messages)


@one_database
def test_heartbeats_say_where_the_server_and_this_socket_stand(start_web: StartWeb) -> None:
    with start_web(WS_HEARTBEAT="1") as site:
        site.make("Trader")
        with site.listen("/api/ws?topics=providers") as listener:
            welcome = listener.of("welcome")[0]
            assert welcome["heartbeat_s"] == 1
            site.change("trader", "x")
            listener.wait_until(
                lambda: [b for b in listener.of("heartbeat") if b["rev"] > welcome["rev"]],
                "a heartbeat after the change",
            )
            assert {beat["last"] for beat in listener.of("heartbeat")} == {welcome["rev"]}


@one_database
def test_a_reader_that_stops_is_dropped_and_delays_nobody(site: Site) -> None:
    names = [f"Agent {number:02}" for number in range(45)]
    site.make(*names, llm_provider="openai")
    provider = site.call("GET", "/providers?search=openai")["providers"][0]["id"]
    with site.listen() as reader, deaf(site) as stalled:
        for number in range(130):  # 45 messages each: more than any kernel keeps for a socket
            site.call("PATCH", f"/providers/{provider}", {"options": {"n": number}})
        rev = site.call("GET", "/sync")["rev"]
        reader.wait_for_rev(rev)
        check_chain(reader)
        assert reader.of("resync") == []
        size, ended = drain(stalled)
        assert ended
        assert size < len("".join(reader.texts))


@contextmanager
def deaf(site: Site) -> Iterator[socket.socket]:
    """A client that shakes hands and reads no more."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", site.web.port))
        connection.sendall(
            f"GET /api/ws HTTP/1.1\r\nHost: 127.0.0.1:{site.web.port}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Authorization: Bearer {ADMIN_TOKEN}\r\n\r\n".encode()
        )
        assert b"101" in connection.recv(64)
        yield connection


def drain(connection: socket.socket) -> tuple[int, bool]:
    """How many bytes are left to read, and whether the connection then ends."""
    size = 0
    try:
        while part := connection.recv(65536):
            size += len(part)
    except ConnectionResetError:
        pass  # dropped, too
    except TimeoutError:
        return size, False
    return size, True


def test_a_database_put_back_in_time_is_told(site: Site, app: Flask) -> None:
    site.make("Trader")
    with site.listen() as listener, app.app_context():
        before = listener.of("welcome")[0]["rev"]
        db.session.execute(sa.update(ConfigState.__table__).values(rev=before - 1))  # type: ignore[arg-type]
        commit()
        (resync,) = listener.wait_for("resync")
        assert resync["rev"] == before - 1
        db.session.execute(sa.update(ConfigState.__table__).values(epoch="e" * 32))  # type: ignore[arg-type]
        commit()
        listener.wait_for("resync", count=2)
        assert listener.of("resync")[1]["epoch"] == "e" * 32


@pytest.mark.parametrize("backend", ["postgresql"])
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


@one_database
@pytest.mark.parametrize("worker_class", ["gthread", "gevent"])
def test_sigterm_says_goodbye_and_is_not_held_by_sockets(
    app: Flask, redis: RedisServer, tmp_path: Path, worker_class: str
) -> None:
    env = server_env(tmp_path, **_settings(app, redis))
    with web_server(env, tmp_path / "web.log", worker_class) as web:
        site = Site(web)
        listeners = [site.listen() for _ in range(5)]
        stalled = site.listen("/ws")
        site.http.close()
        web.stop(grace=2.5)  # the web server's own patience is 3 s
        assert web.popen.returncode == 0, web.output()
        for listener in [*listeners, stalled]:
            assert listener.wait_for_end() == 1001
            (goodbye,) = listener.of("goodbye")
            assert goodbye["retry_s"] >= 1
        assert "Traceback" not in web.output(), web.output()
