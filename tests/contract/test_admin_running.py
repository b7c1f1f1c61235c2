"""The pages about running it: clients, history, health and jobs, import and export, settings."""

import io
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
from flask import Flask

from app.accounts import services as accounts
from app.accounts.models import Role
from app.agents import services as agents
from app.changes.services import list_changes_of, read_state
from app.core import heartbeat
from app.core.clock import utcnow
from app.core.db import commit, db
from app.core.errors import NotFound
from app.core.redis import connect
from app.health.models import ProviderCheck
from app.providers import services as providers
from app.providers.models import Provider, ValidationStatus
from app.push import clients
from app.push.clients import Sighting
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, ADMIN_TOKEN
from tests.support.console import Console

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

PASSWORD = "another horse battery"
OPENAI = {"name": "openai", "type": "openai", "api_key": "sk"}
People = Callable[[Role], Console]


@pytest.fixture
def console(app: Flask) -> Console:
    """An admin's session."""
    return Console(app, ADMIN_EMAIL, ADMIN_PASSWORD)


@pytest.fixture
def people(app: Flask) -> People:
    """``people(role)``: a session of somebody with this role."""

    def session(role: Role) -> Console:
        with app.app_context():
            accounts.create_user(f"{role.value}@example.com", PASSWORD, role)
        return Console(app, f"{role.value}@example.com", PASSWORD)

    return session


def rows_of(page: str, lists: int | None = 1) -> list[str]:
    """The rows of the page's first lists, None = of all, as text."""
    bodies = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", "".join(bodies[:lists]), re.DOTALL)
    return [unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row))) for row in rows]


def test_the_palette_finds_what_a_person_may_see(app: Flask, people: People) -> None:
    with app.app_context():
        other = accounts.create_user("other@example.com", PASSWORD, Role.VIEWER).id
        agents.create_agent({"name": "Alpha desk"})
        agents.create_agent({"name": "Alpha hidden", "owner_id": other})
        providers.create_provider({"name": "alpha 100%_", "type": "ollama"})
    viewer = people(Role.VIEWER)
    found = viewer.get("/admin/search/", q="alpha").json["found"]
    assert [(hit["kind"], hit["name"]) for hit in found] == [
        ("provider", "alpha 100%_"),
        ("agent", "Alpha desk"),
    ]
    for hit in found:
        assert viewer.get(hit["url"]).status_code == 200
    # What a pattern would make of it is not meant, and a null character is no text.
    assert [it["name"] for it in viewer.get("/admin/search/", q="%_\0").json["found"]] == [
        "alpha 100%_"
    ]
    pages = {
        it["name"] for it in viewer.get("/admin/search/").json["found"] if it["kind"] == "page"
    }
    assert {"Overview", "Agents", "History"} <= pages
    assert not pages & {"Settings", "Clients", "Users and tokens"}


def test_clients_show_who_runs_an_older_rev(app: Flask, console: Console) -> None:
    with app.app_context():
        state = read_state()

        def seen(name: str, applied: int, gone: bool = False) -> Sighting:
            end = utcnow() if gone else None
            row = (f"1:{name}", name, 1, None, "py/1", state.epoch)
            return Sighting(*row, applied, state.rev, utcnow(), end)

        clients.record(
            [seen("new", state.rev), seen("old", state.rev - 2), seen("off", 1, True)], "h:1"
        )
    new, off, old = rows_of(console.get("/admin/client/").text)
    assert "up to date" in new
    assert f"rev {state.rev - 2} 2 behind" in old
    assert "gone" in off
    only = rows_of(console.get("/admin/client/?connected=1&behind=1").text)
    assert [row.split()[0] for row in only] == ["old"]
    assert len(rows_of(console.get("/admin/client/?agent_id=default").text)) == 3
    assert console.get("/admin/client/?connected=x&agent_id=%00&page=99999999").status_code == 200


