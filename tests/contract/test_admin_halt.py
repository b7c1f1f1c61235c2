"""The red button in the admin interface (row A14): the header of every page, the agents' pages."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from app.accounts.models import Role
from app.accounts.services import create_user, find_user
from app.agents import halt
from app.agents import services as agents
from app.changes.services import list_changes_of, read_state
from app.core.db import db
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.support.console import Console

PASSWORD = "another horse battery"
PAGES = ("/admin/", "/admin/provider/", "/admin/agent/", "/admin/agent/details/?id={agent}")
REASON = "<script>alert(1)</script> & more"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more"

on_one_database = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
People = Callable[[Role], Console]


@pytest.fixture
def people(app: Flask) -> People:
    """``people(role)``: a session of somebody with this role."""

    def session(role: Role) -> Console:
        if role is Role.ADMIN:
            return Console(app, ADMIN_EMAIL, ADMIN_PASSWORD)
        with app.app_context():
            create_user(f"{role.value}@example.com", PASSWORD, role)
        return Console(app, f"{role.value}@example.com", PASSWORD)

    return session


@pytest.fixture
def agent(app: Flask) -> int:
    """The id of an agent that everybody may see."""
    with app.app_context():
        return agents.create_agent({"name": "Trader"})[0].id


def header(page: str) -> str:
    """The red button's part of a page, without what is hidden in it."""
    found = re.search(r'<section class="red-button".*?</section>', page, re.DOTALL)
    assert found, page
    return re.sub(r"<(p|a|div)([^>]*) hidden>.*?</\1>", "", found[0], flags=re.DOTALL)


def state(app: Flask, agent_id: int) -> tuple[Any, ...]:
    """Whether and why all, and this one, are halted; and the rev."""
    with app.app_context():
        button, one = halt.get_red_button(), agents.get_agent_by_id(agent_id)
        rev = read_state().rev
        return (button.halted, button.halted_reason, one.halted, one.halted_reason, rev)


def test_an_operator_halts_all_and_every_page_says_so(
    app: Flask, people: People, agent: int
) -> None:
    operator = people(Role.OPERATOR)
    assert "Halt all" in header(operator.get("/admin/").text)
    form = operator.form("/admin/halt/?url=/admin/agent/")
    answer = operator.post("/admin/halt/", **form | {"reason": f"  {REASON} "})
    assert (answer.status_code, answer.location) == (302, "/admin/agent/")
    assert "Halted: all agents." in operator.get(answer.location).text
    assert state(app, agent)[:4] == (True, REASON, False, None)
    for path in PAGES:
        page = operator.get(path.format(agent=agent)).text
        assert f"All agents halted<span data-halt-reason>: {ESCAPED}</span>" in header(page), path
        assert "Halt all" not in header(page)
        assert REASON not in page
    with app.app_context():
        change = list_changes_of(read_state().rev)[0]
        assert (change.actor, change.entity) == ("user:operator@example.com", "halt")


@on_one_database
def test_only_an_admin_lets_all_go_on(app: Flask, people: People, agent: int) -> None:
    with app.app_context():
        halt.halt_all("flash crash")
    operator, admin = people(Role.OPERATOR), people(Role.ADMIN)
    assert "Resume" not in operator.get("/admin/").text
    assert operator.post("/admin/halt/resume/").status_code == 403
    assert state(app, agent)[0] is True

    button = header(admin.get("/admin/").text)
    assert 'data-confirm="Let all agents go on?"' in button
    assert re.search(r"<button[^>]* disabled", button), "until the script is there to ask"
    # Without a script, the page behind the button asks.
    assert "Halted since" in (page := admin.get("/admin/halt/").text)
    assert 'action="/admin/halt/resume/"' in page
    answer = admin.post("/admin/halt/resume/", url="/admin/provider/")
    assert answer.location == "/admin/provider/"
    assert "All agents may go on" in admin.get("/admin/").text
    assert state(app, agent)[:2] == (False, None)


