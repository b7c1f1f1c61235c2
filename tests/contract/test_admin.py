"""The admin interface's gate: who may see and do what, and what a page may carry.

The rows of Flask-Admin's known faults, each held shut.
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from app.accounts.models import Role, Scope, User
from app.accounts.services import create_token, create_user, find_user
from app.agents import services as agents
from app.changes.services import read_state
from app.core.db import commit, db
from app.prices import services as prices
from app.providers import services as providers
from app.providers.models import BudgetState
from app.tasks import services as tasks
from app.usage import budgets
from app.webhooks.services import create_webhook, request_test
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, ADMIN_TOKEN
from tests.support.console import Console, token_in

# Which database is behind it makes no difference to the gate.
pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

CANARY = "sk-canary-0123456789"
PASSWORD = "another horse battery"
READ, INSPECT, OPERATE, WRITE, ADMINISTER = "read", "inspect", "operate", "write", "administer"
OF_ROLE = {
    Role.VIEWER: {READ},
    Role.OPERATOR: {READ, INSPECT, OPERATE},
    Role.ADMIN: {READ, INSPECT, OPERATE, WRITE, ADMINISTER},
}
# What each route asks for. A page that is missing here fails a test below.
PAGES = {
    "/admin/": READ,
    "/admin/provider/": READ,
    "/admin/provider/details/?id={provider}": READ,
    "/admin/provider/new/": WRITE,
    "/admin/provider/edit/?id={provider}": WRITE,
    "/admin/agent/": READ,
    "/admin/agent/details/?id={agent}": READ,
    "/admin/agent/new/": WRITE,
    "/admin/agent/edit/?id={agent}": WRITE,
    "/admin/agent/clone/?id={agent}": WRITE,
    "/admin/agent/halt/?id={agent}": OPERATE,
    "/admin/llm_config/": READ,
    "/admin/llm_config/new/": WRITE,
    "/admin/llm_config/edit/?id={step}": WRITE,
    "/admin/task/": READ,
    "/admin/task/details/?id={task}": READ,
    "/admin/task/grid/": READ,
    "/admin/task/new/": WRITE,
    "/admin/task/edit/?id={task}": WRITE,
    "/admin/voice/": READ,
    "/admin/voice/edit/?id={agent}": WRITE,
    "/admin/halt/": OPERATE,
    "/admin/costs/": READ,
    "/admin/costs/calls/": READ,
    "/admin/costs/reprice/": ADMINISTER,
    "/admin/budget/": INSPECT,
    "/admin/budget/new/": ADMINISTER,
    "/admin/budget/edit/?id={budget}": ADMINISTER,
    "/admin/price/": INSPECT,
    "/admin/price/new/": ADMINISTER,
    "/admin/price/edit/?id={price}": ADMINISTER,
    "/admin/price/fill/": ADMINISTER,
    "/admin/history/": READ,
    "/admin/client/": INSPECT,
    "/admin/health_jobs/": INSPECT,
    "/admin/user/": INSPECT,
    "/admin/user/new/": ADMINISTER,
    "/admin/user/edit/?id={user}": ADMINISTER,
    "/admin/token/": INSPECT,
    "/admin/token/new/": ADMINISTER,
    "/admin/token/edit/?id={token}": ADMINISTER,
    "/admin/webhook/": INSPECT,
    "/admin/webhook/details/?id={webhook}": INSPECT,
    "/admin/webhook/new/": ADMINISTER,
    "/admin/webhook/edit/?id={webhook}": ADMINISTER,
    "/admin/import_export/": INSPECT,
    "/admin/settings/": INSPECT,
}
FILES = {
    "/admin/session/": READ,
    "/admin/provider/export/csv/": READ,
    "/admin/agent/export/csv/": READ,
    "/admin/llm_config/export/csv/": READ,
    "/admin/task/export/csv/": READ,
    "/admin/voice/export/csv/": READ,
    "/admin/history/export/csv/": READ,
    "/admin/client/export/csv/": INSPECT,
    "/admin/user/export/csv/": INSPECT,
    "/admin/token/export/csv/": INSPECT,
    "/admin/webhook/export/csv/": INSPECT,
    "/admin/budget/export/csv/": INSPECT,
    "/admin/price/export/csv/": INSPECT,
    "/admin/search/": READ,
    "/admin/agent/of/?agent_id=shown": READ,
}
POSTS = {
    "/admin/provider/new/": WRITE,
    "/admin/provider/edit/?id={provider}": WRITE,
    "/admin/provider/delete/": WRITE,
    "/admin/provider/validate/": OPERATE,
    "/admin/agent/new/": WRITE,
    "/admin/agent/edit/?id={agent}": WRITE,
    "/admin/agent/delete/": WRITE,
    "/admin/agent/set-default/": WRITE,
    "/admin/agent/halt/": OPERATE,
    "/admin/agent/resume/": ADMINISTER,
    "/admin/agent/clone/?id={agent}": WRITE,
    "/admin/agent/test/": OPERATE,
    "/admin/agent/restore/": WRITE,
    "/admin/agent/validate-chosen/": OPERATE,
    "/admin/agent/enable/": WRITE,
    "/admin/agent/disable/": WRITE,
    "/admin/agent/set-model/": WRITE,
    "/admin/llm_config/new/": WRITE,
    "/admin/llm_config/edit/?id={step}": WRITE,
    "/admin/llm_config/delete/": WRITE,
    "/admin/llm_config/move/": WRITE,
    "/admin/task/new/": WRITE,
    "/admin/task/edit/?id={task}": WRITE,
    "/admin/task/delete/": WRITE,
    "/admin/task/draft/": WRITE,
    "/admin/task/infer/": WRITE,
    "/admin/voice/edit/?id={agent}": WRITE,
    "/admin/halt/": OPERATE,
    "/admin/halt/resume/": ADMINISTER,
    "/admin/provider/validate-many/": OPERATE,
    "/admin/history/restore/": WRITE,
    "/admin/user/new/": ADMINISTER,
    "/admin/user/edit/?id={user}": ADMINISTER,
    "/admin/user/delete/": ADMINISTER,
    "/admin/token/new/": ADMINISTER,
    "/admin/token/edit/?id={token}": ADMINISTER,
    "/admin/token/delete/": ADMINISTER,
    "/admin/webhook/new/": ADMINISTER,
    "/admin/webhook/edit/?id={webhook}": ADMINISTER,
    "/admin/webhook/delete/": ADMINISTER,
    "/admin/webhook/test/": ADMINISTER,
    "/admin/budget/new/": ADMINISTER,
    "/admin/budget/edit/?id={budget}": ADMINISTER,
    "/admin/budget/delete/": ADMINISTER,
    "/admin/price/new/": ADMINISTER,
    "/admin/price/edit/?id={price}": ADMINISTER,
    "/admin/price/delete/": ADMINISTER,
    "/admin/price/end/": ADMINISTER,
    "/admin/costs/reprice/preview/": ADMINISTER,
    "/admin/costs/reprice/apply/": ADMINISTER,
    "/admin/costs/reprice/next/": ADMINISTER,
    "/admin/price/fill/": ADMINISTER,
    "/admin/import_export/preview/": ADMINISTER,
    "/admin/import_export/apply/": ADMINISTER,
}
# Flask-Admin's own, on every view: refused to readers, and nothing to writers.
UNUSED_POSTS = ("/admin/{view}/action/", "/admin/{view}/ajax/update/")
VIEWS = (
    "provider",
    "agent",
    "llm_config",
    "task",
    "voice",
    "history",
    "client",
    "user",
    "token",
    "webhook",
    "budget",
    "price",
)
READ_ONLY = ("history", "client")
INLINE = re.compile(r"<script(?![^>]* src=)|\son\w+=|javascript:|<style|\sstyle=")
ELSEWHERE = re.compile(r'(src|href|action)="(https?:)?//')
LINK = re.compile(r'<a [^>]*href="(/admin/[^"#]*)"')
SignIn = Callable[[Role], Console]


@pytest.fixture
def ids(app: Flask) -> dict[str, int]:
    """A provider with a key and an agent on it, nobody's."""
    with app.app_context():
        provider = providers.create_provider(
            {"name": "canary", "type": "openai", "api_key": CANARY}
        )
        step = {"provider_id": provider.id, "model_name": "m", "api_key": CANARY}
        agent, _ = agents.create_agent({"name": "Shown", "llm_configs": [step]})
        task = tasks.create_task({"name": "canary"})
        step_id = agent.llm_configs[0].id
        user = create_user("shown@example.com", PASSWORD)
        token, _ = create_token("shown", [Scope.CONFIG_READ])
        hook = {"name": "shown", "url": "https://hooks.example.com", "secret": CANARY}
        webhook, _ = create_webhook(hook)
        request_test(webhook.id)
        price = prices.create_price({"provider": "openai", "model": "m", "note": "shown"})
        limit = {"name": "shown", "scope": "all", "period": "day", "block_at": Decimal(9)}
        budget = budgets.create_budget(limit)
        return {
            "provider": provider.id,
            "agent": agent.id,
            "step": step_id,
            "task": task.id,
            "user": user.id,
            "token": token.id,
            "webhook": webhook.id,
            "price": price.id,
            "budget": budget.id,
        }


