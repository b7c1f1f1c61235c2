"""Many agents at once, and the list of all steps, as an admin goes about them."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Stack
from tests.conftest import ADMIN_TOKEN
from tests.support.showcase import Showcase


@pytest.fixture(scope="module")
def crew(stack: Stack) -> list[dict[str, Any]]:
    """Three agents of one crew on one provider."""
    api = Showcase(stack.url, ADMIN_TOKEN)
    provider = api.call("POST", "/providers", {"name": "crew-one", "type": "ollama"})["id"]
    api.call("POST", "/providers", {"name": "crew-two", "type": "ollama"})
    return [
        api.call(
            "POST",
            "/agents",
            {"name": f"Crew {name}", "provider_id": provider, "model_name": f"model-{name}"},
        )
        for name in ("ann", "ben", "cy")
    ]


def test_a_model_is_set_on_ticked_agents_after_a_preview(
    admin: Page, crew: list[dict[str, Any]]
) -> None:
    admin.goto("/admin/agent/?search=crew")
    button = admin.get_by_role("button", name="Set model…")
    expect(button).to_be_disabled()
    admin.get_by_label("Choose Crew ann").check()
    admin.get_by_label("Choose Crew cy").check()
    button.click()
    expect(admin.get_by_role("heading", level=1)).to_have_text("Set the model of 2 agents")
    admin.get_by_role("main").get_by_label("Provider").select_option(label="crew-two")
    admin.get_by_label("Model").fill("shared")
    admin.get_by_role("button", name="Preview").click()
    preview = admin.get_by_role("region", name="What changes")
    expect(preview.get_by_role("row", name=re.compile("model name"))).to_have_count(2)
    expect(preview).to_contain_text("model-ann")
    admin.get_by_role("button", name="Change 2 agents").click()
    expect(admin.get_by_role("status")).to_contain_text("2 changed: Crew ann, Crew cy.")
    models = admin.locator(".chip b")
    expect(models).to_have_text(["shared", "model-ben", "shared"])

    admin.get_by_label("All on this page").check()
    admin.get_by_role("button", name="Disable").click()
    expect(admin.get_by_role("status")).to_contain_text("they go on spending")
    admin.get_by_label("All on this page").check()
    admin.get_by_role("button", name="Enable").click()
    expect(admin.get_by_role("status")).to_contain_text("3 enabled")


def test_steps_are_moved_by_keyboard_and_priced_for_a_million(
    admin: Page, crew: list[dict[str, Any]], stack: Stack
) -> None:
    slug = crew[1]["agent_id"]
    admin.goto("/admin/llm_config/?search=crew-ben")
    admin.get_by_role("link", name="New step").click()
    admin.get_by_label("Agent id").fill(slug)
    admin.get_by_role("main").get_by_label("Provider").select_option(label="crew-two")
    admin.get_by_label("Model").fill("second")
    admin.get_by_label("Input ($ per 1M)", exact=True).fill("0.15")
    admin.get_by_label("Output").fill("0.6")
    admin.get_by_role("button", name="Save").click()
    rows = admin.get_by_role("row")
    expect(rows.nth(2)).to_contain_text("$0.15 in, $0.6 out")
    move = admin.get_by_role("button", name="Move up: second of Crew ben")
    move.focus()
    admin.keyboard.press("Enter")
    expect(admin.get_by_role("status")).to_contain_text("second of Crew ben is moved.")
    expect(rows.nth(1)).to_contain_text("second")
    # A colleague's edit appears without a reload.
    expect(admin.locator("#live-state")).to_have_text("live")
    admin.evaluate("window.stayed = true")
    Showcase(stack.url, ADMIN_TOKEN).call("PATCH", f"/agents/{slug}", {"llm_model": "theirs"})
    expect(rows.nth(1)).to_contain_text("theirs")
    assert admin.evaluate("window.stayed")
