"""Row U1's /webhooks: kept by admins, signed with what nobody reads again."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from flask import Flask

from app.changes.models import Change
from app.core import keys
from app.core.crypto import Keyring, KeyUnreadable
from app.core.db import commit, db, reading
from app.webhooks import services
from app.webhooks.delivery import URL_UNREADABLE, deliver_due
from app.webhooks.models import Webhook, WebhookDelivery
from app.webhooks.signing import check_secret
from tests.conftest import Api
from tests.contract.conftest import MakeToken, on_sqlite

URL = "https://hooks.example.com/switchyard"
SECRET = "whsec_Y2FuYXJ5LXNlY3JldC0wMTIzNDU2Nzg5"


HOST = "https://chat.example.com"
SHOWN = f"{HOST}/v1/spaces?..."
KEYED = f"{HOST}/v1/spaces?key=canary-0123&token=4%3D"


def whole_url(app: Flask) -> str:
    """Where the first webhook's messages go."""
    with app.app_context(), reading():
        webhook = db.session.scalars(sa.select(Webhook).order_by(Webhook.id)).first()
        assert webhook is not None
        return webhook.open_url().get_secret_value()


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


def test_a_key_in_the_url_is_sealed_and_never_shown(app: Flask, api: Api) -> None:
    made = make(api, url=KEYED)
    assert made["url"] == SHOWN
    path = f"/webhooks/{made['id']}"
    # Sent back as it was read it changes nothing, and neither does anything else.
    kept = api("PATCH", path, {"name": "chat", "url": SHOWN})
    assert (kept.status_code, kept.json["url"]) == (200, SHOWN)
    assert whole_url(app) == KEYED
    assert api("PATCH", path, {"url": KEYED.replace("key=", "key=2")}).json["url"] == SHOWN
    assert whole_url(app) == KEYED.replace("key=", "key=2")
    with app.app_context(), reading():
        changes = db.session.scalars(sa.select(Change).order_by(Change.rev.desc())).all()
        assert [it.diff for it in changes[:2]] == [
            {"url_secret": "changed"},
            {"name": ["pager", "chat"]},
        ]
        assert "canary" not in str([it.diff for it in changes])
    assert api("PATCH", path, {"url": URL}).json["url"] == URL
    assert whole_url(app) == URL


@on_sqlite
def test_a_path_is_hidden_as_well_and_shown_only_when_it_is_entered(app: Flask, api: Api) -> None:
    path = f"/webhooks/{make(api, url=KEYED)['id']}"
    hidden = api("PATCH", path, {"hide_path": True})
    assert (hidden.json["url"], hidden.json["hide_path"]) == (f"{HOST}/...?...", True)
    assert whole_url(app) == KEYED
    refused = api("PATCH", path, {"hide_path": False, "url": hidden.json["url"]})
    assert refused.status_code == 422
    assert "whole URL" in refused.json["errors"]["json"]["url"][0]
    assert api("PATCH", path, {"url": f"{HOST}/other"}).json["url"] == f"{HOST}/..."
    assert whole_url(app) == f"{HOST}/other"
    shown = api("PATCH", path, {"url": f"{HOST}/other", "hide_path": False}).json
    assert (shown["url"], shown["hide_path"]) == (f"{HOST}/other", False)


