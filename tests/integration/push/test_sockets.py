"""Who is let in, how long they stay, and what a socket bears."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import requests
from websocket import WebSocketBadStatusException

from app.accounts.models import ApiToken, Scope
from app.accounts.services import create_token, revoke_token
from app.core.clock import utcnow
from app.core.db import commit, db
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, ADMIN_TOKEN
from tests.integration.push.conftest import MOST_OF_A_TOKEN, MOST_SOCKETS, Site, on_sqlite
from tests.support.processes import wait_until
from tests.support.sockets import Listener, check_chain

pytestmark = pytest.mark.xdist_group("push")


@on_sqlite
def test_who_is_not_let_in(site: Site) -> None:
    with site.app.app_context():
        _, reporter = create_token("reporter", (Scope.USAGE_WRITE,))
    assert refused(site, token=None) == 401
    assert refused(site, token="sy_unknown") == 401
    assert refused(site, token=reporter) == 403
    for secret in ("token", "access_token"):
        assert refused(site, f"/api/ws?{secret}={ADMIN_TOKEN}", token=None) == 400
        assert refused(site, f"/ws?{secret}={ADMIN_TOKEN}") == 400
    plain = site.http.get(f"{site.web.url}/api/ws", timeout=60)
    assert (plain.status_code, plain.json()["code"]) == (400, 400)


def refused(site: Site, path: str = "", token: str | None = ADMIN_TOKEN, **options: Any) -> int:
    """The status that a handshake is refused with."""
    with pytest.raises(WebSocketBadStatusException) as refusal:
        Listener(f"{site.web.url}{path}", token, **options)
    return int(refusal.value.status_code)


@on_sqlite
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


@on_sqlite
def test_a_bound_token_hears_of_its_own_agents_only(site: Site) -> None:
    site.make("Mine", "Other")
    with site.app.app_context():
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


def test_when_rights_end_so_does_the_socket(site: Site) -> None:
    with site.app.app_context():
        token, revoked = create_token("revoked", (Scope.CONFIG_READ,))
        token_id = token.id
        later = utcnow() + timedelta(hours=1)
        ending, expiring = create_token("expiring", (Scope.CONFIG_READ,), expires_at=later)
        ending_id = ending.id
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
            db.session.get_one(ApiToken, ending_id).expires_at = utcnow()
            db.session.get_one(ApiToken, narrowed_id).agents = ["default"]
            commit()
            assert first.wait_for_end() == 4401
            assert second.wait_for_end() == 4401
            assert third.wait_for_end() == 1001
            assert third.of("goodbye")[0]["reason"] == "your rights have changed"
            site.make("Trader")
            other.wait_for("agent_created")
        assert refused(site, token=revoked) == refused(site, token=expiring) == 401


@on_sqlite
def test_the_caps_send_away_with_1013_and_room_is_given_back(site: Site) -> None:
    with site.app.app_context():
        _, second = create_token("second", (Scope.CONFIG_READ,))
    kept: list[Listener] = []
    for _ in range(MOST_OF_A_TOKEN):  # those of other tests may only just be closed
        wait_until(lambda: welcomed(site, kept), "room")
    assert Listener(site.web.url, ADMIN_TOKEN).wait_for_end() == 1013
    for _ in range(MOST_SOCKETS - MOST_OF_A_TOKEN):
        kept.append(site.listen(token=second))
    assert Listener(site.web.url, second).wait_for_end() == 1013
    kept.pop(0).close()
    wait_until(lambda: welcomed(site, kept), "room again")
    for listener in kept:
        listener.close()


def welcomed(site: Site, kept: list[Listener]) -> bool:
    """One more try; the server learns of a closed socket when its thread does."""
    listener = Listener(site.web.url, ADMIN_TOKEN)
    listener.wait_until(lambda: listener.messages or listener.has_ended, "an answer")
    if listener.messages:
        kept.append(listener)
    return bool(listener.messages)


@on_sqlite
def test_frames_that_mean_nothing_are_answered_and_survived(site: Site) -> None:
    frames = ["", "{", '{"subscribe": "weather"}', '{"say": 1}', "[" * 5000, '{"hello": NaN}']
    site.make("Trader")
    with site.listen() as listener:
        for number, frame in enumerate(frames, 1):
            listener.say(frame)
            assert all(error["message"] for error in listener.wait_for("error", count=number))
        site.change("trader", "still there")
        listener.wait_for("agent_config_changed")


@on_sqlite
def test_an_unknown_topic_in_the_url_costs_an_error_and_not_the_stream(site: Site) -> None:
    with site.listen("/api/ws?topics=agents,weather") as listener:
        listener.wait_for("error")
        site.make("Trader")
        listener.wait_for("agent_created")


@on_sqlite
def test_a_frame_beyond_64_kib_ends_the_socket(site: Site) -> None:
    with site.listen() as listener:
        listener.say('{"subscribe": "' + "x" * 70_000 + '"}')
        assert listener.wait_for_end() == 1009


@on_sqlite
def test_heartbeats_say_where_the_server_and_this_socket_stand(site: Site) -> None:
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


@on_sqlite
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