@on_one_database
def test_one_agent_is_halted_by_an_operator_and_resumed_by_an_admin(
    app: Flask, people: People, agent: int
) -> None:
    operator, admin = people(Role.OPERATOR), people(Role.ADMIN)
    assert 'action="/admin/agent/halt/"' in operator.get("/admin/agent/").text
    details = f"/admin/agent/details/?id={agent}"
    assert 'action="/admin/agent/halt/"' in operator.get(details).text
    form = operator.form(f"/admin/agent/halt/?id={agent}")
    answer = operator.post("/admin/agent/halt/", **form | {"reason": REASON})
    assert answer.status_code == 302
    assert state(app, agent)[:4] == (False, None, True, REASON)

    for path, said in (
        ("/admin/agent/", f"halted: {ESCAPED}</span>"),
        (details, f": {ESCAPED}</p>"),
    ):
        page = operator.get(path).text
        assert said in page
        assert "/admin/agent/resume/" not in page
        assert "/admin/agent/resume/" in admin.get(path).text
    assert "1 agent halted" in header(page)
    assert operator.post("/admin/agent/resume/", id=agent).status_code == 403
    assert state(app, agent)[2] is True

    admin.post("/admin/agent/resume/", id=agent)
    assert "Trader is resumed." in admin.get("/admin/agent/").text
    assert state(app, agent)[:4] == (False, None, False, None)


@on_one_database
def test_an_agent_that_is_resumed_under_the_button_for_all_is_told_so(
    app: Flask, people: People, agent: int
) -> None:
    with app.app_context():
        halt.halt_agents(["trader"], "mine")
        halt.halt_all("all")
    admin = people(Role.ADMIN)
    admin.post("/admin/agent/resume/", id=agent)
    assert "Trader is resumed, but all agents are still halted." in admin.get("/admin/agent/").text


@on_one_database
def test_a_viewer_sees_the_state_and_no_button(app: Flask, people: People, agent: int) -> None:
    with app.app_context():
        halt.halt_agents(["trader"], "loses money")
    viewer = people(Role.VIEWER)
    button = header(viewer.get("/admin/agent/").text)
    assert "1 agent halted" in button
    assert "<form" not in button
    with app.app_context():
        halt.halt_all("flash crash")
    for path in PAGES:
        page = viewer.get(path.format(agent=agent)).text
        assert "All agents halted<span data-halt-reason>: flash crash" in header(page)
        assert "/halt/" not in page
        assert "/resume/" not in page
        assert "ask-reason" not in page
    for path in ("/admin/halt/", "/admin/agent/halt/", "/admin/halt/resume/"):
        assert viewer.post(path, id=agent).status_code == 403


@on_one_database
def test_a_viewer_counts_what_is_theirs_and_what_is_nobody_s(
    app: Flask, people: People, agent: int
) -> None:
    viewer = people(Role.VIEWER)
    with app.app_context():
        viewer_id = find_user("viewer@example.com").id  # type: ignore[union-attr]
        admin_id = find_user(ADMIN_EMAIL).id  # type: ignore[union-attr]
        agents.create_agent({"name": "Theirs", "owner_id": viewer_id})
        agents.create_agent({"name": "Hidden", "owner_id": admin_id})
        halt.halt_agents(["trader", "theirs", "hidden"], "no")
    assert "2 agents halted" in header(viewer.get("/admin/").text)
    assert viewer.get("/api/halt").json["halted_agents"] == 2
    assert "3 agents halted" in header(people(Role.OPERATOR).get("/admin/").text)


@on_one_database
def test_the_count_leads_to_the_halted_agents_alone(app: Flask, people: People, agent: int) -> None:
    with app.app_context():
        halt.halt_agents(["trader"], None)
    operator = people(Role.OPERATOR)
    link = re.search(r'class="halt-count" href="([^"]+)"', operator.get("/admin/").text)
    assert link
    page = operator.get(link[1]).text
    assert re.findall(r"<code>([\w-]+)</code>", page) == ["trader"]
    assert ">halted</span>" in page, "no reason, no colon"
    assert '<input type="hidden" name="halted" value="1">' in page, "a search stays within"
    exported = operator.get("/admin/agent/export/csv/?halted=1").text
    assert [line.split(",")[0] for line in exported.splitlines()[1:]] == ["trader"]
    nothing = operator.get(f"{link[1]}&search=nobody").text
    assert "Nothing found" in nothing