@on_sqlite
def test_the_seal_of_a_url_is_for_its_host_and_its_row(app: Flask, api: Api) -> None:
    make(api, url=KEYED)
    make(api, name="other", url=KEYED)
    with app.app_context():
        one, other = db.session.scalars(sa.select(Webhook).order_by(Webhook.id))
        other.url_sealed = one.url_sealed
        one.url = one.url.replace("chat", "evil")
        for webhook in (one, other):
            with pytest.raises(KeyUnreadable):
                webhook.open_url()
        db.session.rollback()


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
    ("url", "https://hooks.example.com/?token=abc#d"),
    ("url", "https://hooks.example.com/?token=a bc"),
    ("url", "https://hooks.example.com/..."),  # how others are shown
    ("url", "https://hooks.example.com/hook?..."),
    ("url", "https://hooks.example.com/?" + "x" * 2040),
    ("url", None),
    ("hide_path", "yes"),
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
            assert "token=a" not in answer.text
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
    make(api, url=KEYED)
    old, new = app.config["ENCRYPTION_KEYS"][0], Fernet.generate_key().decode()
    with app.app_context():
        app.extensions["keyring"] = Keyring([new, old])
        assert keys.status().outdated == 2
        assert keys.rotate().current == 2
        app.extensions["keyring"] = Keyring([new])
        webhook = db.session.scalars(sa.select(Webhook)).one()
        assert webhook.open_secret().get_secret_value() == SECRET
        assert webhook.open_url().get_secret_value() == KEYED
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


@on_sqlite
def test_a_restore_keeps_todays_url_where_the_one_of_then_held_a_key(
    app: Flask, api: Api, rev: Callable[[], int]
) -> None:
    webhook = make(api, url=f"{HOST}/then?key=canary", events=["provider.down"])
    path, good = f"/webhooks/{webhook['id']}", rev()
    api("PATCH", path, {"url": KEYED, "events": []})
    wish = {"entity": "webhook", "entity_id": webhook["id"]}
    restored = api("POST", f"/changes/{good}/restore", wish).json
    assert "today's URL" in restored["warnings"][0]
    now = api("GET", path).json
    assert (now["url"], now["events"]) == (SHOWN, ["provider.down"])
    assert whole_url(app) == KEYED
    api("DELETE", path)
    restored = api("POST", f"/changes/{good}/restore", wish).json
    assert restored["warnings"] == [services.UNSEEN, services.URL_MISSING]


def test_a_document_brings_no_key_and_says_which_url_to_enter(app: Flask, api: Api) -> None:
    make(api, url=KEYED)
    document = api("GET", "/config/export", headers={"Accept": "application/json"}).json
    (item,) = document["webhooks"]
    assert item["url"] == SHOWN
    item["events"] = ["budget.warn"]
    document["webhooks"].append({"name": "bridge", "url": f"{HOST}/...", "hide_path": True})
    report = api("POST", "/config/import", document).json
    assert report["warnings"] == [
        f"webhooks bridge: {text}" for text in (services.UNSEEN, services.URL_MISSING)
    ]
    assert whole_url(app) == KEYED
    (bridge,) = api("GET", "/webhooks?search=bridge").json["webhooks"]
    with app.app_context():
        services.request_test(bridge["id"])
        assert deliver_due(bridge["id"]) == 1
    (told,) = api("GET", f"/webhooks/{bridge['id']}/deliveries").json["deliveries"]
    assert told["attempts"][0]["error"] == URL_UNREADABLE

    item["url"] = KEYED
    refused = api("POST", "/config/import", document)
    assert SHOWN in refused.json["errors"]["json"]["webhooks[0].url"][0]
    assert "canary" not in refused.text


@on_sqlite
def test_a_document_that_hides_a_path_keeps_the_url(app: Flask, api: Api) -> None:
    make(api, url=KEYED)
    hidden = {"name": "pager", "url": f"{HOST}/...?...", "hide_path": True}
    report = api("POST", "/config/import", {"format_version": 1, "webhooks": [hidden]})
    assert report.json["warnings"] == []
    assert api("GET", "/webhooks").json["webhooks"][0]["url"] == hidden["url"]
    assert whole_url(app) == KEYED


def test_a_document_changes_it_and_holds_no_secret(api: Api) -> None:
    make(api)
    document = api("GET", "/config/export", headers={"Accept": "application/json"}).json
    (item,) = document["webhooks"]
    assert item == {
        "name": "pager",
        "url": URL,
        "hide_path": False,
        "events": [],
        "is_active": True,
    }
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