def restore_form(page: str, rev: int) -> dict[str, str]:
    """The fields of the button that goes back to this rev."""
    forms = re.findall(r'<form[^>]*action="/admin/history/restore/".*?</form>', page, re.DOTALL)
    found = next(form for form in forms if f'name="rev" value="{rev}"' in form)
    assert "data-confirm=" in found
    names = ("rev", "entity", "entity_id", "operation")
    values = {name: re.search(rf'name="{name}" value="([^"]*)"', found) for name in names}
    return {name: match[1] for name, match in values.items() if match}


def test_the_history_goes_back_to_what_was_and_brings_back_what_is_gone(
    app: Flask, console: Console
) -> None:
    with app.app_context():
        agents.create_agent({"name": "First"})
        made = read_state().rev
        agents.update_agent("first", {"name": "Second"})
    console.post(
        "/admin/history/restore/", **restore_form(console.get("/admin/history/").text, made)
    )
    assert "Restored: agent first." in console.get("/admin/history/").text
    with app.app_context():
        assert agents.get_agent("first").name == "First"
        agents.delete_agent("first")
        gone = read_state().rev
    console.post(
        "/admin/history/restore/", **restore_form(console.get("/admin/history/").text, gone)
    )
    with app.app_context():
        assert agents.get_agent("first").name == "First"
        assert list_changes_of(read_state().rev)[0].actor == f"user:{ADMIN_EMAIL}"


def test_a_restore_of_nothing_changes_nothing(app: Flask, console: Console) -> None:
    for form in (
        {},
        {"rev": "x"},
        {"rev": "1", "entity": "token", "entity_id": "1"},
    ):
        with app.app_context():
            rev = read_state().rev
        assert console.post("/admin/history/restore/", **form).status_code in {302, 404}, form
        with app.app_context():
            assert read_state().rev == rev


def test_a_viewer_s_history_is_of_what_is_theirs_and_offers_no_way_back(
    app: Flask, people: People
) -> None:
    with app.app_context():
        other = accounts.create_user("other@example.com", PASSWORD, Role.VIEWER).id
        agents.create_agent({"name": "Theirs", "owner_id": other, "system_prompt": "secret plan"})
    viewer = people(Role.VIEWER)
    for path in ("/admin/history/", "/admin/", "/admin/history/export/csv/"):
        page = viewer.get(path).text
        assert "secret plan" not in page
        assert "other@example.com" not in page
    assert "/admin/history/restore/" not in viewer.get("/admin/history/").text
    assert "default" in viewer.get("/admin/history/?entity=agent").text


def test_health_names_the_workers_and_the_provider_that_is_in_error(
    app: Flask, console: Console
) -> None:
    assert "No worker gives a sign of life" in console.get("/admin/health_jobs/").text
    with app.app_context(), connect(app.config["REDIS_URL"]) as redis:
        heartbeat.beat(redis, "celery@here")
        page = console.get("/admin/health_jobs/").text
        heartbeat.end(redis, "celery@here")
    assert "celery@here" in page
    assert "health.sweep" in page
    assert "ollama" in page


def test_pages_stand_while_redis_is_away(app: Flask, console: Console) -> None:
    app.config["REDIS_URL"] = "unix:///nowhere/redis.sock"
    assert "Redis does not answer" in console.get("/admin/health_jobs/").text
    assert "does not answer" in console.get("/admin/").text
    assert "does not answer" in console.get("/admin/settings/").text


def test_settings_are_all_there_and_no_secret_is(app: Flask, console: Console) -> None:
    app.config["REDIS_URL"] = "redis://user:hunter2@127.0.0.1:1/0"
    page = console.get("/admin/settings/").text
    assert "hunter2" not in page
    assert "redis://user:***@127.0.0.1:1/0" in page
    for secret in (ADMIN_TOKEN, ADMIN_PASSWORD, app.config["SECRET_KEY"]):
        assert secret not in page
    rows = {row.split()[0]: row for row in rows_of(page, lists=None)}
    assert "set, not shown environment" in rows["ADMIN_TOKEN"]
    assert "6000 per minute" in rows["RATE_LIMIT_API"]
    assert "default" in rows["TRUSTED_PROXIES"]
    found = rows_of(console.get("/admin/settings/", search="Rate Limit").text)
    assert [row.split()[0] for row in found] == ["RATE_LIMIT_API", "RATE_LIMIT_LOGIN"]
    assert "Nothing found" in console.get("/admin/settings/", search="\x00nowhere").text