@pytest.fixture
def sign_in(app: Flask) -> Iterator[SignIn]:
    """``sign_in(role)``: a session of somebody with this role."""

    def session(role: Role) -> Console:
        if role is Role.ADMIN:
            return Console(app, ADMIN_EMAIL, ADMIN_PASSWORD)
        with app.app_context():
            create_user(f"{role.value}@example.com", PASSWORD, role)
        return Console(app, f"{role.value}@example.com", PASSWORD)

    return session


@pytest.mark.parametrize("role", list(Role))
def test_a_role_sees_and_does_exactly_what_is_its(
    role: Role, sign_in: SignIn, ids: dict[str, int], app: Flask
) -> None:
    session = sign_in(role)
    unused = {path.format(view=view): WRITE for path in UNUSED_POSTS for view in VIEWS}
    table = [
        *((path, "GET", need) for path, need in {**PAGES, **FILES}.items()),
        *((path, "POST", need) for path, need in {**POSTS, **unused}.items()),
    ]
    with app.app_context():
        rev = read_state().rev
    for path, method, need in table:
        url = path.format(**ids)
        # id 0 is nobody's, and no reason to halt is as long: what is allowed does nothing, what is
        # not is refused before it looks.
        form = {"id": "0", "reason": "x" * 501}
        answer = session.get(url) if method == "GET" else session.post(url, **form)
        answer.close()  # an export is a stream
        refused = answer.status_code == 403
        allowed = need in OF_ROLE[role]
        assert refused is not allowed, f"{role} {method} {url}: {answer.status_code}"
    with app.app_context():
        assert read_state().rev == rev


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_nothing_is_offered_that_would_be_refused(
    role: Role, sign_in: SignIn, ids: dict[str, int]
) -> None:
    session = sign_in(role)
    needs = {path.partition("?")[0]: need for path, need in {**PAGES, **FILES}.items()}
    posts = {path.partition("?")[0]: need for path, need in POSTS.items()}
    for path in (path for path, need in PAGES.items() if need in OF_ROLE[role]):
        page = unescape(session.get(path.format(**ids)).text)
        forms = re.findall(r'<form[^>]* method="post"[^>]* action="(/admin[^"?]*)', page)
        forms += re.findall(r' formaction="(/admin[^"?]*)', page)
        links = re.findall(r' href="(/admin/[^"?]*)', page)
        offered = {(it, posts[it]) for it in forms} | {(it, needs.get(it, READ)) for it in links}
        refused = {it for it, need in offered if need not in OF_ROLE[role]}
        assert not refused, f"{role} {path}"


