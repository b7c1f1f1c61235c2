"""An agent's page: what its clients get, a real test of it, what was changed, all of it live."""

import itertools
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PROVIDER_KEY, Stack
from tests.conftest import ADMIN_TOKEN
from tests.support.showcase import Showcase

_numbers = itertools.count(1)


@pytest.fixture
def api(stack: Stack) -> Showcase:
    """What a colleague does meanwhile."""
    return Showcase(stack.url, ADMIN_TOKEN)


@pytest.fixture
def agent(api: Showcase, stack: Stack) -> dict[str, Any]:
    """An agent on a provider that answers, and on one with a wrong key behind it."""
    number = next(_numbers)
    ids = []
    for name, key in (("right", PROVIDER_KEY), ("wrong", "sk-wrong")):
        body = {"name": f"{name}-{number}", "type": "openai_compatible", "api_key": key}
        body["base_url"] = stack.provider.openai_url
        ids.append(api.call("POST", "/providers", body)["id"])
    body = {"name": f"Paged {number}", "provider_id": ids[0], "model_name": "loop-large"}
    made: dict[str, Any] = api.call("POST", "/agents", body)
    slug = made["agent_id"]
    step = {"provider_id": ids[1], "model_name": "loop-small"}
    api.call("POST", f"/agents/{slug}/llm-configs", step)
    return made


def open_page(page: Page, agent: dict[str, Any]) -> None:
    page.goto(f"/admin/agent/details/?id={agent['id']}")
    expect(page.locator("#live-state")).to_have_text("live")
    page.evaluate("window.stayed = true")


def test_a_test_fills_in_and_a_colleague_s_change_appears(
    admin: Page, api: Showcase, agent: dict[str, Any]
) -> None:
    open_page(admin, agent)
    steps = admin.get_by_role("list", name=f"Chain of {agent['name']}").get_by_role("listitem")
    expect(steps.nth(0)).to_contain_text("loop-large")
    expect(steps.nth(1)).to_contain_text("Fallback 1")
    expect(steps.nth(0).locator(".status")).to_have_text("connected")
    expect(steps.nth(1).locator(".status")).to_have_text("error")

    admin.get_by_role("button", name="Test every step").click()
    results = admin.get_by_role("region", name="What each step answered")
    expect(results.get_by_role("row", name="loop-large")).to_contain_text("pong")
    expect(results.get_by_role("row", name="loop-small")).to_contain_text("401")
    expect(admin.locator("[data-test-status=done]")).to_contain_text("failed")
    expect(admin.get_by_role("button", name="Test every step")).to_be_enabled()

    api.call("PATCH", f"/agents/{agent['agent_id']}", {"llm_model": "swapped"})
    expect(steps.nth(0)).to_contain_text("swapped")
    expect(admin.locator("#agent-history")).to_contain_text("model name")
    assert admin.evaluate("window.stayed")

    admin.get_by_role("button", name="Restore to change").first.click()
    admin.get_by_role("dialog").get_by_role("button", name="Restore").click()
    expect(admin.get_by_role("status")).to_contain_text("is as it was after change")
    expect(steps.nth(0)).to_contain_text("loop-large")


def test_the_code_is_copied_and_the_agent_too(admin: Page, agent: dict[str, Any]) -> None:
    admin.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_page(admin, agent)
    admin.get_by_role("button", name="Copy Python code").click()
    expect(admin.get_by_role("status")).to_contain_text("Copied.")
    copied = admin.evaluate("navigator.clipboard.readText()")
    assert f'client.attempts("{agent["agent_id"]}")' in copied
    admin.get_by_role("link", name="Clone").click()
    expect(admin.get_by_label("Name")).to_have_value(f"{agent['name']} copy")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_role("status")).to_contain_text(f"{agent['name']} copy is created.")
    expect(admin.get_by_label("Model").first).to_have_value("loop-large")


def test_an_inactive_agent_is_halted_from_its_page(
    admin: Page, api: Showcase, agent: dict[str, Any]
) -> None:
    open_page(admin, agent)
    api.call("PATCH", f"/agents/{agent['agent_id']}", {"is_active": False})
    banner = admin.locator("#agent-banners")
    expect(banner).to_contain_text("Inactive, and still spending")
    banner.get_by_role("button", name=f"Halt {agent['name']}").click()
    admin.get_by_role("dialog").get_by_label("Reason").fill("strange orders")
    admin.keyboard.press("Enter")
    expect(banner.get_by_role("alert")).to_contain_text("It has been halted since")
    expect(banner).to_contain_text("strange orders")
    api.call("POST", f"/agents/{agent['agent_id']}/resume")
