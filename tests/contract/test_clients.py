"""Row U2, `GET /clients`: who runs which rev, and who may know."""

from typing import Any

import pytest
from flask import Flask

from app.accounts.services import find_live_token
from app.changes.services import read_state
from app.core.clock import utcnow
from app.core.db import db, reading
from app.push.clients import Sighting, record
from tests.conftest import ADMIN_TOKEN, Api
from tests.contract.conftest import MakeToken, MakeUser, SignIn, on_sqlite

PROCESS = "web-1:10"


@pytest.fixture
def seen(app: Flask) -> dict[str, int]:
    """Clients of the admin's token, and how many revs each of them is behind."""
    behind = {"desk-1": 0, "desk-2": 2, "lab": 1}
    with app.app_context():
        token = find_live_token(ADMIN_TOKEN)
        assert token is not None
        token_id = token.id
        db.session.remove()
        with reading():
            state = read_state()
        sightings = [
            Sighting(
                id=f"token:{token_id}:{name}",
                client_id=name,
                token_id=token_id,
                user_id=None,
                sdk="test/1",
                epoch=state.epoch,
                applied_rev=state.rev - revs,
                sent_rev=state.rev,
                connected_at=utcnow(),
                disconnected_at=utcnow() if name == "lab" else None,
            )
            for name, revs in behind.items()
        ]
        record(sightings, PROCESS)
        db.session.remove()
    return behind


def names(api: Api, query: str = "") -> list[str]:
    answer = api("GET", f"/clients?{query}")
    assert answer.status_code == 200, answer.text
    listed = [client["client_id"] for client in answer.json["clients"]]
    if "page" not in query:
        assert answer.json["total"] == len(listed)
    return listed


def test_a_client_is_shown_with_what_it_runs(api: Api, seen: dict[str, int], rev: Any) -> None:
    answer = api("GET", "/clients?search=desk-2")
    (client,) = answer.json["clients"]
    times = {name: client.pop(name) for name in ("connected_at", "last_seen_at")}
    assert all(text.endswith("+00:00") for text in times.values())
    assert client == {
        "client_id": "desk-2",
        "token": "ADMIN_TOKEN",
        "user": None,
        "sdk": "test/1",
        "applied_rev": rev() - 2,
        "behind": 2,
        "connected": True,
        "disconnected_at": None,
        "process": PROCESS,
    }


def test_filters_and_pages(api: Api, seen: dict[str, int]) -> None:
    assert names(api) == ["desk-1", "desk-2", "lab"]
    assert names(api, "behind=true") == ["desk-2", "lab"]
    assert names(api, "behind=false") == ["desk-1"]
    assert names(api, "connected=false") == ["lab"]
    assert names(api, "connected=true&behind=true") == ["desk-2"]
    assert names(api, "agent_id=default") == ["desk-1", "desk-2", "lab"]
    assert names(api, "page_size=2&page=2") == ["lab"]
    assert api("GET", "/clients?page_size=2").json["total"] == 3


@on_sqlite
@pytest.mark.parametrize("query", ["behind=perhaps", "page=0", "agent_id=" + "x" * 65, "x=1"])
def test_a_filter_that_makes_no_sense_is_422(api: Api, query: str) -> None:
    answer = api("GET", f"/clients?{query}")
    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.json["errors"]["query"]


@on_sqlite
def test_who_may_know(
    api: Api, make_token: MakeToken, make_user: MakeUser, sign_in: SignIn, seen: dict[str, int]
) -> None:
    assert api("GET", "/clients", token=make_token("config:read")).json["total"] == len(seen)
    bound = make_token("config:read", agents=["default"])
    for token in (bound, make_token("usage:write"), make_token("config:write")):
        assert api("GET", "/clients", token=token).status_code == 403
    for role, status in (("viewer", 403), ("operator", 200), ("admin", 200)):
        make_user(f"{role}-2@example.com", role)
        assert sign_in(f"{role}-2@example.com")("GET", "/clients").status_code == status
