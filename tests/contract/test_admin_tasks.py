"""The admin pages of tasks: the schema's text is what counts, drafts and samples, the grid."""

import json
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.agents import services as agents
from app.changes.services import read_state
from app.tasks import assignments
from app.tasks import services as tasks
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.support.console import Console

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

SCHEMA = {
    "type": "object",
    "$defs": {"side": {"enum": ["buy", "sell"]}},
    "properties": {
        "zeta": {"$ref": "#/$defs/side"},
        "alpha": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["zeta"],
}
Ask = Callable[[str, Any], TestResponse]


@pytest.fixture
def console(app: Flask) -> Console:
    """An admin's session."""
    return Console(app, ADMIN_EMAIL, ADMIN_PASSWORD)


@pytest.fixture
def ask(console: Console) -> Ask:
    """``ask(path, body)``: as the form's scripts ask."""
    headers = {"X-CSRFToken": console.csrf}
    return lambda path, body: console.client.post(path, json=body, headers=headers)


@pytest.fixture
def task(app: Flask) -> int:
    """A task whose schema has what the visual editor does not know."""
    with app.app_context():
        return tasks.create_task({"name": "signal", "response_schema": SCHEMA}).id


def schema_of(app: Flask, task_id: int) -> Any:
    with app.app_context():
        return tasks.get_task(task_id).response_schema


def rev_of(app: Flask) -> int:
    with app.app_context():
        return read_state().rev


def test_a_save_keeps_what_the_editor_does_not_know(
    console: Console, task: int, app: Flask
) -> None:
    page = f"/admin/task/edit/?id={task}"
    assert json.loads(unescape(console.form(page)["response_schema"])) == SCHEMA
    rev = rev_of(app)
    assert "is saved" in console.save(page).text
    assert rev_of(app) == rev, "a save that changes nothing is no change"
    console.save(page, description="new")
    stored = schema_of(app, task)
    assert json.dumps(stored) == json.dumps(SCHEMA), "in its order too"


def test_the_short_form_is_taken_and_no_schema_is_one(
    console: Console, task: int, app: Flask
) -> None:
    page = f"/admin/task/edit/?id={task}"
    console.save(page, response_schema='{"category": {"type": "string"}}')
    assert schema_of(app, task)["required"] == ["category"]
    console.save(page, response_schema="  ")
    assert schema_of(app, task) is None
    assert "any answer will do" in console.get(f"/admin/task/details/?id={task}").text


BAD_SCHEMAS = ("{", "[1]", '{"type": "strin"}', '{"a": {"type": "string", "minimum": 1}}', "[" * 99)


def test_a_bad_schema_is_refused_beside_its_text(console: Console, task: int, app: Flask) -> None:
    rev = rev_of(app)
    for bad in BAD_SCHEMAS:
        page = console.save(f"/admin/task/edit/?id={task}", response_schema=bad)
        assert 'id="response_schema-help"><strong class="error">' in page.text, bad
    assert rev_of(app) == rev


def test_a_draft_is_checked_and_modelled_and_not_stored(ask: Ask, app: Flask) -> None:
    rev = rev_of(app)
    short = {"side": {"type": "enum", "values": ["buy", "sell"]}}
    body = {"name": "trade", "response_schema": short, "samples": [{"side": "buy"}, {}]}
    answer = ask("/admin/task/draft/", body).get_json()
    assert answer["response_schema"]["required"] == ["side"]
    assert "class TradeResponse(BaseModel):" in answer["source"]
    assert answer["errors"][0] == []
    assert answer["errors"][1][0]["path"] == "$"
    assert rev_of(app) == rev


def test_a_bad_draft_is_told_why(ask: Ask) -> None:
    for raw, says in (({"type": "object", "minItems": "x"}, "minItems"), ([1], "A JSON object")):
        answer = ask("/admin/task/draft/", {"response_schema": raw})
        assert answer.status_code == 200
        assert says in answer.get_json()["problem"]
    assert "A JSON object" in ask("/admin/task/draft/", {}).get_json()["problem"]
    assert "A JSON object" in ask("/admin/task/draft/", []).get_json()["message"]
    for no_list in (1, "x", {"a": 1}, None):
        body = {"response_schema": {"side": {"type": "string"}}, "samples": no_list}
        assert ask("/admin/task/draft/", body).get_json()["errors"] == []


def test_what_is_no_json_answers_a_script_too(console: Console) -> None:
    for path in ("draft", "infer"):
        answer = console.client.post(
            f"/admin/task/{path}/", data="[" * 500, headers={"X-CSRFToken": console.csrf}
        )
        assert (answer.status_code, answer.mimetype) == (400, "application/json")


def test_a_sample_makes_a_schema(ask: Ask) -> None:
    answer = ask("/admin/task/infer/", {"sample": {"b": 1, "a": [True]}}).get_json()
    assert list(answer["response_schema"]["properties"]) == ["b", "a"]


def test_the_grid_and_the_list_say_who_has_it(console: Console, task: int, app: Flask) -> None:
    with app.app_context():
        agents.create_agent({"name": "Analyst"})
        assignments.assign("analyst", {"task_id": task, "is_active": False})
    grid = console.get("/admin/task/grid/").text
    assert 'data-state="off" data-agent="analyst"' in grid
    assert 'data-state="none" data-agent="default"' in grid
    assert "Nothing found" in console.get("/admin/task/grid/", agent="%", task="sig").text
    listed = console.get("/admin/task/").text
    assert "Delete the task signal? An agent loses it." in listed
    details = unescape(console.get(f"/admin/task/details/?id={task}").text)
    assert "(off)" in details
    for odd in ("0", "-1", "x", "9" * 30, "²"):
        assert console.get("/admin/task/grid/", agent_page=odd, task_page=odd).status_code == 200
    console.post("/admin/task/delete/?cascade=1", id=task, version=1)
    assert "Task signal is deleted." in console.get("/admin/task/").text
