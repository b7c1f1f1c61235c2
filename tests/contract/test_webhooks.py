"""Row U1's /webhooks: kept by admins, signed with what nobody reads again."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from flask import Flask

from app.changes.models import Change
from app.core import keys
from app.core.crypto import Keyring
from app.core.db import commit, db, reading
from app.webhooks import services
from app.webhooks.models import Webhook, WebhookDelivery
from app.webhooks.signing import check_secret
from tests.conftest import Api
from tests.contract.conftest import MakeToken, on_sqlite

URL = "https://hooks.example.com/switchyard"
SECRET = "whsec_Y2FuYXJ5LXNlY3JldC0wMTIzNDU2Nzg5"


def make(api: Api, **fields: Any) -> Any:
    """A webhook over REST; its answer's body."""
    answer = api("POST", "/webhooks", {"name": "pager", "url": URL, "secret": SECRET, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json


def test_made_read_changed_and_removed(api: Api) -> None:
    made = api("POST", "/webhooks", {"name": "pager", "url": URL, "secret": SECRET})
    assert made.status_code == 201
    assert made.headers["ETag"] == '"1"'
    body = made.json
    assert made.headers["Location"].endswith(f"/api/webhooks/{body['id']}")
    assert (body["events"], body["is_active"], body["version"]) == ([], True, 1)
    assert "secret" not in body  # whoever sent it has it

    path = f"/webhooks/{body['id']}"
    assert api("GET", path).json == body
    assert api("GET", "/webhooks").json == {"webhooks": [body], "total": 1}

    wanted = {"name": "chat", "events": ["budget.warn", "provider.down", "budget.warn"]}
    changed = api("PATCH", path, wanted)
    assert changed.status_code == 200
    assert changed.json["events"] == ["provider.down", "budget.warn"]
    assert (changed.json["name"], changed.json["url"], changed.json["version"]) == ("chat", URL, 2)
    assert api("PATCH", path, {"events": None}).json["events"] == []

    gone = api("DELETE", path)
    assert gone.json == {"message": "The webhook is deleted.", "id": body["id"]}
    for method, tail in (("GET", ""), ("DELETE", ""), ("GET", "/deliveries"), ("POST", "/test")):
        assert api(method, path + tail).status_code == 404


@on_sqlite
def test_a_secret_is_made_and_shown_once(api: Api) -> None:
    made = api("POST", "/webhooks", {"name": "pager", "url": URL}).json
    assert check_secret(made["secret"]) is None
    path = f"/webhooks/{made['id']}"
    for answer in (
        api("GET", path),
        api("GET", "/webhooks"),
        api("PATCH", path, {"name": "x"}),
        api("PATCH", path, {"secret": SECRET}),
    ):
        assert answer.status_code == 200
        assert "secret" not in answer.text
        assert made["secret"] not in answer.text


def test_a_replaced_secret_is_history_that_says_no_more(app: Flask, api: Api) -> None:
    path = f"/webhooks/{make(api)['id']}"
    assert api("PATCH", path, {"secret": "another secret of mine"}).status_code == 200
    with app.app_context(), reading():
        webhook = db.session.scalars(sa.select(Webhook)).one()
        assert webhook.open_secret().get_secret_value() == "another secret of mine"
        newest = db.session.scalars(sa.select(Change).order_by(Change.rev.desc())).first()
        assert newest is not None
        assert (newest.entity, newest.root, newest.diff) == (
            "webhook",
            "pager",
            {"secret": "changed"},
        )


def test_two_do_not_have_one_name(api: Api) -> None:
    make(api)
    clash = api("POST", "/webhooks", {"name": "pager", "url": URL})
    assert clash.status_code == 409
    other = make(api, name="chat")
    assert api("PATCH", f"/webhooks/{other['id']}", {"name": "pager"}).status_code == 409


def test_a_stale_save_is_refused(api: Api) -> None:
    path = f"/webhooks/{make(api)['id']}"
    stale = {"If-Match": '"1"'}
    assert api("PATCH", path, {"name": "chat"}, headers=stale).status_code == 200
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        assert api(method, path, body, headers=stale).status_code == 412
    assert api("GET", path).json["name"] == "chat"


BAD: tuple[tuple[str, Any], ...] = (
    ("name", ""),
    ("name", "x" * 129),
    ("name", "nul\x00"),
    ("name", None),
    ("url", "ftp://hooks.example.com"),
    ("url", "https://user:pass@hooks.example.com"),
    ("url", "https://hooks.example.com/?token=abc"),
    ("url", "hooks.example.com"),
    ("url", 7),
    ("secret", "short"),
    ("secret", "whsec_no base64"),
    ("secret", None),
    ("secret", "x" * 600),
    ("secret", "\ud800" * 16),
    ("events", ["provider.sneezed"]),
    ("events", "provider.down"),
    ("events", ["provider.down"] * 1000),
    ("is_active", "yes"),
    ("version", 1),
    ("colour", "red"),
)


@on_sqlite
def test_bad_input_names_the_field_and_changes_nothing(api: Api, rev: Callable[[], int]) -> None:
    path = f"/webhooks/{make(api)['id']}"
    before = rev()
    new = {"name": "new", "url": URL}
    for field, value in BAD:
        for answer in (
            api("POST", "/webhooks", new | {field: value}),
            api("PATCH", path, {field: value}),
        ):
            assert answer.status_code in {400, 422}, (field, value, answer.text)
            if answer.status_code == 422:
                assert field in answer.json["errors"]["json"], (field, value)
            if field == "secret" and value:
                assert value not in answer.text
    assert rev() == before


@on_sqlite
def test_a_webhook_needs_a_name_and_an_address(api: Api) -> None:
    errors = api("POST", "/webhooks", {}).json["errors"]["json"]
    assert errors.keys() == {"name", "url"}


@on_sqlite
def test_the_list_is_filtered_and_paged(api: Api) -> None:
    for name in ("pager", "chat", "mail"):
        make(api, name=name, is_active=name != "mail")
    names = [it["name"] for it in api("GET", "/webhooks").json["webhooks"]]
    assert names == ["chat", "mail", "pager"]
    assert api("GET", "/webhooks?active_only=true").json["total"] == 2
    assert api("GET", "/webhooks?search=AGE").json["total"] == 1
    assert len(api("GET", "/webhooks?page=2&page_size=2").json["webhooks"]) == 1


@on_sqlite
def test_a_test_is_in_the_log_at_once(api: Api) -> None:
    path = f"/webhooks/{make(api, events=['budget.warn'])['id']}"
    asked = api("POST", f"{path}/test")
    assert asked.status_code == 202
    assert asked.headers["Location"].endswith(f"/api{path}/deliveries")
    delivery = asked.json
    assert (delivery["type"], delivery["status"], delivery["attempts"]) == (
        "webhook.test",
        "pending",
        [],
    )
    assert api("GET", f"{path}/deliveries").json == {"deliveries": [delivery], "total": 1}
    for query, total in (("status=failed", 0), ("search=TEST", 1), ("search=nothing", 0)):
        assert api("GET", f"{path}/deliveries?{query}").json["total"] == total
    assert api("GET", f"{path}/deliveries?status=lost").status_code == 422


def test_an_inactive_webhook_is_told_nothing(app: Flask, api: Api) -> None:
    path = f"/webhooks/{make(api)['id']}"
    api("POST", f"{path}/test")
    assert api("PATCH", path, {"is_active": False}).status_code == 200
    (pending,) = api("GET", f"{path}/deliveries").json["deliveries"]
    assert (pending["status"], pending["next_attempt_at"]) == ("cancelled", None)
    assert pending["finished_at"] is not None
    refused = api("POST", f"{path}/test")
    assert refused.status_code == 400
    assert "not active" in refused.json["message"]


def test_the_log_goes_with_the_webhook(app: Flask, api: Api) -> None:
    path = f"/webhooks/{make(api)['id']}"
    api("POST", f"{path}/test")
    assert api("DELETE", path).status_code == 200
    with app.app_context(), reading():
        assert db.session.scalar(sa.select(sa.func.count(WebhookDelivery.id))) == 0


def test_an_announcement_is_part_of_the_turn_it_tells_of(app: Flask, api: Api) -> None:
    wanting = make(api, name="wants it", events=["provider.down"])["id"]
    everything = make(api, name="wants all")["id"]
    make(api, name="wants other", events=["provider.up"])
    make(api, name="sleeps", is_active=False)
    with app.app_context():
        services.announce("provider.down", {"message": "m"})
        db.session.rollback()
        assert not db.session.scalars(sa.select(WebhookDelivery)).all()
        services.announce("provider.down", {"message": "m"})
        commit()
        told = db.session.scalars(sa.select(WebhookDelivery)).all()
        assert {it.webhook_id for it in told} == {wanting, everything}
        assert len({it.message_id for it in told}) == 2
        with pytest.raises(ValueError, match=r"provider\.sneezed"):
            services.announce("provider.sneezed", {})


def test_its_secret_rotates_with_the_api_keys(app: Flask, api: Api) -> None:
    make(api)
    old, new = app.config["ENCRYPTION_KEYS"][0], Fernet.generate_key().decode()
    with app.app_context():
        app.extensions["keyring"] = Keyring([new, old])
        assert keys.status().outdated == 1
        assert keys.rotate().current == 1
        app.extensions["keyring"] = Keyring([new])
        webhook = db.session.scalars(sa.select(Webhook)).one()
        assert webhook.open_secret().get_secret_value() == SECRET
        app.extensions["keyring"] = Keyring([Fernet.generate_key().decode()])
        assert keys.status().unreadable == ["webhook 1 (pager)"]


def test_it_is_restored_with_todays_secret_or_a_new_one(
    api: Api, make_token: MakeToken, rev: Callable[[], int]
) -> None:
    webhook = make(api, events=["provider.down"])
    path, good = f"/webhooks/{webhook['id']}", rev()
    api("PATCH", path, {"events": [], "url": f"{URL}/moved", "secret": SECRET + "AAAA"})
    wish = {"entity": "webhook", "entity_id": webhook["id"]}
    token = make_token("config:read", "config:write")
    assert api("POST", f"/changes/{good}/restore", wish, token=token).status_code == 403
    assert api("GET", path).json["version"] == 2

    restored = api("POST", f"/changes/{good}/restore", wish).json
    assert "today's secret" in restored["warnings"][0]
    now = api("GET", path).json
    assert (now["events"], now["url"]) == (["provider.down"], URL)

    api("DELETE", path)
    restored = api("POST", f"/changes/{good}/restore", wish).json
    assert restored["warnings"] == [services.UNSEEN]
    assert restored["entity_id"] != webhook["id"]
    assert api("GET", f"/webhooks/{restored['entity_id']}").json["name"] == "pager"


def test_a_document_changes_it_and_holds_no_secret(api: Api) -> None:
    make(api)
    document = api("GET", "/config/export", headers={"Accept": "application/json"}).json
    (item,) = document["webhooks"]
    assert item == {"name": "pager", "url": URL, "events": [], "is_active": True}
    item["events"] = ["budget.warn"]
    document["webhooks"].append({"name": "chat", "url": URL})
    report = api("POST", "/config/import", document)
    assert report.status_code == 200, report.text
    assert report.json["warnings"] == [f"webhooks chat: {services.UNSEEN}"]
    found = {it["name"]: it["events"] for it in api("GET", "/webhooks").json["webhooks"]}
    assert found == {"chat": [], "pager": ["budget.warn"]}
    item["secret"] = SECRET
    refused = api("POST", "/config/import", document)
    assert "webhooks[0].secret" in refused.json["errors"]["json"]
    assert SECRET not in refused.text
    assert (
        api("POST", "/config/import?prune=true", {**document, "webhooks": []}).json["deleted"] == 2
    )


@on_sqlite
def test_the_red_button_is_announced_when_it_turns(api: Api) -> None:
    make(api)
    reason = {"reason": "strange orders"}
    for path, body in (
        ("/agents/default/halt", reason),
        ("/agents/default/halt", {"reason": "still"}),
        ("/agents/default/resume", None),
        ("/agents/default/resume", None),
        ("/halt", {}),
        ("/resume", None),
    ):
        assert api("POST", path, body).status_code == 200
    told = api("GET", "/webhooks/1/deliveries").json["deliveries"]
    assert [(it["type"], it["data"]["agent_id"]) for it in reversed(told)] == [
        ("agent.halted", "default"),
        ("agent.resumed", "default"),
        ("agent.halted", None),
        ("agent.resumed", None),
    ]
    halted = told[-1]["data"]
    assert halted["reason"] == "strange orders"
    assert halted["message"].startswith("The agent default is halted by token:")
    assert halted["message"].endswith(": strange orders")
    assert told[1]["data"]["message"].startswith("All agents are halted by token:")