def test_a_file_of_settings_that_was_spoilt_since_the_start_is_told(
    console: Console, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    (tmp_path / "secrets.env").write_text("ENCRYPTION_KEYS=half\nof-a-key\n")
    answer = console.get("/admin/settings/")
    assert answer.status_code == 409
    assert "secrets.env: line 2 is no setting" in answer.text
    assert "of-a-key" not in answer.text


DOCUMENT = """
format_version: 1
agents:
- agent_id: imported
  name: Imported
"""


def hidden_fields(page: str) -> dict[str, str]:
    """What the Apply button sends."""
    form = re.search(r'<form[^>]*import_export/apply/".*?</form>', page, re.DOTALL)
    assert form, page
    text = re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", form[0], re.DOTALL)
    assert text
    fields = dict(re.findall(r'name="(is_json|prune|expected)" value="([^"]*)"', form[0]))
    return fields | {"document": unescape(text[1])}


def test_an_import_shows_what_it_changes_and_then_does_just_that(
    app: Flask, console: Console
) -> None:
    file = (io.BytesIO(DOCUMENT.encode()), "switchyard.yaml")
    page = console.post("/admin/import_export/preview/", file=file).text
    assert "<code>imported</code>" in page
    with app.app_context():
        rev = read_state().rev
    form = hidden_fields(page)
    assert console.post("/admin/import_export/apply/", **form).status_code == 302
    assert "Imported: 1 created" in console.get("/admin/import_export/").text
    with app.app_context():
        assert agents.get_agent("imported").name == "Imported"
        assert read_state().rev == rev + 1
    again = console.post("/admin/import_export/apply/", **form)
    assert "The configuration has changed since" in again.text


def test_a_document_that_is_refused_says_where(app: Flask, console: Console) -> None:
    for document, said in (
        ("", "Choose a file or paste a document."),
        ("- 1", "format_version"),
        ("a: [", "Nothing is imported"),
        ("format_version: 1\nagents:\n- name: 3", "agents[0].name"),
        ("format_version: 1\nagents:\n- {agent_id: a, name: <script>}\n- {agent_id: a}", "agents"),
    ):
        with app.app_context():
            rev = read_state().rev
        page = console.post("/admin/import_export/preview/", document=document).text
        assert "Nothing is imported" in page
        assert said in page, document
        assert "<script>" not in page
        with app.app_context():
            assert read_state().rev == rev


def test_a_key_in_a_refused_document_is_not_shown_again(console: Console) -> None:
    key = "canary-71d3-not-shaped-like-any-key"
    document = f"format_version: 1\nproviders:\n- {{name: p, type: openai, api_key: {key}}}\n"
    page = console.post("/admin/import_export/preview/", document=document).text
    assert "Nothing is imported" in page
    assert "api_key" in page
    assert key not in page


def test_a_document_of_many_mebibytes_is_taken_here_and_nowhere_else(console: Console) -> None:
    filler = "# " + "x" * 2**21 + "\n"
    page = console.post("/admin/import_export/preview/", document=filler + DOCUMENT)
    assert page.status_code == 200
    form = hidden_fields(page.text)
    assert console.post("/admin/import_export/apply/", **form).status_code == 302
    assert console.post("/admin/agent/new/", name=filler).status_code == 413


def test_prune_deletes_what_is_not_named_after_showing_it(app: Flask, console: Console) -> None:
    with app.app_context():
        agents.create_agent({"name": "Unnamed"})
    document = "format_version: 1\nagents:\n- {agent_id: default, name: D, is_default: true}\n"
    page = console.post("/admin/import_export/preview/", document=document, prune="1").text
    assert re.search(r"unnamed</code></th>\s*<td><span class=\"badge badge-delete\">", page)
    form = hidden_fields(page)
    assert form["prune"] == "1"
    # Without the tick the difference is another one, and refused.
    assert (
        "has changed since"
        in console.post("/admin/import_export/apply/", **{**form, "prune": ""}).text
    )
    assert console.post("/admin/import_export/apply/", **form).status_code == 302
    with app.app_context(), pytest.raises(NotFound):
        agents.get_agent("unnamed")


def test_ticked_providers_are_validated_together(app: Flask, people: People) -> None:
    with app.app_context():
        ids = [
            providers.create_provider({"name": name, "type": "openai", "api_key": "sk"}).id
            for name in ("one", "two", "three")
        ]
    operator = people(Role.OPERATOR)
    page = operator.get("/admin/provider/").text
    assert page.count('name="ids"') == 4
    answer = operator.post("/admin/provider/validate-many/", ids=[ids[0], ids[1], "987654", "x"])
    assert answer.status_code == 404, "what no row can have is no slip"
    operator.post("/admin/provider/validate-many/", ids=[ids[0], ids[1], ids[0], "987654"])
    assert "Being checked: one, two." in operator.get("/admin/provider/").text


def test_providers_are_listed_by_state(app: Flask, console: Console) -> None:
    with app.app_context():
        providers.create_provider({"name": "waiting", "type": "openai", "api_key": "sk"})
    assert "waiting" in console.get("/admin/provider/?status=pending").text
    assert rows_of(console.get("/admin/provider/?status=error").text) == []
    assert "waiting" in console.get("/admin/provider/?status=nonsense").text


def test_a_provider_s_checks_are_set_in_its_form(app: Flask, console: Console) -> None:
    with app.app_context():
        provider_id = providers.create_provider(OPENAI).id
    path = f"/admin/provider/edit/?id={provider_id}"
    page = unescape(console.save(path, check_interval="5").text)
    assert "0, or from 10 to 86400." in page
    page = unescape(console.save(path, check_call="y").text)
    assert "Name the model that is to be called." in page
    page = console.save(path, check_call="y", options="5").text
    assert "A JSON object is wanted" in page
    console.save(path, check_interval="60", check_call="y", options='{"a": 1, "check_model": "m"}')
    details = console.get(path.replace("edit", "details")).text
    assert "every 60 s, with one call of a token or so" in details
    # Stored among the options, asked for by itself.
    fields = console.form(path)
    assert (fields["check_model"], "check_model" in fields["options"]) == ("m", False)
    console.save(path, check_model="n", check_interval="0")
    with app.app_context():
        row = db.session.get_one(Provider, provider_id)
        assert (row.options, row.check_call) == ({"a": 1, "check_model": "n"}, True)
        row.models = ["listed"]
        commit()
    assert '<option value="listed">' in console.get(path).text
    console.save(path, check_call=None, check_model="")
    with app.app_context():
        assert db.session.get_one(Provider, provider_id).options == {"a": 1}
    assert "when it is saved or somebody asks" in console.get(path.replace("edit", "details")).text


def test_a_provider_s_page_has_its_checks_as_a_chart_a_table_and_figures(
    app: Flask, console: Console
) -> None:
    with app.app_context():
        provider_id = providers.create_provider(OPENAI).id
        for minutes, ms, status in ((3, 100, "connected"), (2, 300, "connected"), (1, 9, "error")):
            db.session.add(
                ProviderCheck(
                    provider_id=provider_id,
                    started_at=utcnow() - timedelta(minutes=minutes),
                    latency_ms=ms,
                    status=ValidationStatus(status),
                    error="<b>refused</b>" if status == "error" else None,
                )
            )
        commit()
    page = console.get(f"/admin/provider/details/?id={provider_id}").text
    today, week = rows_of(page)
    assert " ".join(today.split()) == "24 hours 66.67 % 3 1 100 ms 300 ms 300 ms"
    assert week.split()[2:] == today.split()[2:]
    assert page.count('class="chart-dot connected"') == 2
    assert page.count('class="chart-dot error"') == 1
    assert "<b>refused" not in page