def test_every_admin_route_is_in_the_tables_above(app: Flask) -> None:
    known = {path.partition("?")[0] for path in (*PAGES, *FILES, *POSTS)}
    known |= {path.format(view=view) for path in UNUSED_POSTS for view in VIEWS}
    # A read that Flask-Admin adds to every view; no view here has a reference to look up.
    views = "|".join(READ_ONLY)
    harmless = re.compile(
        rf"/admin/(static/.*|\w+/ajax/lookup/|({views})/(new|edit|details|delete)/"
        r"|(llm_config|user|token|budget|price)/details/|voice/(new|details|delete)/)"
    )
    routes = {
        rule.rule.replace("<export_type>", "csv")
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/admin")
    }
    assert {route for route in routes if not harmless.fullmatch(route)} == known


@pytest.mark.parametrize("path", ["", "provider/", "agent/edit/?id=1", "history/"])
def test_nobody_gets_in_without_signing_in(http: FlaskClient, path: str) -> None:
    answer = http.get(f"/admin/{path}")
    assert (answer.status_code, answer.location.partition("?")[0]) == (302, "/login")
    assert http.get(answer.location).status_code == 200


def test_a_token_opens_the_api_and_no_page(http: FlaskClient) -> None:
    answer = http.get("/admin/", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    assert (answer.status_code, answer.location.partition("?")[0]) == (302, "/login")


def test_somebody_deactivated_is_out_at_once(app: Flask, sign_in: SignIn) -> None:
    session = sign_in(Role.OPERATOR)
    with app.app_context():
        user = find_user("operator@example.com")
        assert isinstance(user, User)
        user.active = False
        commit()
    assert session.get("/admin/").status_code == 302


def test_a_write_without_the_csrf_token_is_refused(
    app: Flask, sign_in: SignIn, ids: dict[str, int]
) -> None:
    session = sign_in(Role.ADMIN)
    with app.app_context():
        rev = read_state().rev
    for path in (*POSTS, "/logout"):
        answer = session.client.post(path.format(**ids), data={"id": str(ids["provider"])})
        assert answer.status_code == 400, path
    with app.app_context():
        assert read_state().rev == rev
    assert session.get("/admin/").status_code == 200, "still signed in"


def test_no_link_leads_a_viewer_to_a_closed_door(
    app: Flask, sign_in: SignIn, ids: dict[str, int]
) -> None:
    with app.app_context():
        agents.get_agent_by_id(ids["agent"]).budget_state = BudgetState.WARN
        commit()
    session = sign_in(Role.VIEWER)
    paths = [path.format(**ids) for path, needs in PAGES.items() if needs == READ]
    links = [link for path in paths for link in LINK.findall(session.get(path).text)]
    one_of_each_page = {link.partition("?")[0]: link for link in links}
    assert len(one_of_each_page) > 10
    for link in one_of_each_page.values():
        assert session.get(unescape(link)).status_code in {200, 302}, link


def test_every_form_carries_exactly_one_token(sign_in: SignIn, ids: dict[str, int]) -> None:
    session = sign_in(Role.ADMIN)
    for path in PAGES:
        page = session.get(path.format(**ids)).text
        forms = re.findall(r'<form[^>]*method="post".*?</form>', page, re.DOTALL)
        assert forms
        for form in forms:
            assert form.count('name="csrf_token"') == 1, path


def test_nothing_is_edited_in_a_list_and_nothing_in_bulk(
    app: Flask, sign_in: SignIn, ids: dict[str, int]
) -> None:
    session = sign_in(Role.ADMIN)
    agent = str(ids["agent"])
    edited = session.post("/admin/agent/ajax/update/", list_form_pk=agent, name="Renamed")
    assert edited.status_code == 404
    session.post("/admin/agent/action/", action="delete", rowid=agent)
    with app.app_context():
        assert agents.get_agent_by_id(ids["agent"]).name == "Shown"


def test_a_delete_is_a_post_that_asks_first(
    app: Flask, sign_in: SignIn, ids: dict[str, int]
) -> None:
    session = sign_in(Role.ADMIN)
    assert session.get(f"/admin/agent/delete/?id={ids['agent']}").status_code == 405
    page = session.get("/admin/agent/").text
    form = re.search(r'<form[^>]*action="/admin/agent/delete/".*?</form>', page, re.DOTALL)
    assert form
    assert 'data-confirm="Delete the agent shown?' in form[0]
    assert re.search(r"<button[^>]* disabled", form[0]), "until the script is there to ask"
    version = re.search(r'name="version" value="(\d+)"', form[0])
    assert version
    session.post("/admin/agent/delete/", id=ids["agent"], version=int(version[1]) + 1)
    with app.app_context():
        assert agents.get_agent_by_id(ids["agent"])
    session.post("/admin/agent/delete/", id=ids["agent"], version=version[1])
    assert session.get(f"/admin/agent/details/?id={ids['agent']}").status_code == 404


def test_a_used_provider_is_not_deleted_and_its_users_are_named(
    sign_in: SignIn, ids: dict[str, int]
) -> None:
    session = sign_in(Role.ADMIN)
    session.post("/admin/provider/delete/", id=ids["provider"], version=1)
    assert "The provider is used by: shown." in session.get("/admin/provider/").text


def test_no_role_reads_a_key_on_any_page(sign_in: SignIn, ids: dict[str, int]) -> None:
    for role in Role:
        session = sign_in(role)
        for path in (*PAGES, *FILES):
            assert "sk-canary" not in session.get(path.format(**ids)).text, path


def test_pages_run_and_load_nothing_but_our_own_files(
    http: FlaskClient, sign_in: SignIn, ids: dict[str, int]
) -> None:
    session = sign_in(Role.ADMIN)
    paths = [path.format(**ids) for path in PAGES]
    answers = [session.get(path) for path in (*paths, "/admin/agent/details/?id=0", "/nowhere")]
    for answer in (*answers, http.get("/login")):
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert not INLINE.search(answer.text)
        assert not ELSEWHERE.search(answer.text)
        assert answer.headers["X-Frame-Options"] == "DENY"


def test_admin_pages_are_kept_by_no_cache(sign_in: SignIn) -> None:
    assert sign_in(Role.VIEWER).get("/admin/").headers["Cache-Control"] == "no-store"


def test_a_static_file_asks_the_database_nothing(app: Flask, sign_in: SignIn) -> None:
    session = sign_in(Role.VIEWER)
    statements: list[str] = []
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    with session.get("/admin/static/console/console.css") as answer:
        assert answer.status_code == 200
    assert statements == []


def test_signing_in_leads_nowhere_else(app: Flask) -> None:
    client = app.test_client()
    form = {"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    for elsewhere in ("https://elsewhere.example/", "//elsewhere", "/\\elsewhere", "http://[::1"):
        asked = client.get("/login", query_string={"next": elsewhere})
        assert asked.location == "/login"
    form["csrf_token"] = token_in(client.get("/login").text)
    answer = client.post("/login?next=https://elsewhere.example/", data=form)
    assert "elsewhere" not in (answer.location or "")
    assert client.post("/login?next=/admin/agent/", data=form).location == "/admin/agent/"
    assert app.test_client().get("/login?next=").status_code == 200


def test_a_password_can_be_tried_at_the_login_alone(sign_in: SignIn) -> None:
    assert sign_in(Role.VIEWER).get("/verify").status_code == 404


def test_no_form_and_no_link_leads_off_the_host(sign_in: SignIn, ids: dict[str, int]) -> None:
    session = sign_in(Role.ADMIN)
    for elsewhere in ("https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)"):
        answer = session.post("/admin/provider/validate/", id=ids["provider"], url=elsewhere)
        assert answer.location == "/admin/provider/"
        page = session.get("/admin/agent/edit/", id=str(ids["agent"]), url=elsewhere).text
        assert elsewhere not in page
    assert session.get("/admin/agent/", url="http://[::1").status_code == 400


def test_a_wrong_password_and_an_unknown_address_look_alike(app: Flask) -> None:
    pages = []
    for email in (ADMIN_EMAIL, "nobody@example.com"):
        client = app.test_client()
        token = token_in(client.get("/login").text)
        form: dict[str, Any] = {"email": email, "password": "wrong", "csrf_token": token}
        page = client.post("/login", data=form).text
        assert 'role="alert"' in page
        pages.append(re.sub(r'value="[^"]*"', "", page))
    assert pages[0] == pages[1]


def test_sign_out_ends_the_session(sign_in: SignIn) -> None:
    session = sign_in(Role.VIEWER)
    assert session.get("/logout").status_code in {404, 405}
    assert session.get("/admin/").status_code == 200
    session.post("/logout")
    assert session.get("/admin/").status_code == 302


def test_errors_outside_the_api_are_pages(sign_in: SignIn) -> None:
    answer = sign_in(Role.VIEWER).get("/admin/provider/new/")
    assert (answer.status_code, answer.mimetype) == (403, "text/html")
    assert "<h1>Forbidden</h1>" in answer.text
    assert answer.headers["X-Request-ID"] in answer.text
