"""Admin: webhooks. The secret goes in, or is shown once."""

import re

import pytest
from flask import Flask

from app.core.db import db
from app.webhooks import services
from app.webhooks.delivery import deliver_due
from app.webhooks.models import Webhook
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.support.console import Console

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

NEW = "/admin/webhook/new/"
SHOWN = "/admin/webhook/details/?id=1"


@pytest.fixture
def console(app: Flask) -> Console:
    return Console(app, ADMIN_EMAIL, ADMIN_PASSWORD)


def test_a_secret_is_shown_on_one_page_and_never_again(app: Flask, console: Console) -> None:
    page = console.save(NEW, name="pager", url="https://hooks.example.com").text
    (secret,) = re.findall(r"whsec_[\w+/=]+", page)
    with app.app_context():
        webhook = db.session.get_one(Webhook, 1)
        assert webhook.open_secret().get_secret_value() == secret
    for path in ("/admin/webhook/", SHOWN, "/admin/webhook/edit/?id=1", "/admin/history/"):
        assert secret not in console.get(path).text


def test_made_changed_and_tested(app: Flask, console: Console) -> None:
    own = {"name": "pager", "url": "https://hooks.example.com", "secret": "a secret of my own"}
    page = console.save(NEW, **own, events="provider.down").text
    assert "whsec_" not in page
    assert "a secret of my own" not in page
    assert "All webhooks" in page

    edit = "/admin/webhook/edit/?id=1"
    changed = console.save(edit, name="chat", secret="", events="budget.warn")
    assert "Webhook chat is saved." in changed.text
    with app.app_context():
        webhook = db.session.get_one(Webhook, 1)
        assert (webhook.events, webhook.name) == (["budget.warn"], "chat")
        assert webhook.open_secret().get_secret_value() == "a secret of my own"

    assert console.post("/admin/webhook/test/", id="1").status_code == 302
    page = console.get(SHOWN).text
    assert "webhook.test" in page
    assert "pending" in page
    assert services.TEST_MESSAGE in page.replace("&#39;", "'")
    assert "pending" in console.get("/admin/webhook/").text


def test_what_is_wrong_stands_beside_its_field(console: Console) -> None:
    page = console.save(NEW, name="pager", url="https://hooks.example.com/#part").text
    assert "must not contain a fragment" in page
    page = console.save(NEW, name="pager", url="https://[::1").text
    assert "the host or the port is malformed" in page
    page = console.save(NEW, name="pager", url="https://hooks.example.com", secret="sesame").text
    assert "from 16 to 256 bytes" in page
    assert "sesame" not in page


def test_a_key_in_the_url_is_on_no_page_not_even_beside_an_error(
    app: Flask, console: Console
) -> None:
    host, key = "https://hooks.example.com", "canary-0123"
    typed = {"name": "pager", "url": f"{host}/{key}?sig={key}", "hide_path": "y"}
    refused = console.save(NEW, **typed, secret="sesame").text
    assert f"{host}/...?..." in refused
    assert "Enter the whole URL" in refused, "as it is shown, it would change nothing"
    assert "Enter the whole URL" in console.save(NEW, **typed | {"url": f"{host}/...?..."}).text
    edit = "/admin/webhook/edit/?id=1"
    pages = [
        refused,
        # The way back is another parameter of that name.
        console.save(NEW, name="pager", url=f"hooks.example.com?sig={key}").text,
        console.save(NEW, **typed).text,
        console.save(edit, name="chat").text,  # its URL as it was shown
        console.save(edit, name="late", url=typed["url"], version="1").text,
        *(console.get(path).text for path in (SHOWN, edit, "/admin/webhook/", "/admin/history/")),
    ]
    assert "Somebody else" in pages[4]
    asked_again = ["Enter the whole URL" in page for page in pages]
    assert asked_again == [True, True, False, False, True, False, False, False, False]
    assert not [page for page in pages if key in page]
    with app.app_context():
        webhook = db.session.get_one(Webhook, 1)
        assert webhook.name == "chat"
        assert webhook.open_url().get_secret_value() == typed["url"]


def test_the_overview_names_a_webhook_that_is_not_taken(app: Flask, console: Console) -> None:
    with app.app_context():
        webhook, _ = services.create_webhook({"name": "pager", "url": "http://127.0.0.1:1/"})
        services.request_test(webhook.id)
        assert services.list_failing() == []
        assert deliver_due(webhook.id) == 1
    page = console.get("/admin/").text
    assert "Webhook pager" in page
    assert "add &#34;127.0.0.1:1&#34; to OUTBOUND_ALLOW" in page
    console.save("/admin/webhook/edit/?id=1", is_active=None)
    assert "Webhook pager" not in console.get("/admin/").text
