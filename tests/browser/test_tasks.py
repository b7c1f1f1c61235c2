"""Tasks: the schema's fields beside its JSON, samples, the model, and the grid."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Stack
from tests.conftest import ADMIN_TOKEN
from tests.support.showcase import Showcase


@pytest.fixture
def api(stack: Stack) -> Showcase:
    """What a colleague does meanwhile."""
    return Showcase(stack.url, ADMIN_TOKEN)


def field(page: Page, name: str) -> Locator:
    """The editor's row of a field."""
    return page.locator(f"[data-field={name}]").first


def schema_in(page: Page) -> Any:
    return json.loads(page.get_by_label("JSON", exact=True).input_value())


def test_a_schema_is_put_together_with_the_keyboard(admin: Page, api: Showcase) -> None:
    admin.goto("/admin/task/new/")
    admin.get_by_label("Name").fill("Trade signal")
    admin.get_by_role("button", name="Add the first field").focus()
    admin.keyboard.press("Enter")
    expect(field(admin, "field").get_by_label("Name")).to_be_focused()
    admin.keyboard.press("Control+A")
    admin.keyboard.type("side")
    admin.keyboard.press("Enter")
    expect(field(admin, "side").get_by_label("Name")).to_be_focused()
    field(admin, "side").get_by_label("Type").select_option("enum")
    field(admin, "side").get_by_label("Values, one a line").fill("buy\nsell")
    admin.get_by_role("button", name="Add a field").last.click()
    admin.keyboard.press("Control+A")
    admin.keyboard.type("size")
    admin.keyboard.press("Tab")
    field(admin, "size").get_by_label("Type").select_option("integer")
    field(admin, "size").get_by_text("Description and limits").click()
    field(admin, "size").get_by_label("Minimum").fill("1")
    field(admin, "size").get_by_label("Description").fill("Lots of 100.")
    field(admin, "size").get_by_label("required").uncheck()
    field(admin, "size").get_by_role("button", name="Move size up").click()
    expect(field(admin, "size").get_by_role("button", name="Move size down")).to_be_visible()
    assert schema_in(admin) == {
        "type": "object",
        "properties": {
            "size": {"type": "integer", "minimum": 1, "description": "Lots of 100."},
            "side": {"type": "string", "enum": ["buy", "sell"]},
        },
        "required": ["side"],
    }
    source = admin.get_by_label("Python source")
    expect(source).to_contain_text("side: Literal['buy', 'sell']")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_role("status")).to_contain_text("Task Trade signal is created.")
    stored = api.call("GET", "/tasks?search=Trade")["tasks"][0]["response_schema"]
    assert list(stored["properties"]) == ["size", "side"]


def test_what_has_no_fields_is_edited_as_json_and_never_lost(admin: Page, api: Showcase) -> None:
    odd = {
        "type": "object",
        "properties": {
            "plain": {"type": "string", "default": "x"},
            "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": [],
    }
    task = api.call("POST", "/tasks", {"name": "odd", "response_schema": odd})
    admin.goto(f"/admin/task/edit/?id={task['id']}")
    expect(field(admin, "either").get_by_label("As JSON")).to_have_value(re.compile("anyOf"))
    expect(field(admin, "plain")).to_contain_text("default (kept)")
    field(admin, "plain").get_by_label("Name").fill("text")
    field(admin, "plain").get_by_label("Name").press("Enter")
    expect(field(admin, "text")).to_be_visible()
    renamed = schema_in(admin)["properties"]
    assert renamed == {"text": odd["properties"]["plain"], "either": odd["properties"]["either"]}  # type: ignore[index]

    raw = admin.get_by_label("JSON", exact=True)
    raw.fill('{"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}}')
    fields = admin.get_by_role("group", name="Fields")
    expect(fields).to_contain_text("Nothing of it is lost.")
    raw.fill('{"type": "object"')
    expect(fields).to_contain_text("This is not JSON yet.")
    raw.fill('{"side": {"type": "enum", "values": ["buy"]}}')
    expect(fields).to_contain_text("This is the short form.")
    admin.get_by_role("button", name="Check and tidy").click()
    expect(field(admin, "side").get_by_label("Values, one a line")).to_have_value("buy")
    raw.fill('{"type": "object", "properties": {"a": {"type": "strin"}}}')
    expect(admin.get_by_role("main").get_by_role("status")).to_contain_text("$.properties.a")
    api.call("DELETE", f"/tasks/{task['id']}")


def test_a_sample_makes_a_schema_and_is_tried_against_one(admin: Page, api: Showcase) -> None:
    task = api.call("POST", "/tasks", {"name": "sampled"})
    admin.goto(f"/admin/task/edit/?id={task['id']}")
    sample = admin.get_by_label("Sample answer, as JSON")
    sample.fill('{"signal": "buy", "at": "2026-11-20T07:00:00Z", "legs": [{"size": 1}]}')
    admin.get_by_role("button", name="Make the schema from it").click()
    expect(field(admin, "at").get_by_label("Type")).to_have_value("date-time")
    expect(field(admin, "legs").get_by_label("Name").last).to_have_value("size")
    sample.fill('{"signal": 1}')
    admin.get_by_role("button", name="Check it").click()
    expect(admin.get_by_text("It does not fit.")).to_be_visible()
    expect(admin.locator("[data-result]")).to_contain_text("$.signal")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_role("status")).to_contain_text("Task sampled is saved.")

    admin.goto(f"/admin/task/details/?id={task['id']}")
    expect(admin.get_by_label("Python source")).to_contain_text("class SampledResponse")
    admin.get_by_label("Sample, as JSON").fill('{"signal": "buy"}')
    admin.get_by_role("button", name="Check it").click()
    expect(admin.locator("[data-result]")).to_contain_text('"at" is a required property')


def test_a_tick_in_the_grid_counts_at_once_and_appears_elsewhere(
    admin: Page, api: Showcase
) -> None:
    agent = api.call("POST", "/agents", {"name": "Gridded"})["agent_id"]
    task = api.call("POST", "/tasks", {"name": "grid task"})["id"]
    other = admin.context.new_page()
    for page in (admin, other):
        page.goto("/admin/task/grid/?agent=gridded&task=grid")
        expect(page.locator("#live-state")).to_have_text("live")
    admin.get_by_label("Gridded has grid task").check()
    expect(admin.get_by_role("status")).to_contain_text("gridded has grid task.")
    expect(other.get_by_label("Gridded has grid task")).to_be_checked()
    assert [it["task_id"] for it in api.call("GET", f"/agents/{agent}/tasks")["tasks"]] == [task]
    api.call("PATCH", f"/agents/{agent}/tasks/{task}", {"is_active": False})
    box = admin.get_by_label("Gridded has grid task")
    expect(box).to_have_js_property("indeterminate", True)
    box.click()
    expect(box).to_have_attribute("data-state", "on")
    box.uncheck()
    expect(admin.get_by_role("status")).to_contain_text("gridded no longer has grid task.")
    assert api.call("GET", f"/agents/{agent}/tasks")["total"] == 0