@on_one_database
def test_an_inactive_agent_says_who_answers_and_offers_to_be_halted(
    app: Flask, people: People, agent: int
) -> None:
    with app.app_context():
        agents.update_agent("trader", {"is_active": False})
    operator, viewer = people(Role.OPERATOR), people(Role.VIEWER)
    page = operator.get("/admin/agent/").text
    assert "The default answers for it, and it goes on spending: halt it to stop that." in page
    assert page.count('aria-label="Halt Trader"') == 1
    page = viewer.get("/admin/agent/").text
    assert "The default answers for it, and it goes on spending." in page
    details = viewer.get(f"/admin/agent/details/?id={agent}").text
    assert "Inactive, and still spending" in details
    operator.post("/admin/agent/halt/", id=agent, reason="off")
    page = operator.get("/admin/agent/").text
    assert "The default answers for it, and it goes on spending once it is resumed." in page


@on_one_database
@pytest.mark.parametrize("path", ["/admin/halt/", "/admin/agent/halt/"])
@pytest.mark.parametrize(
    ("reason", "why"),
    [("x" * 501, "Length must be between 0 and 500."), ("a\x00b", "A null character")],
    ids=["long", "null"],
)
def test_a_reason_that_cannot_be_kept_is_refused_beside_its_field(
    app: Flask, people: People, agent: int, path: str, reason: str, why: str
) -> None:
    operator = people(Role.OPERATOR)
    before = state(app, agent)
    page = operator.post(path, id=agent, reason=reason, url="/admin/agent/?page=1").text
    assert 'aria-invalid="true"' in page
    assert why in page
    assert reason.replace("\x00", "") in page.replace("\x00", ""), "what was typed is not lost"
    assert 'name="url" value="/admin/agent/?page=1"' in page
    assert state(app, agent) == before


@on_one_database
def test_no_reason_is_none_and_500_characters_are_kept(
    app: Flask, people: People, agent: int
) -> None:
    operator = people(Role.OPERATOR)
    operator.post("/admin/agent/halt/", id=agent, reason="  ")
    assert state(app, agent)[2:4] == (True, None)
    operator.post("/admin/agent/halt/", id=agent, reason="ü" * 500)
    assert state(app, agent)[2:4] == (True, "ü" * 500)


@on_one_database
def test_without_the_csrf_token_nothing_is_halted_or_resumed(
    app: Flask, people: People, agent: int
) -> None:
    with app.app_context():
        halt.halt_agents(["trader"], "kept")
    admin = people(Role.ADMIN)
    before = state(app, agent)
    for path in ("halt/", "halt/resume/", "agent/halt/", "agent/resume/"):
        answer = admin.client.post(f"/admin/{path}", data={"id": agent, "reason": "x"})
        assert answer.status_code == 400
    assert state(app, agent) == before


@on_one_database
def test_what_is_asked_for_by_a_get_is_not_done(app: Flask, people: People, agent: int) -> None:
    admin = people(Role.ADMIN)
    before = state(app, agent)
    for path in ("/admin/halt/", "/admin/agent/halt/"):
        assert admin.get(path, id=agent, reason="x").status_code == 200
    assert admin.get("/admin/halt/resume/").status_code == 405
    assert state(app, agent) == before


@on_one_database
@pytest.mark.parametrize("path", ["/admin/halt/", "/admin/halt/resume/"])
def test_the_way_back_stays_on_the_host(people: People, path: str) -> None:
    admin = people(Role.ADMIN)
    for elsewhere in ("https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)"):
        assert admin.post(path, url=elsewhere).location == "/admin/"
        assert elsewhere not in admin.get("/admin/halt/", url=elsewhere).text


@on_one_database
def test_the_header_costs_one_query_for_each_kind(app: Flask, people: People) -> None:
    viewer = people(Role.VIEWER)
    statements: list[str] = []
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    viewer.get("/admin/provider/")
    assert len([s for s in statements if "FROM global_halt" in s]) == 1
    assert len([s for s in statements if "FROM agents" in s]) == 1
